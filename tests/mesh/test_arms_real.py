"""Arms as pods on a real API server: subsets named unlike their labels, Rollouts, Flagger's Services, pods that come and go."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from daemon.armpods import ArmPods, PodsByArm
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.istio.telemetry import SCHEMA
from daemon.model import ArmSpec, Release
from daemon.telemetry.identification import KnownArms, identify
from tests.hand.istio_cluster import client_of
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require_crds

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("arms"),
]

Json = dict[str, Any]
ADDRESS = iter(range(1, 250))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as running:
        await install_crds(running, require_crds("istio"))
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def router(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[IstioRouter]:
    client = client_of(api, tmp_path / "admin.json")
    yield IstioRouter(client)
    await client.close()


class Namespace:
    """A namespace that is filled as controllers fill theirs."""

    def __init__(self, session: aiohttp.ClientSession, name: str) -> None:
        self._session = session
        self.name = name

    async def create(self, path: str, kind: str, item: Json) -> None:
        version = "v1" if path.startswith("/api/") else path.removeprefix("/apis/").split("/namespaces")[0]
        body = {"apiVersion": version, "kind": kind, **item}
        async with self._session.post(path, json=body) as answer:
            assert answer.status == 201, await answer.text()

    async def begin(self) -> None:
        await self.create("/api/v1/namespaces", "Namespace", {"metadata": {"name": self.name}})

    async def service(self, name: str, **selector: str) -> None:
        spec = {"selector": selector, "ports": [{"name": "http", "port": 80}]}
        await self.create(f"/api/v1/namespaces/{self.name}/services", "Service", {"metadata": {"name": name}, "spec": spec})

    async def pod(self, name: str, *, of: str, **labels: str) -> None:
        """A pod of a ReplicaSet, as its controller makes it."""
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": of, "uid": f"uid-{of}", "controller": True}
        metadata = {"name": name, "generateName": f"{of}-", "labels": labels, "ownerReferences": [owner]}
        spec = {"containers": [{"name": "web", "image": "web"}]}
        await self.create(f"/api/v1/namespaces/{self.name}/pods", "Pod", {"metadata": metadata, "spec": spec})

    async def gone(self, pod: str) -> None:
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}"
        async with self._session.delete(path, json={"gracePeriodSeconds": 0}) as answer:
            assert answer.status == 200, await answer.text()

    async def slices(self, service: str, *pods: str) -> None:
        """What the endpoints' controller writes of a Service; written anew."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.name}/endpointslices"
        async with self._session.delete(f"{path}/{service}-1"):
            pass
        endpoints = [
            {
                "addresses": [f"10.3.{len(self.name)}.{next(ADDRESS)}"],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": self.name},
            }
            for pod in pods
        ]
        metadata = {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}}
        await self.create(
            path, "EndpointSlice", {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 80}]}
        )

    async def rule(self, host: str, subsets: Mapping[str, Json]) -> None:
        listed = [{"name": name, "labels": labels} for name, labels in subsets.items()]
        item = {"metadata": {"name": host}, "spec": {"host": host, "subsets": listed}}
        await self.create(f"/apis/networking.istio.io/v1/namespaces/{self.name}/destinationrules", "DestinationRule", item)

    async def split(self, *targets: tuple[str, str | None]) -> None:
        route = [
            {"destination": {"host": host, **({"subset": subset} if subset else {})}, "weight": weight}
            for (host, subset), weight in zip(targets, (90, 10), strict=True)
        ]
        item = {"metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": [{"route": route}]}}
        await self.create(f"/apis/networking.istio.io/v1/namespaces/{self.name}/virtualservices", "VirtualService", item)


@pytest_asyncio.fixture(loop_scope="module")
async def session(api: KubeApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with api.session() as opened:
        yield opened


async def located(router: IstioRouter, release: Release) -> PodsByArm:
    found = (await router.locate(release)).pods
    assert found is not None
    return found


def selectors(release: Release, pods: PodsByArm) -> list[Json]:
    found = identify(SCHEMA.views[0], release, pods, dialect="istio")
    assert isinstance(found, KnownArms), found
    return [dict(one) for arm in (found.baseline, found.canary) for one in arm.series]


def names(arm: ArmPods) -> list[str]:
    return [pod.name for pod in arm.pods or ()]


def subsets(namespace: str) -> Release:
    return Release(service="web", namespace=namespace, baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))


async def test_a_subset_named_canary_is_counted_by_the_workload_behind_its_labels(
    session: aiohttp.ClientSession, router: IstioRouter
) -> None:
    it = Namespace(session, "plain")
    await it.begin()
    await it.service("web", app="web")
    await it.rule("web", {"stable": {"version": "2.0"}, "canary": {"version": "2.1"}})
    await it.split(("web", "stable"), ("web", "canary"))
    await it.pod("web-a", of="web-6d", app="web", version="2.0", **{"pod-template-hash": "6d"})
    await it.pod("web-next-b", of="web-next-7c", app="web", version="2.1", **{"pod-template-hash": "7c"})
    await it.slices("web", "web-a", "web-next-b")
    pods = await located(router, subsets("plain"))
    assert selectors(subsets("plain"), pods) == [
        {"destination_workload": workload, "destination_workload_namespace": "plain"} for workload in ("web", "web-next")
    ]
    await it.pod("web-next-c", of="web-next-7c", app="web", version="2.1", **{"pod-template-hash": "7c"})
    await it.slices("web", "web-a", "web-next-b", "web-next-c")
    assert names((await located(router, subsets("plain"))).canary) == ["web-next-b", "web-next-c"]
    await it.gone("web-next-b")
    await it.slices("web", "web-a", "web-next-c")
    assert names((await located(router, subsets("plain"))).canary) == ["web-next-c"]


async def test_a_rollouts_arms_are_its_pods_by_the_hash_in_the_rule(session: aiohttp.ClientSession, router: IstioRouter) -> None:
    it, key = Namespace(session, "argo"), "rollouts-pod-template-hash"
    await it.begin()
    await it.service("web", app="web")
    await it.rule("web", {"stable": {"app": "web", key: "6d"}, "canary": {"app": "web", key: "7c"}})
    await it.split(("web", "stable"), ("web", "canary"))
    for name, digest in (("web-6d-x", "6d"), ("web-6d-y", "6d"), ("web-7c-z", "7c")):
        await it.pod(name, of=f"web-{digest}", app="web", **{key: digest})
    await it.slices("web", "web-6d-x", "web-6d-y", "web-7c-z")
    pods = await located(router, subsets("argo"))
    assert selectors(subsets("argo"), pods) == [
        {"pod": pod, "destination_workload_namespace": "argo"} for pod in ("web-6d-x", "web-6d-y", "web-7c-z")
    ]


async def test_flaggers_arms_are_known_by_their_workloads_and_not_by_services_that_share_pods(
    session: aiohttp.ClientSession, router: IstioRouter
) -> None:
    it = Namespace(session, "flagger")
    await it.begin()
    for name, app in (("web", "web-primary"), ("web-primary", "web-primary"), ("web-canary", "web")):
        await it.service(name, app=app)
    await it.split(("web-primary", None), ("web-canary", None))
    await it.pod("web-primary-a", of="web-primary-6d", app="web-primary", **{"pod-template-hash": "6d"})
    await it.pod("web-b", of="web-7c", app="web", **{"pod-template-hash": "7c"})
    for service, pod in (("web", "web-primary-a"), ("web-primary", "web-primary-a"), ("web-canary", "web-b")):
        await it.slices(service, pod)
    release = Release(
        service="web", namespace="flagger", baseline=ArmSpec(service="web-primary"), canary=ArmSpec(service="web-canary")
    )
    pods = await located(router, release)
    assert [one["destination_workload"] for one in selectors(release, pods)] == ["web-primary", "web"]
    assert (pods.baseline.service, pods.canary.service) == ("", "web-canary")
    assert json.dumps(sorted(pods.canary.labels.items())) == '[["app", "web"]]'
