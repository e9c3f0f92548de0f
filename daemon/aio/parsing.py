"""Answers of servers unpacked and parsed while they come: piece by piece, beside the event loop, all of them in bounded memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from daemon.errors import Refused, Unavailable

PIECE_BYTES = 256 * 1024
"""Unpacked and parsed in one go: a few ms."""
LONGEST_BYTES = 512 * 1024
"""What a reader may keep back of a piece because it is not whole yet."""
_PLACE_BYTES = 2 * 1024 * 1024
"""What one answer has in memory unparsed at most: read ahead, one batch, one piece, and what is kept back, joined."""
_SMALL_BYTES = 128 * 1024
"""An answer that is not worth the way to another thread: a ms."""
GZIP = 31
"""zlib's window bits for the gzip format."""

T = TypeVar("T")


class Reader(Protocol):
    """Takes an answer apart, piece by piece. Called from a thread, never twice at the same time."""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, at most ``PIECE_BYTES``. Raises ``VerdictdError``; keeps at most ``LONGEST_BYTES`` back."""
        ...

    def close(self) -> None:
        """The answer is whole. Raises ``VerdictdError`` when it makes no sense."""
        ...


class Content(Protocol):
    """What comes off the wire."""

    async def readany(self) -> bytes:
        """What has come by now, at least a byte; none at the end."""
        ...


class ParserPool:
    """Where answers are unpacked and parsed: a bound on the bytes of all of them together, and one thread.

    Args:
        unparsed_bytes: those of all answers that are in memory and not parsed yet. An answer that finds no room waits.
    """

    def __init__(self, *, unparsed_bytes: int) -> None:
        self._places = asyncio.Semaphore(max(1, unparsed_bytes // _PLACE_BYTES))
        # More threads would only take the interpreter from the event loop more often.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")
        self._jobs: set[Future[Any]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is to be done."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Room for one answer, waited for in the order of asking."""
        async with self._places:
            yield

    async def read(self, content: Content, into: Reader, *, encoding: str, ceiling: Callable[[int], None]) -> None:
        """Unpack an answer and have it read, to its end; ``ceiling`` is told how long it is by then. Raises ``VerdictdError``."""
        unpacked = Unpacking(encoding, into, ceiling=ceiling)
        async for batch, last in _batches(content):
            small = last and len(batch) <= _SMALL_BYTES and not unpacked.packed
            while await self.run(partial(unpacked.step, batch, last=last), small=small):
                batch = b""  # noqa: PLW2901 - it has been handed over

    async def run(self, work: Callable[[], T], *, small: bool = False) -> T:
        """Do some work in the thread, one after the other; ``small`` work (a ms) here and now, while the thread has none.

        When cancelled, returns only after the work: what it works on is nobody else's until then.
        """
        if small and not self._jobs:
            return work()
        job = self._thread.submit(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait([done])
            raise


class Unpacking:
    """An answer on its way from the wire to its reader."""

    def __init__(self, encoding: str, into: Reader, *, ceiling: Callable[[int], None]) -> None:
        if encoding.lower() not in {"", "identity", "gzip", "x-gzip"}:
            raise Refused(f"the answer comes in the encoding {encoding[:40]!r}, which was not asked for")
        self.packed = encoding.lower() in {"gzip", "x-gzip"}
        self._inflating = zlib.decompressobj(wbits=GZIP)
        self._into = into
        self._ceiling = ceiling
        self._left = b""
        self._size_bytes = self._wire_bytes = 0

    def step(self, batch: bytes, *, last: bool) -> bool:
        """Unpack and read one piece; ``batch`` is what has come since. Whether to call again, with an empty one."""
        self._wire_bytes += len(batch)
        self._left = self._left + batch if self._left else batch
        piece = self._unpacked() if self.packed else self._cut()
        self._size_bytes += len(piece)
        # What is packed need not become larger.
        self._ceiling(max(self._size_bytes, self._wire_bytes))
        if piece:
            self._into.feed(piece)
        if self._left or len(piece) == PIECE_BYTES:
            return True
        if last:
            if self.packed and self._wire_bytes and not self._inflating.eof:
                raise Unavailable("the packed answer ends before its end")
            self._into.close()
        return False

    def _cut(self) -> bytes:
        piece, self._left = self._left[:PIECE_BYTES], self._left[PIECE_BYTES:]
        return piece

    def _unpacked(self) -> bytes:
        if self._inflating.eof and self._left:
            # Gzip allows several members, and a million empty ones are small; nobody packs statistics so.
            raise Unavailable("the packed answer goes on after its end")
        try:
            piece = self._inflating.decompress(self._left, PIECE_BYTES)
        except zlib.error as error:
            raise Unavailable(f"the answer cannot be unpacked: {error}") from error
        self._left = self._inflating.unconsumed_tail or self._inflating.unused_data
        return piece


async def _batches(content: Content) -> AsyncIterator[tuple[bytes, bool]]:
    """What comes, in batches of some size, so that a thread is not asked for every drop; the last one may be empty."""
    batch = bytearray()
    while chunk := await content.readany():
        batch += chunk
        if len(batch) >= PIECE_BYTES:
            yield bytes(batch), False
            batch.clear()
    yield bytes(batch), True
