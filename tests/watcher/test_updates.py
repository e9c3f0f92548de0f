"""Rolling updates that nobody announces: observed by their pods until those of the older template are gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from daemon.aio.tasks import background
from daemon.errors import InvalidInput, Unavailable
from daemon.kube.resources import REPLICA_SETS
from daemon.model import ArmSpec, Release
from daemon.watcher.deployed import DEPLOYMENTS
from tests.discovery.test_updates import deployed, replica_set
from tests.watcher.world import Json, World, service, two_versions, virtual_service


def pod(number: int, *, proxy: str = "istio-proxy", **annotations: str) -> Json:
    """A pod of the template of this number."""
    labels = {"app": "web", "pod-template-hash": f"h{number}"}
    metadata = {"name": f"web-{number}", "namespace": "shop", "labels": labels, "annotations": annotations}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "web"}, {"name": proxy}]}}


def put(world: World, number: int, *, old: int = 2, new: int = 1, said: Mapping[str, str] | None = None) -> None:
    """The cluster in an update to the template of this number."""
    sets = world.cluster.feed(REPLICA_SETS)
    sets.put(replica_set(number - 1, pods=old))
    sets.put(replica_set(number, pods=new))
    item = deployed(number, replicas=old + new, updated=new)
    item["metadata"]["annotations"] |= dict(said or {})
    world.cluster.feed(DEPLOYMENTS).put(item)


@pytest.fixture
def world() -> World:
    world = World(updates_by="istio")
    world.cluster.around_objects += [service("web", app="web"), pod(2), pod(3)]
    return world


async def test_an_update_is_one_release_by_its_pods_and_over_when_the_older_ones_are_gone(world: World) -> None:
    async with world.running():
        put(world, 2, old=3, new=0)
        await world.turns()
        assert world.releases == []
        for old, new in ((2, 1), (1, 2), (1, 3)):
            put(world, 2, old=old, new=new)
            await world.turns()
        (release,) = world.releases
        assert world.ended == []
        put(world, 2, old=0, new=3)
        await world.turns()
    assert (release.service, release.namespace, release.mesh, release.policy) == ("web", "shop", "istio", "default")
    assert (release.strategy, release.observe, release.artifact) == ("pods", True, "reg/web:2")
    assert release.baseline == ArmSpec(workload="web", labels={"pod-template-hash": "h1"})
    assert release.canary == ArmSpec(workload="web", labels={"pod-template-hash": "h2"})
    ((release_id, command),) = world.ended
    assert list(world.submitted) == [release_id]
    assert (command.by, command.reason) == ("Deployment shop/web", "no pod of its older template is left")
    assert not world.updates.data


async def test_over_restarts_it_is_the_same_release_and_ends_also_where_it_did_while_no_daemon_ran(world: World) -> None:
    put(world, 2)
    for _ in range(2):
        async with world.running():
            await world.turns()
    assert len(world.submitted) == 1
    world.cluster.feed(DEPLOYMENTS).remove("web")
    async with world.running():
        await world.turns()
    assert [command.reason for _, command in world.ended] == ["it is gone"]


async def test_another_template_in_the_middle_and_one_that_comes_again_are_releases_of_their_own(world: World) -> None:
    async with world.running():
        for number in (2, 3):
            put(world, number)
            await world.turns()
        sets = world.cluster.feed(REPLICA_SETS)
        again = replica_set(2, pods=1)
        again["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "4"}
        sets.put(again)
        world.cluster.feed(DEPLOYMENTS).put(deployed(4))
        await world.turns()
    assert [one.canary.labels for one in world.releases] == [{"pod-template-hash": f"h{number}"} for number in (2, 3, 2)]
    assert len(world.submitted) == 3


@pytest.mark.parametrize("case", ["no service", "no proxy", "off", "off on the service", "owned", "a route", "left out"])
async def test_what_could_not_be_counted_or_is_not_to_be_watched_is_not_announced(world: World, case: str) -> None:
    said: dict[str, str] = {}
    match case:
        case "no service":
            del world.cluster.around_objects[0]
        case "no proxy":
            world.cluster.around_objects[1:] = [pod(2, proxy="web-2")]
        case "off":
            said = {"verdictd.io/watch": "off"}
        case "off on the service":
            world.cluster.around_objects[0] = service("web", {"verdictd.io/watch": "off"}, app="web")
        case "a route":
            world.cluster.around_objects += two_versions()
            world.cluster.routes.put(virtual_service(blue=100, green=0))
        case "left out":
            world.updates_by = None
        case _:
            assert case == "owned"
    async with world.running():
        await world.turns()
        put(world, 2, said=said)
        if case == "owned":
            world.cluster.feed(DEPLOYMENTS).put(deployed(owner="c-1"))
        await world.turns()
    assert world.releases == []


async def test_a_pod_of_an_ambient_mesh_has_its_proxy_elsewhere_and_the_deployment_may_name_a_policy(world: World) -> None:
    world.cluster.around_objects[1:] = [pod(2, proxy="side", **{"ambient.istio.io/redirection": "enabled"})]
    async with world.running():
        put(world, 2, said={"verdictd.io/policy": "strict"})
        await world.turns()
    assert [one.policy for one in world.releases] == ["strict"]


async def test_what_cannot_be_read_or_kept_or_taken_now_is_tried_again_until_it_can(world: World) -> None:
    world.unwilling = 2
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        world.cluster.failing = Unavailable("away")
        put(world, 2)
        await world.turns()
        assert watcher.problem == "what stands around rolling updates: away"
        world.cluster.failing = None
        world.updates.failing = Unavailable("no store")
        await world.turns(2_000)
        assert not watcher.problem
        assert len(world.submitted) == 1
        assert not world.updates.data
        world.updates.failing = None
        await world.turns(2_000)
        assert len(world.updates.data) == 1
        assert not world.unwilling
        world.unwilling = 2
        world.updates.failing = Unavailable("no store")
        put(world, 2, old=0, new=3)
        await world.turns(2_000)
        world.updates.failing = None
        await world.turns(2_000)
    assert len(world.submitted) == 1
    assert {release_id for release_id, _ in world.ended} == set(world.submitted)
    assert not world.updates.data


async def test_one_that_is_refused_is_kept_with_the_reason_once(world: World) -> None:
    def refuse(_release: Release) -> None:
        raise InvalidInput("no policy 'default'", path="$.policy", fix="name one")

    world.refuse = refuse
    async with world.running():
        for new in (1, 2):
            put(world, 2, new=new)
            await world.turns()
    assert world.letters.reasons == ["$.policy: no policy 'default'; name one"]


async def test_a_watch_of_deployments_that_cannot_be_had_is_a_problem_and_one_of_another_form_is_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    away = [True]

    def cut(_where: str) -> None:
        if away:
            raise Unavailable("not yet")

    feed = world.cluster.feed(DEPLOYMENTS)
    feed.cut = cut
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        await world.turns()
        assert watcher.problem == "watch of deployments.apps in home: not yet"
        away.clear()
        feed.put({"kind": "Deployment", "metadata": {"name": "odd", "namespace": "shop"}, "status": {"replicas": "many"}})
        put(world, 2)
        await world.turns(2_000)
        assert watcher.problem is None
        world.cluster.feed(REPLICA_SETS).put({**replica_set(3, pods=1), "spec": {"template": "none"}})
        put(world, 2, new=2)
        await world.turns()
        feed.put({**deployed(), "status": {"replicas": "many"}})
        await world.turns()
        assert world.ended == []
    assert len(world.releases) == 1
    assert {one.message for one in caplog.records} >= {"a Deployment cannot be read", "a rolling update cannot be read"}


async def test_what_was_kept_in_a_form_that_is_not_known_counts_as_not_known(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.updates.data["route-1"] = b"{}"
    async with world.running():
        put(world, 2)
        await world.turns()
    assert len(world.releases) == 1
    assert "what was kept of a rolling update cannot be read" in caplog.text
