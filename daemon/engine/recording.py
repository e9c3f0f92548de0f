"""Judged ticks handed to the recorder, beside everything else: neither a full disk nor one that hangs may hold up a tick."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from daemon import recordings
from daemon.aio.threads import OwnThread
from daemon.engine.judging import JudgedTick
from daemon.engine.session import Session
from daemon.errors import VerdictdError
from daemon.ports.service import Meter
from daemon.recorder import Recorder
from daemon.recordings import Header

log = logging.getLogger(__name__)

MOST_WAITING_TICKS: Final = 1_000
"""Each has its session as it was then: some tens of MiB."""


def header_of(session: Session) -> Header:
    """The first line of a release's recording."""
    return Header(
        release=msgspec.to_builtins(session.release),
        policy=session.policy,
        bounds_ms=session.bounds_ms,
        split=session.split,
        timed=session.timed,
        tick_seconds=session.tick_seconds,
        after=session.after,
    )


class RecordingWriter:
    """Writes the ticks of one telemetry source, one batch after the other, each waited for at most ``patience_seconds``."""

    def __init__(self, recorder: Recorder, *, meter: Meter, patience_seconds: float) -> None:
        self._recorder = recorder
        self._meter = meter
        self._patience_seconds = patience_seconds
        self._thread = OwnThread("recordings")
        self._waiting: deque[Sequence[JudgedTick]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._hangs = False

    def begin(self, judged: Sequence[JudgedTick]) -> None:
        """Write these ticks from now on, after those that were begun before: a folder that is slow for a while loses none.

        Of one that hangs for longer so many wait, and the next are left out; the recorder notices the hole.
        """
        if self._waiting and sum(map(len, self._waiting)) + len(judged) > MOST_WAITING_TICKS:
            return
        self._waiting.append(judged)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())

    async def settle(self) -> None:
        """Wait until all is written that was begun; not where it hangs already."""
        if self._writing is None or (self._hangs and not self._writing.done()):
            return
        await asyncio.wait([self._writing], timeout=self._patience_seconds)
        hung, self._hangs = self._hangs, not self._writing.done()
        if self._hangs:
            slow = (
                f"no answer from the recordings' folder in {self._patience_seconds:g} s; ticks wait, and are left out when it lasts"
            )
            self._meter.failed("recording", VerdictdError(slow))
            if not hung:
                log.warning("recordings hang", extra={"reason": slow})
            return
        self._writing.result()

    async def written(self, *, seconds: float) -> None:
        """Wait at most so long for what is being written: a release may have ended with it, and nobody would write it any more."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)

    async def _write(self) -> None:
        while self._waiting:
            try:
                for error in await self._thread.run(self._append, self._waiting[0]):
                    self._meter.failed("recording", error)
            finally:
                self._waiting.popleft()

    def _append(self, judged: Sequence[JudgedTick]) -> list[VerdictdError]:
        errors = []
        for one in judged:
            if one.sample is None:
                continue
            session = one.after
            line = recordings.line(one.sample)
            try:
                self._recorder.append(
                    session.release_id,
                    header_of(session),
                    line,
                    before=one.due.session.digest,
                    after=session.digest,
                    tick=session.ticks,
                )
            except VerdictdError as error:
                log.warning("recording stopped", extra={"release": session.release_id, "reason": str(error)})
                errors.append(error)
            if session.decision is not None:
                self._recorder.close(session.release_id)
        return errors
