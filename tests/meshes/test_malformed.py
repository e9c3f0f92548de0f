"""One object that no definition allows stops nobody: the others are read, and it is named where it may hold a way to the canary.

Definitions were looser once, are loosened by hand, or are of another version: whatever an API server or a Consul keeps may come.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from yarl import URL

from config.settings import Kubernetes
from daemon.aio.httpclient import HttpClient, WholeAnswer
from daemon.aio.tasks import background
from daemon.delivery.argorollouts import DESTINATION_RULES as RULES_OF_ROLLOUTS
from daemon.delivery.argorollouts import ArgoRollouts
from daemon.delivery.flagger import CANARIES, Flagger
from daemon.errors import Blocked, NotFound, Refused, VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import ROLLOUTS, Resource, metadata_of
from daemon.meshes.consul.mesh import ConsulMesh
from daemon.meshes.consul.router import ConsulRouter
from daemon.meshes.consulkubernetes.mesh import SERVICE_RESOLVERS, SERVICE_ROUTERS, SERVICE_SPLITTERS
from daemon.meshes.consulkubernetes.router import ConsulKubernetesRouter
from daemon.meshes.envoy import routes as envoy
from daemon.meshes.gatewayapi.mesh import GRPC_ROUTES, HTTP_ROUTES, REFERENCE_GRANTS
from daemon.meshes.gatewayapi.router import GatewayApiRouter
from daemon.meshes.istio.mesh import DESTINATION_RULES, SERVICE_ENTRIES, VIRTUAL_SERVICES, WORKLOAD_ENTRIES
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.linkerd.kinds import POLICY_ROUTES
from daemon.meshes.linkerd.router import LinkerdRouter
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.smi.router import TrafficSplitRouter
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import ArmSpec, Release
from daemon.placement import Placement
from daemon.ports.routing import Owner
from tests.meshes.consul_entries import pascal, resolver, resource, split, splitter
from tests.meshes.consul_entries import router as consul_router
from tests.meshes.mutating import Mutant, mutants
from tests.meshes.objects import Item, Json, behind, pod, service, service_entry, to, versions, virtual_service

SERVICES = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
NAME = "mutant"


class InMemory(KubeClient):
    """Gives the objects that it is given, as they are."""

    def __init__(self, items: Sequence[Item]) -> None:
        super().__init__(Kubernetes())
        self.items = items

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Json:
        for one in (await self.list(resource, namespace=namespace)).items:
            if metadata_of(one).get("name") == name:
                return one
        raise NotFound(name)

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        of = labels.partition("service-name=")[2]
        found = [one for kind, one in self.items if str(kind) == str(resource) and (not of or _labels(one).get(_OF) == of)]
        return Listing(items=tuple(found), resource_version="1")


_OF = "kubernetes.io/service-name"


def _labels(item: Json) -> Json:
    found = metadata_of(item).get("labels")
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class World:
    """A mesh with one good route to the canary, and the object whose mutants come beside it.

    ``leads``: whether the object itself is a way to the canary, before it is changed.
    """

    router: Callable[[KubeClient], KubeRouter[Any]]
    release: Release
    beside: Sequence[Item]
    good: str
    mutated: Item
    leads: bool = True


def named(kind: Resource, name: str, **spec: Any) -> Item:
    """With all metadata that is read of any object."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "labels": {"app.kubernetes.io/instance": "shop"},
        "annotations": {"argocd.argoproj.io/tracking-id": "shop:x"},
        "ownerReferences": [{"kind": "Canary", "name": "web", "controller": True}],
        "managedFields": [{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}],
        "resourceVersion": "1",
    }
    return kind, {"metadata": metadata, "spec": spec}


PODS: list[Item] = [
    pod("a", app="web", version="v1"),
    pod("b", app="web", version="v2"),
    service("web", app="web"),
    service("web-v1", app="web", version="v1"),
    service("web-v2", app="web", version="v2"),
    behind("web", "a", "b"),
    behind("web-v1", "a"),
    behind("web-v2", "b"),
]
HTTP: Json = {
    "name": "primary",
    "match": [{"uri": {"prefix": "/"}}],
    "route": [
        {**to("web", "v1", 90), "headers": {"request": {"set": {"x-arm": "v1"}}}},
        {"destination": {"host": "web", "subset": "v2", "port": {"number": 80}}, "weight": 10},
    ],
    "headers": {"request": {"add": {"x": "y"}}},
    "rewrite": {"authority": "web"},
    "mirror": {"host": "web", "subset": "v2"},
    "mirrorPercentage": {"value": 5.5},
    "mirrors": [{"destination": {"host": "web", "subset": "v2"}, "percentage": {"value": 5}}],
}
DELEGATING: Json = {"delegate": {"name": "other", "namespace": "shop"}}
STREAM: Json = {"route": [to("web", "v1", 90), to("web", "v2", 10)]}
ISTIO = [*PODS, versions("v1", "v2"), virtual_service(to("web", "v1", 90), to("web", "v2", 10), name="good")]
BACKENDS: list[Json] = [
    {"name": "web-v1", "port": 80, "weight": 9},
    {"group": "", "kind": "Service", "name": "web-v2", "namespace": "shop", "port": 80, "weight": 1, "filters": [{"type": "x"}]},
]
MIRROR: Json = {
    "type": "RequestMirror",
    "requestMirror": {"backendRef": {"name": "web-v2"}, "fraction": {"numerator": 1, "denominator": 9}},
}
RULES: list[Json] = [{"name": "all", "backendRefs": BACKENDS, "filters": [MIRROR, {**MIRROR, "requestMirror": {
    "backendRef": {"name": "web-v2"}, "percent": 5}}]}]  # fmt: skip
PARENTS: list[Json] = [{"group": "", "kind": "Service", "name": "web", "namespace": "shop"}, {"name": "edge"}]
GOOD_ROUTE = named(HTTP_ROUTES, "good", rules=[{"backendRefs": [{"name": "web-v2"}]}])
GATEWAY = [*PODS, GOOD_ROUTE]
SPLIT = named(
    TRAFFIC_SPLITS, NAME, service="web", backends=[{"service": "web-v1", "weight": 9}, {"service": "web-v2", "weight": 1}]
)
GOOD_SPLIT = named(TRAFFIC_SPLITS, "good", service="web", backends=[{"service": "web-v2", "weight": 1}])
OVERRIDES = [{"authority": f"web-{one}.shop.svc.cluster.local:80", "weight": "500m"} for one in ("v1", "v2")]
RESOLVER = resolver(
    NAME,
    default_subset="v1",
    redirect={"service": "web", "service_subset": "v2", "namespace": "default", "partition": "default"},
    failover={"*": {"service": "web", "service_subset": "v2", "targets": [{"service": "web", "service_subset": "v2"}]}},
)
SPLITTER = splitter(split(90, "web", "v1"), split(10, "web", "v2", namespace="default"), name=NAME)
CONSUL_ROUTER = consul_router({"service": "web", "service_subset": "v2", "namespace": "default"}, None, name=NAME)
GOOD_ENTRIES = [splitter(split(90, "", "v1"), split(10, "", "v2")), resolver()]
CONSUL = [
    *PODS,
    (SERVICE_SPLITTERS, resource(GOOD_ENTRIES[0])),
    (SERVICE_RESOLVERS, resource(GOOD_ENTRIES[1])),
]

WORLDS = {
    "VirtualService": World(
        router=IstioRouter, release=SUBSETS, beside=ISTIO, good="shop/good",
        mutated=named(
            VIRTUAL_SERVICES, NAME, hosts=["web"], gateways=["mesh"], http=[HTTP, DELEGATING], tcp=[STREAM], tls=[STREAM]
        ),
    ),
    "DestinationRule": World(
        router=IstioRouter, release=SUBSETS, beside=ISTIO, good="shop/good", leads=False,
        mutated=named(
            DESTINATION_RULES, NAME, host="web", exportTo=["*"], workloadSelector={"matchLabels": {"a": "b"}},
            subsets=[{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}],
        ),
    ),
    "ServiceEntry": World(
        router=IstioRouter, release=msgspec.structs.replace(SUBSETS, service="out.example"), good="shop/good", leads=False,
        beside=[
            *PODS, service_entry("out.example", name="e"), versions("v1", "v2", host="out.example"),
            virtual_service(to("out.example", "v1", 90), to("out.example", "v2", 10), name="good"),
        ],
        mutated=named(SERVICE_ENTRIES, NAME, hosts=["out.example"]),
    ),
    "WorkloadEntry": World(
        router=IstioRouter, release=SUBSETS, good="shop/good", leads=False,
        beside=[*(one for one in ISTIO if one[1]["metadata"]["name"] != "web-1"), behind("web", "b", unready=("a",))],
        mutated=named(WORKLOAD_ENTRIES, NAME, labels={"version": "v1", "app": "web"}),
    ),
    "HTTPRoute beside VirtualServices": World(
        router=IstioRouter, release=SERVICES, good="shop/good",
        beside=[*PODS, virtual_service(to("web-v1", None, 90), to("web-v2", None, 10), name="good")],
        mutated=named(HTTP_ROUTES, NAME, parentRefs=PARENTS, rules=RULES),
    ),
    "HTTPRoute": World(
        router=GatewayApiRouter, release=SERVICES, beside=GATEWAY, good="shop/good",
        mutated=named(HTTP_ROUTES, NAME, parentRefs=PARENTS, rules=RULES),
    ),
    "GRPCRoute": World(
        router=GatewayApiRouter, release=SERVICES, beside=GATEWAY, good="shop/good",
        mutated=named(GRPC_ROUTES, NAME, parentRefs=PARENTS, rules=[{"backendRefs": BACKENDS}]),
    ),
    "ReferenceGrant": World(
        router=GatewayApiRouter, release=SERVICES, beside=GATEWAY, good="shop/good", leads=False,
        mutated=named(
            REFERENCE_GRANTS, NAME,
            **{"from": [{"kind": "HTTPRoute", "namespace": "edge"}], "to": [{"group": "", "kind": "Service"}]},
        ),
    ),
    "Linkerd's HTTPRoute": World(
        router=LinkerdRouter, release=SERVICES, beside=GATEWAY, good="shop/good",
        mutated=named(POLICY_ROUTES, NAME, parentRefs=PARENTS, rules=RULES),
    ),
    "ServiceProfile": World(
        router=LinkerdRouter, release=SERVICES, beside=GATEWAY, good="shop/good",
        mutated=named(SERVICE_PROFILES, f"{NAME}.shop.svc.cluster.local", dstOverrides=OVERRIDES),
    ),
    "TrafficSplit under Linkerd": World(
        router=LinkerdRouter, release=SERVICES, beside=GATEWAY, good="shop/good", mutated=SPLIT,
    ),
    "TrafficSplit": World(
        router=TrafficSplitRouter, release=SERVICES, beside=[*PODS, GOOD_SPLIT], good="shop/good", mutated=SPLIT,
    ),
    "ServiceSplitter": World(
        router=ConsulKubernetesRouter, release=SUBSETS, beside=CONSUL, good="shop/web",
        mutated=(SERVICE_SPLITTERS, resource(SPLITTER)),
    ),
    "ServiceRouter": World(
        router=ConsulKubernetesRouter, release=SUBSETS, beside=CONSUL, good="shop/web",
        mutated=(SERVICE_ROUTERS, resource(CONSUL_ROUTER)),
    ),
    "ServiceResolver": World(
        router=ConsulKubernetesRouter, release=SUBSETS, beside=CONSUL, good="shop/web",
        mutated=(SERVICE_RESOLVERS, {**resource(RESOLVER), "status": {"conditions": [{"type": "Synced", "status": "True"}]}}),
    ),
}  # fmt: skip


def is_told(placement: Placement) -> bool:
    said = [*(str(one.object) for one in placement.routes), *placement.unread, *placement.elsewhere]
    return any(NAME in one for one in said)


def is_named(mutant: Mutant) -> bool:
    """Whether the mutant's own name is what was changed: what is told of it is told under another."""
    return mutant.path[:1] == ("metadata",) and mutant.path[1:] in ((), ("name",), ("namespace",))


@pytest.mark.broad
@pytest.mark.parametrize("world", WORLDS)
async def test_beside_an_object_of_another_form_the_good_route_is_found_and_the_other_is_named(world: str) -> None:
    place = WORLDS[world]
    kind, item = place.mutated
    wrong = []
    for mutant in mutants(item):
        try:
            placement = await _read(place, kind, mutant.item)
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            wrong.append(f"{mutant.said}: {error!r}")
            continue
        if place.good not in {str(one.object) for one in placement.routes}:
            wrong.append(f"{mutant.said}: the good route is not found")
        if place.leads and mutant.retyped and not is_named(mutant) and not is_told(placement):
            wrong.append(f"{mutant.said}: nothing is said of it")
    assert wrong == []


async def _read(place: World, kind: Resource, item: Json) -> Placement:
    """All that a router does of an object without writing."""
    router = place.router(InMemory([*_with_versions(place.beside), (kind, item)]))
    placement = await router.locate(place.release)
    for located in (placement.located, ""):
        planned = await router.plan(place.release, located=located)
        assert any(str(one.object) == place.good for one in planned)
        assert await router.canary_gets_traffic(place.release, located=located) is not None
    with contextlib.suppress(Blocked):  # a machine without its labels serves nobody
        await router.check_baseline(place.release, located=placement.located)
    return placement


ENTRIES = {
    ("service-splitter", "mutant"): SPLITTER,
    ("service-router", "mutant"): CONSUL_ROUTER,
    ("service-resolver", "mutant"): RESOLVER,
}


@pytest.mark.broad
@pytest.mark.parametrize("kind", [kind for kind, _ in ENTRIES])
async def test_beside_a_config_entry_of_another_form_the_good_one_is_found_and_the_other_is_named(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, list[Json]] = {}

    async def exchange(_client: HttpClient, url: URL, **_: object) -> WholeAnswer:
        return WholeAnswer(msgspec.json.encode(answers.get(url.path.rpartition("/")[2], [])), {})

    monkeypatch.setattr(HttpClient, "exchange", exchange)
    routes, wrong = ConsulRouter(ConsulMesh(telemetry="t", address="http://consul"), setting="meshes.consul"), []
    for mutant in mutants(pascal(ENTRIES[kind, NAME])):
        answers = {one["kind"]: [pascal(one)] for one in GOOD_ENTRIES}
        answers[kind] = [*answers.get(kind, []), mutant.item]
        try:
            placement = await routes.locate(SUBSETS)
            planned = await routes.plan(SUBSETS, located=placement.located)
            assert await routes.canary_gets_traffic(SUBSETS) is not None
            with contextlib.suppress(Blocked):  # nobody is there, which is not what is asked here
                await routes.check_baseline(SUBSETS)
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            wrong.append(f"{mutant.said}: {error!r}")
            continue
        if "web" not in {str(one.object) for one in placement.routes} & {str(one.object) for one in planned}:
            wrong.append(f"{mutant.said}: the good one is not found")
        if mutant.retyped and mutant.path != ("Name",) and not is_told(placement):
            wrong.append(f"{mutant.said}: nothing is said of it")
    await routes.close()
    assert wrong == []


CANARY = named(
    CANARIES, "good", targetRef={"name": "web"}, service={"name": "web"}, analysis={"interval": "1s", "threshold": 3}, suspend=False
)
ROLLOUT = named(
    ROLLOUTS,
    "good",
    strategy={
        "canary": {
            "canaryService": "web-v2",
            "stableService": "web-v1",
            "pingPong": {"pingService": "web-v1", "pongService": "web-v2"},
            "trafficRouting": {"istio": {"destinationRule": {"name": "web", "canarySubsetName": "v2", "stableSubsetName": "v1"}}},
        },
        "blueGreen": {"activeService": "web", "previewService": "web-v2"},
    },
)
OWNERS: dict[str, tuple[Callable[[KubeClient], Owner], Item, Json]] = {
    "Flagger": (Flagger, CANARY, {"phase": "Progressing", "failedChecks": 1}),
    "Argo Rollouts": (ArgoRollouts, ROLLOUT, {"abort": False, "currentPodHash": "a", "stableRS": "b"}),
}


@pytest.mark.broad
@pytest.mark.parametrize("owner", OWNERS)
async def test_beside_an_owners_object_of_another_form_the_one_that_claims_the_release_is_found(owner: str) -> None:
    make, (kind, good), status = OWNERS[owner]
    base = {**good, "metadata": {**good["metadata"], "name": NAME}, "status": status}
    for mutant in mutants(base):
        claim = await make(InMemory([(kind, good), (kind, mutant.item)])).claims(SERVICES)
        assert claim is not None, mutant.said
        with contextlib.suppress(VerdictdError):
            await make(InMemory([(kind, mutant.item)])).claims(SERVICES)


async def test_a_rule_of_another_form_that_a_rollout_names_leaves_unknown_what_it_claims() -> None:
    _, rule = versions("v1", "v2")
    by_subsets = {"trafficRouting": ROLLOUT[1]["spec"]["strategy"]["canary"]["trafficRouting"]}
    rollout = named(ROLLOUTS, "good", strategy={"canary": by_subsets})
    for mutant in mutants(rule):
        with contextlib.suppress(VerdictdError):
            await ArgoRollouts(InMemory([rollout, (RULES_OF_ROLLOUTS, mutant.item)])).claims(SUBSETS)


ENVOYS: Json = {
    "resources": [
        {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "edge",
            "virtual_hosts": [
                {
                    "name": "web",
                    "domains": ["*"],
                    "request_mirror_policies": [
                        {
                            "cluster": "web-v2",
                            "runtime_fraction": {"default_value": {"numerator": 5, "denominator": "HUNDRED"}},
                        }
                    ],
                    "routes": [
                        {"name": "a", "match": {"prefix": "/"}, "route": {"cluster": "web-v2"}},
                        {
                            "route": {
                                "weighted_clusters": {
                                    "clusters": [{"name": "web-v1", "weight": 9}, {"name": "web-v2", "weight": 1}]
                                }
                            }
                        },
                    ],
                }
            ],
        }
    ]
}


def test_a_file_of_routes_that_is_not_envoys_is_read_as_far_as_it_goes_or_refused() -> None:
    for mutant in mutants(ENVOYS):
        with contextlib.suppress(VerdictdError):
            envoy.references(mutant.item, canary="web-v2")
            envoy.clusters_with_traffic(mutant.item)
            envoy.revert(mutant.item, baseline="web-v1", canary="web-v2")


class Changing(InMemory):
    """Somebody makes an object into one of another form."""

    def spoil(self, name: str) -> None:
        self.items = [(kind, {**one, "spec": 7} if one["metadata"]["name"] == name else one) for kind, one in self.items]

    @contextlib.asynccontextmanager
    async def watch(self, resource: Resource, **_: Any) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Nothing happens."""
        yield asyncio.Event().wait  # type: ignore[misc]  # it never ends


def _with_versions(items: Sequence[Item]) -> list[Item]:
    return [(kind, {**one, "metadata": {**one["metadata"], "resourceVersion": "1"}}) for kind, one in items]


async def test_of_a_route_that_named_the_canary_and_cannot_be_read_any_more_it_is_not_said_that_it_does_not() -> None:
    kube = Changing(
        _with_versions([*PODS, versions("v1", "v2"), virtual_service(to("web", "v1", 90), to("web", "v2", 10), name="good")])
    )
    routes = IstioRouter(kube)
    located = (await routes.locate(SUBSETS)).located
    kube.spoil("good")
    said = "VirtualService shop/good, which is not of its kind's form: Expected `object | null`, got `int` - at `$.spec`"
    for _ in range(2):
        with pytest.raises(Refused) as unseen:
            await routes.canary_gets_traffic(SUBSETS, located=located)
        assert str(unseen.value) == f"whether the canary still gets traffic is not known: {said}"
        with pytest.raises(Refused) as unwritten:
            await routes.revert(SUBSETS, located=located)
        assert str(unwritten.value) == said
    receipt = await IstioRouter(kube).revert(SUBSETS, located=located)
    assert (str(receipt), receipt.unread) == ("no route that could be read gives the canary anything", (said,))
    with pytest.raises(NotFound, match=r"could not be read: VirtualService shop/good, which is not of its kind's form"):
        await IstioRouter(kube).locate(SUBSETS)


async def test_a_subset_that_only_a_rule_of_another_form_may_define_is_not_surely_missing() -> None:
    kube = Changing(
        _with_versions([*PODS, versions("v1", "v2"), virtual_service(to("web", "v1", 90), to("web", "v2", 10), name="good")])
    )
    kube.items = [(kind, {**one, "spec": 7} if kind == DESTINATION_RULES else one) for kind, one in kube.items]
    placement = await IstioRouter(kube).locate(SUBSETS)
    assert "not of its kind's form" in placement.baseline
    assert any("DestinationRule shop/web" in one for one in placement.unread)


async def test_of_what_is_watched_it_is_told_too_what_cannot_be_read() -> None:
    kube = Changing(
        _with_versions([*PODS, versions("v1", "v2"), virtual_service(to("web", "v1", 90), to("web", "v2", 10), name="good")])
    )
    kube.items = [*kube.items, (VIRTUAL_SERVICES, {"metadata": {"name": NAME, "namespace": "shop"}, "spec": 7})]
    routes, heard = IstioRouter(kube), asyncio.Event()
    async with background(routes.follow(heard.set)):
        await heard.wait()
        placement = await routes.locate(SUBSETS)
        assert ([str(one.object) for one in placement.routes], is_told(placement)) == (["shop/good"], True)
        assert await routes.weight(SUBSETS, located=placement.located) == 10.0
        assert [str(one.object) for one in await routes.plan_known(SUBSETS, located=placement.located)] == ["shop/good"]
