"""``verdictd revert`` with credentials and nothing else: the routes that name the canary are found, of whatever mesh they are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.meshes.gatewayapi.mesh import GROUP, HTTP_ROUTES
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from tests.meshes.cluster import Cluster
from tests.meshes.cluster import cluster as kubernetes
from tests.meshes.objects import Json, behind, meta, pod, service, to, virtual_service

ARMS = ["--service", "web", "--namespace", "shop", "--baseline", "service=web-v1", "--canary", "service=web-v2"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two versions behind Services of their own, and no route yet."""
    async with kubernetes(tmp_path) as running:
        running.listed |= {"httproutes", "referencegrants", "trafficsplits"}
        running.groups = {
            f"/apis/{GROUP}/v1": {"httproutes"},
            f"/apis/{GROUP}/v1beta1": {"httproutes", "referencegrants"},
            "/apis/split.smi-spec.io/v1alpha4": {"trafficsplits"},
        }
        for version, name in (("v1", "a"), ("v2", "b")):
            running.put(*service(f"web-{version}", app="web", version=version))
            running.put(*pod(name, app="web", version=version))
            running.put(*behind(f"web-{version}", name))
        yield running


def http_route() -> Json:
    backends = [{"name": "web-v1", "port": 80, "weight": 9}, {"name": "web-v2", "port": 80, "weight": 1}]
    return {"metadata": meta("web", "shop"), "spec": {"rules": [{"backendRefs": backends}]}}


def split() -> Json:
    backends = [{"service": "web-v1", "weight": 9}, {"service": "web-v2", "weight": 1}]
    return {"metadata": meta("web", "shop"), "spec": {"service": "web", "backends": backends}}


async def revert(api: Cluster, *argv: str) -> int:
    return await asyncio.to_thread(main, ["revert", "--kubeconfig", str(api.kubeconfig), *ARMS, *argv])


async def test_routes_of_the_gateway_api_are_taken_back(api: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    api.put(HTTP_ROUTES, http_route())
    assert await revert(api, "--dry-run") == 0
    assert "shop/web rule #0: 10 % of the traffic" in capsys.readouterr().out
    assert api.count("PATCH") == 0
    assert await revert(api, "--yes") == 0
    [rule] = api.get(HTTP_ROUTES, "shop", "web")["spec"]["rules"]
    assert [backend["weight"] for backend in rule["backendRefs"]] == [10, 0]


async def test_routes_of_istio_are_taken_back(api: Cluster) -> None:
    api.put(*virtual_service(to("web-v1", weight=90), to("web-v2", weight=10)))
    assert await revert(api, "--yes") == 0
    [route] = api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"]
    assert [target["weight"] for target in route["route"]] == [100, 0]


async def test_a_mesh_that_takes_back_all_that_another_one_would_is_taken(api: Cluster) -> None:
    api.put(HTTP_ROUTES, http_route())
    api.put(*virtual_service(to("web-v1", weight=90), to("web-v2", weight=10)))
    assert await revert(api, "--yes") == 0
    assert api.count("PATCH") == 2


async def test_routes_and_splits_are_both_taken_back_where_one_mesh_has_them(api: Cluster) -> None:
    api.put(HTTP_ROUTES, http_route())
    api.put(TRAFFIC_SPLITS, split())
    assert await revert(api, "--yes") == 0
    assert api.count("PATCH") == 2


async def test_where_routes_of_meshes_that_share_none_name_the_canary_a_person_says_which(
    api: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    api.put(TRAFFIC_SPLITS, split())
    api.put(*virtual_service(to("web-v1", weight=90), to("web-v2", weight=10)))
    assert await revert(api, "--yes") == 64
    told = capsys.readouterr().err
    assert "--mesh: routes of istio and linkerd and osm name the canary; name one of them, and then the other" in told
    assert api.count("PATCH") == 0
    assert await revert(api, "--yes", "--mesh", "osm") == 0
    assert await revert(api, "--yes", "--mesh", "istio") == 0
    assert api.count("PATCH") == 2


async def test_where_no_route_names_the_canary_each_mesh_says_what_was_looked_for(
    api: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await revert(api, "--yes") != 0
    told = capsys.readouterr().err
    assert "gateway-api: no HTTPRoute or" in told
    assert "istio: no VirtualService in any namespace names the canary" in told


async def test_a_mesh_whose_routes_could_not_be_looked_at_is_named_beside_the_one_that_was_found(
    api: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    api.put(*virtual_service(to("web-v1", weight=90), to("web-v2", weight=10)))
    api.forbidden |= {HTTP_ROUTES.path(), HTTP_ROUTES.path(namespace="shop")}
    assert await revert(api, "--yes") == 0
    assert "not looked at: routes of gateway-api: " in capsys.readouterr().err


async def test_an_api_server_that_is_away_for_one_mesh_is_no_canary_that_is_in_no_route(api: Cluster) -> None:
    api.failing[VIRTUAL_SERVICES.path()] = 99
    assert await revert(api, "--yes") == 69
