"""An API server that refuses, lacks and grants: what is said of it, and the rule that mends it."""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from daemon.doctor.clusters import Namespaces, examine, rules
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, WORKLOADS
from daemon.meshes.gatewayapi.mesh import GatewayApiMesh
from daemon.meshes.istio.mesh import IstioMesh
from tests.hand.servers import app_of, serving
from tests.kube.stub import client_of, write_kubeconfig

ISTIO = {"istio": IstioMesh(telemetry="mesh")}
SERVED = {
    "/apis/networking.istio.io/v1": ("virtualservices", "destinationrules", "workloadentries", "serviceentries"),
    "/apis/discovery.k8s.io/v1": ("endpointslices",),
    "/apis/events.k8s.io/v1": ("events",),
    "/apis/apps/v1": tuple(kind.plural for kind in WORKLOADS),
    "/apis/gateway.networking.k8s.io/v1beta1": ("httproutes", "referencegrants"),
}


@asynccontextmanager
async def api(
    folder: Path, *, denied: Collection[tuple[str, str]] = (), served: Collection[str] = tuple(SERVED), who: str = ""
) -> AsyncIterator[KubeClient]:
    """An API server where these verbs of these kinds are denied."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.30.0"})
        if request.path in served:
            return web.json_response({"resources": [{"name": one} for one in SERVED[request.path]]})
        if request.path.endswith("selfsubjectreviews") and who:
            return web.json_response({"status": {"userInfo": {"username": who}}}, status=201)
        if request.path.endswith("selfsubjectaccessreviews"):
            asked = json.loads(await request.text())["spec"]["resourceAttributes"]
            return web.json_response({"status": {"allowed": (asked["verb"], asked["resource"]) not in denied}}, status=201)
        return web.json_response({"message": "not found"}, status=404)

    async with serving(app_of(answer)) as port:
        write_kubeconfig(folder / "kubeconfig", port=port)
        client = client_of(folder / "kubeconfig")
        try:
            yield client
        finally:
            await client.close()


async def examined(client: KubeClient, *, sidecars: Collection[str] = (), **namespaces: Collection[str]) -> list[Diagnosis]:
    return await examine(client, where="kubernetes", meshes=ISTIO, namespaces=Namespaces(**namespaces), sidecars=sidecars)


async def test_all_that_is_there_is_noted(tmp_path: Path) -> None:
    async with api(tmp_path) as client:
        found = await examined(client)
    assert [one.code for one in found] == [Code.CLUSTER, Code.CONTROL_PLANE, Code.PERMISSIONS]
    assert "name a release to ask for its namespace" in found[-1].found


async def test_a_right_that_is_missing_is_told_with_its_rule_and_the_binding_that_gives_it(tmp_path: Path) -> None:
    who = "system:serviceaccount:verdictd:verdictd"
    async with api(tmp_path, denied={("patch", "virtualservices"), ("list", "pods")}, who=who) as client:
        found = await examined(client, observed=["shop"], enforced=["shop"])
    observe, enforce = (one for one in found if one.code is Code.PERMISSION_MISSING)
    assert observe.found == f"{who} may not list pods in namespace shop; its releases cannot be watched"
    assert '- {apiGroups: [""], resources: [pods], verbs: [list]}' in observe.fix
    assert enforce.found == f"{who} may not patch virtualservices in namespace shop; its traffic cannot be taken back"
    assert enforce.fix.splitlines()[1:] == [
        '- {apiGroups: ["networking.istio.io"], resources: [virtualservices], verbs: [patch]}',
        "kubectl -n shop create rolebinding verdictd-enforce --clusterrole=verdictd-enforce --serviceaccount=verdictd:verdictd",
    ]


async def test_what_is_not_seen_of_other_namespaces_is_a_warning(tmp_path: Path) -> None:
    async with api(tmp_path, denied={("list", "serviceentries")}, who="jane") as client:
        found = await examined(client)
    [narrow] = [one for one in found if one.code is Code.PERMISSION_NARROW]
    assert narrow.severity == "warning"
    assert narrow.fix.endswith("create clusterrolebinding verdictd-find-routes --clusterrole=verdictd-find-routes --user=jane")


async def test_routes_that_may_not_be_watched_cost_time_and_hide_none(tmp_path: Path) -> None:
    async with api(tmp_path, denied={("watch", "virtualservices")}, who="jane") as client:
        found = await examined(client)
    [narrow] = [one for one in found if one.code is Code.PERMISSION_NARROW]
    assert narrow.found == (
        "jane may not watch virtualservices in all namespaces; a change of the canary's weight is known up to 2 s later"
    )


async def test_that_pods_may_not_be_watched_is_a_fault_only_where_nothing_stands_in_for_sidecars(tmp_path: Path) -> None:
    async with api(tmp_path, denied={("watch", "pods")}, who="jane") as client:
        from_a_store = await examined(client, observed=["shop"])
        from_sidecars = await examined(client, observed=["shop"], sidecars=["istio"])
    [coarser], [missing] = ([one for one in found if one.severity != "note"] for found in (from_a_store, from_sidecars))
    assert (coarser.code, missing.code) == (Code.PERMISSION_NARROW, Code.PERMISSION_MISSING)
    assert coarser.found.startswith("jane may not watch pods in namespace shop; whether pods crash or are ready is not known")
    assert missing.found == "jane may not watch pods in namespace shop; its releases cannot be watched"


async def test_a_cluster_without_the_meshs_objects_is_told(tmp_path: Path) -> None:
    async with api(tmp_path, served=["/apis/discovery.k8s.io/v1"]) as client:
        found = await examined(client)
    [missing] = [one for one in found if one.code is Code.MESH_NOT_SERVED]
    assert "does not serve virtualservices.networking.istio.io v1" in missing.found
    assert "meshes.istio.cluster" in missing.fix


async def test_kinds_that_a_cluster_may_do_without_and_earlier_versions_of_the_others_are_no_fault(tmp_path: Path) -> None:
    meshes = {"edge": GatewayApiMesh(telemetry="mesh")}
    async with api(tmp_path) as client:
        found = await examine(client, where="kubernetes", meshes=meshes, namespaces=Namespaces(observed=["shop"]))
    assert [one.code for one in found] == [Code.CLUSTER, Code.CONTROL_PLANE, Code.PERMISSIONS]
    assert "serves gateway.networking.k8s.io/v1beta1, discovery.k8s.io/v1" in found[1].found
    async with api(tmp_path, served=[one for one in SERVED if "gateway" not in one]) as client:
        found = await examine(client, where="kubernetes", meshes=meshes, namespaces=Namespaces())
    [missing] = [one for one in found if one.code is Code.MESH_NOT_SERVED]
    assert missing.found == "the API server does not serve httproutes.gateway.networking.k8s.io v1"


def test_kinds_of_one_group_of_which_the_same_may_be_done_are_one_rule() -> None:
    assert rules([("list", PODS), ("get", SERVICES), ("list", SERVICES), ("list", ENDPOINT_SLICES)]) == [
        '- {apiGroups: [""], resources: [pods], verbs: [list]}',
        '- {apiGroups: [""], resources: [services], verbs: [get, list]}',
        '- {apiGroups: ["discovery.k8s.io"], resources: [endpointslices], verbs: [list]}',
    ]
