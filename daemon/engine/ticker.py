"""The ticker of a telemetry source: all releases on it are sampled together, and judged some hundreds at a time.

One tick is a function of the registry and a reading, testable without a clock. The loop around it keeps time: it never sleeps a
drift into existence and, where a tick takes longer than its interval, skips ticks instead of queueing them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from analyzers.judge import CHUNK
from daemon.aio.clock import Clock
from daemon.aio.stretches import in_stretches
from daemon.aio.tasks import TaskGroup
from daemon.engine import fitting, lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.hindrances import hindrances, slowest
from daemon.engine.judging import Due, JudgedTick, judge
from daemon.engine.recording import RecordingWriter
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.weights import Weights
from daemon.measurements import Reading, Watch
from daemon.model import Stage
from daemon.ports.service import Meter
from daemon.ports.telemetry import Telemetry
from daemon.recorder import Recorder
from daemon.standing import Standing

log = logging.getLogger(__name__)

# Judging up to so many releases takes less time than handing them to a thread and back.
_INLINE_BATCH = 32
_A_PART = CHUNK
"""Releases that are judged before the results of the first of them are in place."""
_HANDED_OVER = 32
"""So many decided ones are handed over until the first of them have the loop: neighbours among them ask in the same moment."""


class Ticker:
    """The ticks of one telemetry source. ``decided`` is called at once with every session whose verdict is final,
    and ``waits`` with the id of each that begins to wait for a person."""

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
        waits: Callable[[str], None] = lambda _: None,
        weights: Weights | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self.standing = Standing(f"telemetry {name}", now=clock.now)
        self._telemetry = telemetry
        self._meshes = meshes
        self._registry = registry
        self._checkpoints = checkpoints
        self._clock = clock
        self._watch_clock = WatchClock(clock)
        self._watches: dict[str, Watch] = {}
        self._meter = meter
        self._decided = decided
        self._waits = waits
        self._weights = weights
        self._writer = None if recorder is None else RecordingWriter(recorder, meter=meter, patience_seconds=telemetry.tick_seconds)

    async def run(self) -> None:
        """Tick for ever. A tick that fails is reported: the next one is another chance."""
        async with TaskGroup() as group:
            if self._weights is not None and self._weights.followers:
                watching = self._weights.follow(lambda: self._registry.sampled(self._meshes))
                group.create_task(watching, name=f"weights followed {self.name}")
            await self._keep_time(group)

    async def _keep_time(self, group: TaskGroup) -> None:
        interval = self._telemetry.tick_seconds
        next_tick = self._clock.monotonic()
        looking: asyncio.Task[None] | None = None
        while True:
            try:
                await self.tick()
            except Exception as error:
                log.exception("a tick failed", extra={"telemetry": self.name})
                self._meter.failed("tick", error)
            if self._weights is not None and self._weights.due and (looking is None or looking.done()):
                looking = group.create_task(self._look(self._weights), name=f"weights {self.name}")
            if (wait := self._telemetry.wait_seconds) is not None:
                await self._rest(wait)
                next_tick = self._clock.monotonic()
                continue
            next_tick += interval
            late = self._clock.monotonic() - next_tick
            if late > 0:
                next_tick += interval * (late // interval)
            await self._clock.sleep(max(0.0, next_tick - self._clock.monotonic()))

    async def _look(self, weights: Weights) -> None:
        """At the releases of now: of one whose verdict is being told the watch after its promotion is still to know the pods."""

        def is_watched(release_id: str) -> bool:
            session = self._registry.find_running(release_id)
            return session is not None and session.stage is Stage.WATCHING

        await weights.look(self._registry.of_meshes(self._meshes), is_watched=is_watched)

    async def _rest(self, seconds: float) -> None:
        """Wait while the source has nothing new; no longer than a new release or one at its end can wait: one interval."""
        known = {session.release_id for session in self._registry.sampled(self._meshes)}
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0.0:
            await self._clock.sleep(min(left, self._telemetry.tick_seconds))
            due = self._registry.sampled(self._meshes)
            if not known.issuperset(session.release_id for session in due):
                return
            watching = [session for session in due if session.stage is Stage.WATCHING]
            times = self._watch_clock.now(watching)
            if any(now - (s.started_at or now) >= s.window_seconds for s, now in zip(watching, times, strict=True)):
                return

    async def tick(self) -> None:
        """Sample every release that is due, judge the watched ones, and put the results in place."""
        due = self._registry.sampled(self._meshes)
        if not due:
            self.standing.rests()
            self._meter.rests(self.name)
            return
        began = self._clock.monotonic()
        watches = [self._watch(session) async for session in in_stretches(due)]
        self._watches = {watch.release_id: watch for watch in watches}
        readings = await self._read(watches)
        sampled_at = self._clock.monotonic()
        # The reading took a while: somebody may have decided, reverted or cancelled meanwhile.
        current = [(s, readings[s.release_id]) for s in self._registry.sampled(self._meshes) if s.release_id in readings]
        now = self._clock.now()
        async for session, reading in in_stretches([one for one in current if one[0].stage is not Stage.WATCHING]):
            if self._registry.is_current(session):
                self._see_aftermath(session, reading, now=now)
        judged: list[JudgedTick] = []
        try:
            await self._judge([(s, r) for s, r in current if s.stage is Stage.WATCHING], into=judged)
        finally:  # also where it is stopped in the middle: what is in place is to be in the recording
            if self._writer is not None:
                self._writer.begin(judged)
        self._meter.round(
            self.name,
            releases=len(due),
            sampling_seconds=sampled_at - began,
            judging_seconds=self._clock.monotonic() - sampled_at,
        )
        await self._say(readings.values(), judged)
        if self._writer is not None:
            await self._writer.settle()
        await self._checkpoint(judged)
        await self._fit(judged)

    async def written(self, *, seconds: float) -> None:
        """Wait at most so long for the recordings, once no tick follows."""
        if self._writer is not None:
            await self._writer.written(seconds=seconds)

    async def _say(self, readings: Iterable[Reading], judged: Sequence[JudgedTick]) -> None:
        """How samples come, for whoever looks at the daemon; once for each release and kind, what keeps it from being judged."""
        if (cadence := slowest(reading.cadence for reading in readings)) is not None:
            self._meter.cadence(self.name, cadence)
        async for item in in_stretches(judged):
            found = hindrances(item.after) if item.after.decision is None else {}
            before = hindrances(item.due.session) if found else {}
            for kind, sentence in found.items():
                if kind not in before:
                    log.warning("a release cannot be judged so", extra={"release": item.after.release_id, "reason": sentence})

    async def _read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """A reading for each. Sources answer with gaps when they fail; one that raises has a defect, which is a gap as well."""
        try:
            readings, missing = await self._telemetry.read(watches), "telemetry says nothing of it"
            failure = self._telemetry.failure
        except Exception as error:
            log.exception("telemetry failed", extra={"telemetry": self.name})
            self._meter.failed("telemetry", error)
            readings, missing = {}, f"telemetry failed: {error}"
            failure = missing
        if failure is None:
            self.standing.works()
            self._meter.telemetry_answered(self.name)
        else:
            self.standing.fails(failure)
        gap = Reading(seconds=0.0, gap=missing)
        return {watch.release_id: readings.get(watch.release_id, gap) for watch in watches}

    async def _judge(self, watching: Sequence[tuple[Session, Reading]], *, into: list[JudgedTick]) -> None:
        """Some at a time, each with its results in place before the next are looked at: nothing stands before a revert."""
        times = self._watch_clock.now([session for session, _ in watching])
        for begin in range(0, len(watching), _A_PART):
            part = zip(watching[begin : begin + _A_PART], times[begin : begin + _A_PART], strict=True)
            # Others had their turn meanwhile: a command, say.
            still = [(s, r, now) for (s, r), now in part if self._registry.is_current(s)]
            batch = [Due(session=s, reading=self._weighed(s, r), now=now) async for s, r, now in in_stretches(still)]
            if not batch:
                continue
            if len(batch) <= _INLINE_BATCH:
                results = judge(batch, now=self._clock.now)
            else:
                results = await asyncio.to_thread(judge, batch, now=self._clock.now)
            into += results
            await self._place(results)

    def _watch(self, session: Session) -> Watch:
        """What telemetry is told of it: the same value as long as nothing of it has changed, so that nobody need look twice."""
        pods = None if self._weights is None else self._weights.pods(session.release_id)
        known = self._watches.get(session.release_id)
        if known is not None and known.release is session.release and known.policy is session.policy and known.pods is pods:
            return known
        policy = session.policy
        watch = self._watches[session.release_id] = Watch(
            release_id=session.release_id,
            release=session.release,
            failures=policy.failures,
            policy=policy,
            pods=pods,
            alone=session.after is not None,
        )
        return watch

    def _weighed(self, session: Session, reading: Reading) -> Reading:
        """The reading with the route's weight during the time that it covers, where the telemetry has not brought it."""
        if self._weights is None or reading.weight is not None:
            return reading
        until = self._clock.now() if reading.at is None else reading.at
        weight = self._weights.of(session.release_id, since=until - reading.seconds, until=until)
        return reading if weight is None else msgspec.structs.replace(reading, weight=weight)

    async def _place(self, judged: Sequence[JudgedTick]) -> None:
        """Decided ones first: nothing stands before a revert."""
        decided = _neighbours_together([one for one in judged if one.after.decision is not None])
        for begin in range(0, len(decided), _HANDED_OVER):
            for item in decided[begin : begin + _HANDED_OVER]:
                self._put(item)
            await asyncio.sleep(0)
        async for item in in_stretches([one for one in judged if one.after.decision is None]):
            self._put(item)

    def _put(self, item: JudgedTick) -> None:
        session = item.due.session
        if item.error is not None:
            self._meter.failed("judge", item.error)
        if not self._registry.is_current(session):
            return
        # Of one that has ended meanwhile the series are gone, and stay so.
        self._meter.ticked(self._watch(session), item.due.reading, item.ruling)
        self._registry.put(item.after)
        if item.after.decision is not None:
            self._decided(item.after)
        elif item.after.waits_until is not None and session.waits_until is None:
            self._waits(item.after.release_id)

    async def _checkpoint(self, judged: Sequence[JudgedTick]) -> None:
        """After the recording, which then knows every tick that a checkpoint knows. Decided ones are kept by their task."""
        async for item in in_stretches(judged):
            if item.after.decision is None and self._registry.is_current(item.after):
                self._checkpoints.save(item.after)

    async def _fit(self, judged: Sequence[JudgedTick]) -> None:
        """Last of all, since it decides nothing: what the buckets of a few releases cannot tell of their policies."""
        current = (item.after for item in judged if self._registry.is_current(item.after))
        async for session in in_stretches(fitting.due(current)):
            if self._registry.is_current(session):
                self._registry.put(fitting.looked(session))

    def _see_aftermath(self, session: Session, reading: Reading, *, now: float) -> None:
        after = lifecycle.aftermath(session, reading, now=now)
        if after is not session:
            self._registry.put(after)


def _neighbours_together(decided: Sequence[JudgedTick]) -> list[JudgedTick]:
    """Those of a namespace one after the other, whose reverts share what they ask of it; the first namespace first."""
    places: dict[str, int] = {}
    return sorted(decided, key=lambda one: places.setdefault(one.after.release.namespace, len(places)))


class WatchClock:
    """How long each watch has been going on, whatever is done to the wall's clock meanwhile.

    Within one process the monotonic clock says so; what bridges a restart is in the session (``lifecycle.resumed``). Otherwise a
    clock that is set back would hold a release for as long, and one that is set forward would end every watch at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}

    def now(self, watching: Sequence[Session]) -> list[float]:
        """The time for each of these, in seconds since 1970 as if the wall's clock had run steadily. Others are forgotten."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        self._began = {s.release_id: self._began.get(s.release_id, steady - _elapsed(s, wall)) for s in watching}
        return [(s.started_at or wall) + steady - self._began[s.release_id] for s in watching]


def _elapsed(session: Session, wall: float) -> float:
    """What was counted already; of one that just began, since when, a tick ago at most: the clock may have been set."""
    return session.t or min(max(0.0, wall - (session.started_at or wall)), session.tick_seconds)
