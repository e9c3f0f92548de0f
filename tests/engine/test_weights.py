"""The routes' weights beside the ticks: the newest is on the sample, and one that was not seen lately is not known."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from analyzers.counts import Sample
from config.policy import Promotion
from daemon import recordings
from daemon.aio.companies import Companies
from daemon.aio.tasks import background
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.engine import lifecycle, meshlines
from daemon.engine.dependencies import Mesh, MeshCluster
from daemon.engine.session import Session
from daemon.engine.weights import LOOK_SECONDS, LOOKED_WITHIN_SECONDS, STALE_SECONDS, Weights
from daemon.errors import NotFound, Unavailable
from daemon.measurements import Reading, Watch
from daemon.model import Release, Verdict
from daemon.placement import Placement, split_percent
from daemon.ports.routing import RouteFollower, TrafficRouter
from daemon.recorder import Recorder
from tests.hand.clock import HandClock, LoopTime
from tests.hand.ports import HandRouter, HandTelemetry, MemorySink, MuteRouter, Scene, route, running, until
from tests.hand.samples import ID, POLICY, RELEASE, healthy


def watched(release_id: str = ID) -> Session:
    session = lifecycle.admitted(
        RELEASE, release_id=release_id, policy=POLICY, policy_hash="x", cluster="test", tick_seconds=1.0, split=False, now=1.0
    )
    return lifecycle.located(session, Placement(routes=(route("r"),), canary_percent=10.0, located="v2 is bad"), now=1.0)


def weights_of(
    router: TrafficRouter, clock: HandClock, follower: RouteFollower | None = None, *, bad: TrafficRouter | None = None
) -> Weights:
    def mesh(session: Session) -> Mesh:
        one = bad if bad is not None and session.release_id == "bad" else router
        return Mesh(clusters={"test": MeshCluster(router=one, follower=follower)}, telemetry="mesh")

    return Weights(mesh=mesh, clock=clock, followers=() if follower is None else (follower,))


def now(weights: Weights, clock: HandClock, release_id: str = ID) -> float | None:
    return weights.of(release_id, since=clock.now(), until=clock.now())


async def test_the_newest_weight_is_known_and_an_old_one_is_not() -> None:
    clock, router = HandClock(), HandRouter()
    weights = weights_of(router, clock)
    assert weights.due
    assert now(weights, clock) is None
    await weights.look([watched()])
    assert (weights.due, now(weights, clock)) == (False, 10.0)
    clock.time += LOOK_SECONDS
    router.canary_percent = 50.0
    assert (weights.due, now(weights, clock)) == (True, 10.0)
    await weights.look([watched()])
    assert now(weights, clock) == 50.0
    clock.time += STALE_SECONDS
    assert now(weights, clock) is None


async def test_a_release_that_was_decided_before_its_turn_in_a_look_came_is_not_looked_at() -> None:
    clock, router = HandClock(), HandRouter()
    weights = weights_of(router, clock)
    await weights.look([watched("decided"), watched()], is_watched=lambda release_id: release_id == ID)
    assert (now(weights, clock, "decided"), now(weights, clock)) == (None, 10.0)


@pytest.mark.parametrize(("took", "pause"), [(0.5, 10.0), (3.0, 15.0), (20.0, 30.0)])
async def test_a_look_that_takes_long_is_followed_by_a_long_pause(took: float, pause: float) -> None:
    clock = HandClock()

    class Slow(HandRouter):
        async def locate(self, release: Release) -> Placement:
            clock.time += took
            return await super().locate(release)

    weights = weights_of(Slow(), clock)
    began = clock.time
    await weights.look([watched()])
    clock.time = began + pause - 0.01
    assert not weights.due
    clock.time = began + pause
    assert weights.due


@pytest.mark.parametrize(("namespaces", "of_each"), [(60, 1), (30, 20), (1, 250)])
async def test_neighbours_look_together_and_everybody_gets_a_look(namespaces: int, of_each: int) -> None:
    """Whoever is in step with the others shares their listings: see ``daemon.kube.sharedreads``."""
    looking: Counter[str] = Counter()
    most: Counter[str] = Counter()
    at_once: list[int] = []

    class Watched(HandRouter):
        async def locate(self, release: Release) -> Placement:
            looking[release.namespace] += 1
            await asyncio.sleep(0)
            most[release.namespace] = max(most[release.namespace], looking[release.namespace])
            at_once.append(looking.total())
            await asyncio.sleep(0)
            looking[release.namespace] -= 1
            return await super().locate(release)

    clock = HandClock()
    weights = weights_of(Watched(), clock)
    sessions = [
        replace(one, release=msgspec.structs.replace(RELEASE, namespace=f"shop-{at % namespaces}"))
        for at, one in enumerate(watched(f"web-{at}") for at in range(namespaces * of_each))
    ]
    await weights.look(sessions)
    assert {now(weights, clock, one.release_id) for one in sessions} == {10.0}
    assert len(most) == namespaces
    assert set(most.values()) == {min(of_each, 200)}
    assert max(at_once) <= 200


async def test_a_route_that_cannot_be_read_keeps_what_was_seen_until_it_is_stale() -> None:
    clock, router = HandClock(), HandRouter()
    weights = weights_of(router, clock)
    await weights.look([watched()])
    router.missing = NotFound("gone")
    await weights.look([watched()])
    assert now(weights, clock) == 10.0
    await weights.look([])
    assert now(weights, clock) is None, "it is watched no more"


async def test_pods_are_those_of_the_newest_look_and_stay_while_nobody_can_say() -> None:
    def pods(*names: str, unknown: str = "") -> ArmPods:
        made = (ArmPod(name=name, namespace="shop", address="10.0.0.7", ready=True) for name in names)
        return ArmPods(pods=None if unknown else tuple(made), unknown=unknown)

    weights, stable = weights_of(HandRouter(), HandClock()), pods("a")
    seen = []
    for canary in (pods("b"), pods("b", "c"), pods("c"), pods(), pods(unknown="forbidden"), None):
        there = None if canary is None else PodsByArm(baseline=stable, canary=canary)
        weights.saw(watched(), Placement(routes=(route("r"),), canary_percent=10.0, pods=there))
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
        await until(lambda: engine.views()[0].ticks)
    assert known[-1] == PodsByArm(baseline=there, canary=there)


@pytest.mark.parametrize("refusals", [0, 60], ids=["at once", "a minute later"])
async def test_the_watch_after_a_promotion_knows_the_pods_of_the_release_though_the_baseline_is_gone(refusals: int) -> None:
    """Whenever it begins: only when the broker has the first verdict."""

    def there(name: str) -> ArmPods:
        return ArmPods(pods=(ArmPod(name=name, namespace="shop", address="10.0.0.7", ready=True),))

    arms = PodsByArm(baseline=there("old"), canary=there("new"))

    class Podded(HandRouter):
        async def locate(self, release: Release) -> Placement:
            return msgspec.structs.replace(await super().locate(release), pods=arms)

    class Told(HandTelemetry):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            known.extend(watch.pods for watch in watches if watch.alone)
            return await super().read(watches)

    class Gone(MemorySink):
        async def publish(self, verdict: Verdict) -> None:
            router.missing = NotFound("the baseline, Service web-v1, is not there")
            await super().publish(verdict)

    known: list[PodsByArm | None] = []
    router = Podded()
    policies = {"default": msgspec.structs.replace(POLICY, after="60s")}
    scene = Scene(telemetry=Told([healthy()]), router=router, policies=policies, sink=Gone())
    scene.sink.answers = [Unavailable("no answer")] * refusals
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(known) >= 3.0 * LOOK_SECONDS)
    assert known == [arms] * len(known)


async def test_what_was_seen_is_inherited_as_it_was_and_looked_at_anew() -> None:
    def pods(name: str) -> PodsByArm:
        arm = ArmPods(pods=(ArmPod(name=name, namespace="shop", address="10.0.0.7", ready=True),))
        return PodsByArm(baseline=arm, canary=arm)

    def placed(name: str) -> Placement:
        return Placement(routes=(route("r"),), canary_percent=10.0, pods=pods(name))

    clock = HandClock()
    weights = weights_of(HandRouter(), clock)
    weights.inherit("after", of=ID)
    assert weights.pods("after") is None, "nothing was seen of it"
    weights.saw(watched(), placed("a"))
    weights.inherit("after", of=ID)
    assert (weights.pods("after"), now(weights, clock, "after")) == (pods("a"), None)
    weights.saw(watched("after"), placed("b"))
    assert (weights.pods("after"), weights.pods(ID)) == (pods("b"), pods("a"))


async def test_a_look_that_fails_by_a_defect_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(HandRouter):
        async def locate(self, release: Release) -> Placement:
            raise RuntimeError("a defect")

    clock = HandClock()
    weights = weights_of(HandRouter(), clock, bad=Broken())
    await weights.look([watched("bad"), watched()])
    assert (now(weights, clock, "bad"), now(weights, clock)) == (None, 10.0)
    assert "looking at a route failed" in caplog.text


async def test_a_look_at_a_route_that_never_ends_is_given_up_so_that_there_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    time, clock, mute = LoopTime(monkeypatch), HandClock(), MuteRouter()
    weights = weights_of(HandRouter(), clock, bad=mute)
    look = asyncio.create_task(weights.look([watched("bad"), watched()]))
    await until(lambda: mute.asked)
    time.passes(LOOKED_WITHIN_SECONDS - 1.0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not look.done(), "it may be slow"
    time.passes(1.0)
    await asyncio.wait_for(look, 5.0)
    assert (now(weights, clock, "bad"), now(weights, clock)) == (None, 10.0)


async def test_a_mesh_whose_routers_wait_for_ever_holds_up_no_look_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshlines, "Companies", lambda: Companies(at_once=1, least=1, place_seconds=3_600.0))
    clock, mute = HandClock(), MuteRouter()
    weights = weights_of(HandRouter(), clock, bad=mute)
    hung = replace(watched("bad"), release=msgspec.structs.replace(RELEASE, mesh="another", namespace="another"))
    async with background(weights.look([hung, watched()])):
        await until(lambda: now(weights, clock), within_seconds=5.0)
        assert mute.asked == 1


async def test_a_ticks_weight_is_the_mean_over_the_time_that_its_counters_cover_however_late_they_come() -> None:
    clock, router = HandClock(1000.0), HandRouter()
    weights = weights_of(router, clock)
    await weights.look([watched()])
    for at, percent in ((1030.0, 25.0), (1060.0, 50.0)):
        clock.time, router.canary_percent = at, percent
        await weights.look([watched()])
    assert weights.of(ID, since=1000.0, until=1030.0) == 10.0
    assert weights.of(ID, since=1028.0, until=1032.0) == 17.5, "half of the tick each"
    assert weights.of(ID, since=1020.0, until=1070.0) == 27.0, "10 s at 10 %, 30 s at 25 %, 10 s at 50 %"
    assert weights.of(ID, since=990.0, until=1010.0) == 10.0, "what was first seen stands for what was before"
    assert weights.of(ID, since=1060.0, until=1060.0) == 50.0
    assert weights.of(ID, since=1045.0, until=1045.0) == 25.0, "late data has the weight of its own time"


async def test_a_time_in_which_the_routes_said_no_weight_has_none() -> None:
    class Several(HandRouter):
        several = False

        async def locate(self, release: Release) -> Placement:
            routes = (route("one", percent=10.0), route("two", percent=30.0 if self.several else 10.0))
            return Placement(routes=routes, canary_percent=10.0)

    clock, router = HandClock(1000.0), Several()
    weights = weights_of(router, clock)
    await weights.look([watched()])
    assert now(weights, clock) == 10.0, "several that agree have one"
    clock.time, router.several = 1010.0, True
    await weights.look([watched()])
    assert weights.of(ID, since=1005.0, until=1010.0) == 10.0
    assert weights.of(ID, since=1005.0, until=1011.0) is None


def test_pins_beside_a_split_do_not_hide_its_weight_and_mirrors_do() -> None:
    split, pin = route("split", percent=10.0), msgspec.structs.replace(route("testers", percent=100.0), kind="pin")
    mirror = msgspec.structs.replace(route("mirror", percent=100.0), kind="mirror")
    assert split_percent([split]) == 10.0
    assert split_percent([pin, split]) == 10.0
    assert split_percent([pin]) == 100.0
    assert split_percent([pin, pin]) is None
    assert split_percent([split, mirror]) is None
    assert split_percent([split, msgspec.structs.replace(mirror, percent=0.0)]) == 10.0
    assert split_percent([split, route("other", percent=20.0)]) is None
    assert split_percent([]) is None


class Follower:
    """Says what it is told to, and that it has changed."""

    def __init__(self) -> None:
        self.percent: float | None = 10.0
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.changed: Callable[[], None] = lambda: None

    async def follow(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        await asyncio.Event().wait()

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        self.asked.append(located)
        if self.error is not None:
            raise self.error
        return self.percent


class StillClock(HandClock):
    """Nobody's sleep ends by itself, but a short one. ``long``: how many others have begun."""

    long = 0

    async def sleep(self, seconds: float, /) -> None:
        self.long += seconds >= 1.0
        await (asyncio.sleep(0) if seconds < 1.0 else asyncio.Event().wait())


async def test_a_change_of_the_routes_is_known_at_once_and_not_at_the_next_look() -> None:
    clock, follower = StillClock(), Follower()
    weights = weights_of(HandRouter(), clock, follower)
    async with background(weights.follow(lambda: [watched()])):
        await until(lambda: now(weights, clock) == 10.0 and clock.long == 1)
        clock.time += 3.0
        follower.percent = 50.0
        follower.changed()
        await until(lambda: now(weights, clock) == 50.0)
    assert weights.of(ID, since=clock.now() - 4.0, until=clock.now()) == 10.0, "it has just been changed"
    assert set(follower.asked) == {"v2 is bad"}, "the router's own words of the arms"


async def test_a_follower_that_never_says_one_weight_holds_up_the_others_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Follower):
        async def weight(self, release: Release, *, located: str = "") -> float | None:
            found = await super().weight(release, located=located)
            if release.service == "mute":
                await asyncio.Event().wait()
            return found

    time, clock, follower = LoopTime(monkeypatch), HandClock(), Mute()
    weights = weights_of(HandRouter(), clock, follower)
    hung = replace(watched("bad"), release=msgspec.structs.replace(RELEASE, service="mute"))
    async with background(weights.follow(lambda: [hung, watched()])):
        await until(lambda: len(follower.asked) == 2)
        follower.percent = 50.0
        time.passes(LOOKED_WITHIN_SECONDS)
        await until(lambda: now(weights, clock) == 50.0, within_seconds=5.0)
        assert now(weights, clock, "bad") is None


async def test_routes_that_change_all_the_time_are_asked_a_sixth_of_the_time_at_most() -> None:
    """In a fleet of thousands some weight is always being stepped up, and each change has all of them asked."""
    clock, slept = HandClock(), list[float]()

    class Slow(Follower):
        async def weight(self, release: Release, *, located: str = "") -> float | None:
            clock.time += 0.5
            self.changed()
            return await super().weight(release, located=located)

    class Sleeping(HandClock):
        def monotonic(self) -> float:
            return clock.monotonic()

        async def sleep(self, seconds: float, /) -> None:
            slept.append(seconds)
            await asyncio.sleep(0)

    follower = Slow()
    weights = weights_of(HandRouter(), Sleeping(), follower)
    async with background(weights.follow(lambda: [watched()])):
        await until(lambda: len(follower.asked) > 5)
    assert set(slept) == {2.5}


async def test_what_cannot_be_asked_for_keeps_what_was_seen(caplog: pytest.LogCaptureFixture) -> None:
    clock, follower = HandClock(), Follower()
    weights = weights_of(HandRouter(), clock, follower)
    await weights.weigh([watched()])
    for error in (NotFound("not located"), Unavailable("away"), RuntimeError("a defect")):
        follower.error = error
        await weights.weigh([watched()])
        assert now(weights, clock) == 10.0
    assert caplog.text.count("asking for a weight failed") == 1
    await weights_of(HandRouter(), clock).weigh([watched()])  # of nobody who could say one


async def test_a_follower_with_a_defect_is_said_and_is_asked_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Follower):
        async def follow(self, changed: Callable[[], None]) -> None:
            raise RuntimeError("a defect")

    clock = HandClock()
    weights = weights_of(HandRouter(), clock, Broken())
    async with background(weights.follow(lambda: [watched()])):
        await until(lambda: now(weights, clock) == 10.0 and "following routes failed" in caplog.text)


async def test_the_sample_that_is_judged_and_recorded_carries_the_weight_of_its_tick() -> None:
    _, sample = lifecycle.sampled(watched(), Reading(seconds=1.0, weight=25.0), now=2.0)
    assert sample.weight == 25.0
    assert b'"weight":25.0' in recordings.line(sample)
    assert msgspec.json.decode(recordings.line(sample), type=Sample) == sample


@pytest.mark.usefixtures("unhurried")
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
