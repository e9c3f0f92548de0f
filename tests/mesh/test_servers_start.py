"""Every real server starts, answers and ends. When this fails, the failures of other tests in this folder mean nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.servers import locate, run
from tests.servers.consul import consul
from tests.servers.crds import install_crds
from tests.servers.envoy import envoy
from tests.servers.istiod import istiod
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.nats_server import nats_server
from tests.servers.prometheus import prometheus

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("servers")]

VIRTUAL_SERVICES = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as running_api:
        yield running_api


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, raise_for_status=True) as response:
        return await response.text()


async def answer(request: Any, expected: int) -> Any:
    async with request as response:
        body = await response.json()
        assert response.status == expected, body
        return body


def patch(session: aiohttp.ClientSession, name: str, operations: list[dict[str, Any]]) -> Any:
    headers = {"Content-Type": "application/json-patch+json"}
    return session.patch(f"{VIRTUAL_SERVICES}/{name}", data=json.dumps(operations), headers=headers)


def virtual_service(name: str, baseline: int, canary: int) -> dict[str, Any]:
    def route(subset: str, weight: int) -> dict[str, Any]:
        return {"destination": {"host": name, "subset": subset}, "weight": weight}

    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": [{"route": [route("v1", baseline), route("v2", canary)]}]},
    }


async def test_kube_apiserver_says_its_version(api: KubeApiServer) -> None:
    async with api.session() as session:
        version = await answer(session.get("/version"), 200)
    assert version["gitVersion"].startswith("v1.")


async def test_kube_apiserver_grants_service_accounts_only_what_is_bound(api: KubeApiServer) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    async with api.session() as session:
        await answer(session.post(accounts, json=account), 201)
        token = (await answer(session.post(f"{accounts}/nobody/token", json=request), 201))["status"]["token"]
    async with api.session(token) as session:
        refusal = await answer(session.get("/api/v1/namespaces/default/pods"), 403)
    assert "system:serviceaccount:default:nobody" in refusal["message"]


async def test_virtual_service_is_patched_under_its_resource_version(api: KubeApiServer) -> None:
    assert "virtualservices.networking.istio.io" in await install_crds(api, locate.require_crds("istio"))
    async with api.session() as session:
        created = await answer(session.post(VIRTUAL_SERVICES, json=virtual_service("patched", 90, 10)), 201)
        lock = {"op": "replace", "path": "/metadata/resourceVersion", "value": created["metadata"]["resourceVersion"]}
        revert = [
            {"op": "test", "path": "/spec/http/0/route/1/weight", "value": 10},
            {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 100},
            {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 0},
        ]
        patched = await answer(patch(session, "patched", [lock, *revert]), 200)
        assert [route["weight"] for route in patched["spec"]["http"][0]["route"]] == [100, 0]
        await answer(patch(session, "patched", [lock, *revert[1:]]), 409)
        await answer(patch(session, "patched", revert), 422)


async def test_istiod_reads_the_api_server(api: KubeApiServer, tmp_path: Path) -> None:
    await install_crds(api, locate.require_crds("istio"))
    await install_crds(api, locate.require_crds("gateway-api"))
    async with api.session() as session:
        await answer(session.post(VIRTUAL_SERVICES, json=virtual_service("read-by-istiod", 90, 10)), 201)
    async with istiod(tmp_path, api) as control_plane:
        assert "read-by-istiod" in await get(f"{control_plane.http}/debug/configz")
        assert "1.24.2" in await get(f"{control_plane.monitoring}/version")


async def test_prometheus_scrapes(tmp_path: Path) -> None:
    async with nats_server(tmp_path / "nats") as target:
        scrape = {"job_name": "self", "static_configs": [{"targets": [target.monitoring.removeprefix("http://")]}]}
        async with prometheus(tmp_path / "prometheus", [scrape]) as server:

            async def scraped() -> bool:
                return bool(json.loads(await get(f"{server.url}/api/v1/query?query=up"))["data"]["result"])

            await run.until(scraped, 20)


async def test_consul_answers(tmp_path: Path) -> None:
    entry = {"kind": "proxy-defaults", "name": "global", "config": {"protocol": "http"}}
    async with consul(tmp_path, {"config_entries": {"bootstrap": [entry]}}) as agent:

        async def written() -> bool:
            """Its leader writes it, a moment after it leads."""
            found = json.loads(await get(f"{agent.url}/v1/config/proxy-defaults"))
            return [one["Config"] for one in found] == [{"protocol": "http"}]

        await run.until(written, 20)


async def test_envoy_answers(tmp_path: Path) -> None:
    (admin_port,) = run.free_ports(1)
    admin = {"address": {"socket_address": {"address": run.LOOPBACK, "port_value": admin_port}}}
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(json.dumps({"admin": admin}), encoding="utf-8")
    async with envoy(tmp_path, bootstrap, admin_port) as proxy:
        assert "envoy_server_live" in await get(f"{proxy.admin}/stats/prometheus")


async def test_nats_server_has_jetstream(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as server:
        assert json.loads(await get(f"{server.monitoring}/jsz"))["config"]["store_dir"].startswith(str(tmp_path))
