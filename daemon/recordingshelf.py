"""The folder of recordings, kept within days and bytes: the oldest go first.

Only what a daemon has written there itself, by its name, and never what is still being written: a release that runs has its
recording, however old or large. What another daemon writes to the same folder is known by its time only.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from config.settings import KeepRecordings
from daemon.aio.clock import Clock
from daemon.aio.threads import OwnThread
from daemon.aio.throttle import LogThrottle

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
# Nobody who writes to a recording leaves it alone for so long.
UNTOUCHED_SECONDS = 600.0
_DAY_SECONDS = 86_400.0
# An id that was given here, with nothing but the ending of what is appended to.
_OURS = re.compile(r"(?P<release_id>[a-z0-9-]+-[0-9a-f]{16})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What is there: how many, how large together, and when the oldest was last written to (seconds since 1970; null: none)."""

    recordings: int = 0
    bytes: int = 0
    oldest_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    path: Path
    release_id: str
    written_at: float
    bytes: int


class RecordingShelf:
    """``look_after`` is its task.

    Attributes:
        stock: as of the last look.
    """

    def __init__(self, directory: Path, keep: KeepRecordings, *, clock: Clock) -> None:
        self.stock = Stock()
        self._directory = directory
        self._keep = keep
        self._clock = clock
        self._thread = OwnThread("kept recordings")
        self._complaints = LogThrottle()

    async def look_after(self, running: Callable[[], Collection[str] | None]) -> NoReturn:
        """Tidy once a minute, for ever. ``running``: the ids of releases that have not ended; null: not known yet."""
        while True:
            if (ids := running()) is not None:
                try:
                    await self._thread.run(self.tidy, running=frozenset(ids))
                except OSError as error:
                    if self._complaints.due():
                        log.warning("recordings cannot be tidied", extra={"folder": str(self._directory), "reason": str(error)})
            await self._clock.sleep(LOOK_SECONDS)

    def tidy(self, *, running: Collection[str]) -> None:
        """Remove what is beyond days or bytes, oldest first. Blocking file I/O: call it from a thread. Raises ``OSError``."""
        now = self._clock.now()
        kept = sorted(self._recordings(), key=lambda one: one.written_at)
        over = sum(one.bytes for one in kept) - self._keep.bytes
        gone = []
        for one in kept:
            if one.release_id in running or now - one.written_at < UNTOUCHED_SECONDS:
                continue
            if over <= 0 and now - one.written_at <= self._keep.days * _DAY_SECONDS:
                break
            one.path.unlink(missing_ok=True)
            over -= one.bytes
            gone.append(one)
        if gone:
            log.info("old recordings removed", extra={"recordings": len(gone), "bytes": sum(one.bytes for one in gone)})
        left = [one for one in kept if one not in gone]
        oldest = left[0].written_at if left else None
        self.stock = Stock(recordings=len(left), bytes=sum(one.bytes for one in left), oldest_at=oldest)

    def _recordings(self) -> Iterator[_Recording]:
        for path in self._directory.iterdir():
            if (named := _OURS.fullmatch(path.name)) is None:
                continue
            try:
                stat = path.stat(follow_symlinks=False)
            except FileNotFoundError:  # another daemon was quicker
                continue
            yield _Recording(path=path, release_id=named["release_id"], written_at=stat.st_mtime, bytes=stat.st_size)
