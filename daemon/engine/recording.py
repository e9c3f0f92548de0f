"""Judged ticks handed to the recorder, beside everything else: neither a full disk nor one that hangs may hold up a tick."""

import asyncio
import logging
from collections.abc import Sequence

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
    """Writes the ticks of one telemetry source, one batch after the other, each for at most ``patience_seconds``."""

    def __init__(self, recorder: Recorder, *, meter: Meter, patience_seconds: float) -> None:
        self._recorder = recorder
        self._meter = meter
        self._patience_seconds = patience_seconds
        self._thread = OwnThread("recordings")
        self._writing: asyncio.Task[list[VerdictdError]] | None = None
        self._hangs = self._new = False

    def begin(self, judged: Sequence[JudgedTick]) -> None:
        """Write these ticks from now on. Those that come while earlier ones hang are left out; the recorder notices the hole."""
        if self._writing is None or self._writing.done():
            self._writing, self._new = asyncio.ensure_future(self._thread.run(self._append, judged)), True

    async def settle(self) -> None:
        """Wait for what was begun last, and say what came of it; not for one that hangs already."""
        if self._writing is None or not self._new:
            return
        self._new = False
        await asyncio.wait([self._writing], timeout=self._patience_seconds)
        if not self._writing.done():
            slow = f"no answer from the recordings' folder in {self._patience_seconds:g} s; ticks go unrecorded"
            self._meter.failed("recording", VerdictdError(slow))
            if not self._hangs:
                log.warning("recordings hang", extra={"reason": slow})
            self._hangs = True
            return
        self._hangs = False
        for error in self._writing.result():
            self._meter.failed("recording", error)

    async def written(self, *, seconds: float) -> None:
        """Wait at most so long for what is being written: a release may have ended with it, and nobody would write it any more."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)

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
