"""A canary is found among the watched routes that are near it, however many others there are."""

import asyncio

import msgspec
import pytest

from daemon.aio.tasks import background
from daemon.kube.forms import Misread
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.istio import virtualservice
from daemon.meshes.istio.hosts import Arms
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.istio.vicinity import IstioVicinity
from daemon.meshes.references import Json
from daemon.meshes.routeindex import RouteIndex
from daemon.model import ArmSpec, Release
from daemon.placement import RouteReference
from tests.hand import gateway_objects
from tests.hand.servers import lines, says
from tests.meshes import objects as o
from tests.meshes.cluster import Cluster

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
OTHERS = 30


def split(name: str, namespace: str, *, weight: int = 10) -> Json:
    host = f"{name}.{namespace}.svc.cluster.local"
    item = o.virtual_service(o.to(host, "v1", 100 - weight), o.to(host, "v2", weight), name=name, namespace=namespace)[1]
    return {**item, "metadata": {**item["metadata"], "resourceVersion": "100"}}


def test_routes_are_near_the_areas_that_they_send_to_in_the_order_in_which_they_came() -> None:
    index = RouteIndex[str]()
    index.put(("a", "two"), "two", areas=["x", "y"])
    index.put(("a", "one"), "one", areas=["x"])
    assert index.near({"x", "y"}) == ["two", "one"] == index.all
    index.put(("a", "two"), "two, changed", areas=["z"])
    assert index.near({"x"}) == ["one"]
    assert index.near({"x", "z"}) == ["two, changed", "one"] == index.all
    index.drop(("a", "two"))
    index.drop(("a", "never there"))
    assert index.near({"x", "z"}) == ["one"]


def test_a_route_of_which_nobody_knows_where_it_sends_is_near_everything() -> None:
    index = RouteIndex[str]()
    index.put(("a", "odd"), "odd", areas=None)
    assert index.near({"x"}) == ["odd"]
    odd = Misread(resource=VIRTUAL_SERVICES, namespace="a", name="odd", why="no object")
    index.put_misread(("a", "odd"), odd)
    assert (index.near({"x"}), index.misread) == ([], (odd,))
    index.put(("a", "odd"), "mended", areas=["x"])
    assert (index.near({"x"}), index.misread) == (["mended"], ())


def test_what_a_route_sends_without_weight_or_copies_is_near_as_well() -> None:
    vicinity = IstioVicinity()
    route = {"route": [o.to("web.shop.svc.cluster.local", None, 0), o.to("api.example.com")], "mirror": {"host": "log.ops.svc"}}
    item = {"metadata": o.meta("edge", "front"), "spec": {"hosts": ["x"], "http": [route]}}
    assert set(vicinity.of_item(VIRTUAL_SERVICES, item)) == {"shop", "api.example.com", "ops"}
    assert "shop" in vicinity.of_item(HTTP_ROUTES, gateway_objects.http_route())


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The routes in which a canary was looked for."""
    found: list[str] = []
    references = virtualservice.references

    def noted(item: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
        found.append("/".join((item["metadata"]["namespace"], item["metadata"]["name"])))
        return references(item, arms=arms)

    monkeypatch.setattr(virtualservice, "references", noted)
    return found


def routes_of_many() -> list[Json]:
    """One of the release, one of another namespace that sends to its canary as well, and many that have nothing to do with it."""
    near = [split("web", "shop"), split("edge", "front")]
    near[1]["spec"]["http"][0]["route"].append(o.to("web.shop.svc.cluster.local", "v2", 5))
    return [*near, *(split("web", f"team-{number}") for number in range(OTHERS))]


async def test_one_canary_among_many_watched_routes_has_only_those_near_it_looked_at(
    api: Cluster, router: IstioRouter, looked_at: list[str]
) -> None:
    listed = {"metadata": {"resourceVersion": "100"}, "items": routes_of_many()}
    api.faults[f"GET {VIRTUAL_SERVICES.path()}"] = [says(listed), lines(then="silence")]
    for resource, item in (o.service("web", app="web"), o.versions("v1", "v2")):
        api.put(resource, item)
    heard = asyncio.Event()
    async with background(router.follow(heard.set)):
        await asyncio.wait_for(heard.wait(), 20.0)
        placement = await router.locate(RELEASE)
    assert [str(one.object) for one in placement.routes] == ["shop/web", "front/edge"]
    assert set(looked_at) == {"shop/web", "front/edge"}


async def test_whether_the_traffic_has_left_is_asked_of_all_routes_and_looked_for_near_the_canary(
    api: Cluster, router: IstioRouter, looked_at: list[str]
) -> None:
    many = 20
    for item in routes_of_many():
        api.put(VIRTUAL_SERVICES, item)
    releases = [msgspec.structs.replace(RELEASE, namespace=f"team-{number}") for number in range(many)]
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(router.canary_gets_traffic(one)) for one in releases]
    assert [one.result() for one in looks] == [f"team-{number}/web http #0: 10 % of the traffic" for number in range(many)]
    assert sorted(looked_at) == sorted(f"team-{number}/web" for number in range(many))
    assert api.requests.count(("GET", VIRTUAL_SERVICES.path())) <= 2


async def test_a_route_that_came_after_a_listing_was_begun_is_in_the_next_one(api: Cluster, router: IstioRouter) -> None:
    assert await router.canary_gets_traffic(RELEASE) is None
    api.put(VIRTUAL_SERVICES, split("web", "shop"))
    assert await router.canary_gets_traffic(RELEASE) == "shop/web http #0: 10 % of the traffic"
    api.put(VIRTUAL_SERVICES, split("web", "shop", weight=0))
    assert await router.canary_gets_traffic(RELEASE) is None
