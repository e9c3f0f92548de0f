"""The client, the watch and the Istio router on a real API server: what it answers, what it forbids, what it lets pass."""

import asyncio
import contextlib
import copy
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from config.settings import Kubernetes
from daemon import stored
from daemon.aio.clock import SystemClock
from daemon.errors import Conflict, Forbidden, NotFound, Refused
from daemon.kube.applying import wrote_last
from daemon.kube.client import KubeClient
from daemon.kube.listwatch import ApiSource, ListWatch
from daemon.kube.resources import EVENTS, PODS, Json
from daemon.kube.transport import QUESTIONS
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.meshes.podarms import PodsRouter
from daemon.model import Action, ArmSpec, Outcome, Release
from daemon.placement import ObjectName
from daemon.sinks.kubernetesevents import KubernetesEvents, Place
from daemon.watcher.keptserving import KeptServing
from tests.hand import istio_objects
from tests.hand.istio_cluster import client_of, delete, istio_cluster, post
from tests.hand.istio_objects import NAMESPACE, SERVICE
from tests.hand.ports import MemoryStore
from tests.hand.procedures import reverting
from tests.hand.samples import verdict
from tests.mesh import announced
from tests.mesh.noticed import noticed
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.xdist_group("kube")]

RELEASE = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))

MAY_PATCH = [{"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get", "list", "patch"]}]
"""The least that taking traffic back needs. The rest (which subset an arm is, who is ready) is comfort."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with istio_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and the objects as they were in the beginning."""
    client = client_of(api, tmp_path / "admin.json")
    for item in (await client.list(VIRTUAL_SERVICES)).items:
        if item["metadata"]["name"] != SERVICE:
            await delete(api, VIRTUAL_SERVICES.path(namespace=item["metadata"]["namespace"], name=item["metadata"]["name"]))
    await write_spec(client, istio_objects.virtual_service()["spec"])
    yield client
    await client.close()


async def read(kube: KubeClient, name: str = SERVICE, namespace: str = NAMESPACE) -> Json:
    return await kube.get(VIRTUAL_SERVICES, name=name, namespace=namespace)


async def write_spec(kube: KubeClient, spec: Json, *, namespace: str = NAMESPACE) -> Json:
    operations = [{"op": "replace", "path": "/spec", "value": spec}]
    return await kube.patch(VIRTUAL_SERVICES, name=SERVICE, namespace=namespace, operations=operations)


def patch(kube: KubeClient, *operations: Json) -> Any:
    return kube.patch(VIRTUAL_SERVICES, name=SERVICE, namespace=NAMESPACE, operations=operations)


@contextlib.asynccontextmanager
async def account(
    api: KubeApiServer, folder: Path, name: str, rules: Sequence[Json], *, namespaced: bool = False
) -> AsyncIterator[KubeClient]:
    """A client with the token of a service account that may do only this."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await post(api, accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    kind, scope = ("Role", f"/namespaces/{NAMESPACE}") if namespaced else ("ClusterRole", "")
    base = f"/apis/rbac.authorization.k8s.io/v1{scope}"
    group = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    await post(api, f"{base}/{kind.lower()}s", {**group, "kind": kind, "rules": list(rules)})
    await post(api, f"{base}/{kind.lower()}bindings", {**group, "kind": f"{kind}Binding", "roleRef": role, "subjects": [subject]})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await post(api, f"{accounts}/{name}/token", request))["status"]["token"]
    client = client_of(api, folder / f"{name}.json", token)
    yield client
    await client.close()


async def test_an_outdated_resource_version_is_a_conflict(kube: KubeClient) -> None:
    version = (await read(kube))["metadata"]["resourceVersion"]
    lock = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    await patch(kube, lock, {"op": "add", "path": "/spec/http/2/route/1/weight", "value": 11})
    with pytest.raises(Conflict, match="409"):
        await patch(kube, lock, {"op": "add", "path": "/spec/http/2/route/1/weight", "value": 12})


async def test_a_test_or_a_path_that_does_not_hold_is_a_conflict(kube: KubeClient) -> None:
    with pytest.raises(Conflict, match="422"):
        await patch(kube, {"op": "test", "path": "/spec/http/2/route/0/destination/subset", "value": "other"})
    with pytest.raises(Conflict, match="422"):
        await patch(kube, {"op": "remove", "path": "/spec/http/7"})


async def test_a_value_of_the_wrong_type_and_an_unknown_field_are_refused(kube: KubeClient) -> None:
    with pytest.raises(Refused, match="weight"):
        await patch(kube, {"op": "add", "path": "/spec/http/2/route/0/weight", "value": "much"})
    with pytest.raises(Refused, match="unknown field"):
        await patch(kube, {"op": "add", "path": "/spec/wieght", "value": 1})
    assert "wieght" not in (await read(kube))["spec"]


async def test_what_is_not_there_is_not_found(kube: KubeClient) -> None:
    with pytest.raises(NotFound, match='"nothing" not found'):
        await read(kube, name="nothing")


async def test_watches_however_many_leave_a_connection_for_a_patch(kube: KubeClient) -> None:
    now = (await kube.list(PODS)).resource_version
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(QUESTIONS + 1):
            await stack.enter_async_context(kube.watch(PODS, resource_version=now, timeout_seconds=60, idle_seconds=60.0))
        await write_spec(kube, istio_objects.virtual_service()["spec"])


async def test_a_token_nobody_knows_is_forbidden(api: KubeApiServer, tmp_path: Path) -> None:
    client = client_of(api, tmp_path / "nobody.json", "not-a-token")
    with pytest.raises(Forbidden, match="401"):
        await read(client)
    await client.close()


async def test_in_a_cluster_the_mounted_credentials_lead_in(
    api: KubeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = api.url.removeprefix("https://").rpartition(":")
    (tmp_path / "token").write_text(api.token)
    shutil.copy(api.ca, tmp_path / "ca.crt")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    module = "kubernetes_asyncio.config.incluster_config"
    monkeypatch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    client = KubeClient(Kubernetes())
    assert (await read(client))["metadata"]["name"] == SERVICE
    await client.close()


async def test_a_release_named_by_versions_is_found_and_taken_back(kube: KubeClient) -> None:
    before = await read(kube)
    router = IstioRouter(kube)
    placement = await router.locate(RELEASE)
    assert placement.canary_percent == 10.0
    assert await router.check_baseline(RELEASE) == "1 ready endpoints (the canary has 1)"
    outcome = await reverting(confirm_seconds=2.0).run(router, RELEASE)
    assert outcome.action is Action.REVERT, outcome.reason
    after = await read(kube)
    expected = copy.deepcopy(before["spec"])
    expected["http"][0]["route"][0]["destination"]["subset"] = "v1"
    expected["http"][2]["route"][0]["weight"], expected["http"][2]["route"][1]["weight"] = 100, 0
    assert after["spec"] == expected
    assert not (await router.revert(RELEASE)).changed
    assert (await read(kube))["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_every_virtual_service_of_every_namespace_is_taken_back(api: KubeApiServer, kube: KubeClient) -> None:
    """One is there when the canary is located, in another namespace; one comes later."""

    def elsewhere(name: str, namespace: str) -> Json:
        to = {"destination": {"host": istio_objects.HOST, "subset": "v2"}}
        spec = {"hosts": [f"{name}.example.com"], "gateways": ["edge"], "http": [{"route": [to]}]}
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}

    path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
    await post(api, path, elsewhere("edge", "default"))
    router = IstioRouter(kube)
    assert len((await router.locate(RELEASE)).routes) == 3
    await post(api, path, elsewhere("late", "default"))
    outcome = await reverting(confirm_seconds=2.0).run(router, RELEASE)
    assert outcome.action is Action.REVERT, outcome.reason
    for name, namespace in ((SERVICE, NAMESPACE), ("edge", "default"), ("late", "default")):
        assert (await read(kube, name, namespace))["spec"]["http"][0]["route"][0]["destination"]["subset"] == "v1"


async def test_others_who_write_all_the_time_only_cost_tries(kube: KubeClient) -> None:
    router = IstioRouter(kube)
    await router.locate(RELEASE)

    async def meddle() -> None:
        for number in range(40):
            annotation = {"op": "add", "path": "/metadata/annotations/meddler", "value": str(number)}
            await patch(kube, annotation)

    meddling = asyncio.ensure_future(meddle())
    outcome = await reverting(confirm_seconds=2.0).run(router, RELEASE)
    await meddling
    assert outcome.action is Action.REVERT, outcome.reason
    assert await router.canary_gets_traffic(RELEASE) is None


async def test_the_least_privilege_suffices(api: KubeApiServer, kube: KubeClient, tmp_path: Path) -> None:
    """get, list and patch on virtualservices: no more is needed where the release names its subsets."""
    named = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    async with account(api, tmp_path, "least", MAY_PATCH) as least:
        router = IstioRouter(least)
        assert (await router.locate(named)).canary_percent == 10.0
        assert "could not be read" in await router.check_baseline(named)
        outcome = await reverting(confirm_seconds=2.0).run(router, named)
        assert outcome.action is Action.REVERT, outcome.reason
        assert "could not be read" in outcome.reason
        with pytest.raises(Forbidden, match="pods"):
            await least.get(PODS, name="web-v1-0", namespace=NAMESPACE)
    assert (await read(kube))["spec"]["http"][2]["route"][1]["weight"] == 0


async def test_rights_in_one_namespace_suffice_for_what_is_there_and_its_delegates(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    named = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    async with account(api, tmp_path, "narrow", MAY_PATCH, namespaced=True) as narrow:
        router = IstioRouter(narrow)
        assert len((await router.locate(named)).routes) == 2
        assert (await reverting(confirm_seconds=2.0).run(router, named)).action is Action.REVERT
        lost = Release(service="lost", namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
        with pytest.raises(NotFound, match="namespace shop"):
            await router.locate(lost)


async def test_who_may_only_read_fails_loudly(api: KubeApiServer, kube: KubeClient, tmp_path: Path) -> None:
    named = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
    reading = [{**MAY_PATCH[0], "verbs": ["get", "list"]}]
    async with account(api, tmp_path, "reader", reading) as reader:
        outcome = await reverting(confirm_seconds=2.0).run(IstioRouter(reader), named)
    assert outcome.action is Action.FAILED
    assert "403" in outcome.reason
    assert outcome.attempts == 1


async def test_a_baseline_that_nobody_serves_blocks(api: KubeApiServer, kube: KubeClient) -> None:
    path = f"{istio_objects.SLICES}/web-1"
    async with api.session() as session:
        for ready, action in ((False, Action.BLOCKED), (True, Action.REVERT)):
            async with session.put(path, json=istio_objects.endpoint_slice(ready=ready)) as response:
                assert response.status == 200
            assert (await reverting(confirm_seconds=2.0).run(IstioRouter(kube), RELEASE)).action is action


async def test_the_watch_follows_a_real_server(kube: KubeClient) -> None:
    source = ApiSource(kube=kube, resource=VIRTUAL_SERVICES, namespace=NAMESPACE)
    watching = ListWatch(source=source, clock=SystemClock(), random=lambda: 0.5)
    async with contextlib.aclosing(watching.changes()) as changes:
        async with asyncio.timeout(60.0):
            assert (await anext(changes)).kind == "added"
            await patch(kube, {"op": "add", "path": "/spec/http/2/route/1/weight", "value": 12})
            change = await anext(changes)
    assert (change.kind, change.object["spec"]["http"][2]["route"][1]["weight"]) == ("modified", 12)
    assert watching.age_seconds is not None
    assert watching.age_seconds < 5.0


async def test_who_wrote_last_what_a_route_sends_where_is_told_by_its_fields_within_a_second_too(
    api: KubeApiServer, kube: KubeClient
) -> None:
    async def theirs(operation: Json) -> Json:
        headers = {"Content-Type": "application/json-patch+json"}
        url = f"{istio_objects.VIRTUAL_SERVICE}?fieldManager=argocd-controller"
        async with api.session() as session, session.patch(url, json=[operation], headers=headers) as response:
            found: Json = await response.json()
            return found

    def weighed(canary: int) -> Json:
        http = istio_objects.virtual_service(canary_weight=canary)["spec"]["http"]
        return {"op": "replace", "path": "/spec/http", "value": http}

    assert not wrote_last(await theirs(weighed(20)))
    assert wrote_last(await patch(kube, weighed(0)))
    assert not wrote_last(await theirs(weighed(30)))
    assert wrote_last(await patch(kube, weighed(0)))
    assert wrote_last(await theirs({"op": "add", "path": "/metadata/annotations/example.com~1seen", "value": "yes"}))


async def test_what_is_shown_is_written_and_what_was_written_is_put_back(kube: KubeClient) -> None:
    before = (await read(kube))["spec"]
    router = IstioRouter(kube)
    shown = await router.plan(RELEASE)
    assert (await read(kube))["spec"] == before
    receipt = await router.revert(RELEASE)
    undos = [part.undo for part in receipt.parts if part.undo is not None]
    assert [one.values for one in undos] == [one.values for one in shown]
    assert [one.failure for one in await router.plan_restore(undos)] == [None]
    assert [one.failure for one in await router.restore(undos)] == [None]
    assert (await read(kube))["spec"] == before
    await router.revert(RELEASE)
    await patch(kube, {"op": "add", "path": "/spec/http/2/route/1/weight", "value": 3})
    [refused] = await router.restore(undos)
    assert "/spec/http/2/route/1/weight is 3, and was left at 0" in str(refused.failure)
    assert (await read(kube))["spec"]["http"][2]["route"][1]["weight"] == 3


async def test_a_right_that_is_missing_is_said_with_the_rule_that_gives_it(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    undos = [part.undo for part in (await IstioRouter(kube).revert(RELEASE)).parts if part.undo is not None]
    rule = '- {apiGroups: ["networking.istio.io"], resources: [virtualservices], verbs: [patch]}'
    async with account(api, tmp_path, "looker", [{**MAY_PATCH[0], "verbs": ["get", "list"]}]) as looker:
        [one] = await IstioRouter(looker).restore(undos)
        assert str(one.failure).endswith(f"add to a role that is bound in namespace {NAMESPACE}: {rule}")
        with pytest.raises(Forbidden) as caught:
            await looker.create(EVENTS, {}, namespace=NAMESPACE)
    assert str(caught.value).endswith('- {apiGroups: ["events.k8s.io"], resources: [events], verbs: [create]}')
    with_it = [{"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get", "patch"]}]
    async with account(api, tmp_path, "writer", with_it) as writer:
        [one] = await IstioRouter(writer).restore(undos)
        assert one.failure is None


async def test_a_verdict_is_one_event_on_each_object_that_describe_finds(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    labels = {"app": "web-v2"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web-v2"}, "spec": spec}
    made = await post(api, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", deployment)
    may = [
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["get"]},
    ]
    told = verdict("web-1", reason="5 % of the canary's requests failed \u2014 " * 60)
    routes = [ObjectName(kind="VirtualService", name=SERVICE, namespace=NAMESPACE)]
    async with account(api, tmp_path, "teller", may) as teller:
        sink = KubernetesEvents({"mesh": Place(kube=teller, routes=(VIRTUAL_SERVICES,))})
        for _ in range(2):
            await sink.publish_at(RELEASE, told, routes=routes, workload="web-v2")
    events = [one for one in (await kube.list(EVENTS, namespace=NAMESPACE)).items if one["reportingController"] == "verdictd"]
    assert sorted(one["regarding"]["kind"] for one in events) == ["Deployment", "VirtualService"]
    uids = {made["metadata"]["uid"], (await read(kube))["metadata"]["uid"]}
    assert {one["regarding"]["uid"] for one in events} == uids
    [note] = {one["note"] for one in events}
    assert note.startswith("rollback (action: revert) of release web-1: 5 % of the canary's requests failed")
    assert len(note.encode()) <= 1024
    # As kubectl describe asks for them.
    selector = f"involvedObject.name=web-v2,involvedObject.kind=Deployment,involvedObject.uid={made['metadata']['uid']}"
    async with api.session() as session:
        path = f"/api/v1/namespaces/{NAMESPACE}/events?fieldSelector={quote(selector)}"
        async with session.get(path) as response:
            [described] = (await response.json())["items"]
    assert (described["reason"], described["type"], described["message"]) == ("VerdictRollback", "Warning", note)


async def test_an_image_that_a_hook_announces_minutes_before_it_takes_traffic_gets_its_verdict_once_it_does(
    api: KubeApiServer, kube: KubeClient
) -> None:
    await announced.created(api)
    async with announced.daemon(kube) as daemon:
        release_id = await daemon.hook({"service": "web", "environment": "production", "artifact": "reg.example/web:2"})
        await daemon.says(release_id, "v2 runs what is announced, and gets nothing yet")
        daemon.clock.passes(300.0)
        assert await daemon.engine.wait(release_id, seconds=0.0) is None
        asked = asyncio.ensure_future(daemon.engine.wait(release_id, seconds=30.0))
        await write_spec(kube, announced.split(canary=10), namespace=announced.NAMESPACE)
        told = await asked
        assert told is not None
        release = (await daemon.engine.view(release_id)).release
        assert [one.id for one in daemon.engine.views()] == [release_id]
    assert (told.release_id, told.outcome) == (release_id, Outcome.PROMOTE)
    assert (release.baseline.subset, release.canary.subset, release.mesh) == ("v1", "v2", "edge")
    assert (release.namespace, release.artifact, release.observe) == (announced.NAMESPACE, "reg.example/web:2", False)


def templated(number: int, pods: int, *, uid: str, of: str = "till") -> Json:
    """A ReplicaSet as its Deployment's controller writes it."""
    labels = {"app": "till", "pod-template-hash": f"h{number}"}
    containers = [{"name": "till", "image": f"reg.example/till:{number}"}]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": of, "uid": uid, "controller": True}
    metadata = {
        "name": f"{of}-h{number}",
        "labels": labels,
        "annotations": {"deployment.kubernetes.io/revision": str(number)},
        "ownerReferences": [owner],
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def made(number: int, *, of: str = "till") -> Json:
    """A pod of that ReplicaSet, with the proxy that a mesh adds."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{of}-h{number}", "uid": f"uid-{number}", "controller": True}
    metadata = {
        "name": f"{of}-h{number}-1",
        "generateName": f"{of}-h{number}-",
        "labels": {"app": "till", "pod-template-hash": f"h{number}"},
        "ownerReferences": [owner],
    }
    containers = [{"name": "till", "image": f"reg.example/till:{number}"}, {"name": "istio-proxy", "image": "proxy"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


async def says(api: KubeApiServer, path: str, **status: Any) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    async with api.session() as session, session.patch(f"{path}/status", json={"status": status}, headers=headers) as response:
        assert response.status == 200, await response.text()


async def test_a_rolling_update_is_a_release_whose_arms_are_its_pods_and_over_with_the_older_ones(
    api: KubeApiServer, kube: KubeClient
) -> None:
    apps = "/apis/apps/v1/namespaces/tills"
    await post(api, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tills"}})
    service = {"metadata": {"name": "till"}, "spec": {"selector": {"app": "till"}, "ports": [{"port": 80}]}}
    await post(api, "/api/v1/namespaces/tills/services", {"apiVersion": "v1", "kind": "Service", **service})
    template = templated(2, 1, uid="")["spec"]["template"] | {"metadata": {"labels": {"app": "till"}}}
    metadata = {"name": "till", "annotations": {"deployment.kubernetes.io/revision": "2"}}
    spec = {"selector": {"matchLabels": {"app": "till"}}, "template": template}
    item = await post(
        api, f"{apps}/deployments", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )
    for number in (1, 2):
        await post(api, f"{apps}/replicasets", templated(number, 1, uid=item["metadata"]["uid"]))
        await says(api, f"{apps}/replicasets/till-h{number}", replicas=1)
        await post(api, "/api/v1/namespaces/tills/pods", made(number))
    updates = MemoryStore()

    async def is_kept() -> bool:
        return bool(updates.data)

    async def is_over() -> bool:
        return not updates.data

    async with noticed(kube, "tills", updates=updates) as found:
        await says(api, f"{apps}/deployments/till", observedGeneration=1, replicas=2, updatedReplicas=1)
        await until(is_kept, 30)
        (release,) = found.values()
        placement = await PodsRouter(kube).locate(release)
        await says(api, f"{apps}/deployments/till", observedGeneration=1, replicas=1, updatedReplicas=1)
        await until(is_over, 30)
    assert (release.service, release.artifact, release.strategy) == ("till", "reg.example/till:2", "pods")
    assert placement.pods is not None
    arms = (placement.pods.baseline, placement.pods.canary)
    assert [[one.name for one in arm.pods or ()] for arm in arms] == [["till-h1-1"], ["till-h2-1"]]


async def deploys(api: KubeApiServer, name: str, number: int) -> None:
    """A Deployment as its controller brings it up: a template, a pod that is ready, and the counts that say so."""
    apps, labels = "/apis/apps/v1/namespaces/stalls", {"app": "till"}
    template = templated(number, 1, uid="")["spec"]["template"] | {"metadata": {"labels": labels}}
    metadata = {"name": name, "annotations": {"deployment.kubernetes.io/revision": str(number)}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    item = await post(api, f"{apps}/deployments", deployment)
    await post(api, f"{apps}/replicasets", templated(number, 1, uid=item["metadata"]["uid"], of=name))
    await post(api, "/api/v1/namespaces/stalls/pods", made(number, of=name))
    await says(api, f"{apps}/deployments/{name}", observedGeneration=1, replicas=1, updatedReplicas=1, readyReplicas=1)


async def test_a_second_deployment_behind_a_service_is_one_release_over_restarts_and_over_when_it_is_scaled_down(
    api: KubeApiServer, kube: KubeClient
) -> None:
    await post(api, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stalls"}})
    service = {"metadata": {"name": "till"}, "spec": {"selector": {"app": "till"}, "ports": [{"port": 80}]}}
    await post(api, "/api/v1/namespaces/stalls/services", {"apiVersion": "v1", "kind": "Service", **service})
    await deploys(api, "till", 1)
    serving = MemoryStore()

    def kept() -> KeptServing | None:
        found = (stored.decode(one, KeptServing).value for one in serving.data.values())
        return next((one for one in found if one.key.namespace == "stalls"), None)

    async def is_seen() -> bool:
        return kept() is not None

    async def is_compared() -> bool:
        return (one := kept()) is not None and one.pair is not None

    async def is_over() -> bool:
        return (one := kept()) is not None and one.pair is None

    async with noticed(kube, "stalls", serving=serving) as found:
        await until(is_seen, 30)
        assert found == {}
    await deploys(api, "till-canary", 2)
    async with noticed(kube, "stalls", serving=serving) as found:
        await until(is_compared, 30)
    (release,) = found.values()
    placement = await PodsRouter(kube).locate(release)
    async with noticed(kube, "stalls", serving=serving) as again:
        headers = {"Content-Type": "application/merge-patch+json"}
        url = "/apis/apps/v1/namespaces/stalls/deployments/till-canary"
        async with api.session() as session, session.patch(url, json={"spec": {"replicas": 0}}, headers=headers) as response:
            assert response.status == 200, await response.text()
        await until(is_over, 30)
    assert again == {}
    assert (release.service, release.artifact, release.strategy, release.observe) == ("till", "reg.example/till:2", "pods", True)
    assert placement.pods is not None
    arms = (placement.pods.baseline, placement.pods.canary)
    assert [[one.name for one in arm.pods or ()] for arm in arms] == [["till-h1-1"], ["till-canary-h2-1"]]
