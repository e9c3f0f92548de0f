"""Our own ports, played by hand: the engine's tests decide what telemetry says, what the mesh answers and what time it is."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from analyzers.ruling import Ruling
from config.policy import Failures, Policy
from config.settings import Limits
from daemon.engine.dependencies import Mesh, MeshCluster, Ports, Shared, Sink
from daemon.engine.engine import Engine
from daemon.engine.turns import Turns
from daemon.errors import Blocked, Conflict, TransientError, VerdictdError
from daemon.interventions import AuditEntry, Command
from daemon.measurements import Cadence, Reading, Watch
from daemon.meshes.unsteered import UnsteeredRouter
from daemon.model import Outline, Release, Stage, TimedStep, Verdict
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, Placement, RouteChange, RouteReference
from daemon.ports.awaiting import Awaiting
from daemon.ports.durable import Kept
from daemon.ports.events import EventSource
from daemon.ports.routing import GitTools, TrafficRouter
from daemon.recorder import Recorder
from tests.hand.clock import HandClock
from tests.hand.samples import ID, POLICY, healthy


class MemoryStore:
    """A store in memory that can be made to fail."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.failing: VerdictdError | None = None
        self.refused: dict[str, Exception] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.puts = 0
        self.revisions: dict[str, int] = {}
        self.missing: list[str] = []
        self.age_seconds: float | None = None

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        await asyncio.sleep(0)
        await self.open.wait()
        self._check()
        if key in self.refused:
            raise self.refused[key]
        if over not in {None, self.revisions.get(key, 1 if key in self.data else 0)}:
            raise Conflict(f"{key} has been written meanwhile")
        self.puts += 1
        self.data[key] = value
        self.revisions[key] = self.puts + 1
        return self.revisions[key]

    async def get(self, key: str) -> Kept | None:
        self._check()
        return Kept(value=self.data[key], revision=self.revisions.get(key, 1)) if key in self.data else None

    async def delete(self, key: str) -> None:
        self._check()
        if key in self.missing:
            self.missing.remove(key)
        self.data.pop(key, None)
        self.revisions.pop(key, None)

    async def lost(self) -> list[str]:
        self._check()
        return [key for key in self.missing if key not in self.data]

    async def items(self) -> list[tuple[str, Kept]]:
        await self.open.wait()
        self._check()
        known = ((key, value, self.revisions.get(key, 1)) for key, value in self.data.items())
        return [(key, Kept(value=value, revision=number, age_seconds=self.age_seconds)) for key, value, number in known]

    def _check(self) -> None:
        if self.failing is not None:
            raise self.failing


def route(name: str, *, percent: float = 10.0) -> RouteReference:
    return RouteReference(object=ObjectName(kind="Route", name=name), kind="weight", percent=percent)


class HandRouter:
    """A mesh with one weight."""

    def __init__(self) -> None:
        self.canary_percent = 10.0
        self.ready: int | None = 3
        self.missing: VerdictdError | None = None
        self.patches = 0
        self.unread: tuple[str, ...] = ()
        self.told: set[str] = set()
        self.answers: list[BaseException] = []
        self.on_patch: Callable[[], None] = lambda: None

    async def locate(self, release: Release) -> Placement:
        if self.missing is not None:
            raise self.missing
        routes = (route(f"route of {release.service}", percent=self.canary_percent),)
        return Placement(
            routes=routes, canary_percent=self.canary_percent, baseline=f"{self.ready} ready endpoints", located="v2 is bad"
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        self.told.add(located)
        if self.ready == 0:
            raise Blocked("the baseline has no ready endpoints")
        return f"{self.ready} ready endpoints"

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        self.told.add(located)
        if self.answers:
            raise self.answers.pop(0)
        changed = self.canary_percent > 0
        self.canary_percent = 0.0
        self.patches += changed
        self.on_patch()
        if not changed:
            return PatchReceipt(nothing="nothing is left", sent_at=1.0, acknowledged_at=2.0)
        changes = (RouteChange(detail="canary 10 -> 0"),)
        part = PatchedObject(object=ObjectName(kind="Route", name="route"), changes=changes, sent_at=1.0, acknowledged_at=2.0)
        return PatchReceipt(parts=(part,), sent_at=1.0, acknowledged_at=2.0, unread=self.unread)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        self.told.add(located)
        return "the route" if self.canary_percent > 0 else None


class MuteRouter(HandRouter):
    """One that was plugged in, and waits for ever for an API server that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def locate(self, release: Release) -> Placement:
        self.asked += 1
        never: asyncio.Future[Placement] = asyncio.get_running_loop().create_future()
        return await never


class HandTelemetry:
    """Answers what the test says, tick after tick, the last one for ever."""

    tick_seconds = 1.0
    wait_seconds: float | None = None
    split = False
    failure: str | None = None

    def __init__(self, readings: Sequence[Reading] = ()) -> None:
        self.readings = list(readings)
        self.forgotten: list[str] = []
        self.asked: list[list[str]] = []
        self.uncounted: str | None = None
        self.tells_latencies = True

    def cannot_count(self, release: Release) -> str | None:
        return self.uncounted

    def timed(self, release: Release) -> bool:
        return self.tells_latencies

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        return ("failures.mirrored: this one cannot tell; leave it out",) if failures.mirrored == "excused" else ()

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self.asked.append([w.release_id for w in watches])
        reading = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        return {watch.release_id: reading for watch in watches}

    def forget(self, release_id: str) -> None:
        self.forgotten.append(release_id)


class MemorySink:
    """Keeps what was published; fails on demand."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.answers: list[VerdictdError] = []

    async def publish(self, verdict: Verdict) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.verdicts.append(verdict)

    async def published(self, release_ids: AbstractSet[str], *, since: float) -> Mapping[str, Verdict | None]:
        return {v.release_id: v for v in self.verdicts if v.release_id in release_ids and v.decided_at >= since}


class HandAnnouncement:
    """An event whose answer the test can see."""

    def __init__(self, release_id: str | None, release: Release | Outline | VerdictdError) -> None:
        self.release_id = release_id
        self.content = release
        self.announced_at: float | None = None
        self.answer = ""

    def release(self) -> Release | Outline:
        if isinstance(self.content, VerdictdError):
            raise self.content
        return self.content

    async def accept(self) -> None:
        self.answer = "accepted"

    async def reject(self, reason: str) -> None:
        self.answer = reason

    async def postpone(self) -> None:
        self.answer = "postponed"

    async def put_back(self) -> None:
        self.answer = "put back"


class SentByHand(HandAnnouncement):
    """One whose sender its source knows."""

    def __init__(self, release_id: str | None, release: Release | Outline | VerdictdError, *, sender: str) -> None:
        super().__init__(release_id, release)
        self.sender = sender


class HandEvents:
    """Queues in place of a broker."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[HandAnnouncement] = asyncio.Queue()
        self.words: asyncio.Queue[tuple[str, Command]] = asyncio.Queue()
        self.postponed: list[tuple[str, Command]] = []

    async def announcements(self) -> AsyncGenerator[HandAnnouncement, None]:
        while True:
            yield await self.queue.get()

    async def commands(self) -> AsyncGenerator[tuple[str, Command], None]:
        while True:
            word = await self.words.get()
            try:
                yield word
            except TransientError:
                self.postponed.append(word)


class MemoryMeter:
    """Remembers what was measured."""

    def __init__(self) -> None:
        self.ticks: list[Ruling | None] = []
        self.ends: list[Verdict] = []
        self.begun: list[str] = []
        self.gone: list[str] = []
        self.failures: list[tuple[str, Exception]] = []
        self.cadences: list[Cadence] = []
        self.rounds = 0
        self.answers = 0
        self.undos = 0
        self.pauses = 0

    def admitted(self, release_id: str, release: Release) -> None:
        self.begun.append(release_id)

    def left(self, release_id: str) -> None:
        self.gone.append(release_id)

    def rests(self, telemetry: str) -> None:
        self.pauses += 1

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        self.ticks.append(ruling)

    def ended(self, release: Release, verdict: Verdict, marks: Sequence[TimedStep]) -> None:
        self.ends.append(verdict)

    def round(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        self.rounds += 1

    def cadence(self, telemetry: str, cadence: Cadence) -> None:
        self.cadences.append(cadence)

    def telemetry_answered(self, telemetry: str) -> None:
        self.answers += 1

    def undone(self, release: Release) -> None:
        self.undos += 1

    def failed(self, what: str, error: Exception) -> None:
        self.failures.append((what, error))


class MemoryAudit:
    """Takes each entry once, by its id, as the log on NATS does."""

    def __init__(self) -> None:
        self.entries: dict[str, AuditEntry] = {}
        self.attempts = 0
        self.error: VerdictdError | None = None

    async def publish(self, entry: AuditEntry) -> None:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.entries.setdefault(entry.id, entry)


@dataclass
class Scene:
    """All ports, each within reach of the test."""

    clock: HandClock = field(default_factory=HandClock)
    router: HandRouter = field(default_factory=HandRouter)
    telemetry: HandTelemetry = field(default_factory=lambda: HandTelemetry([healthy()]))
    sink: MemorySink = field(default_factory=MemorySink)
    sessions: MemoryStore = field(default_factory=MemoryStore)
    records: MemoryStore = field(default_factory=MemoryStore)
    aliases: MemoryStore = field(default_factory=MemoryStore)
    freezes: MemoryStore = field(default_factory=MemoryStore)
    promotions: MemoryStore = field(default_factory=MemoryStore)
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    events: HandEvents = field(default_factory=HandEvents)
    more_events: dict[str, EventSource] = field(default_factory=dict)
    sinks: dict[str, Sink] = field(default_factory=dict)
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    policies: dict[str, Policy] = field(default_factory=lambda: {"default": POLICY})
    limits: Limits = field(default_factory=lambda: Limits(guard_seconds=0.0, locate_seconds=5.0))
    recorder: Recorder | None = None
    observed_only: str = ""
    pods: TrafficRouter | None = None
    git: GitTools | None = None
    turns: Turns = field(default_factory=Turns)
    awaiting: Awaiting | None = None
    shared: Shared | None = None

    def ports(self) -> Ports:
        """The ports as the engine wants them."""
        return Ports(
            cluster="test",
            meshes={
                "edge": Mesh(
                    clusters={
                        "test": MeshCluster(
                            router=UnsteeredRouter(kind="made-up") if self.observed_only else self.router,
                            pods=self.pods,
                            git=self.git,
                            turns=self.turns,
                        )
                    },
                    telemetry="hand",
                    observed_only=self.observed_only,
                )
            },
            telemetry={"hand": self.telemetry},
            policies=self.policies,
            events={"hand": self.events, **self.more_events},
            commands=self.events,
            verdicts=self.sink,
            sinks=self.sinks,
            sessions=self.sessions,
            records=self.records,
            aliases=self.aliases,
            freezes=self.freezes,
            promotions=self.promotions,
            audit=self.audit,
            clock=self.clock,
            meter=self.meter,
            limits=self.limits,
            recorder=self.recorder,
            awaiting=self.awaiting,
            shared=self.shared,
        )


async def until(condition: Callable[[], object], *, within_seconds: float = 40.0) -> None:
    """Let the loop turn until the condition holds, as often as it takes: threads beside it have a time of their own."""
    end = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0)


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[Engine]:
    """An engine at work, stopped in order at the end."""
    engine = Engine(scene.ports())
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run())
        await until(lambda: engine.ready)
        try:
            yield engine
        finally:
            engine.stop()


@asynccontextmanager
async def killed(scene: Scene) -> AsyncIterator[Engine]:
    """An engine at work, ended without a word, as kill -9 does it."""
    engine = Engine(scene.ports())
    task = asyncio.ensure_future(engine.run())
    await until(lambda: engine.ready)
    try:
        yield engine
    finally:
        task.cancel()
        await asyncio.wait([task])


async def verdict_of(engine: Engine, release_id: str = ID) -> Verdict:
    """The verdict, once the release has ended."""
    await until(lambda: any(v.id == release_id and v.stage is Stage.ENDED for v in engine.views()))
    verdict = await engine.wait(release_id, seconds=0)
    assert verdict is not None
    return verdict
