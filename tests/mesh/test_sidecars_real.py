"""Sidecars found through a real API server: real Envoys are scraped as their pods come and go, and weights are followed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from config.policy import Policy
from config.settings import PrometheusTelemetry, SidecarTelemetry
from daemon.aio.clock import SystemClock
from daemon.aio.parsing import ParserPool
from daemon.aio.tasks import background
from daemon.engine import lifecycle
from daemon.engine.dependencies import Mesh, MeshCluster
from daemon.engine.session import Session
from daemon.engine.weights import AGAIN_SECONDS, Weights
from daemon.measurements import ArmState, Reading, Watch
from daemon.meshes.istio.router import IstioRouter
from daemon.pods.sidecars import sidecars_from
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import Telemetry
from tests.mesh.sidecar_world import PORT, RELEASE, SCHEMA, SidecarWorld, sidecar_world
from tests.servers.prometheus import prometheus

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("sidecars"),
]

TICK_SECONDS = 0.25
NOBODY = "127.255.255.1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SidecarWorld]:
    async with sidecar_world(tmp_path_factory.mktemp("sidecars")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def world(module_world: SidecarWorld) -> SidecarWorld:
    """The module's, as it was in the beginning."""
    await module_world.reset()
    return module_world


@dataclass
class Scene:
    """One release that is watched, and what was counted of it."""

    world: SidecarWorld
    router: IstioRouter
    telemetry: Telemetry
    watch: Watch = field(default_factory=lambda: Watch(release_id="web-1", release=RELEASE))
    counted: dict[str, int] = field(default_factory=dict)
    errors: int = 0

    async def look(self) -> None:
        """As the engine does every few seconds."""
        placement = await self.router.locate(RELEASE)
        self.watch = msgspec.structs.replace(self.watch, pods=placement.pods)

    async def tick(self) -> Reading:
        await asyncio.sleep(TICK_SECONDS)
        reading = (await self.telemetry.read([self.watch]))[self.watch.release_id]
        for arm in (reading.baseline, reading.canary):
            for name, pod in ((arm.pods or {}) if arm is not None else {}).items():
                self.counted[name] = self.counted.get(name, 0) + pod.requests
        self.errors += reading.canary.errors if reading.canary is not None else 0
        return reading

    async def until(self, holds: Callable[[Reading], bool], *, within_seconds: float = 60.0) -> Reading:
        async with asyncio.timeout(within_seconds):
            while not holds(reading := await self.tick()):
                pass
        return reading


@asynccontextmanager
async def scene(world: SidecarWorld, *, fallback: PrometheusTelemetry | None = None) -> AsyncIterator[Scene]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pods = await stack.enter_async_context(PodWatch(world.kube, clock=clock))
        pool = await stack.enter_async_context(ParserPool(unparsed_bytes=2**24))
        settings = SidecarTelemetry(
            dialect="sidecar", tick_seconds=TICK_SECONDS, timeout_seconds=3.0, fallback=None if fallback is None else "prom"
        )
        made = sidecars_from(
            settings,
            fallback=fallback,
            watch_of=lambda _: pods,
            schemas={"sidecar": SCHEMA},
            clock=clock,
            name="mesh",
            pool=pool,
        )
        one = Scene(world, IstioRouter(world.kube), await stack.enter_async_context(made))
        await one.look()
        await one.until(lambda reading: reading.gap is None or "counting starts here" in reading.gap)
        yield one


async def test_pods_are_scraped_as_they_come_and_go_and_every_request_is_counted_once(world: SidecarWorld) -> None:
    async with scene(world) as it:
        for name in ("web-v1-0", "web-v1-1"):
            await world.send(name, 20)
        await world.send("web-v2-0", 10, failing=3)
        await it.until(lambda _: sum(it.counted.values()) >= 50)
        await it.tick()
        assert it.counted == {"web-v1-0": 20, "web-v1-1": 20, "web-v2-0": 10}
        assert it.errors == 3

        await asyncio.sleep(4.0)  # the time of a container's start has whole seconds: one near the watch's own may be before it
        await world.start("web-v2-1", "v2")
        await world.send("web-v2-1", 7)
        await it.look()
        reading = await it.until(lambda reading: reading.canary is not None and "web-v2-1" in (reading.canary.pods or {}))
        assert it.counted["web-v2-1"] == 7, "what it served before its first scrape too: it began during the watch"
        assert reading.pods is not None
        assert reading.pods.canary == ArmState(pods=2, ready=2)
        assert reading.canary is not None
        age = (reading.canary.pods or {})["web-v2-1"].age_seconds
        assert age is not None, "of the pod: this Envoy's page does not say one"
        assert 0.0 <= age < 60.0

        await world.send("web-v2-0", 5)
        await it.until(lambda _: it.counted["web-v2-0"] >= 15)
        await world.stop("web-v2-0")
        await world.send("web-v2-1", 4)
        await it.until(lambda reading: reading.pods is not None and reading.pods.canary.pods == 1)
        gaps = [(await it.tick()).gap for _ in range(4)]
        assert gaps.count(None) >= 3, f"at most the tick in which it was seen to have gone is null: {gaps}"
        await it.until(lambda _: it.counted["web-v2-1"] >= 11)
        assert it.counted == {"web-v1-0": 20, "web-v1-1": 20, "web-v2-0": 15, "web-v2-1": 11}

        await world.set_address("web-v2-1", world.pods["web-v2-1"].address, waiting="CrashLoopBackOff", restarts=3)
        reading = await it.until(lambda reading: reading.pods is not None and reading.pods.canary.ready == 0)
        assert reading.pods is not None
        assert reading.pods.canary == ArmState(pods=1, ready=0, restarts=3, troubles=("web-v2-1: CrashLoopBackOff",))


async def test_pods_that_cannot_be_reached_are_read_from_prometheus_and_again_directly_when_they_can(
    world: SidecarWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    targets = [{"targets": [f"{pod.address}:{PORT}"], "labels": {"pod": pod.name}} for pod in world.pods.values()]
    job = {"job_name": "mesh", "metrics_path": "/stats/prometheus", "static_configs": targets}
    async with prometheus(tmp_path / "prometheus", [job]) as store:
        settings = PrometheusTelemetry(url=store.url, dialect="sidecar", tick_seconds=1.0)
        async with scene(world, fallback=settings) as it:
            address = world.pods["web-v2-0"].address
            for name in world.pods:
                await world.send(name, 5)
            await it.until(lambda _: it.counted.get("web-v2-0") == 5)
            await world.set_address("web-v2-0", NOBODY)
            reading = await it.until(lambda reading: bool(reading.fallback))
            assert reading.fallback.startswith(
                "read from telemetry prom instead of the proxies: none of the 1 proxies of the canary"
            )
            await it.until(lambda reading: reading.gap is None)
            await world.send("web-v2-0", 11)
            await it.until(lambda _: it.counted["web-v2-0"] >= 16)
            await world.set_address("web-v2-0", address)
            await it.until(lambda reading: not reading.fallback and reading.gap is None)
            await world.send("web-v2-0", 2)
            await it.until(lambda _: it.counted["web-v2-0"] >= 18)
            await it.tick()
            assert it.counted["web-v2-0"] == 18
    said = [record.message for record in caplog.records if "directly" in str(getattr(record, "component", ""))]
    assert said == ["does not work", "works again"]


def _session() -> Session:
    return lifecycle.admitted(
        RELEASE, release_id="web-1", policy=Policy(), policy_hash="x", cluster="test", tick_seconds=1.0, split=False, now=1.0
    )


class Unasking(SystemClock):
    """No time comes at which weights are asked for again though nothing was heard of them."""

    async def sleep(self, seconds: float, /) -> None:
        await (super().sleep(seconds) if seconds < AGAIN_SECONDS else asyncio.Event().wait())


async def test_a_weight_that_steps_during_a_watch_is_known_by_the_watch_of_routes_alone(world: SidecarWorld) -> None:
    clock, router = Unasking(), IstioRouter(world.kube)
    placement = await router.locate(RELEASE)
    session = lifecycle.located(_session(), placement, now=clock.now())
    mesh = Mesh(clusters={"test": MeshCluster(router=router, follower=router)}, telemetry="mesh")
    weights = Weights(mesh=lambda _: mesh, clock=clock, followers=(router,))

    async def known(percent: float) -> float:
        async with asyncio.timeout(60.0):
            while weights.of("web-1", since=clock.now(), until=clock.now()) != percent:
                await asyncio.sleep(0.01)
        return clock.now()

    async with background(weights.follow(lambda: [session])):
        await known(10.0)
        await world.set_weight(5)
        first = await known(5.0)
        await world.set_weight(50)
        last = await known(50.0)
        mean = weights.of("web-1", since=first - 0.5, until=last + 0.5)
    assert mean is not None
    assert 5.0 < mean < 50.0
