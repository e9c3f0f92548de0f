"""Routes of Argo Rollouts and Flagger themselves: told nothing they undo a revert; told first, it stays, and they end as failed.

What verdictd does here it does with the rights of the manifest. The gates' tests are here for the controllers that run already:
they ask by the templates of docs/gates.md. Releases are noticed meanwhile by a watch of the routes: each once, whatever a revert
does.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from daemon.delivery.argorollouts import ArgoRollouts
from daemon.delivery.gittools import ClusterGitTools
from daemon.delivery.owners import owners_in
from daemon.delivery.rolloutarms import HASH_LABEL
from daemon.engine import fanout
from daemon.engine.dependencies import MeshCluster
from daemon.engine.handover import OWNER_TOLD
from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK
from daemon.engine.reverting import RevertOutcome
from daemon.interventions import Command
from daemon.kube.client import KubeClient
from daemon.kube.resources import ROLLOUTS
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action, Release
from daemon.ports.routing import Owner
from tests.hand.istio_cluster import client_of, cluster_of, post
from tests.hand.procedures import guarded, reverting
from tests.mesh.flux_world import FLUX_SYSTEM, REVISION, flux_release, install_sources
from tests.mesh.gates_world import (
    ANALYSIS_RUNS,
    argo_s_question,
    flagger_s_questions,
    gated,
    has_begun,
    has_failed,
    kayenta_s_question,
    measured,
)
from tests.mesh.noticed import noticed
from tests.mesh.owners_world import (
    DEPLOYMENTS,
    NAMESPACES,
    REPLICA_SETS,
    Owned,
    argo_release,
    becoming_ready,
    create,
    flagger_release,
    git_release,
)
from tests.mesh.relay import Relay, relay
from tests.packaging.manifests import collection, documents
from tests.servers.argorollouts import argo_rollouts
from tests.servers.crds import install_crds
from tests.servers.flagger import flagger
from tests.servers.flux import kustomize_controller
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require, require_crds
from tests.servers.run import until

HEARD_WITHIN_SECONDS = 15.0
"""Of those within which an owner must be told, on a busy machine (``reverting``)."""
RIGHTS = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"}

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("owners"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    crds = [require_crds(name) for name in ("istio", "argo-rollouts", "flagger")]
    objects = [(collection(one), one) for one in documents() if one["kind"] in RIGHTS]
    async with cluster_of(tmp_path_factory.mktemp("cluster"), crds=crds, objects=objects) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(api: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeClient]:
    """The client of the daemon's account."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await post(api, "/api/v1/namespaces/verdictd/serviceaccounts/verdictd/token", asked)
    client = client_of(api, tmp_path_factory.mktemp("daemon") / "daemon.json", made["status"]["token"])
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(api: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeClient]:
    client = client_of(api, tmp_path_factory.mktemp("admin") / "admin.json")
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def argo(api: KubeApiServer, kube: KubeClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    """What it is answered can be held up."""
    async with (
        relay(api) as (way, there),
        argo_rollouts(tmp_path_factory.mktemp("argo"), there),
        becoming_ready(api, kube, REPLICA_SETS),
    ):
        yield way


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flaggers(api: KubeApiServer, kube: KubeClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    async with flagger(tmp_path_factory.mktemp("flagger"), api), becoming_ready(api, kube, DEPLOYMENTS):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flux(api: KubeApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    require("kustomize-controller")
    await install_crds(api, require_crds("flux-kustomizations"))
    await install_sources(api, tmp_path_factory.mktemp("sources"))
    await post(api, NAMESPACES, {"metadata": {"name": FLUX_SYSTEM}})
    async with kustomize_controller(tmp_path_factory.mktemp("flux"), api):
        yield


def patient(kube: KubeClient) -> list[Owner]:
    """The owners, of whom none is given up for being slow on a busy machine."""
    argo = ArgoRollouts(kube, heard_within_seconds=HEARD_WITHIN_SECONDS)
    return [argo if owner.name == argo.name else owner for owner in owners_in(kube)]


async def revert(kube: KubeClient, owned: Owned, *, told: bool = True) -> RevertOutcome:
    """The release's, as the daemon does it. Who is told nothing may put the weights back before anybody looks whether they left."""
    router = IstioRouter(kube)
    placement = await router.locate(owned.release)
    owners, git = patient(kube) if told else (), ClusterGitTools(kube)
    outcome = await reverting(confirm_seconds=2.0).run(router, owned.release, located=placement.located, owners=owners, git=git)
    assert (outcome.action is Action.REVERT) if told else (outcome.attempts > 0), outcome.reason
    return outcome


def some(releases: Mapping[str, Release]) -> Callable[[], Awaitable[bool]]:
    """Whether a release has been noticed."""

    async def noticed_one() -> bool:
        return bool(releases)

    return noticed_one


@pytest.mark.usefixtures("argo")
async def test_argo_rollouts_puts_the_weights_of_a_rollout_back_when_it_is_told_nothing(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient
) -> None:
    async with argo_release(api, kube, "argo-untold") as owned:
        start = time.monotonic()
        await revert(daemons, owned, told=False)

        await owned.weights.until(lambda seen: seen.since(start)[:2] == [0, 10])
        # What the daemon's guard does about it.
        steps = await guarded(IstioRouter(daemons), owned.release, owners=owners_in(daemons))
        # How often it came back before that depends on how fast it is.
        assert {step.step for step in steps} == {OWNER_TOLD, PUT_BACK, GUARD_ENDED}
        await owned.tick()

        await owned.weights.until(lambda seen: seen.now == 0)
        assert (await owned.owner())["status"]["abort"]


@pytest.mark.usefixtures("argo")
async def test_argo_rollouts_aborts_first_and_the_weights_do_not_come_back(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient
) -> None:
    async with noticed(kube, "argo-told") as releases, argo_release(api, kube, "argo-told") as owned:
        await until(some(releases), within=60.0)
        start = time.monotonic()
        outcome = await revert(daemons, owned)
        assert "was told to give the canary up" in outcome.reason

        async def has_ended() -> bool:
            status = (await owned.owner())["status"]
            return status["phase"] == "Degraded" and "abortedAt" in status

        await until(has_ended, within=60.0)
        await owned.tick()
        await owned.weights.until(lambda seen: seen.now == 0)
        assert owned.weights.since(start) == [0]
    (release,) = releases.values()
    assert (release.baseline.service, release.canary.service, release.observe) == ("web-stable", "web-canary", False)
    assert release.artifact == "example.com/web:v2"
    assert release.baseline.labels[HASH_LABEL] != release.canary.labels[HASH_LABEL]


async def test_argo_rollouts_that_missed_the_abort_is_told_again_and_the_weights_do_not_come_back(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient, argo: Relay
) -> None:
    """It takes what a write of its own is answered for newer than what it was told meanwhile."""
    status = ROLLOUTS.path(namespace="argo-missed", name="web") + "/status"

    def is_last_of_the_step(request: web.Request, body: bytes) -> bool:
        return request.path == status and body.startswith(b'{"status":{"conditions":') and b'"RolloutPaused"' in body

    argo.hold(is_last_of_the_step, until=b'"abort":true')
    async with argo_release(api, kube, "argo-missed") as owned:
        await argo.held.wait()
        start = time.monotonic()
        outcome = await revert(daemons, owned)
        [told] = [step.detail for step in outcome.steps if step.step == OWNER_TOLD]
        assert told == "Argo Rollouts (argo-missed/web): status.abort is set, and it has aborted"
        await owned.tick()
        await owned.weights.until(lambda seen: seen.now == 0)
        assert owned.weights.since(start) == [0]


@pytest.mark.usefixtures("flaggers")
async def test_flagger_begins_its_analysis_anew_when_it_is_told_nothing(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient
) -> None:
    async with flagger_release(api, kube, "flagger-untold") as owned:
        start = time.monotonic()
        await revert(daemons, owned, told=False)
        await owned.weights.until(lambda seen: seen.now == 0)
        assert owned.weights.since(start) == [0]
        await owned.tick()
        await owned.weights.until(lambda seen: seen.since(start) == [0, 10])


@pytest.mark.usefixtures("flaggers")
async def test_flagger_fails_first_and_the_weights_do_not_come_back(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient
) -> None:
    async with noticed(kube, "flagger-told") as releases, flagger_release(api, kube, "flagger-told") as owned:
        await until(some(releases), within=60.0)
        start = time.monotonic()
        outcome = await revert(daemons, owned)
        assert "was told to give the canary up" in outcome.reason
        await owned.tick()

        async def has_failed() -> bool:
            return bool((await owned.owner())["status"]["phase"] == "Failed")

        await until(has_failed, within=60.0)
        await owned.tick()
        await owned.weights.until(lambda seen: seen.now == 0)
        assert owned.weights.since(start) == [0]
    (release,) = releases.values()
    assert (release.baseline.service, release.canary.service, release.observe) == ("web-primary", "web-canary", False)
    assert (release.service, release.artifact) == ("web", "example.com/web:v2")


@pytest.mark.usefixtures("argo")
async def test_argo_rollouts_asks_by_the_page_s_metric_and_its_kayenta_of_one_release_goes_on_meanwhile_and_aborts_by_the_verdict(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    async with gated(tmp_path) as gates:
        analysis, beside = argo_s_question(gates.url)
        async with argo_release(api, kube, "argo-gate", analysis=analysis, beside=beside) as owned:
            await until(lambda: measured(kube, "argo-gate", at_least=2), within=60.0)
            [asked] = gates.engine.views()
            assert (asked.release.namespace, asked.release.canary.subset, asked.verdict) == ("argo-gate", "canary", None)
            await create(api, ANALYSIS_RUNS, "argo-gate", kayenta_s_question(gates.url, namespace="argo-gate"))
            await until(lambda: has_begun(kube, "argo-gate", "by-kayenta"), within=60.0)
            await gates.engine.command(asked.id, Command(command="rollback", by="anna"))
            await owned.weights.until(lambda seen: seen.now == 0)
            assert (await owned.owner())["status"]["abort"]
            await until(lambda: has_failed(kube, "argo-gate", "by-kayenta"), within=60.0)
        assert [asked.id] == [view.id for view in gates.engine.views()]


@pytest.mark.usefixtures("flaggers")
async def test_flagger_asks_by_the_page_s_webhooks_and_its_metric_of_one_release_goes_on_meanwhile_and_rolls_back_by_the_verdict(
    api: KubeApiServer, kube: KubeClient, tmp_path: Path
) -> None:
    async with gated(tmp_path) as gates:
        analysis, beside = flagger_s_questions(gates.url, namespace="flagger-gate")
        async with flagger_release(api, kube, "flagger-gate", analysis=analysis, beside=beside) as owned:
            await owned.tick()
            await owned.weights.until(lambda seen: seen.now == 20)
            assert (await owned.owner())["status"]["failedChecks"] == 0, "the metric's either"
            [asked] = gates.engine.views()
            assert (asked.release.canary.service, asked.verdict) == ("web-canary", None)
            await gates.engine.command(asked.id, Command(command="rollback", by="anna"))
            await owned.tick()
            await owned.weights.until(lambda seen: seen.now == 0)
        assert [asked.id] == [view.id for view in gates.engine.views()]


async def test_what_git_applies_again_is_taken_back_and_the_last_word_says_who_and_when(
    api: KubeApiServer, daemons: KubeClient
) -> None:
    async with git_release(api, "git") as owned:
        router, start = IstioRouter(daemons), time.monotonic()
        placement = await router.locate(owned.release)
        assert [route.owner for route in placement.routes] == ["Flux (Kustomization flux-system/apps)"]
        outcome = await revert(daemons, owned)
        assert "git/web: applied by Flux (Kustomization flux-system/apps), whose source must change" in outcome.reason
        assert outcome.reacts_within_seconds == 5.0
        await owned.tick()
        put_back, end = await guarded(router, owned.release, owners=owners_in(daemons))
        assert put_back.step == PUT_BACK
        assert "git/web http primary: 10 % of the traffic" in end.detail
        assert "as written by kustomize-controller at 20" in end.detail
        await owned.weights.until(lambda seen: seen.since(start) == [0, 10, 0])


@pytest.mark.usefixtures("flux")
async def test_what_flux_applies_again_is_taken_back_while_the_guard_stands_and_the_verdict_names_the_revision(
    api: KubeApiServer, kube: KubeClient, daemons: KubeClient
) -> None:
    async with flux_release(api, kube, "flux") as owned:
        router, start = IstioRouter(daemons), time.monotonic()
        there = {"only": MeshCluster(router=router, git=ClusterGitTools(daemons))}
        source = f"GitRepository flux-system/flux, ./, at revision {REVISION}"
        [route] = (await fanout.locate(there, owned.release)).routes
        assert route.owner == f"Flux (Kustomization flux-system/flux, from {source})"
        outcome = await revert(daemons, owned)
        assert (
            f"flux/web: applied by Flux (Kustomization flux-system/flux), whose source must change: {source}; "
            "it is applied again at each reconciliation, every 10m; until then"
        ) in outcome.reason

        await owned.tick()
        put_back, end = await guarded(router, owned.release, owners=owners_in(daemons))
        assert put_back.step == PUT_BACK
        assert "as written by kustomize-controller at 20" in end.detail
        await owned.weights.until(lambda seen: seen.since(start) == [0, 10, 0])
        await owned.tick()
        await owned.weights.until(lambda seen: seen.since(start) == [0, 10, 0, 10])
        assert await router.canary_gets_traffic(owned.release) is not None


@pytest.mark.usefixtures("flux")
async def test_flux_leaves_alone_what_it_is_told_to_make_once(api: KubeApiServer, kube: KubeClient, daemons: KubeClient) -> None:
    once = {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
    async with flux_release(api, kube, "flux-once", annotations=once) as owned:
        router, start = IstioRouter(daemons), time.monotonic()
        [route] = (await router.locate(owned.release)).routes
        assert route.applier is not None
        assert (route.owner, route.applier.left_alone) == ("", "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent")
        outcome = await revert(daemons, owned)
        assert "must change" not in outcome.reason
        await owned.tick()
        assert owned.weights.since(start) == [0]
        assert await router.canary_gets_traffic(owned.release) is None
