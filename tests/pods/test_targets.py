"""Whom to scrape, as the API server says it now: pods that come are there at once, and those that go are not."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.errors import Forbidden, Unavailable
from daemon.measurements import ArmState, PodsState, Watch
from daemon.model import ArmSpec, Release
from daemon.pods import watching
from daemon.pods.targets import PodTargets
from daemon.pods.watching import BELIEVED_SECONDS, UNASKED_SECONDS, PodWatch
from daemon.ports.telemetry import FoundTargets
from tests.hand.clock import HandClock
from tests.hand.ports import until
from tests.pods.cluster import PodCluster
from tests.pods.objects import pod

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))


def labels(version: str) -> dict[str, str]:
    return {"app": "web", "version": version}


def arm(version: str, *names: str, known_by: dict[str, str] | None = None) -> ArmPods:
    pods = tuple(ArmPod(name=name, namespace="shop", address="10.9.9.9", ready=True) for name in names)
    return ArmPods(pods=pods, labels=labels(version) if known_by is None else known_by)


WATCH = Watch(release_id="web-1", release=RELEASE, pods=PodsByArm(baseline=arm("v1", "web-v1-0"), canary=arm("v2", "web-v2-0")))


class Scene:
    def __init__(self, *, most: int = 10) -> None:
        self.clock = HandClock()
        self.cluster = PodCluster(
            pod("web-v1-0", labels=labels("v1"), address="10.1.0.1"),
            pod("web-v2-0", labels=labels("v2"), address="10.1.0.2"),
            pod("other-v2-0", labels={"app": "other", "version": "v2"}, address="10.1.0.3"),
        )
        self.watch = PodWatch(self.cluster.client, clock=self.clock, cluster="east")
        self.targets = PodTargets(lambda _: self.watch, port=15090, most=most)

    async def find(self, *watches: Watch) -> FoundTargets:
        return (await self.targets.find(watches or (WATCH,)))["web-1"]

    async def canary(self) -> list[str]:
        return [target.name for target in (await self.find()).canary]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    one = Scene()
    async with one.watch:
        yield one


async def test_the_targets_are_the_sidecars_of_the_arms_pods_and_of_no_others(scene: Scene) -> None:
    found = await scene.find()
    assert (found.unknown, len(found.baseline)) == ("", 1)
    [target] = found.canary
    assert (target.name, target.pod, target.url) == ("shop/web-v2-0", "web-v2-0", "http://10.1.0.2:15090")
    assert (target.started_at, target.leaving) == (1767225600.0, False)


async def test_an_address_of_the_sixth_version_stands_in_brackets(scene: Scene) -> None:
    scene.cluster.put(pod("web-v2-0", labels=labels("v2"), address="fd00::2"))
    assert [target.url for target in (await scene.find()).canary] == ["http://[fd00::2]:15090"]


async def test_a_pod_that_comes_is_a_target_before_anybody_has_looked_again_and_one_that_goes_is_none(scene: Scene) -> None:
    assert await scene.canary() == ["shop/web-v2-0"]
    await until(lambda: scene.cluster.watching == 1)
    late = pod("web-v2-1", labels=labels("v2"), address="")
    scene.cluster.put(late)
    await _turns()
    assert await scene.canary() == ["shop/web-v2-0"], "it has no address yet"
    scene.cluster.put(pod("web-v2-1", labels=labels("v2"), address="10.1.0.9"))
    await _turns()
    assert await scene.canary() == ["shop/web-v2-0", "shop/web-v2-1"]
    scene.cluster.delete(late)
    await _turns()
    assert await scene.canary() == ["shop/web-v2-0"]


async def test_a_pod_that_is_being_deleted_is_a_leaving_target_and_one_that_has_ended_is_none(scene: Scene) -> None:
    leaving = pod("web-v2-0", labels=labels("v2"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    scene.cluster.put(leaving)
    scene.cluster.put(pod("web-v2-9", labels=labels("v2"), phase="Failed"))
    assert [(target.pod, target.leaving) for target in (await scene.find()).canary] == [("web-v2-0", True)]


async def test_arms_whose_labels_are_not_known_have_the_pods_that_were_looked_for(scene: Scene) -> None:
    scene.cluster.put(pod("web-v2-1", labels=labels("v2")))
    pods = PodsByArm(baseline=arm("v1", "web-v1-0", known_by={}), canary=arm("v2", "web-v2-0", "gone", known_by={}))
    found = await scene.find(msgspec.structs.replace(WATCH, pods=pods))
    assert [target.pod for target in found.canary] == ["web-v2-0"]


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        (None, "which pods the arms have is being looked for"),
        (
            PodsByArm(baseline=arm("v1"), canary=ArmPods(unknown="its endpoints are no pods")),
            "which pods the arms have is not known: its endpoints are no pods",
        ),
    ],
)
async def test_while_the_arms_pods_are_not_known_that_is_said(scene: Scene, pods: PodsByArm | None, said: str) -> None:
    found = await scene.find(msgspec.structs.replace(WATCH, pods=pods))
    assert (found.unknown, found.pending) == (said, pods is None)
    assert scene.targets.state("web-1") is None


async def test_how_the_pods_are_comes_with_them(scene: Scene) -> None:
    crashing = pod("web-v2-1", labels=labels("v2"), ready=False)
    crashing["status"]["containerStatuses"] = [
        {"name": "web", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ]
    leaving = pod("web-v2-2", labels=labels("v2"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    scene.cluster.put(crashing)
    scene.cluster.put(leaving)
    await scene.find()
    assert scene.targets.state("web-1") == PodsState(
        baseline=ArmState(pods=1, ready=1),
        canary=ArmState(pods=2, ready=1, restarts=3, troubles=("web-v2-1: CrashLoopBackOff",)),
    )


async def test_pods_that_may_not_be_read_are_said_once_in_the_log(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.cluster.fault = Forbidden("pods is forbidden: User system:serviceaccount:verdictd:verdictd")
    for _ in range(3):
        assert (await scene.find()).unknown.startswith("pods is forbidden")
    assert caplog.text.count("does not work") == 1
    scene.cluster.fault = None
    await until(lambda: _works(scene))
    assert await scene.canary() == ["shop/web-v2-0"]
    assert caplog.text.count("works again") <= 1


def _works(scene: Scene) -> bool:
    return scene.cluster.watching == 1


async def test_an_outage_of_the_api_server_does_not_lose_sight_of_the_pods_for_a_while(scene: Scene) -> None:
    await scene.find()
    await until(lambda: scene.cluster.watching == 1)
    scene.cluster.fault = Unavailable("the API server is away")
    began = scene.clock.time
    scene.cluster.cut()
    await until(lambda: bool(scene.clock.slept))
    while scene.clock.time < began + BELIEVED_SECONDS / 2:
        assert (await scene.find()).unknown == ""
        await _turns()
    await until(lambda: scene.clock.time > began + BELIEVED_SECONDS)
    found = await scene.find()
    assert found.unknown.startswith("nothing was heard of the API server for")
    assert found.unknown.endswith("the API server is away")


async def test_one_watch_serves_all_releases_of_a_namespace_and_ends_when_nobody_asks_any_more(scene: Scene) -> None:
    another = replace_id(WATCH, "web-2")
    found = await scene.targets.find([WATCH, another])
    assert found["web-1"] == found["web-2"]
    await until(lambda: scene.cluster.watching == 1)
    assert scene.cluster.listed == ["shop"]
    scene.clock.time += UNASKED_SECONDS + 1.0
    await scene.watch.tidy()
    assert scene.cluster.watching == 0
    await scene.find()
    assert scene.cluster.listed == ["shop", "shop"]


async def test_more_namespaces_than_may_be_watched_are_said_to_be_so_once_until_there_is_room(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watching, "MOST_NAMESPACES", 1)
    await scene.find()
    for _ in range(2):
        with pytest.raises(Unavailable, match="those of elsewhere are not; let more replicas share the work"):
            await scene.watch.namespace("elsewhere")
    assert (await scene.find()).unknown == ""
    assert [record.component for record in caplog.records if record.message == "does not work"] == ["watches of pods in east"]  # type: ignore[attr-defined]
    scene.clock.time += UNASKED_SECONDS + 1.0
    await scene.watch.tidy()
    await scene.watch.namespace("elsewhere")


async def test_more_pods_than_may_be_read_are_refused_release_by_release() -> None:
    scene = Scene(most=2)
    async with scene.watch:
        scene.cluster.put(pod("web-v2-1", labels=labels("v2")))
        other = PodsByArm(baseline=arm("v1", "web-v1-0"), canary=arm("x", "web-v2-0", known_by={}))
        found = await scene.targets.find([msgspec.structs.replace(WATCH, release_id="fits", pods=other), WATCH])
        assert (found["fits"].unknown, found["web-1"].unknown) == ("", "more than 2 pods would have to be read; raise max_pods")


async def test_a_watch_that_ends_by_a_defect_is_said_and_begun_anew(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.cluster.put({"metadata": {"namespace": "shop", "name": "odd"}, "status": {"podIP": "10.1.0.7"}})
    await scene.find()
    await until(lambda: scene.cluster.watching == 1)
    scene.cluster.put({"metadata": {"namespace": "shop", "name": "odd", "labels": []}, "status": {}})
    await _turns()
    assert await scene.canary() == ["shop/web-v2-0"], "whatever a pod looks like"
    assert "defect" not in caplog.text


def replace_id(watch: Watch, release_id: str) -> Watch:
    return msgspec.structs.replace(watch, release_id=release_id)


async def _turns(count: int = 20) -> None:
    """Let what waits for nothing but a turn have some."""
    for _ in range(count):
        await asyncio.sleep(0)
