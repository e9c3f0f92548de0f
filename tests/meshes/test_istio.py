"""The Istio router against an API server with faults, and the whole revert procedure on top of it."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.settings import Kubernetes
from daemon.engine.reverting import RevertOutcome
from daemon.errors import Conflict, InvalidInput, NotFound, Unavailable
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES
from daemon.meshes import kuberouter
from daemon.meshes.envoy.mesh import EnvoyMesh
from daemon.meshes.envoy.router import EnvoyRouter
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES, IstioMesh
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.registry import router_for
from daemon.model import Action, ArmSpec, Release
from tests.hand.procedures import reverting
from tests.hand.servers import Answer, says, silence
from tests.kube.stub import status
from tests.meshes.cluster import Cluster

Json = dict[str, Any]

HOST = "web.shop.svc.cluster.local"
SUBSETS = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
VERSIONS = Release(service="web", namespace="shop", baseline=ArmSpec(version="1"), canary=ArmSpec(version="2"))


def to(subset: str, weight: int | None = None) -> Json:
    return {"destination": {"host": HOST, "subset": subset}, **({} if weight is None else {"weight": weight})}


def vs(name: str = "web", namespace: str = "shop", **http: Any) -> Json:
    route = http or {"route": [to("v1", 90), to("v2", 10)]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"hosts": [HOST], "http": [route]}}


def rule(**subsets: Json) -> Json:
    spec = {"host": "web", "subsets": [{"name": name, "labels": labels} for name, labels in subsets.items()]}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def pod(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}}


def endpoint(address: str, pod: str | None, *, ready: bool | None = True) -> Json:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}, **target}


def endpoint_slice(name: str, *endpoints: Json, service: str = "web") -> Json:
    labels = {"kubernetes.io/service-name": service}
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}, "endpoints": list(endpoints)}


@pytest.fixture
def api(api: Cluster) -> Cluster:
    api.put(VIRTUAL_SERVICES, vs())
    api.put(DESTINATION_RULES, rule(v1={"version": "1"}, v2={"version": "2"}))
    for name, version in (("a", "1"), ("b", "2")):
        api.put(PODS, pod(name, app="web", version=version))
    api.put(ENDPOINT_SLICES, endpoint_slice("web-1", endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b")))
    return api


def weights(api: Cluster, name: str = "web", namespace: str = "shop") -> list[int]:
    found = api.get(VIRTUAL_SERVICES, namespace, name)
    return [target["weight"] for target in found["spec"]["http"][0]["route"]]


async def revert(router: IstioRouter, release: Release = SUBSETS) -> RevertOutcome:
    return await reverting(confirm_seconds=2.0, revert_attempts=4).run(router, release)


@pytest.mark.parametrize(
    ("faults", "attempts"),
    [
        ([status(409, "modified")], 1),
        ([status(409), status(409), status(409)], 1),
        ([status(422, "the server rejected our request")], 1),
        ([status(409)] * 5, 2),
        ([says({}, status=429, Retry_After="0")], 2),
        ([status(429, "slow", retryAfterSeconds=1)], 2),
        ([status(500, "etcd is away"), says("bad gateway", status=502)], 3),
    ],
)
async def test_a_fault_of_the_api_server_only_costs_a_try(
    api: Cluster, router: IstioRouter, faults: list[Answer], attempts: int
) -> None:
    await router.locate(SUBSETS)
    api.faults["PATCH"] = faults
    outcome = await revert(router)
    assert outcome.action is Action.REVERT, outcome.reason
    assert outcome.attempts == attempts
    assert weights(api) == [100, 0]


async def test_an_answer_that_does_not_come_costs_a_try_too(api: Cluster) -> None:
    kube = api.client(timeout_seconds=2.0)
    router = IstioRouter(kube)
    api.faults["PATCH"] = [silence()]
    outcome = await revert(router)
    await kube.close()
    assert outcome.action is Action.REVERT, outcome.reason
    assert outcome.attempts >= 2
    assert weights(api) == [100, 0]


async def test_a_throttling_api_server_is_left_alone_for_as_long_as_it_asks(api: Cluster, router: IstioRouter) -> None:
    await router.locate(SUBSETS)
    api.faults["PATCH"] = [says({}, status=429, Retry_After="1")]
    began = time.monotonic()
    assert (await revert(router)).action is Action.REVERT
    assert time.monotonic() - began >= 1.0


async def test_an_object_that_the_schema_refuses_fails_at_once_and_says_why(api: Cluster, router: IstioRouter) -> None:
    api.faults["PATCH"] = [status(422, "weight: Invalid value", causes=[{"field": "spec.http.weight"}])] * 9
    outcome = await revert(router)
    assert outcome.action is Action.FAILED
    assert outcome.attempts == 1
    assert "Invalid value" in outcome.reason


async def test_an_api_server_that_never_recovers_is_given_up_after_bounded_tries(api: Cluster, router: IstioRouter) -> None:
    api.faults["PATCH"] = [status(503, "starting")] * 99
    outcome = await revert(router)
    assert (outcome.action, outcome.attempts) == (Action.FAILED, 4)
    assert weights(api) == [90, 10]


async def test_a_change_between_read_and_patch_is_read_anew_and_kept(api: Cluster, router: IstioRouter) -> None:
    """The first answer to the patch is given after somebody else has changed the weights: the plan must be made anew."""
    await router.locate(SUBSETS)

    async def overtaken(request: Any) -> Any:
        api.put(VIRTUAL_SERVICES, vs(route=[to("v1", 60), to("v2", 40)], timeout="5s"))
        return await api._patched(request.path, await request.json())(request)

    api.faults["PATCH"] = [overtaken]
    receipt = await router.revert(SUBSETS)
    assert "weight 40" in str(receipt)
    assert api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"] == [{"route": [to("v1", 100), to("v2", 0)], "timeout": "5s"}]


async def test_the_first_patch_of_a_located_release_needs_no_listing(api: Cluster, router: IstioRouter) -> None:
    await router.locate(SUBSETS)
    api.requests.clear()
    assert (await router.revert(SUBSETS)).changed
    path = VIRTUAL_SERVICES.path(namespace="shop", name="web")
    assert api.requests == [("GET", path), ("PATCH", path)]


async def test_a_release_that_was_never_located_is_taken_back_after_a_listing(api: Cluster, router: IstioRouter) -> None:
    receipt = await router.revert(SUBSETS)
    assert receipt.changed
    assert receipt.sent_at <= receipt.acknowledged_at
    assert weights(api) == [100, 0]
    assert await router.canary_gets_traffic(SUBSETS) is None


async def test_an_object_that_has_come_since_is_seen_and_taken_back(api: Cluster, router: IstioRouter) -> None:
    await router.locate(SUBSETS)
    api.put(VIRTUAL_SERVICES, vs("late", "other"))
    assert (await router.revert(SUBSETS)).changed
    assert await router.canary_gets_traffic(SUBSETS) == "other/late http #0: 10 % of the traffic"
    assert (await router.revert(SUBSETS)).changed
    assert await router.canary_gets_traffic(SUBSETS) is None


async def test_many_releases_that_look_at_once_share_a_listing(api: Cluster, router: IstioRouter) -> None:
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(router.canary_gets_traffic(SUBSETS)) for _ in range(50)]
    assert {look.result() for look in looks} == {"shop/web http #0: 10 % of the traffic"}
    assert api.requests.count(("GET", VIRTUAL_SERVICES.path())) <= 2
    assert api.count("GET") < 40, "each kind of route twice, and in which version it is served"


async def test_many_releases_named_by_version_that_look_at_once_share_the_rules(api: Cluster, router: IstioRouter) -> None:
    await router.locate(VERSIONS)
    before = len(api.requests)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(router.canary_gets_traffic(VERSIONS))
    asked = Counter(path for _, path in api.requests[before:])
    assert max(asked.values()) < 25, "some seven waves of questions; each would ask by itself fifty times"


async def test_many_releases_that_are_located_at_once_ask_for_their_pods_and_services_together(
    api: Cluster, router: IstioRouter
) -> None:
    many = 20
    for number in range(many):
        name = f"web-{number}"
        text = (
            json.dumps([vs(name), rule(v1={"version": "1"}, v2={"version": "2"})]).replace(HOST, name).replace('"web"', f'"{name}"')
        )
        for resource, item in zip((VIRTUAL_SERVICES, DESTINATION_RULES), json.loads(text), strict=True):
            api.put(resource, item)
        api.put(SERVICES, {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": name}}})
        for version in ("1", "2"):
            api.put(PODS, pod(f"{name}-{version}", app=name, version=version))
        both = (endpoint(f"10.{number}.0.{version}", f"{name}-{version}") for version in (1, 2))
        api.put(ENDPOINT_SLICES, endpoint_slice(name, *both, service=name))
    releases = [msgspec.structs.replace(SUBSETS, service=f"web-{number}") for number in range(many)]
    before = len(api.requests)
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(router.locate(release)) for release in releases]
    for release, look in zip(releases, looks, strict=True):
        placement = look.result()
        assert placement.routes[0].object.name == release.service
        assert placement.pods is not None
        assert placement.pods.canary.pods is not None
        assert [one.name for one in placement.pods.canary.pods] == [f"{release.service}-2"]
    asked = Counter(path for _, path in api.requests[before:])
    for resource in (SERVICES, PODS, ENDPOINT_SLICES, DESTINATION_RULES):
        assert 1 <= asked[resource.path(namespace="shop")] <= 4, "each would ask by itself twenty times"
    assert not [path for path in asked if path.startswith(SERVICES.path(namespace="shop") + "/")]


async def test_an_object_that_is_gone_does_not_hold_the_others_up(api: Cluster, router: IstioRouter) -> None:
    api.put(VIRTUAL_SERVICES, vs("second"))
    await router.locate(SUBSETS)
    del api.objects[VIRTUAL_SERVICES.path(namespace="shop", name="web")]
    assert (await router.revert(SUBSETS)).changed
    assert weights(api, "second") == [100, 0]


async def test_of_two_failures_the_one_that_can_be_tried_again_is_told(api: Cluster, router: IstioRouter) -> None:
    """Otherwise the object that only had a conflict would be given up with the one that may not be written."""
    api.put(VIRTUAL_SERVICES, vs("second"))
    for forbidden, conflicting in (("web", "second"), ("second", "web")):
        for name, faults in ((forbidden, [status(403)]), (conflicting, [status(409)] * 4)):
            api.faults[f"PATCH {VIRTUAL_SERVICES.path(namespace='shop', name=name)}"] = faults
        with pytest.raises(Conflict):
            await router.revert(SUBSETS)
        assert not any(api.faults.values()), "each has had its own"


async def test_a_read_that_fails_for_the_moment_is_told(api: Cluster, router: IstioRouter) -> None:
    await router.locate(SUBSETS)
    api.faults["GET"] = [status(500)]
    with pytest.raises(Unavailable):
        await router.revert(SUBSETS)


async def test_where_only_one_namespace_may_be_read_delegates_are_followed(api: Cluster, router: IstioRouter) -> None:
    api.forbidden.add(VIRTUAL_SERVICES.path())
    root = {**vs("root"), "spec": {"hosts": [HOST], "http": [{"delegate": {"name": "part", "namespace": "parts"}}]}}
    api.put(VIRTUAL_SERVICES, root)
    api.put(VIRTUAL_SERVICES, vs("part", "parts"))
    api.put(VIRTUAL_SERVICES, vs("unseen", "elsewhere"))
    assert len((await router.locate(SUBSETS)).routes) == 2
    await router.revert(SUBSETS)
    assert weights(api, "part", "parts") == [100, 0]
    assert weights(api, "unseen", "elsewhere") == [90, 10]


async def test_what_is_not_found_says_what_was_looked_for_and_where(api: Cluster, router: IstioRouter) -> None:
    lost = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v9"))
    with pytest.raises(NotFound, match=r"in any namespace names the canary, web\.shop\.svc subset v9"):
        await router.locate(lost)
    routed = Release(service="web", namespace="shop", route="inner", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    with pytest.raises(NotFound, match="inner"):
        await router.locate(routed)


async def test_a_subset_that_is_left_out_is_found_by_version_or_labels(api: Cluster, router: IstioRouter) -> None:
    api.put(DESTINATION_RULES, rule(v1={"version": "1"}, v2={"version": "2"}))
    assert (await router.locate(VERSIONS)).canary_percent == 10.0
    labelled = Release(
        service="web", namespace="shop", baseline=ArmSpec(labels={"version": "1", "app": "web"}), canary=ArmSpec(subset="v2")
    )
    assert (await router.locate(labelled)).canary_percent == 10.0
    asked = len(api.requests)
    await router.canary_gets_traffic(VERSIONS)
    rules = [path for _, path in api.requests[asked:] if path.endswith("destinationrules")]
    assert rules == [DESTINATION_RULES.path(namespace="shop")]  # what a subset means is not remembered


async def test_a_subset_that_nothing_tells_or_that_is_not_clear_is_asked_for(api: Cluster, router: IstioRouter) -> None:
    api.put(DESTINATION_RULES, rule(v1={"version": "1"}, v2={"version": "2"}, again={"version": "2"}))
    with pytest.raises(NotFound, match=r"the canary is no subset of web\.shop\.svc.*\(again, v1, v2\): name canary\.subset"):
        await router.locate(VERSIONS)
    nameless = Release(service="web", namespace="shop", baseline=ArmSpec(workload="web"), canary=ArmSpec(subset="v2"))
    with pytest.raises(NotFound, match=r"name baseline\.subset"):
        await router.locate(nameless)


async def test_arms_with_services_of_their_own_need_no_subsets(api: Cluster, router: IstioRouter) -> None:
    hosts: Json = {"route": [{"destination": {"host": "web"}, "weight": 3}, {"destination": {"host": "web-canary"}, "weight": 1}]}
    api.put(VIRTUAL_SERVICES, vs(**hosts))
    release = Release(service="web", namespace="shop", baseline=ArmSpec(workload="web"), canary=ArmSpec(service="web-canary"))
    assert (await router.locate(release)).canary_percent == 25.0
    await router.revert(release)
    assert weights(api) == [4, 0]


async def test_two_arms_that_are_one_are_refused(router: IstioRouter) -> None:
    release = Release(
        service="web", namespace="shop", baseline=ArmSpec(subset="v1", workload="a"), canary=ArmSpec(subset="v1", workload="b")
    )
    with pytest.raises(InvalidInput, match=r"\$\.canary: baseline and canary are both"):
        await router.locate(release)


async def test_what_is_remembered_is_bounded(api: Cluster, router: IstioRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kuberouter, "_REMEMBERED", 3)
    for number in range(9):
        baseline = ArmSpec(subset="v1", workload=f"web-{number}")
        await router.locate(Release(service="web", namespace="shop", baseline=baseline, canary=ArmSpec(subset="v2")))
    assert len(router._known) == 3


async def test_the_table_of_meshes_gives_each_kind_its_router(tmp_path: Path) -> None:
    kube = KubeClient(Kubernetes())
    envoy = router_for(EnvoyMesh(telemetry="t", routes_file=str(tmp_path / "r.yaml"), admin="http://127.0.0.1:1"), kube=kube)
    mesh = router_for(IstioMesh(telemetry="t"), kube=kube)
    assert isinstance(envoy, EnvoyRouter)
    assert isinstance(mesh, IstioRouter)
    await envoy.close()
    await mesh.close()
