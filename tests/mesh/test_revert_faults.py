"""Reverts in Istio while others write, refuse, delete, own or stop, on a real API server; and other names of the canary's pods."""

import asyncio
import base64
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from config.settings import Kubernetes
from daemon.aio.tasks import background
from daemon.engine.guarding import Guarding
from daemon.engine.reverting import PATCH_ACKNOWLEDGED, RevertOutcome
from daemon.errors import NotFound
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import Json, Resource
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action, ArmSpec, Release
from tests.hand import istio_objects
from tests.hand.certificates import Authority
from tests.hand.istio_cluster import client_of, istio_cluster, post
from tests.hand.istio_objects import CORE, HOST, ISTIO, NAMESPACE, SERVICE, VIRTUAL_SERVICE
from tests.hand.procedures import reverting
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import LOOPBACK

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.xdist_group("kube")]

RELEASE = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
APPLY = {"Content-Type": "application/apply-patch+yaml"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with istio_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and the VirtualService as it was in the beginning, written by nobody else."""
    await delete(api, VIRTUAL_SERVICE)
    await post(api, f"{ISTIO}/virtualservices", istio_objects.virtual_service())
    client = client_of(api, tmp_path / "admin.json")
    yield client
    await client.close()


async def delete(api: KubeApiServer, path: str) -> None:
    async with api.session() as session, session.delete(path) as response:
        assert response.status in {200, 404}


async def reverted(kube: KubeClient) -> RevertOutcome:
    router = IstioRouter(kube)
    located = (await router.locate(RELEASE)).located
    return await reverting(confirm_seconds=2.0).run(router, RELEASE, located=located)


async def split(kube: KubeClient, name: str = SERVICE, *, at: int = 2) -> list[int]:
    item = await kube.get(VIRTUAL_SERVICES, namespace=NAMESPACE, name=name)
    return [target["weight"] for target in item["spec"]["http"][at]["route"]]


async def test_somebody_who_writes_twenty_times_a_second_does_not_keep_the_traffic(kube: KubeClient) -> None:
    router = IstioRouter(kube)
    located = (await router.locate(RELEASE)).located

    async def annotate() -> None:
        for number in range(1000):
            write = {"op": "add", "path": "/metadata/annotations/tick", "value": str(number)}
            await kube.patch(VIRTUAL_SERVICES, namespace=NAMESPACE, name=SERVICE, operations=[write])
            await asyncio.sleep(0.05)

    async with background(annotate()):
        outcome = await reverting(confirm_seconds=2.0).run(router, RELEASE, located=located)
    assert outcome.action is Action.REVERT, outcome.reason
    assert await split(kube) == [100, 0]


@asynccontextmanager
async def refusing(api: KubeApiServer, folder: Path) -> AsyncIterator[None]:
    """A webhook of somebody's that lets no VirtualService be changed."""
    authority = Authority(folder)
    pair = authority.signed("webhook", usage="serverAuth")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    async def review(request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        answer = {"uid": asked["uid"], "allowed": False, "status": {"message": "routes are frozen on Fridays"}}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    app = web.Application()
    app.router.add_post("/", review)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    hook = {
        "name": "freeze.example.com",
        "clientConfig": {"url": f"https://{LOOPBACK}:{port}/", "caBundle": _base64(authority.pair.certificate)},
        "rules": [
            {"apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["virtualservices"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = "ValidatingWebhookConfiguration"
    collection = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    item = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "freeze"}, "webhooks": [hook]}
    await post(api, collection, item)
    try:
        await until_refused(api)
        yield
    finally:
        await delete(api, f"{collection}/freeze")
        await until_refused(api, refused=False)
        await runner.cleanup()


def _base64(path: Path) -> str:

    return base64.b64encode(path.read_bytes()).decode("ascii")


async def until_refused(api: KubeApiServer, *, refused: bool = True) -> None:
    """A new webhook is asked from a moment on, and one that is gone until a moment later."""
    merge = {"Content-Type": "application/merge-patch+json"}
    async with asyncio.timeout(60.0), api.session() as session:
        while True:
            async with session.patch(VIRTUAL_SERVICE, json={"metadata": {"labels": {"a": "b"}}}, headers=merge) as response:
                if (response.status != 200) is refused:
                    return
            await asyncio.sleep(0.1)


async def test_a_webhook_that_refuses_is_told_in_its_own_words_and_not_tried_without_end(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    async with refusing(api, tmp_path / "webhook"):
        outcome = await reverted(kube)
    assert outcome.action is Action.FAILED
    assert "routes are frozen on Fridays" in outcome.reason
    assert outcome.attempts == 1
    assert await split(kube) == [90, 10]


async def test_an_object_that_is_deleted_in_between_leaves_nothing_to_take_back(api: KubeApiServer, kube: KubeClient) -> None:
    router = IstioRouter(kube)
    located = (await router.locate(RELEASE)).located
    await delete(api, VIRTUAL_SERVICE)
    outcome = await reverting(confirm_seconds=2.0).run(router, RELEASE, located=located)
    assert outcome.action is Action.REVERT
    assert "no route gives the canary anything" in outcome.reason


async def test_fifty_routes_of_one_object_are_taken_back_by_one_patch(api: KubeApiServer, kube: KubeClient) -> None:
    def to(subset: str, **more: int) -> Json:
        return {"destination": {"host": HOST, "subset": subset}, **more}

    split_route = [to("v1", weight=90), to("v2", weight=10)]
    http = [{"match": [{"uri": {"prefix": f"/{number}"}}], "route": split_route} for number in range(50)]
    replaced = [{"op": "replace", "path": "/spec/http", "value": http}]
    await kube.patch(VIRTUAL_SERVICES, namespace=NAMESPACE, name=SERVICE, operations=replaced)
    receipt = await IstioRouter(kube).revert(RELEASE)
    assert [len(part.changes) for part in receipt.parts] == [50]
    assert {tuple(await split(kube, at=number)) for number in range(50)} == {(100, 0)}


async def apply(api: KubeApiServer, weight: int, *, force: bool) -> tuple[int, Json]:
    """What an owner's controller does: it applies its own object from the server's side."""
    item = istio_objects.virtual_service(canary_weight=weight)
    query = {"fieldManager": "owner", "force": str(force).lower()}
    async with api.session() as session, session.patch(VIRTUAL_SERVICE, json=item, headers=APPLY, params=query) as response:
        body: Json = await response.json()
        return response.status, body


async def test_an_owner_that_applies_from_the_servers_side_meets_a_conflict_and_wins_by_force(
    api: KubeApiServer, kube: KubeClient
) -> None:
    """The list of routes is one field. The owner keeps all the others, and what it forces is seen and taken back again."""
    await delete(api, VIRTUAL_SERVICE)
    assert (await apply(api, 10, force=False))[0] == 201
    router = IstioRouter(kube)
    located = (await router.locate(RELEASE)).located
    assert (await router.revert(RELEASE, located=located)).changed
    item = await kube.get(VIRTUAL_SERVICES, namespace=NAMESPACE, name=SERVICE)
    owned = {one["manager"]: one["fieldsV1"] for one in item["metadata"]["managedFields"]}
    assert owned["verdictd"] == {"f:spec": {"f:http": {}}}
    assert "f:http" not in owned["owner"]["f:spec"]
    assert "f:hosts" in owned["owner"]["f:spec"]
    status, body = await apply(api, 10, force=False)
    assert (status, body["details"]["causes"][0]["field"]) == (409, ".spec.http")
    assert '"verdictd"' in body["message"]
    assert await router.canary_gets_traffic(RELEASE, located=located) is None
    assert (await apply(api, 10, force=True))[0] == 200
    assert await router.canary_gets_traffic(RELEASE, located=located) is not None
    assert (await router.revert(RELEASE, located=located)).changed
    assert await split(kube) == [100, 0]


async def test_a_server_that_was_stopped_is_patched_as_soon_as_it_goes_on(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    """How soon is shown on a clock that nobody waits for, where the guard is."""
    config = str(api.write_kubeconfig(tmp_path / "hasty.json"))
    hasty = KubeClient(Kubernetes(auth="kubeconfig", kubeconfig=config, request_timeout_seconds=0.5))
    await hasty.connect()
    located = (await IstioRouter(kube).locate(RELEASE)).located
    procedure = replace(reverting(revert_attempts=2, insist_seconds=60.0), baseline_seconds=1.0)
    api.process.signal(signal.SIGSTOP)
    try:
        outcome = await procedure.run(IstioRouter(hasty), RELEASE, located=located)
    finally:
        api.process.signal(signal.SIGCONT)
    await hasty.close()
    assert outcome.action is Action.FAILED, outcome.reason
    steps = await Guarding(reverting=procedure).keep_retrying(IstioRouter(kube), RELEASE, located=located)
    assert PATCH_ACKNOWLEDGED in {step.step for step in steps}
    assert await split(kube) == [100, 0]


async def test_other_names_of_the_canarys_pods_are_taken_back_and_all_of_both_arms_too(
    api: KubeApiServer, kube: KubeClient
) -> None:
    """Another Service of the same pods, and a route to all pods, on a server that checks what is written."""
    canary = {"app": SERVICE, "version": "v2"}
    preview = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "preview"},
        "spec": {"selector": canary, "ports": [{"port": 80}]},
    }
    await post(api, f"{CORE}/services", preview)
    http: list[Json] = [{"match": [{"uri": {"prefix": "/all"}}], "route": [{"destination": {"host": SERVICE}}]}]
    http += [{"route": [{"destination": {"host": "preview", "port": {"number": 80}}}]}]
    direct = istio_objects.virtual_service()
    direct["metadata"], direct["spec"] = {"name": "direct", "namespace": NAMESPACE}, {"hosts": ["direct.example.com"], "http": http}
    await post(api, f"{ISTIO}/virtualservices", direct)
    outcome = await reverted(kube)
    item = await kube.get(VIRTUAL_SERVICES, namespace=NAMESPACE, name="direct")
    for path in (f"{CORE}/services/preview", f"{ISTIO}/virtualservices/direct"):
        await delete(api, path)
    assert (outcome.action, outcome.remarks) == (Action.REVERT, ())
    assert [one["route"][0]["destination"] for one in item["spec"]["http"]] == [
        {"host": SERVICE, "subset": "v1"},
        {"host": SERVICE, "subset": "v1", "port": {"number": istio_objects.PORT}},
    ]


async def test_a_canary_is_found_as_the_routes_are_watched_and_the_last_word_is_a_listings(
    kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    listing = kube.list

    async def recorded(resource: Resource, **more: Any) -> Listing:
        listed.append(resource.plural)
        return await listing(resource, **more)

    monkeypatch.setattr(kube, "list", recorded)
    router, heard = IstioRouter(kube), asyncio.Event()
    async with background(router.follow(heard.set)):
        await asyncio.wait_for(heard.wait(), 60.0)
        listed.clear()
        located = (await router.locate(RELEASE)).located
        assert VIRTUAL_SERVICES.plural not in listed
        assert await router.canary_gets_traffic(RELEASE, located=located) is not None
        assert listed.count(VIRTUAL_SERVICES.plural) == 1
        unknown = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v9"))
        with pytest.raises(NotFound, match="in any namespace names the canary"):
            await router.locate(unknown)
        assert listed.count(VIRTUAL_SERVICES.plural) == 2, "nor is it said of what is watched that nothing is there"
