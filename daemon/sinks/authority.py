"""What authorises us where a channel tells, had anew for each request: what a file holds, or what a row knows to get for itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from config import files
from daemon.aio.clock import Clock
from daemon.aio.threads import OwnThread
from daemon.errors import Unavailable

if TYPE_CHECKING:
    from daemon.aio.httpclient import HttpClient

FILE_SECONDS: Final = 5.0
"""Longest wait for a file."""
_SECRET_BYTES = 16 * 1024


class Authority(Protocol):
    """Whoever has them."""

    @property
    def longest_seconds(self) -> float:
        """How long it may take to have one."""
        ...

    @property
    def in_words(self) -> str:
        """What it is that is shown, or how to have something shown."""
        ...

    async def now(self) -> str:
        """For the next request; empty where there is none. Raises ``VerdictdError``."""
        ...

    def disbelieved(self, secret: str) -> None:
        """It was shown, and was not enough."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a channel's secrets may be had with.

    Attributes:
        setting: the channel's place in the settings.
        http: its client.
        timeout_seconds: for one request of that client.
        clock: the daemon's.
    """

    setting: str
    http: "HttpClient"
    timeout_seconds: float
    clock: Clock


class SecretFile:
    """Implements ``Authority``: what a file holds, whoever renews it.

    Args:
        file: null: there is no secret.
        setting: the channel's place in the settings.
    """

    longest_seconds = FILE_SECONDS

    def __init__(self, file: str | None, *, setting: str) -> None:
        self._file = file
        self._setting = setting
        self._reading = OwnThread(f"secret of {setting}")

    @property
    def in_words(self) -> str:
        """See ``Authority.in_words``."""
        return (
            f"it was shown none: {self._setting}.secret_file names one"
            if self._file is None
            else f"it was shown the secret in {self._file}"
        )

    async def now(self) -> str:
        """See ``Authority.now``."""
        return "" if self._file is None else await self._reading.run(_secret, self._file)

    def disbelieved(self, secret: str) -> None:
        """See ``Authority.disbelieved``. It is read anew in any case."""


def held_by(file: str) -> bytes:
    """A short file; blocks. Raises ``Unavailable``."""
    try:
        return files.read_bytes(Path(file), limit_bytes=_SECRET_BYTES)
    except files.Unreadable as error:
        raise Unavailable(f"{file} {error.message}") from error


def _secret(file: str) -> str:
    """One line of ASCII letters; blocks. Raises ``Unavailable``: who renews it may be about to."""
    try:
        text = held_by(file).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise Unavailable(f"{file} holds no secret of ASCII letters") from error
    if not text or not text.isprintable():
        raise Unavailable(f"{file} holds no secret of one line")
    return text
