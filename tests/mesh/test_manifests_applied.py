"""The plain manifests on a real API server: valid, and with rights that are enough for these meshes and no more."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from config.settings import Issuer, SignedCaller
from daemon.delivery import owners
from daemon.delivery.flagger import CANARIES
from daemon.errors import Blocked, Forbidden, NotAllowed
from daemon.http.issuerkeys import NotShown
from daemon.http.signedtokens import Issuers
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, REPLICA_SETS, ROLLOUTS, SERVICES, Resource
from daemon.meshes.consulkubernetes.mesh import SERVICE_SPLITTERS
from daemon.meshes.consulkubernetes.router import ConsulKubernetesRouter
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.gatewayapi.router import GatewayApiRouter
from daemon.meshes.gatewayapi.services import ServicePair
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.linkerd.router import LinkerdRouter
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.smi.router import TrafficSplitRouter
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import ArmSpec, Release
from daemon.ports.routing import TrafficRouter
from daemon.watcher.deployed import DEPLOYMENTS
from daemon.watcher.reading import around
from tests.hand import consul_objects, gateway_objects, linkerd_objects, split_objects
from tests.hand.istio_cluster import client_of
from tests.packaging.manifests import Json, collection, documents, the
from tests.servers import locate
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.run import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("manifests")]

RELEASE = Release(
    service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"), mesh="istio", weight=10.0
)
ISTIO = "networking.istio.io/v1"
RBAC = "rbac.authorization.k8s.io"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    """A cluster with Istio's definitions, the manifests as they are, and a canary in the namespace shop."""
    async with cluster(tmp_path_factory.mktemp("cluster")) as server:
        await install_crds(server, locate.require_crds("istio"))
        async with server.session() as admin:
            for document in documents():
                await create(admin, collection(document), document)
            await create(admin, "/api/v1/namespaces", {"metadata": {"name": "shop"}})
            await create(admin, "/api/v1/namespaces/shop/services", service())
            await create(admin, f"/apis/{ISTIO}/namespaces/shop/destinationrules", destination_rule())
            await create(admin, f"/apis/{ISTIO}/namespaces/shop/virtualservices", virtual_service())
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def token(api: KubeApiServer) -> str:
    """What the daemon's pod would be given."""
    path = "/api/v1/namespaces/verdictd/serviceaccounts/verdictd/token"
    async with api.session() as admin:
        made = await create(admin, path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    return str(made["status"]["token"])


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, token: str, tmp_path: Path) -> AsyncIterator[KubeClient]:
    client = client_of(api, tmp_path / "kubeconfig", token)
    yield client
    await client.close()


@pytest.fixture
def router(kube: KubeClient) -> IstioRouter:
    return IstioRouter(kube)


async def test_the_pod_is_admitted_at_the_level_that_its_namespace_enforces(api: KubeApiServer) -> None:
    template = the("Deployment")["spec"]["template"]
    pod = {**template, "metadata": {**template["metadata"], "name": "verdictd"}}
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces/verdictd/pods?dryRun=All", pod)
        pod["spec"] = {**pod["spec"], "hostNetwork": True}
        with pytest.raises(AssertionError, match="violates PodSecurity"):
            await create(admin, "/api/v1/namespaces/verdictd/pods?dryRun=All", pod)


async def watched(kube: KubeClient, resource: Resource, *, namespace: str | None = None) -> None:
    """List these objects and begin to watch them. Raises what is refused."""
    there = await kube.list(resource, namespace=namespace)
    async with kube.watch(
        resource, resource_version=there.resource_version, timeout_seconds=60, idle_seconds=60.0, namespace=namespace
    ):
        pass


async def test_rights_grow_by_binding_from_nothing_to_watching_to_taking_back(
    api: KubeApiServer, kube: KubeClient, router: IstioRouter
) -> None:
    assert "EndpointSlices could not be read" in await router.check_baseline(RELEASE)
    with pytest.raises(Forbidden, match="pods"):
        await watched(kube, PODS, namespace="shop")
    await watched(kube, VIRTUAL_SERVICES)
    await bind(api, "verdictd-observe")
    await eventually(lambda: bound(router))
    await watched(kube, PODS, namespace="shop")
    placement = await router.locate(RELEASE)
    assert placement.canary_percent == 10.0
    assert placement.baseline == "0 ready endpoints (the canary has 0)"
    with pytest.raises(Blocked, match="no pod is behind it"):
        await router.check_baseline(RELEASE)
    with pytest.raises(Forbidden, match="virtualservices"):
        await router.revert(RELEASE)
    await bind(api, "verdictd-enforce")
    await eventually(lambda: router.revert(RELEASE))
    assert await router.canary_gets_traffic(RELEASE) is None


async def test_the_same_roles_are_enough_for_the_gateway_api(api: KubeApiServer, kube: KubeClient) -> None:
    await install_crds(api, locate.require_crds("gateway-api"))
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces", {"metadata": {"name": "gamma"}})
        for version in ("v1", "v2"):
            await create(admin, "/api/v1/namespaces/gamma/services", service(f"web-{version}", version=version))
        await create(admin, gateway_objects.routes("httproutes", namespace="gamma"), http_route("gamma"))
    await rights_grow(api, kube, GatewayApiRouter(kube), HTTP_ROUTES, namespace="gamma")


async def test_the_same_roles_are_enough_for_splits(api: KubeApiServer, kube: KubeClient) -> None:
    await install_crds(api, locate.require_crds("smi-of-osm"))
    split = split_objects.split("v1alpha2", ("web-v1", 90), ("web-v2", 10), namespace="osm")
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces", {"metadata": {"name": "osm"}})
        for version in ("v1", "v2"):
            await create(admin, "/api/v1/namespaces/osm/services", service(f"web-{version}", version=version))
        await create(admin, split_objects.splits("v1alpha2", namespace="osm"), split)
    await rights_grow(api, kube, TrafficSplitRouter(kube), TRAFFIC_SPLITS, namespace="osm")


async def test_the_same_roles_are_enough_for_profiles_of_linkerd(api: KubeApiServer, kube: KubeClient) -> None:
    await install_crds(api, locate.require_crds("linkerd-profiles"))
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces", {"metadata": {"name": "linkerd"}})
        for version in ("v1", "v2"):
            await create(admin, "/api/v1/namespaces/linkerd/services", service(f"web-{version}", version=version))
        profile = linkerd_objects.profile(("web-v1", "900m"), ("web-v2", "100m"), namespace="linkerd")
        await create(admin, linkerd_objects.profiles(namespace="linkerd"), profile)
    await rights_grow(api, kube, LinkerdRouter(kube), SERVICE_PROFILES, namespace="linkerd")


async def rights_grow(
    api: KubeApiServer, kube: KubeClient, router: KubeRouter[ServicePair], resource: Resource, *, namespace: str
) -> None:
    """From nothing to watching to taking back, by binding the roles in a namespace whose arms are Services."""
    release = Release(service="web", namespace=namespace, baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
    assert "EndpointSlices could not be read" in await router.check_baseline(release)
    await watched(kube, resource)
    await bind(api, "verdictd-observe", namespace=namespace)
    await eventually(lambda: bound(router, release))
    assert (await router.locate(release)).baseline == "0 ready endpoints (the canary has 0)"
    with pytest.raises(Forbidden, match=resource.plural):
        await router.revert(release)
    await bind(api, "verdictd-enforce", namespace=namespace)
    await eventually(lambda: router.revert(release))
    assert await router.canary_gets_traffic(release) is None


async def test_the_same_roles_are_enough_for_consul(api: KubeApiServer, kube: KubeClient) -> None:
    await install_crds(api, consul_objects.CRDS)
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces", {"metadata": {"name": "machines"}})
        for kind, item in consul_objects.created():
            await create(admin, kind.path(namespace="machines"), item)
    router = ConsulKubernetesRouter(kube)
    release = Release(service="web", namespace="machines", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    assert "EndpointSlices could not be read" in (await router.locate(release)).baseline
    await watched(kube, SERVICE_SPLITTERS)
    await bind(api, "verdictd-observe", namespace="machines")
    await eventually(lambda: bound(router, release))
    with pytest.raises(Forbidden, match="servicesplitters"):
        await router.revert(release)
    await bind(api, "verdictd-enforce", namespace="machines")
    await eventually(lambda: router.revert(release))
    assert await router.canary_gets_traffic(release) is None


async def test_the_same_role_is_enough_to_notice_releases_that_nobody_announces(api: KubeApiServer, kube: KubeClient) -> None:
    for name in ("argo-rollouts", "flagger"):
        await install_crds(api, locate.require_crds(name))
    async with api.session() as admin:
        await create(admin, "/api/v1/namespaces", {"metadata": {"name": "noticed"}})
        await create(admin, "/api/v1/namespaces/noticed/services", service())
    owning = [kind.owning for kind in owners.kinds().values() if kind.owning is not None]
    kinds = (
        "services",
        "rollouts.argoproj.io",
        "canaries.flagger.app",
        *(f"{one}s.apps" for one in ("deployment", "statefulset", "daemonset")),
    )
    unread = (await around(kube, "noticed", owning=owning)).surroundings.unread
    assert sorted(one.split()[0] for one in unread) == sorted(kinds)
    for resource in (ROLLOUTS, DEPLOYMENTS, SERVICES):
        with pytest.raises(Forbidden, match=resource.plural):
            await watched(kube, resource, namespace="noticed")
    await bind(api, "verdictd-observe", namespace="noticed")

    async def all_read() -> None:
        if said := (await around(kube, "noticed", owning=owning)).surroundings.unread:
            raise Forbidden(said[0])

    await eventually(all_read)
    for resource in (ROLLOUTS, CANARIES, DEPLOYMENTS, SERVICES):
        await watched(kube, resource, namespace="noticed")
    assert (await kube.list(REPLICA_SETS, namespace="noticed")).items == ()


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace"),
    [
        ("get", "", "secrets", "shop"),
        ("list", "", "secrets", "verdictd"),
        ("get", "", "configmaps", "shop"),
        ("delete", "", "pods", "shop"),
        ("create", "", "pods/exec", "shop"),
        ("create", "networking.istio.io", "virtualservices", "shop"),
        ("update", "networking.istio.io", "virtualservices", "shop"),
        ("delete", "networking.istio.io", "virtualservices", "shop"),
        ("patch", "networking.istio.io", "destinationrules", "shop"),
        ("create", "gateway.networking.k8s.io", "httproutes", "shop"),
        ("delete", "gateway.networking.k8s.io", "httproutes", "shop"),
        ("patch", "gateway.networking.k8s.io", "httproutes", "default"),
        ("patch", "gateway.networking.k8s.io", "gateways", "shop"),
        ("patch", "gateway.networking.k8s.io", "referencegrants", "shop"),
        ("patch", "split.smi-spec.io", "trafficsplits", "default"),
        ("patch", "policy.linkerd.io", "httproutes", "default"),
        ("patch", "policy.linkerd.io", "servers", "shop"),
        ("delete", "linkerd.io", "serviceprofiles", "shop"),
        ("delete", "split.smi-spec.io", "trafficsplits", "shop"),
        ("delete", "consul.hashicorp.com", "servicesplitters", "shop"),
        ("patch", "consul.hashicorp.com", "servicesplitters", "default"),
        ("patch", "consul.hashicorp.com", "servicedefaults", "shop"),
        ("patch", "", "services", "shop"),
        ("patch", "networking.istio.io", "virtualservices", "default"),
        ("list", "", "pods", "default"),
        ("patch", "apps", "deployments", "shop"),
        ("patch", "argoproj.io", "rollouts", "shop"),
        ("patch", "argoproj.io", "rollouts/status", "default"),
        ("patch", "flagger.app", "canaries", "shop"),
        ("update", "flagger.app", "canaries/status", "shop"),
        ("create", "rbac.authorization.k8s.io", "rolebindings", "shop"),
        ("impersonate", "", "serviceaccounts", "shop"),
    ],
)
async def test_nothing_else_is_allowed(
    api: KubeApiServer, token: str, verb: str, group: str, resource: str, namespace: str
) -> None:
    name, _, sub = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": name, "subresource": sub, "namespace": namespace}
    review = {"spec": {"resourceAttributes": asked}}
    async with api.session(token) as daemon:
        answer = await create(daemon, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer["status"]["allowed"] is False


async def bind(api: KubeApiServer, role: str, *, namespace: str = "shop") -> None:
    """What the README's `kubectl create rolebinding` does."""
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "verdictd", "namespace": "verdictd"}],
    }
    async with api.session() as admin:
        await create(admin, f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings", binding)


async def bound(router: TrafficRouter, release: Release = RELEASE) -> None:
    """Raises until what stands behind the baseline may be read."""
    with contextlib.suppress(Blocked):
        said = await router.check_baseline(release)
        if "could not be read" in said:
            raise Forbidden(said)


async def eventually(call: Callable[[], Awaitable[Any]]) -> None:
    """A new binding is in force a moment after it was made."""

    async def allowed() -> bool:
        try:
            await call()
        except Forbidden:
            return False
        return True

    await until(allowed, 60)


async def create(session: aiohttp.ClientSession, path: str, body: Json) -> Json:
    """POST, with unknown fields refused as a strict client does."""
    joint = "&" if "?" in path else "?"
    async with session.post(f"{path}{joint}fieldValidation=Strict", json=body) as response:
        answer: Json = await response.json()
        assert response.status == 201, answer.get("message", answer)
        return answer


def service(name: str = "web", **labels: str) -> Json:
    spec = {"selector": {"app": "web", **labels}, "ports": [{"name": "http", "port": 8080}]}
    return {"metadata": {"name": name}, "spec": spec}


def http_route(namespace: str) -> Json:
    backends = [gateway_objects.backend("web-v1", 90), gateway_objects.backend("web-v2", 10)]
    return gateway_objects.route({"backendRefs": backends}, namespace=namespace)


def destination_rule() -> Json:
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    kind = {"apiVersion": ISTIO, "kind": "DestinationRule"}
    return {**kind, "metadata": {"name": "web"}, "spec": {"host": "web", "subsets": subsets}}


def virtual_service() -> Json:
    route = [{"destination": {"host": "web", "subset": name}, "weight": weight} for name, weight in (("v1", 90), ("v2", 10))]
    kind = {"apiVersion": ISTIO, "kind": "VirtualService"}
    return {**kind, "metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": [{"route": route}]}}


async def test_the_token_of_a_service_account_is_taken_by_the_keys_of_its_cluster(
    api: KubeApiServer, token: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(token, encoding="ascii")
    path = "/api/v1/namespaces/shop/serviceaccounts"
    spec = {"audiences": ["verdictd"], "expirationSeconds": 600}
    async with api.session() as admin:
        await create(admin, path, {"metadata": {"name": "pipeline"}})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        shown = (await create(admin, f"{path}/pipeline/token", asked))["status"]["token"]
        elsewhere = (await create(admin, f"{path}/pipeline/token", {**asked, "spec": {}}))["status"]["token"]
        grant = {
            "metadata": {"name": "issuer-discovery"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:service-account-issuer-discovery"},
            "subjects": [{"kind": "Group", "apiGroup": RBAC, "name": "system:serviceaccounts"}],
        }
        await create(admin, f"/apis/{RBAC}/v1/clusterrolebindings", grant)  # of every cluster, but made by a controller
    issuers = Issuers(
        {
            "cluster": Issuer(
                issuer="https://kubernetes.default.svc",
                audience="verdictd",
                keys_url=f"{api.url}/openid/v1/jwks",
                token_file=str(tmp_path / "token"),
                ca_file=str(api.ca),
                callers={"shop": SignedCaller(claims={"sub": "system:serviceaccount:shop:pipeline"}, scopes=["submit"])},
            )
        }
    )
    try:
        caller = await issuers.showing(shown.encode())
        assert caller is not None
        assert caller.name == "cluster/shop"
        with pytest.raises(NotShown, match="Audience doesn't match"):
            await issuers.showing(elsewhere.encode())
        with pytest.raises(NotAllowed, match=r"no caller is known by what the token says: sub '.*:verdictd:verdictd'"):
            await issuers.showing(await of_the_daemon(api))
    finally:
        await issuers.close()


async def of_the_daemon(api: KubeApiServer) -> bytes:
    path = "/api/v1/namespaces/verdictd/serviceaccounts/verdictd/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["verdictd"]}}
    async with api.session() as admin:
        made = await create(admin, path, asked)
    return str(made["status"]["token"]).encode()
