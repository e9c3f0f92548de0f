"""How the pods are comes with every reading, whoever counts the requests, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from daemon.armpods import PodsByArm
from daemon.errors import Forbidden
from daemon.measurements import Reading, Watch
from daemon.pods.podsofarms import PodsOfArms
from daemon.pods.podstates import PodSignals, WatchedStates
from daemon.pods.watching import PodWatch
from daemon.telemetry.signalled import SignalledTelemetry
from tests.hand.clock import HandClock
from tests.hand.ports import HandTelemetry
from tests.hand.samples import gap, healthy
from tests.pods.cluster import PodCluster
from tests.pods.objects import pod
from tests.pods.test_targets import RELEASE, WATCH, arm, labels


class Scene:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.cluster = PodCluster(pod("web-v1-0", labels=labels("v1")), pod("web-v2-0", labels=labels("v2"), ready=False))
        self.watch = PodWatch(self.cluster.client, clock=self.clock)
        self.counted = HandTelemetry([healthy()])
        states = WatchedStates(PodsOfArms(lambda _: self.watch))
        self.telemetry = SignalledTelemetry(self.counted, [PodSignals(states, clock=self.clock)])

    async def read(self, watch: Watch = WATCH) -> Reading:
        return (await self.telemetry.read([watch]))["web-1"]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    one = Scene()
    async with one.watch:
        yield one


async def test_a_reading_says_how_the_pods_are_and_what_that_means(scene: Scene) -> None:
    reading = await scene.read()
    assert reading.pods is not None
    assert (reading.pods.canary.pods, reading.pods.canary.ready) == (1, 0)
    assert [(one.kind, one.effect) for one in reading.signals] == [("not_ready", "holds")]
    assert msgspec.structs.replace(reading, pods=None, signals=()) == healthy()


async def test_a_tick_without_counts_says_it_too(scene: Scene) -> None:
    scene.counted.readings = [gap()]
    reading = await scene.read()
    assert (reading.gap, [one.kind for one in reading.signals]) == (gap().gap, ["not_ready"])


@pytest.mark.parametrize("pods", [None, PodsByArm(baseline=arm("v1"), canary=arm("v2"))])
async def test_what_is_not_known_of_the_pods_is_not_told_and_counts_come_all_the_same(scene: Scene, pods: PodsByArm | None) -> None:
    scene.cluster.fault = Forbidden("pods is forbidden")
    assert await scene.read(msgspec.structs.replace(WATCH, pods=pods)) == healthy()


async def test_a_listing_that_takes_long_is_not_waited_for() -> None:
    class Slow(PodsOfArms):
        async def states(self, watches: object) -> dict[str, object]:  # type: ignore[override]  # it never answers
            return await asyncio.Event().wait()  # type: ignore[return-value]

    states = WatchedStates(Slow(lambda _: None))  # type: ignore[arg-type, return-value]  # nobody is asked
    telemetry = SignalledTelemetry(HandTelemetry([healthy()]), [PodSignals(states, clock=HandClock())])
    assert await telemetry.read([Watch(release_id="web-1", release=RELEASE)]) == {"web-1": healthy()}


async def test_all_else_is_the_other_telemetrys_own(scene: Scene) -> None:
    it, other = scene.telemetry, scene.counted
    other.failure = "away"
    assert (it.tick_seconds, it.wait_seconds, it.split, it.failure) == (other.tick_seconds, None, False, "away")
    it.forget("web-1")
    assert other.forgotten == ["web-1"]
