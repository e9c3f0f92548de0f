"""A desk, verdicts, a feed and dead letters without an engine behind them: our own ports, so that what they do is ours to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp

from config.policy import Policy
from config.settings import Gates, Hook, Http
from daemon.engine.outlines import outlined
from daemon.errors import NotFound, Refused
from daemon.events.hearing import Hearing
from daemon.http.api import GROUPS
from daemon.http.capacity import Capacity
from daemon.http.endpoint import ApiPorts, Components, Group
from daemon.http.metrics.meter import Metrics
from daemon.http.server import HttpServer, create_app
from daemon.interventions import Command, Freeze
from daemon.model import Action, ArmSpec, Outcome, Outline, Record, Release, Stage, TimedStep, Verdict
from daemon.ports.awaiting import Awaiting
from daemon.ports.events import DeadLetter, IncomingEvent
from daemon.ports.past import VerdictFilter, VerdictPage
from daemon.ports.service import ReleaseChange
from daemon.questions import Questions
from daemon.releaseview import ReleaseView
from tests.hand import samples
from tests.hand.ports import MemoryStore

RELEASE: dict[str, Any] = {
    "service": "shop",
    "namespace": "web",
    "baseline": {"subset": "v1"},
    "canary": {"subset": "v2"},
    "weight": 10,
}
NOW = 1_800_000_000.0
TOKEN = "0123456789abcdef0123456789abcdef"

MEANINGS: dict[Outcome, Literal["promote", "rollback", "hold"]] = {
    Outcome.PROMOTE: "promote",
    Outcome.ROLLBACK: "rollback",
    Outcome.INCONCLUSIVE: "hold",
}


def release(service: str = "shop") -> Release:
    return Release(service=service, namespace="web", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))


def verdict(release_id: str, outcome: Outcome = Outcome.ROLLBACK) -> Verdict:
    action = Action.REVERT if outcome is Outcome.ROLLBACK else Action.NONE
    return samples.verdict(
        release_id,
        service="shop",
        namespace="web",
        outcome=outcome,
        meaning=MEANINGS[outcome],
        action=action,
        reason="errors: 5 % against 0.1 %",
        decided_at=1000.0,
    )


def view(release_id: str, *, service: str = "shop", stage: Stage = Stage.WATCHING, submitted_at: float = 0.0) -> ReleaseView:
    return ReleaseView(
        id=release_id, release=release(service), stage=stage, submitted_at=submitted_at, ticks=3, evidence=10.0, boundary=100.0
    )


@dataclass
class Past:
    """Implements ``PastVerdicts``; ``verdicts`` are the oldest first, ``unreadable`` those that could not be read."""

    verdicts: list[Verdict] = field(default_factory=list)
    unreadable: int = 0
    failing: Exception | None = None
    asked: list[VerdictFilter] = field(default_factory=list)

    async def page(self, *, limit: int, before: int | None = None, wanted: VerdictFilter) -> VerdictPage:
        self.asked.append(wanted)
        if self.failing is not None:
            raise self.failing
        end = len(self.verdicts) if before is None else before
        begin = max(0, end - limit)
        shown = tuple(reversed(self.verdicts[begin:end]))
        return VerdictPage(verdicts=shown, next=begin or None, unreadable=self.unreadable)


@dataclass
class Engine:
    """The ports, with everything in sight of the test.

    Attributes:
        waited_for: set once somebody waits for a verdict, and does not only look whether there is one.
    """

    releases: dict[str, ReleaseView] = field(default_factory=dict)
    ends: dict[str, Verdict] = field(default_factory=dict)
    commands: list[tuple[str, Command]] = field(default_factory=list)
    submitted: list[tuple[str, Release]] = field(default_factory=list)
    outlines: list[tuple[str, Outline]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waited_for: asyncio.Event = field(default_factory=asyncio.Event)
    letters: list[DeadLetter] = field(default_factory=list)
    events: dict[str, IncomingEvent] = field(default_factory=dict)
    coming: asyncio.Queue[ReleaseChange] = field(default_factory=asyncio.Queue)
    freezes: list[Freeze] = field(default_factory=list)
    awaiting: Awaiting | None = None
    questions: Questions = field(default_factory=lambda: Questions(MemoryStore()))
    past: Past = field(default_factory=Past)
    full: bool = False
    broken: Exception | None = None

    @property
    def dead_letters(self) -> "Letters":
        return Letters(self)

    async def keep(self, event: IncomingEvent) -> bool:
        if self.broken is not None:
            raise self.broken
        return self.events.setdefault(event.key, event) is event

    @contextmanager
    def subscribe(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> Iterator[AsyncIterator[ReleaseChange]]:
        async def changes() -> AsyncIterator[ReleaseChange]:
            for number, one in enumerate(self.views(), start=1):
                if after is not None and number > after:
                    yield ReleaseChange(number=number, release=one)
            while True:
                change = await self.coming.get()
                if release_id in {None, change.release.id}:
                    yield change

        assert limit > 0
        if self.full:
            raise Refused("64 follow the releases already; try again later")
        yield changes()

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        if self.full:
            raise Refused("10000 releases are being watched already")
        if self.broken is not None:
            raise self.broken
        if isinstance(release, Outline):
            self.outlines.append((release_id, release))
            release = outlined(release)
        else:
            self.submitted.append((release_id, release))
        one = ReleaseView(id=release_id, release=release, stage=Stage.LOCATING, submitted_at=1.0)
        return self.releases.setdefault(release_id, one)

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        assert silence_seconds > 0
        for one in self.views():
            if (one.release.namespace, one.release.service) == (release.namespace, release.service):
                return one
        return await self.submit(release, release_id=release_id, sender=sender)

    async def freeze(self, freeze: Freeze) -> None:
        self.freezes.append(freeze)

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        for freeze in self.freezes:
            if freeze.namespace == namespace:
                self.freezes.remove(freeze)
                return freeze
        raise NotFound(f"not frozen, {by}: {reason}")

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        await self.view(release_id)
        if release_id in self.ends:
            raise Refused("the release has its verdict already: rollback")
        self.commands.append((release_id, command))
        return self.releases[release_id]

    async def all_views(self) -> Sequence[ReleaseView]:
        return self.views()

    def views(self) -> Sequence[ReleaseView]:
        return sorted(self.releases.values(), key=lambda one: (one.submitted_at, one.id), reverse=True)

    async def view(self, release_id: str) -> ReleaseView:
        if self.broken is not None:
            raise self.broken
        if release_id not in self.releases:
            raise NotFound(f"no release {release_id!r}")
        return self.releases[release_id]

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        await self.view(release_id)
        if seconds > 0.0:
            self.waited_for.set()
        try:
            async with asyncio.timeout(seconds):
                while release_id not in self.ends:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return None
        return self.ends[release_id]

    async def record(self, release_id: str) -> Record | None:
        await self.view(release_id)
        if release_id not in self.ends:
            return None
        return Record(
            verdict=self.ends[release_id],
            release=self.releases[release_id].release,
            policy=Policy(),
            bounds_ms=(5.0, 10.0),
            sample_digest="0",
            fixed_horizon=None,
            marks=self.releases[release_id].steps or (TimedStep(step="submitted", at=1.0),),
        )

    def end(self, release_id: str, outcome: Outcome = Outcome.ROLLBACK) -> None:
        self.ends[release_id] = verdict(release_id, outcome)
        self.changed.set()


@dataclass(frozen=True)
class Letters:
    """Implements ``DeadLetters``."""

    engine: Engine

    async def keep(self, letter: DeadLetter) -> None:
        self.engine.letters.append(letter)


@dataclass(frozen=True)
class Api:
    """A listening API and a client of it."""

    engine: Engine
    server: HttpServer
    metrics: Metrics
    client: aiohttp.ClientSession
    components: dict[str, str | None]
    helpful: dict[str, str | None]

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and decoded body."""
        async with self.client.request(method, path, **options) as response:
            body = await response.read()
            decoded = await response.json(content_type=None) if "json" in response.content_type else body.decode()
            return response.status, decoded


def ports_of(
    engine: Engine,
    http: Http,
    *,
    metrics: Metrics | None = None,
    readiness: Callable[[], Components] = Components,
    hooks: Mapping[str, Hook] | None = None,
    gates: Gates | None = None,
    policies: Sequence[str] = ("default",),
    cluster: str = "default",
    hearing: Hearing | None = None,
    now: Callable[[], float] = lambda: NOW,
    recordings: Path | None = None,
) -> ApiPorts:
    return ApiPorts(
        releases=engine,
        verdicts=engine,
        past=engine.past,
        freezes=engine,
        questions=engine.questions,
        awaiting=engine.awaiting,
        feed=engine,
        dead_letters=engine.dead_letters,
        event_log=engine,
        hooks=hooks or {},
        gates=gates or Gates(),
        policies=policies,
        cluster=cluster,
        hearing=hearing or Hearing(cluster=cluster),
        now=now,
        recordings=recordings,
        metrics=metrics or Metrics(),
        readiness=readiness,
        http=http,
    )


@asynccontextmanager
async def serving(
    engine: Engine | None = None,
    http: Http | None = None,
    *,
    connections: int = 100,
    per_peer: int = 100,
    groups: Sequence[Group] = GROUPS,
    hooks: Mapping[str, Hook] | None = None,
    gates: Gates | None = None,
    policies: Sequence[str] = ("default",),
    cluster: str = "default",
    hearing: Hearing | None = None,
    now: Callable[[], float] = lambda: NOW,
    recordings: Path | None = None,
) -> AsyncIterator[Api]:
    """A real server on a port of the system's choice."""
    engine = Engine() if engine is None else engine
    http = Http(listen="127.0.0.1:0") if http is None else http
    metrics = Metrics()
    components: dict[str, str | None] = {}
    helpful: dict[str, str | None] = {}
    ports = ports_of(
        engine,
        http,
        metrics=metrics,
        readiness=lambda: Components(needed=components, helpful=helpful),
        hooks=hooks,
        gates=gates,
        policies=policies,
        cluster=cluster,
        hearing=hearing,
        now=now,
        recordings=recordings,
    )
    app = create_app(ports, groups=groups)
    async with HttpServer(app, http=http, capacity=Capacity(connections=connections, per_peer=per_peer)) as server:
        timeout = aiohttp.ClientTimeout(total=60)
        url = f"http://127.0.0.1:{server.address.port}"
        async with aiohttp.ClientSession(url, timeout=timeout) as client:
            yield Api(engine, server, metrics, client, components, helpful)
