"""The clockwork of ticks: all releases on one telemetry source are sampled together and judged in one batch.

One turn is a function of the registry and a reading, testable without a clock. The loop around it keeps the beat: it never
sleeps a drift into existence and, where a turn takes longer than a tick, skips beats instead of queueing them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analyzers.judge import JudgeState, fold, start
from analyzers.ruling import Ruling
from daemon import recordings
from daemon.engine import session as life
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.model import Reading, Sample, Stage, Watch
from daemon.ports import Clock, Meter, Telemetry
from daemon.recordings import Header, Recorder

# Judging up to so many releases takes less time than handing them to a thread and back.
_INLINE_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    before: Session
    after: Session
    sample: Sample


class Clockwork:
    """The ticks of one telemetry source. ``decided`` is called at once with every session whose verdict is final."""

    def __init__(
        self,
        name: str,
        telemetry: Telemetry,
        *,
        meshes: frozenset[str],
        registry: Registry,
        checkpoints: Checkpoints,
        clock: Clock,
        meter: Meter,
        decided: Callable[[Session], None],
        recorder: Recorder | None = None,
    ) -> None:
        self._name = name
        self._telemetry = telemetry
        self._meshes = meshes
        self._registry = registry
        self._checkpoints = checkpoints
        self._clock = clock
        self._meter = meter
        self._decided = decided
        self._recorder = recorder

    async def run(self) -> None:
        """Tick for ever."""
        tick = self._telemetry.tick_seconds
        next_beat = self._clock.monotonic()
        while True:
            await self.turn()
            next_beat += tick
            late = self._clock.monotonic() - next_beat
            if late > 0:
                next_beat += tick * (late // tick)
            await self._clock.sleep(max(0.0, next_beat - self._clock.monotonic()))

    async def turn(self) -> None:
        """Sample every release that is due, judge the watched ones in one batch, and put the results in place."""
        due = self._registry.sampled(self._meshes)
        if not due:
            return
        began = self._clock.monotonic()
        readings = await self._telemetry.read([Watch(release_id=s.release_id, release=s.release) for s in due])
        sampled_at = self._clock.monotonic()
        now = self._clock.now()
        # The reading took a while: somebody may have decided, reverted or cancelled meanwhile.
        current = [(self._registry.get(s.release_id), readings[s.release_id]) for s in due if s.release_id in self._registry]
        watching = [(s, r) for s, r in current if s.stage is Stage.WATCHING]
        for session, reading in current:
            self._see_aftermath(session, reading, now=now)
        judged = await self._judge(watching, now=now)
        self._place(judged)
        self._meter.round(
            self._name,
            releases=len(due),
            sampling_seconds=sampled_at - began,
            judging_seconds=self._clock.monotonic() - sampled_at,
        )
        await self._record(judged)

    async def _judge(self, watching: Sequence[tuple[Session, Reading]], *, now: float) -> list[_Judged]:
        if not watching:
            return []
        sampled = [(s, r, *life.sampled(s, r, now=now)) for s, r in watching]
        batch = [after for _, _, after, _ in sampled]
        samples = [sample for *_, sample in sampled]
        if len(batch) <= _INLINE_BATCH:
            rulings = _fold(batch, samples)
        else:
            rulings = await asyncio.to_thread(_fold, batch, samples)
        results = []
        for (before, reading, seen, sample), (state, ruling) in zip(sampled, rulings, strict=True):
            self._meter.ticked(Watch(release_id=before.release_id, release=before.release), reading, ruling)
            after = life.judged(seen, state, ruling, now=self._clock.now())
            results.append(_Judged(before=before, after=after, sample=sample))
        return results

    def _place(self, judged: Sequence[_Judged]) -> None:
        """Decided ones first: nothing stands before a revert."""
        for item in sorted(judged, key=lambda j: j.after.decision is None):
            if not self._registry.is_current(item.before):
                continue
            self._registry.put(item.after)
            if item.after.decision is not None:
                self._decided(item.after)
            else:
                self._checkpoints.save(item.after)

    def _see_aftermath(self, session: Session, reading: Reading, *, now: float) -> None:
        after = life.aftermath(session, reading, now=now)
        if after is not session:
            self._registry.put(after)

    async def _record(self, judged: Sequence[_Judged]) -> None:
        if self._recorder is None or not judged:
            return
        await asyncio.to_thread(_append, self._recorder, judged)


def _fold(sessions: Sequence[Session], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    states = [s.judge or start(s.terms) for s in sessions]
    return fold([s.terms for s in sessions], states, samples)


def _append(recorder: Recorder, judged: Sequence[_Judged]) -> None:
    for item in judged:
        session = item.after
        header = Header(
            release=life.release_document(session.release),
            policy=session.policy,
            bounds_ms=session.bounds_ms,
            split=session.split,
            tick_seconds=session.tick_seconds,
        )
        recorder.append(session.release_id, header, [recordings.line(item.sample)])
        if session.decision is not None:
            recorder.close(session.release_id)
