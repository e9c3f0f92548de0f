"""The routes' weights beside the ticks: the newest is on the sample, and one that was not seen lately is not known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from analyzers.counts import Sample
from config.policy import Promotion
from daemon import recordings
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.engine import lifecycle
from daemon.engine.session import Session
from daemon.engine.weights import LOOK_SECONDS, STALE_SECONDS, Weights
from daemon.errors import NotFound
from daemon.model import Reading, Release, Watch
from daemon.placement import Placement
from daemon.recorder import Recorder
from tests.hand.clock import HandClock
from tests.hand.ports import HandRouter, HandTelemetry, Scene, route, running, until
from tests.hand.samples import ID, POLICY, RELEASE, healthy


def watched(release_id: str = ID) -> Session:
    session = lifecycle.admitted(
        RELEASE, release_id=release_id, policy=POLICY, policy_hash="x", cluster="test", tick_seconds=1.0, split=False, now=1.0
    )
    return lifecycle.located(session, Placement(routes=(route("r"),), canary_percent=10.0), now=1.0)


async def test_the_newest_weight_is_known_and_an_old_one_is_not() -> None:
    clock, router = HandClock(), HandRouter()
    weights = Weights(router=lambda _: router, clock=clock)
    assert weights.due
    assert weights.of(ID) is None
    await weights.look([watched()])
    assert (weights.due, weights.of(ID)) == (False, 10.0)
    clock.time += LOOK_SECONDS
    router.canary_percent = 50.0
    assert (weights.due, weights.of(ID)) == (True, 10.0)
    await weights.look([watched()])
    assert weights.of(ID) == 50.0
    clock.time += STALE_SECONDS
    assert weights.of(ID) is None


async def test_a_route_that_cannot_be_read_keeps_what_was_seen_until_it_is_stale() -> None:
    clock, router = HandClock(), HandRouter()
    weights = Weights(router=lambda _: router, clock=clock)
    await weights.look([watched()])
    router.missing = NotFound("gone")
    await weights.look([watched()])
    assert weights.of(ID) == 10.0
    await weights.look([])
    assert weights.of(ID) is None, "it is watched no more"


async def test_pods_are_those_of_the_newest_look_and_stay_while_nobody_can_say() -> None:
    def pods(*names: str, unknown: str = "") -> ArmPods:
        made = (ArmPod(name=name, namespace="shop", address="10.0.0.7", ready=True) for name in names)
        return ArmPods(pods=None if unknown else tuple(made), unknown=unknown)

    weights, stable = Weights(router=lambda _: HandRouter(), clock=HandClock()), pods("a")
    seen = []
    for canary in (pods("b"), pods("b", "c"), pods("c"), pods(), pods(unknown="forbidden"), None):
        there = None if canary is None else PodsByArm(baseline=stable, canary=canary)
        weights.saw(ID, Placement(routes=(route("r"),), canary_percent=10.0, pods=there))
        found = weights.pods(ID)
        assert found is not None
        assert found.baseline == stable
        seen.append([pod.name for pod in found.canary.pods or ()])
    assert seen == [["b"], ["b", "c"], ["c"], ["c"], ["c"], ["c"]]
    await weights.look([])
    assert weights.pods(ID) is None, "it is sampled no more"


async def test_the_pods_that_a_release_was_located_with_are_those_of_its_first_tick() -> None:
    there = ArmPods(pods=(ArmPod(name="a", namespace="shop", address="10.0.0.7", ready=True),))

    class Podded(HandRouter):
        async def locate(self, release: Release) -> Placement:
            found = await super().locate(release)
            return msgspec.structs.replace(found, pods=PodsByArm(baseline=there, canary=there))

    class Told(HandTelemetry):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            known.append(watches[0].pods)
            return await super().read(watches)

    known: list[PodsByArm | None] = []
    scene = Scene(telemetry=Told([healthy()]), router=Podded())
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(known) >= 3)
    assert known[-1] == PodsByArm(baseline=there, canary=there)


async def test_a_look_that_fails_by_a_defect_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(HandRouter):
        async def locate(self, release: Release) -> Placement:
            raise RuntimeError("a defect")

    whole, broken = HandRouter(), Broken()
    weights = Weights(router=lambda one: broken if one.release_id == "bad" else whole, clock=HandClock())
    await weights.look([watched("bad"), watched()])
    assert (weights.of("bad"), weights.of(ID)) == (None, 10.0)
    assert "looking at a route failed" in caplog.text


async def test_several_routes_have_no_one_weight() -> None:
    class Several(HandRouter):
        async def locate(self, release: Release) -> Placement:
            return Placement(routes=(route("one"), route("two")), canary_percent=10.0)

    router = Several()
    weights = Weights(router=lambda _: router, clock=HandClock())
    await weights.look([watched()])
    assert weights.of(ID) is None


async def test_the_sample_that_is_judged_and_recorded_carries_the_weight_of_its_tick() -> None:
    _, sample = lifecycle.sampled(watched(), Reading(seconds=1.0, weight=25.0), now=2.0)
    assert sample.weight == 25.0
    assert b'"weight":25.0' in recordings.line(sample)
    assert msgspec.json.decode(recordings.line(sample), type=Sample) == sample


async def test_a_running_watch_follows_the_weight_of_its_route(tmp_path: Path) -> None:
    scene = Scene(
        telemetry=HandTelemetry([healthy()]),
        policies={"default": msgspec.structs.replace(POLICY, window_seconds=1e6, promotion=Promotion(min_seconds=1e6))},
        recorder=Recorder(tmp_path),
    )

    def weights() -> list[float | None]:
        return [sample.weight for sample in recordings.read(tmp_path / f"{ID}.jsonl")[1]]

    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 5)
        scene.router.canary_percent = 30.0
        seen = engine.views()[0].ticks
        await until(lambda: engine.views()[0].ticks > seen + 2.0 * LOOK_SECONDS)
    assert 10.0 in weights()
    assert weights()[-1] == 30.0
