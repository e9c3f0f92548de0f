"""What is the same for every mesh of Kubernetes routes, shown on one that is made up and has two kinds of them."""

import asyncio

import msgspec
import pytest
from aiohttp import web

from daemon.aio.tasks import background
from daemon.errors import Conflict, Forbidden, NotFound, Unavailable
from daemon.kube.client import KubeClient
from daemon.meshes.kuberouter import KubeRouter
from daemon.model import ArmSpec, Release
from daemon.placement import Undo, ValueChange
from tests.hand.waiting import until
from tests.kube.stub import status
from tests.meshes.cluster import Cluster
from tests.meshes.made_up import REDIRECTS, SPLITS, Pair, made_up_router
from tests.meshes.objects import Json, behind

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))


def split(name: str = "web", namespace: str = "shop", *, canary: str = "web-v2", weight: int = 10, **spec: object) -> Json:
    backends = [{"service": "web-v1", "weight": 100 - weight}, {"service": canary, "weight": weight}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"backends": backends, **spec}}


def redirect(name: str = "beta", namespace: str = "edge", *, to: str = "web-v2") -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"to": to}}


@pytest.fixture
def api(api: Cluster) -> Cluster:
    api.listed |= {"splits", "redirects"}
    api.put(*behind("web-v1", "a"))
    api.put(SPLITS, split())
    api.put(REDIRECTS, redirect())
    return api


@pytest.fixture
def router(kube: KubeClient) -> KubeRouter[Pair]:
    return made_up_router(kube)


def shares(api: Cluster, name: str = "web", namespace: str = "shop") -> list[int]:
    return [one["weight"] for one in api.get(SPLITS, namespace, name)["spec"]["backends"]]


async def test_routes_of_all_kinds_are_located_in_the_order_of_the_kinds(router: KubeRouter[Pair]) -> None:
    placement = await router.locate(RELEASE)
    assert list(map(str, placement.routes)) == ["shop/web: 10 % of the traffic", "edge/beta: 100 % of the traffic"]
    assert [route.object.kind for route in placement.routes] == ["Split", "Redirect"]
    assert (placement.canary_percent, placement.baseline, placement.located) == (10.0, "1 ready endpoints", "web-v2")


async def test_the_first_patch_reads_only_what_is_known_and_lists_nothing(api: Cluster, router: KubeRouter[Pair]) -> None:
    await router.locate(RELEASE)
    api.requests.clear()
    receipt = await router.revert(RELEASE)
    assert str(receipt) == "shop/web: weight 10 of web-v2 -> web-v1; edge/beta: web-v2 -> web-v1"
    paths = [SPLITS.path(namespace="shop", name="web"), REDIRECTS.path(namespace="edge", name="beta")]
    assert sorted(api.requests) == sorted((method, path) for method in ("GET", "PATCH") for path in paths)
    assert (shares(api), api.get(REDIRECTS, "edge", "beta")["spec"]["to"]) == ([100, 0], "web-v1")
    assert await router.canary_gets_traffic(RELEASE) is None


async def test_a_route_that_came_since_is_seen_and_taken_back_by_the_next_call(api: Cluster, router: KubeRouter[Pair]) -> None:
    await router.locate(RELEASE)
    await router.revert(RELEASE)
    api.put(REDIRECTS, redirect("late"))
    assert await router.canary_gets_traffic(RELEASE) == "edge/late: 100 % of the traffic"
    assert (await router.revert(RELEASE)).changed
    assert not (await router.revert(RELEASE)).changed


async def test_a_kind_that_the_cluster_does_not_know_has_no_objects(api: Cluster, router: KubeRouter[Pair]) -> None:
    api.listed.remove("redirects")
    assert list(map(str, (await router.locate(RELEASE)).routes)) == ["shop/web: 10 % of the traffic"]
    assert (await router.revert(RELEASE)).changed


async def test_a_cluster_that_knows_no_kind_is_an_error(api: Cluster, router: KubeRouter[Pair]) -> None:
    api.listed -= {"splits", "redirects"}
    with pytest.raises(NotFound, match="splits"):
        await router.locate(RELEASE)


async def test_one_kind_that_cannot_be_read_is_no_kind_without_objects(api: Cluster, router: KubeRouter[Pair]) -> None:
    api.failing[REDIRECTS.path()] = 9
    with pytest.raises(Unavailable):
        await router.locate(RELEASE)


async def test_what_may_be_read_in_one_namespace_only_is_read_there_and_where_it_hands_on_to(
    api: Cluster, router: KubeRouter[Pair]
) -> None:
    api.forbidden.add(SPLITS.path())
    api.put(SPLITS, split("far", "edge"))
    api.put(SPLITS, split("hidden", "elsewhere"))
    api.put(SPLITS, split(delegates=[{"namespace": "edge", "name": "far"}, {"namespace": "edge", "name": "gone"}]))
    placement = await router.locate(RELEASE)
    assert [str(route.object) for route in placement.routes] == ["shop/web", "edge/far", "edge/beta"]
    assert placement.unread == ("Splits of other namespaces than shop, which may not be listed",)
    api.forbidden.add(SPLITS.path(namespace="shop"))
    with pytest.raises(Forbidden, match="splits"):
        await router.locate(RELEASE)


async def test_a_canary_that_no_route_names_is_told_with_what_is_named(api: Cluster, router: KubeRouter[Pair]) -> None:
    other = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v9"))
    with pytest.raises(NotFound) as caught:
        await router.locate(other)
    said = "names the canary, web-v9, as destination or mirror; Splits name web-v2"
    assert str(caught.value) == f"no Split or Redirect in any namespace {said}"
    api.forbidden.add(SPLITS.path())
    with pytest.raises(NotFound, match=r"in namespace shop \(and delegates; the rest of the cluster may not be read\) names"):
        await router.locate(other)


async def test_a_route_that_is_named_may_be_of_any_kind_but_must_be_there(api: Cluster, router: KubeRouter[Pair]) -> None:
    api.put(REDIRECTS, redirect("named", "shop"))
    for name in ("web", "named"):
        release = Release(service="web", namespace="shop", baseline=RELEASE.baseline, canary=RELEASE.canary, route=name)
        assert len((await router.locate(release)).routes) == 3
    absent = Release(service="web", namespace="shop", baseline=RELEASE.baseline, canary=RELEASE.canary, route="absent")
    with pytest.raises(NotFound, match="absent"):
        await router.locate(absent)


async def test_each_object_is_tried_and_what_can_be_tried_again_is_raised_first(api: Cluster, router: KubeRouter[Pair]) -> None:
    for name in ("one", "two", "three"):
        api.put(SPLITS, split(name))
    await router.locate(RELEASE)
    api.faults["PATCH"] = [status(403, "not yours"), status(503, "starting"), status(403, "not yours")]
    receipt = await router.revert(RELEASE)
    assert api.count("PATCH") == 5
    assert (len(receipt.parts), len(receipt.failed), receipt.changed) == (5, 3, True)
    assert (await router.revert(RELEASE)).changed
    assert await router.canary_gets_traffic(RELEASE) is None


async def test_where_no_object_can_be_written_what_can_be_tried_again_is_raised(api: Cluster, router: KubeRouter[Pair]) -> None:
    await router.locate(RELEASE)
    for faults in ([status(403, "not yours"), status(503)], [status(503), status(403, "not yours")]):
        api.faults["PATCH"] = faults
        with pytest.raises(Unavailable):
            await router.revert(RELEASE)


async def test_an_object_that_is_slow_or_written_by_others_holds_up_no_other(api: Cluster, router: KubeRouter[Pair]) -> None:
    """The first PATCH is answered only when the other object, in spite of a conflict, has been taken back."""
    await router.locate(RELEASE)
    done = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await done.wait()
        return await status(403, "not yours")(request)

    async def last(request: web.Request) -> web.StreamResponse:
        answer = await (await api._right(request))(request)
        done.set()
        return answer

    api.faults["PATCH"] = [slow, status(409, "modified"), last]
    async with asyncio.timeout(60.0):
        receipt = await router.revert(RELEASE)
    assert (len(receipt.failed), receipt.changed) == (1, True)


async def test_the_baseline_is_asked_for_by_what_tells_the_arms(api: Cluster, router: KubeRouter[Pair]) -> None:
    assert await router.check_baseline(RELEASE) == "1 ready endpoints"


async def test_an_object_that_a_defect_keeps_from_being_planned_holds_up_no_other_and_is_told(
    api: Cluster, router: KubeRouter[Pair]
) -> None:
    """The made-up planner does not expect a split without the baseline."""
    api.put(SPLITS, split("odd", backends=[{"service": "web-v2", "weight": 100}]))
    receipt = await router.revert(RELEASE)
    assert "shop/odd: its patch could not be planned, through a defect (KeyError)" in str(receipt)
    assert (shares(api), api.get(REDIRECTS, "edge", "beta")["spec"]["to"]) == ([100, 0], "web-v1")


async def test_a_weight_is_read_anew_while_the_routes_cannot_be_watched(api: Cluster, router: KubeRouter[Pair]) -> None:
    with pytest.raises(NotFound, match="have not been located"):
        await router.weight(RELEASE)
    await router.locate(RELEASE)
    assert await router.weight(RELEASE) == 10.0, "whatever is pinned beside the split"
    api.put(SPLITS, split(weight=50))
    assert await router.weight(RELEASE) == 50.0
    api.put(SPLITS, split("other", weight=20))
    assert await router.weight(RELEASE) is None, "two splits that differ say no weight"


async def test_routes_that_may_not_be_watched_are_said_once(
    api: Cluster, router: KubeRouter[Pair], caplog: pytest.LogCaptureFixture
) -> None:
    api.forbidden |= {SPLITS.path(), REDIRECTS.path()}
    async with background(router.follow(lambda: None)):
        # Each kind is refused again and again.
        await until(lambda: all(api.requests.count(("GET", kind.path())) >= 3 for kind in (SPLITS, REDIRECTS)))
    assert caplog.text.count("does not work") == 2, "of each kind once"


async def test_what_a_revert_would_write_is_what_it_writes(api: Cluster, router: KubeRouter[Pair]) -> None:
    await router.locate(RELEASE)
    planned = await router.plan(RELEASE)
    assert api.count("PATCH") == 0
    assert list(map(str, planned)) == ["Split shop/web", "Redirect edge/beta"]
    assert [(one.path, one.before, one.after) for one in planned[0].values] == [
        ("/spec/backends/0/weight", "90", "100"),
        ("/spec/backends/1/weight", "10", "0"),
    ]
    assert planned[1].values == (ValueChange(path="/spec/to", before='"web-v2"', after='"web-v1"'),)
    receipt = await router.revert(RELEASE)
    assert [part.undo.values for part in receipt.parts if part.undo is not None] == [one.values for one in planned]
    assert await router.plan(RELEASE) == ()


async def test_an_object_that_cannot_be_planned_is_told_beside_the_others(api: Cluster, router: KubeRouter[Pair]) -> None:
    api.put(SPLITS, split("odd", backends=[{"service": "web-v2", "weight": 100}]))
    planned = {str(one): one.failure for one in await router.plan(RELEASE)}
    assert (planned["Split shop/web"], planned["Redirect edge/beta"]) == (None, None)
    assert "could not be planned" in str(planned["Split shop/odd"])


async def reverted(router: KubeRouter[Pair]) -> list[Undo]:
    receipt = await router.revert(RELEASE)
    return [part.undo for part in receipt.parts if part.undo is not None]


async def test_what_was_taken_back_is_put_back_as_it_was(api: Cluster, router: KubeRouter[Pair]) -> None:
    undos = await reverted(router)
    assert [one.resource for one in undos] == [str(SPLITS), str(REDIRECTS)]
    shown = await router.plan_restore(undos)
    assert [change.after for one in shown for change in one.values] == ["90", "10", '"web-v2"']
    assert (shares(api), [one.failure for one in shown]) == ([100, 0], [None, None])
    restored = await router.restore(undos)
    assert str(restored[0]) == "shop/web: as it was before its traffic was taken back"
    assert (shares(api), api.get(REDIRECTS, "edge", "beta")["spec"]["to"]) == ([90, 10], "web-v2")


async def test_what_somebody_has_changed_since_is_not_put_back(api: Cluster, router: KubeRouter[Pair]) -> None:
    undos = await reverted(router)
    api.put(SPLITS, split(weight=40))
    del api.objects[REDIRECTS.path(namespace="edge", name="beta")]
    for answer in (await router.plan_restore(undos), await router.restore(undos)):
        said = [str(one.failure) for one in answer]
        assert said[0].startswith("shop/web was changed by somebody since: /spec/backends/0/weight is 60, and was left at 100")
        assert said[1] == "edge/beta is not there any more"
    assert shares(api) == [60, 40]


async def test_a_change_that_comes_between_looking_and_writing_is_looked_at_anew(api: Cluster, router: KubeRouter[Pair]) -> None:
    undos = await reverted(router)
    api.faults["PATCH"] = [status(409, "modified")]
    assert [one.failure for one in await router.restore(undos)] == [None, None]
    undos = await reverted(router)

    async def overtaken(request: web.Request) -> web.StreamResponse:
        api.put(SPLITS, split(weight=40))
        return await status(409, "modified")(request)

    api.faults[f"PATCH {SPLITS.path(namespace='shop', name='web')}"] = [overtaken]
    assert [one.failure is None for one in await router.restore(undos)] == [False, True]
    assert shares(api) == [60, 40]


async def test_an_object_that_others_write_all_the_time_is_given_up(api: Cluster, router: KubeRouter[Pair]) -> None:
    undos = (await reverted(router))[:1]
    api.faults["PATCH"] = [status(409, "modified")] * 4
    [one] = await router.restore(undos)
    assert isinstance(one.failure, Conflict)


async def test_an_object_of_another_mesh_is_refused(router: KubeRouter[Pair]) -> None:
    [undo, _] = await reverted(router)
    [one] = await router.plan_restore([msgspec.structs.replace(undo, resource="routes.other.example")])
    assert str(one.failure) == "shop/web is of routes.other.example, which is no kind of this mesh's routes"


async def test_an_object_that_a_defect_keeps_from_being_read_is_named_and_holds_up_no_other(
    api: Cluster, router: KubeRouter[Pair]
) -> None:
    """The made-up reader expects a spec."""
    api.put(SPLITS, {"metadata": {"name": "odd", "namespace": "shop"}})
    said = "Split shop/odd, which is not of its kind's form: it cannot be read, through a defect (KeyError)"
    placement = await router.locate(RELEASE)
    assert (len(placement.routes), placement.unread) == (2, (said,))
    other = msgspec.structs.replace(RELEASE, canary=ArmSpec(service="web-v9"))
    with pytest.raises(NotFound, match=r"Splits name web-v2; could not be read: Split shop/odd"):
        await router.locate(other)


async def test_what_the_first_patch_will_write_is_planned_by_reading_only_what_is_known(api: Cluster, kube: KubeClient) -> None:
    router, fresh = made_up_router(kube), made_up_router(kube)
    located = (await router.locate(RELEASE)).located
    api.put(REDIRECTS, redirect("late"))
    api.requests.clear()
    known = await router.plan_known(RELEASE, located=located)
    assert [(str(one.object), one.resource) for one in known] == [("shop/web", str(SPLITS)), ("edge/beta", str(REDIRECTS))]
    assert {path for _, path in api.requests} == {
        SPLITS.path(namespace="shop", name="web"),
        REDIRECTS.path(namespace="edge", name="beta"),
    }
    whole = await fresh.plan_known(RELEASE, located=located)
    assert [str(one.object) for one in whole] == ["shop/web", "edge/beta", "edge/late"]
