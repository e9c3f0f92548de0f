"""What the daemon and its sampler say to each other: structs in frames, each with its length before it."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from typing import Final, Self, TypeVar

import msgspec

from config.settings import PrometheusTelemetry
from daemon.measurements import Reading, Watch

AT_A_TIME: Final = 100
"""Watches or readings in one frame: packing and unpacking them takes a ms or two."""
_LENGTH_BYTES: Final = 4
_MOST_BYTES: Final = 2**30


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first word: what is to be read, and how; ``unparsed_bytes`` and ``log_level`` as in the settings."""

    name: str
    settings: PrometheusTelemetry
    unparsed_bytes: int
    log_level: str


class Watching(msgspec.Struct, frozen=True, tag=True):
    """These releases are watched from now on, in place of what was said of them before; those that are ``gone`` are not."""

    watches: list[Watch] = []
    gone: list[str] = []


class Forget(msgspec.Struct, frozen=True, tag=True):
    """The release has ended."""

    release_id: str


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read all that are watched."""


class Readings(msgspec.Struct, frozen=True, tag=True):
    """Some of them, by release id."""

    readings: dict[str, Reading]


class Done(msgspec.Struct, frozen=True, tag=True):
    """Those were all. ``failure`` and ``wait_seconds``: see ``Telemetry``."""

    failure: str | None
    wait_seconds: float | None


T = TypeVar("T")
Word = Begin | Watching | Forget | Read | Readings | Done
_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Word)


class Line:
    """One end of it. Made by ``opened``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def opened(cls, end: socket.socket) -> Self:
        """Over this end of a pair of sockets, which is closed with it."""
        return cls(*await asyncio.open_connection(sock=end))

    async def say(self, word: Word) -> None:
        """Send it; waits while the other one does not listen. Raises ``OSError``: the other one has gone."""
        body = _ENCODER.encode(word)
        self._writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
        await self._writer.drain()

    async def heard(self) -> Word | None:
        """The next word; null: the other one has closed the line.

        Raises:
            OSError: it has gone.
            ValueError: what it says cannot be understood.
        """
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if length > _MOST_BYTES:
                raise ValueError(f"a word of {length} bytes")
            word: Word = _DECODER.decode(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError:
            return None
        return word

    def close(self) -> None:
        """No more."""
        self._writer.close()


def in_frames(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many of them as go into one frame, until there are no more."""
    for begin in range(0, len(items), AT_A_TIME):
        yield items[begin : begin + AT_A_TIME]
