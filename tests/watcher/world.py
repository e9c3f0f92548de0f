"""A cluster by hand: objects with versions, watches that can be cut at any point, and who takes announcements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from config.settings import KubeMesh
from daemon import stored
from daemon.aio.tasks import background
from daemon.delivery.ownerkind import Owning
from daemon.delivery.owners import kinds as owner_kinds
from daemon.errors import InvalidInput, VerdictdError
from daemon.interventions import Command, OpenQuestion
from daemon.kube.client import Listing
from daemon.kube.listwatch import Source
from daemon.kube.resources import Resource
from daemon.meshes.consulkubernetes.mesh import CONSUL_KUBERNETES, SERVICE_SPLITTERS, ConsulKubernetesMesh
from daemon.meshes.istio.mesh import ISTIO, VIRTUAL_SERVICES, IstioMesh
from daemon.meshes.kind import MakePicture, MeshKind
from daemon.meshes.linkerd.kinds import SPLITS
from daemon.meshes.linkerd.mesh import LINKERD, LinkerdMesh
from daemon.meshes.osm.mesh import OSM, OsmMesh
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import Release
from daemon.ports.events import Announcement, DeadLetter
from daemon.ports.sharing import Turn
from daemon.questions import Questions
from daemon.replicas.turn import Alone
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.kept import KeptRoute, RouteKey, key_of
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.reading import Around, annotations_of
from daemon.watcher.seen import Manner
from daemon.watcher.source import RouteWatcher
from daemon.watcher.watches import Watched
from tests.discovery.world import surroundings
from tests.hand.clock import HandClock
from tests.hand.ports import MemoryStore

Json = dict[str, Any]

NAMESPACE = "shop"
HOME = "home"
_TURNS = 20_000


def virtual_service(name: str = "web", annotations: Mapping[str, str] | None = None, **weights: int) -> Json:
    """A split of the Service of its name by subsets."""
    route = [{"destination": {"host": name, "subset": subset}, "weight": weight} for subset, weight in weights.items()]
    return {
        "kind": VIRTUAL_SERVICES.kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": dict(annotations or {})},
        "spec": {"hosts": [name], "http": [{"route": route}]},
    }


def service(name: str = "web", annotations: Mapping[str, str] | None = None, **selector: str) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": dict(annotations or {})}
    return {"kind": "Service", "metadata": metadata, "spec": {"selector": {"app": name, **selector}}}


def deployment(name: str, *, image: str, app: str = "web", **labels: str) -> Json:
    template = {"metadata": {"labels": {"app": app, **labels}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"template": template}}


def destination_rule(*subsets: str, name: str = "web") -> Json:
    told = [{"name": subset, "labels": {"version": subset}} for subset in subsets]
    return {
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"host": name, "subsets": told},
    }


def traffic_split(name: str = "web", **weights: int) -> Json:
    """A split of the Service of its name between Services of its own."""
    backends = [{"service": f"{name}-{version}", "weight": weight} for version, weight in weights.items()]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"kind": TRAFFIC_SPLITS.kind, "metadata": metadata, "spec": {"service": name, "backends": backends}}


def service_splitter(name: str = "web", **weights: int) -> Json:
    """A split of the service of its name by subsets."""
    splits = [{"serviceSubset": subset, "weight": weight} for subset, weight in weights.items()]
    return {"kind": SERVICE_SPLITTERS.kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"splits": splits}}


@dataclass(frozen=True, kw_only=True)
class Watching:
    """A kind of route that is watched, and how one is made of weights by version."""

    resource: Resource
    row: MeshKind
    mesh: KubeMesh
    route: Callable[..., Json]

    @property
    def watched(self) -> Watched:
        pictured = self.row.pictured
        assert pictured is not None
        return Watched(mesh=self.mesh, manner=Manner(mesh=self.row.name, mode="observe", guard_seconds=30.0), pictured=pictured)


BY_ISTIO = Watching(resource=VIRTUAL_SERVICES, row=ISTIO, mesh=IstioMesh(telemetry=""), route=virtual_service)
BY_LINKERD = Watching(resource=SPLITS, row=LINKERD, mesh=LinkerdMesh(telemetry=""), route=traffic_split)
BY_OSM = Watching(resource=TRAFFIC_SPLITS, row=OSM, mesh=OsmMesh(telemetry=""), route=traffic_split)
BY_CONSUL = Watching(
    resource=SERVICE_SPLITTERS, row=CONSUL_KUBERNETES, mesh=ConsulKubernetesMesh(telemetry=""), route=service_splitter
)


@dataclass
class Feed:
    """The objects of one kind, as an API server keeps and tells them. ``cut`` is asked before each answer and may raise."""

    objects: dict[str, Json] = field(default_factory=dict)
    log: list[tuple[int, str, Json]] = field(default_factory=list)
    version: int = 0
    oldest: int = 0
    cut: Callable[[str], None] = lambda _where: None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: Json, *, by: str = "kubectl") -> Json:
        """Write it, as somebody."""
        name = item["metadata"]["name"]
        self.version += 1
        before = self.objects.get(name)
        metadata = {
            **item["metadata"],
            "uid": before["metadata"]["uid"] if before else item["metadata"].get("uid", f"uid-{self.version}"),
            "resourceVersion": str(self.version),
            "managedFields": [{"manager": by, "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}],
        }
        self.objects[name] = json.loads(json.dumps({**item, "metadata": metadata}))
        self._told("MODIFIED" if before else "ADDED", self.objects[name])
        return self.objects[name]

    def remove(self, name: str) -> None:
        self.version += 1
        item = self.objects.pop(name)
        self._told("DELETED", {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}})

    def forget(self) -> None:
        """What was told is too old to go on from."""
        self.oldest, self.log = self.version, []

    async def listing(self) -> Listing:
        await asyncio.sleep(0)
        self.cut("listing")
        return Listing(items=tuple(self.objects.values()), resource_version=str(self.version))

    @asynccontextmanager
    async def lines(self, *, resource_version: str, timeout_seconds: int) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        at = int(resource_version)
        self.cut("watch")

        async def line() -> bytes:
            nonlocal at
            while True:
                self.cut("line")
                if at < self.oldest:
                    return json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}).encode()
                for version, kind, item in self.log:
                    if version > at:
                        at = version
                        return json.dumps({"type": kind, "object": item}).encode()
                self.changed.clear()
                await self.changed.wait()

        yield line

    def _told(self, kind: str, item: Json) -> None:
        self.log.append((self.version, kind, item))
        self.changed.set()

    def wake(self) -> None:
        """Have who waits for a line look again, so that it can be cut."""
        self.changed.set()


@dataclass
class HandCluster:
    """A cluster with one namespace that matters."""

    around_objects: list[Json] = field(default_factory=list)
    feeds: dict[str, Feed] = field(default_factory=dict)
    resource: Resource = VIRTUAL_SERVICES
    unread: tuple[str, ...] = ()
    failing: VerdictdError | None = None
    rules_failing: VerdictdError | None = None
    owning: list[Owning] = field(
        default_factory=lambda: [kind.owning for kind in owner_kinds().values() if kind.owning is not None]
    )
    read: int = 0

    @property
    def routes(self) -> Feed:
        return self.feed(self.resource)

    def feed(self, resource: Resource) -> Feed:
        return self.feeds.setdefault(resource.kind, Feed())

    def source(self, resource: Resource, namespace: str | None) -> Source:
        del namespace
        return self.feed(resource)

    async def around(self, namespace: str) -> Around:
        await asyncio.sleep(0)
        self.read += 1
        if self.failing is not None:
            raise self.failing
        objects = [*self.around_objects, *(one for feed in self.feeds.values() for one in feed.objects.values())]
        there = surroundings([one for one in objects if one["metadata"]["namespace"] == namespace])
        services = {one["metadata"]["name"]: annotations_of(one) for one in objects if one["kind"] == "Service"}
        return Around(
            surroundings=type(there)(services=there.services, workloads=there.workloads, owned=there.owned, unread=self.unread),
            annotations={(namespace, name): said for name, said in services.items()},
        )

    async def within(self, resource: Resource, *, namespace: str, labels: str = "") -> list[Json]:
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        objects = [*self.around_objects, *(one for feed in self.feeds.values() for one in feed.objects.values())]
        wanted = dict(one.split("=", 1) for one in labels.split(",") if one)
        there = (one for one in objects if one["kind"] == resource.kind and one["metadata"]["namespace"] == namespace)
        return [one for one in there if wanted.items() <= (one["metadata"].get("labels") or {}).items()]

    async def beside(self, resource: Resource) -> dict[Resource, list[Json]]:
        if self.rules_failing is not None:
            raise self.rules_failing
        return {resource: [one for one in self.around_objects if one["kind"] == resource.kind]}


@dataclass
class Letters:
    """Dead letters by hand."""

    kept: list[DeadLetter] = field(default_factory=list)
    failing: VerdictdError | None = None

    async def keep(self, letter: DeadLetter) -> None:
        if self.failing is not None:
            raise self.failing
        if letter.key not in {one.key for one in self.kept}:
            self.kept.append(letter)

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in self.kept]


@dataclass
class World:
    """A cluster, a store and an engine, which outlive the daemons that are run beside them.

    ``unwilling``: how many notices it does not take, of which the last one meets a defect.
    """

    cluster: HandCluster = field(default_factory=HandCluster)
    store: MemoryStore = field(default_factory=MemoryStore)
    updates: MemoryStore = field(default_factory=MemoryStore)
    serving: MemoryStore = field(default_factory=MemoryStore)
    asked: MemoryStore = field(default_factory=MemoryStore)
    letters: Letters = field(default_factory=Letters)
    clock: HandClock = field(default_factory=HandClock)
    mode: Any = "observe"
    submitted: dict[str, Release] = field(default_factory=dict)
    ended: list[tuple[str, Command]] = field(default_factory=list)
    refuse: Callable[[Release], None] = lambda _release: None
    guard_seconds: float = 30.0
    waiting: MemoryStore = field(default_factory=MemoryStore)
    lapsed: MemoryStore = field(default_factory=MemoryStore)
    wait_seconds: float = 1_800.0
    picture: MakePicture | None = None
    by: Watching = BY_ISTIO
    updates_by: str | None = None
    turn: Turn = field(default_factory=Alone)
    pairs_by: str | None = None
    unwilling: int = 0

    def __post_init__(self) -> None:
        self.cluster.resource = self.by.resource
        self.awaited = AwaitedCanaries(self.waiting, lapsed=self.lapsed, clock=self.clock, wait_seconds=self.wait_seconds)

    def watcher(self) -> RouteWatcher:
        watched = self.by.watched
        pictured = watched.pictured if self.picture is None else replace(watched.pictured, picture=self.picture)
        manner = replace(watched.manner, mode=self.mode, guard_seconds=self.guard_seconds)
        cluster: Any = self.cluster
        kinds = {self.by.resource: replace(watched, manner=manner, pictured=pictured)}
        there = {HOME: WatchedCluster(cluster=cluster, kinds=kinds, updates_by=self.updates_by, pairs_by=self.pairs_by)}
        return RouteWatcher(
            there,
            store=self.store,
            updates=self.updates,
            serving=self.serving,
            questions=Questions(self.asked),
            awaited=self.awaited,
            letters=self.letters,
            turn=self.turn,
            clock=self.clock,
            random=lambda: 0.5,
        )

    async def take(self, notice: Announcement) -> None:
        """What the engine's consumer does with one."""
        if self.unwilling:
            self.unwilling -= 1
            await (notice.postpone() if self.unwilling else notice.put_back())
            return
        if isinstance(notice, EndNotice):
            self.ended.append((str(notice.release_id), notice.command))
            await notice.accept()
            return
        try:
            release, release_id = notice.release(), notice.release_id
            assert release_id is not None
            assert isinstance(release, Release)
            if release_id not in self.submitted:
                self.refuse(release)
                self.submitted[release_id] = release
        except InvalidInput as error:
            try:
                await notice.reject(str(error))
            except VerdictdError:
                await notice.postpone()
        else:
            await notice.accept()

    async def follow(self, take: Callable[[Any], Awaitable[None]] | None = None, *, watcher: RouteWatcher | None = None) -> None:
        """A daemon's life."""
        async with aclosing((watcher or self.watcher()).announcements()) as notices:
            async for notice in notices:
                await (take or self.take)(notice)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with background(self.follow()):
            yield

    async def settled(self, *names: str) -> None:
        """Until what is kept of these routes is of their newest versions; of one that is gone nothing."""
        for _ in range(_TURNS):
            if all(self.is_settled(name) for name in names or self.cluster.routes.objects):
                return
            await asyncio.sleep(0)
        raise AssertionError(f"not settled: {self.kept(*names)}")

    async def turns(self, number: int = 300) -> None:
        """Let everybody do what there is to do."""
        for _ in range(number):
            await asyncio.sleep(0)

    def is_settled(self, name: str) -> bool:
        kept, item = self.kept_of(name), self.cluster.routes.objects.get(name)
        if item is None or kept is None:
            return item is None and kept is None
        return bool(kept.version == item["metadata"]["resourceVersion"])

    def kept_of(self, name: str) -> KeptRoute | None:
        value = self.store.data.get(key(name, self.by.resource).stored)
        return None if value is None else stored.decode(value, KeptRoute).value

    def kept(self, *names: str) -> list[KeptRoute | None]:
        return [self.kept_of(name) for name in names or self.cluster.routes.objects]

    async def questions(self) -> list[OpenQuestion]:
        return await Questions(self.asked).open()

    @property
    def releases(self) -> list[Release]:
        return list(self.submitted.values())


def key(name: str = "web", resource: Resource = VIRTUAL_SERVICES) -> RouteKey:
    return key_of(resource, cluster=HOME, namespace=NAMESPACE, name=name)


def two_versions(*names: str) -> list[Json]:
    """Services, each with two workloads whose names are of no order, and a Service for each of these."""
    found: list[Json] = []
    for name in names or ("web",):
        found += [service(name), destination_rule("blue", "green", name=name)]
        found += [service(f"{name}-{color}", app=name, version=color) for color in ("blue", "green")]
        found += [
            deployment(f"{name}-{color}", image=f"reg/{name}:{color}", app=name, version=color) for color in ("blue", "green")
        ]
    return found


async def ended(task: asyncio.Task[None]) -> None:
    """Kill it."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
