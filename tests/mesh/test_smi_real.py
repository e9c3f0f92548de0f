"""TrafficSplits on a real API server, by the definitions of each that brings them: in the version that is served, exactly."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.aio.tasks import background
from daemon.cli import main
from daemon.engine.reasserting import PUT_BACK
from daemon.engine.reverting import RevertOutcome
from daemon.errors import Conflict
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.arms import named
from daemon.meshes.osm.mesh import OsmMesh
from daemon.meshes.registry import router_for
from daemon.meshes.smi import trafficsplit
from daemon.meshes.smi.router import TrafficSplitRouter
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS
from daemon.model import Action
from tests.hand.gateway_objects import RELEASE
from tests.hand.istio_cluster import client_of, cluster_of, post
from tests.hand.istio_objects import NAMESPACE
from tests.hand.procedures import guarded, reverting
from tests.hand.split_objects import created, split, splits
from tests.mesh.noticed import begins
from tests.servers.crds import DEFINITIONS, install_crds
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds
from tests.servers.run import until
from tests.watcher.world import BY_OSM

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("smi"),
]

OSM, ARGO, LINKERD = "osm", "argo-rollouts", "linkerd-smi"
SERVED = {OSM: "v1alpha2", ARGO: "v1alpha4", LINKERD: "v1alpha2"}


def definitions(whose: str) -> Path:
    if whose == LINKERD:
        return Path(__file__).parents[1] / "hand" / "crds" / "smi-v1alpha1.yaml"
    return require_crds(f"smi-of-{whose}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with cluster_of(tmp_path_factory.mktemp("cluster"), crds=[], objects=created()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[OSM, ARGO, LINKERD])
async def whose(server: KubeApiServer, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Whose definitions are installed."""
    found = str(request.param)
    await install_crds(server, definitions(found))
    yield found
    async with server.session() as session:
        async with session.delete(f"{DEFINITIONS}/{TRAFFIC_SPLITS}") as response:
            assert response.status == 200

        async def is_gone() -> bool:
            async with session.get(f"{DEFINITIONS}/{TRAFFIC_SPLITS}") as response:
                return response.status == 404

        await until(is_gone, 60)


@pytest_asyncio.fixture(loop_scope="module")
async def kube(server: KubeApiServer, whose: str, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and no split."""
    client = client_of(server, tmp_path / "admin.json")
    async with server.session() as session, session.delete(splits(SERVED[whose])) as response:
        assert response.status == 200
    yield client
    await client.close()


@pytest.fixture
def router(kube: KubeClient) -> TrafficSplitRouter:
    found = router_for(OsmMesh(telemetry="t"), kube=kube)
    assert isinstance(found, TrafficSplitRouter)
    return found


async def create(server: KubeApiServer, version: str, *backends: tuple[str, Any], **more: Any) -> Json:
    return await post(server, splits(version), split(version, *backends, **more))


async def read(kube: KubeClient, name: str = "web") -> list[tuple[str, Any]]:
    found = (await kube.get(TRAFFIC_SPLITS, name=name, namespace=NAMESPACE))["spec"]["backends"]
    return [(one["service"], one["weight"]) for one in found]


async def reverted(router: TrafficSplitRouter) -> RevertOutcome:
    """By the daemon's own procedure, from looking to seeing the traffic leave."""
    located = (await router.locate(RELEASE)).located
    return await reverting(confirm_seconds=1.0).run(router, RELEASE, located=located)


async def test_a_split_that_begins_to_send_to_another_service_is_a_release_that_nobody_announces(
    server: KubeApiServer, kube: KubeClient, whose: str
) -> None:
    before, after = (split(SERVED[whose], ("web-v1", 100 - canary), ("web-v2", canary)) for canary in (0, 5))
    where = splits(SERVED[whose])
    release = await begins(server, kube, by=BY_OSM, collection=where, before=before, after=after, namespace=NAMESPACE)
    assert (release.service, release.baseline.service, release.canary.service) == ("web", "web-v1", "web-v2")


async def test_the_weight_goes_to_the_baseline_and_nothing_else_is_written(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    before = await create(server, SERVED[whose], ("web-v2", 10), ("other", 30), ("web-v1", 60))
    assert (await router.locate(RELEASE)).canary_percent == 10.0
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    after = await kube.get(TRAFFIC_SPLITS, name="web", namespace=NAMESPACE)
    assert after["apiVersion"].endswith(SERVED[whose])
    for backend, weight in zip(before["spec"]["backends"], (0, 30, 70), strict=True):
        backend["weight"] = weight
    assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])


async def test_the_canary_alone_is_pointed_at_the_baseline_and_of_several_splits_each_is_taken_back(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    await create(server, SERVED[whose], ("web-v2", 1))
    await create(server, SERVED[whose], ("web-v1", 1), ("web-v2.shop", 1), name="second")
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    assert await read(kube) == [("web-v1", 1)]
    assert await read(kube, "second") == [("web-v1", 2), ("web-v2.shop", 0)]


async def test_a_fraction_is_never_written(server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str) -> None:
    await create(server, SERVED[whose], ("web-v1", 99.5), ("web-v2", 0.5))
    await create(server, SERVED[whose], ("web-v1", 89.5), ("web-v2", 10), ("other", 0.5), name="odd")
    outcome = await reverted(router)
    assert outcome.action is Action.FAILED
    assert "a weight of 99500m cannot be written here" in outcome.reason
    assert await read(kube) == [("web-v1", 100), ("web-v2", 0)]
    assert await read(kube, "odd") == [("web-v1", 89.5), ("web-v2", 10), ("other", 0.5)]


async def test_a_split_that_somebody_else_wrote_meanwhile_is_read_and_planned_anew(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    stale = await create(server, SERVED[whose], ("web-v1", 90), ("web-v2", 10))
    heavier = [{"op": "replace", "path": "/spec/backends/1/weight", "value": 40}]
    await kube.patch(TRAFFIC_SPLITS, name="web", namespace=NAMESPACE, operations=heavier)
    plan = trafficsplit.revert(stale, arms=named(RELEASE))
    with pytest.raises(Conflict, match="409"):
        await kube.patch(TRAFFIC_SPLITS, name="web", namespace=NAMESPACE, operations=plan.operations)
    assert (await router.revert(RELEASE)).changed
    assert await read(kube) == [("web-v1", 130), ("web-v2", 0)]


@pytest.mark.parametrize("whose", [LINKERD], indirect=True)
async def test_quantities_are_moved_exactly_though_a_later_version_is_served_as_well(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    await create(server, "v1alpha1", ("web-v1", "500m"), ("web-v2", "100m"), ("other", "0m"))
    await create(server, "v1alpha1", ("web-v1", 1), ("web-v2", "500m"), name="mixed")
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    assert await read(kube) == [("web-v1", "600m"), ("web-v2", "0"), ("other", "0m")]
    assert await read(kube, "mixed") == [("web-v1", "1500m"), ("web-v2", "0")]


@pytest.mark.parametrize("whose", [LINKERD, OSM], indirect=True)
async def test_what_was_taken_back_can_be_put_back_in_the_version_that_it_was_written_in(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    before: list[tuple[str, Any]] = [("web-v1", "500m"), ("web-v2", "100m")] if whose == LINKERD else [("web-v1", 9), ("web-v2", 1)]
    await create(server, "v1alpha1" if whose == LINKERD else "v1alpha2", *before)
    receipt = await router.revert(RELEASE)
    undos = [part.undo for part in receipt.parts if part.undo is not None]
    assert [part.failure for part in await router.restore(undos)] == [None]
    assert await read(kube) == before


@pytest.mark.parametrize("whose", [ARGO], indirect=True)
async def test_what_a_split_matches_stays_and_its_root_is_named(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    matches = [{"kind": "HTTPRouteGroup", "name": "testers"}]
    await create(server, "v1alpha4", ("web-v1", 0), ("web-v2", 100), matches=matches)
    [place] = (await router.locate(RELEASE)).elsewhere
    assert place.startswith("shop/web (what it does not match goes to Service web.shop")
    outcome = await reverted(router)
    assert outcome.action is Action.REVERT, outcome.reason
    assert await read(kube) == [("web-v1", 100), ("web-v2", 0)]
    assert (await kube.get(TRAFFIC_SPLITS, name="web", namespace=NAMESPACE))["spec"]["matches"] == matches


@pytest.mark.parametrize("whose", [OSM], indirect=True)
async def test_a_changed_weight_is_heard_of_and_a_canary_that_is_given_it_again_is_taken_back_again(
    server: KubeApiServer, kube: KubeClient, router: TrafficSplitRouter, whose: str
) -> None:
    await create(server, "v1alpha2", ("web-v1", 90), ("web-v2", 10))
    located = (await router.locate(RELEASE)).located
    changed = asyncio.Event()

    async def weighs(percent: float) -> bool:
        return await router.weight(RELEASE, located=located) == percent

    async def meddle() -> None:
        await asyncio.sleep(0.5)
        heavier = [{"op": "replace", "path": f"/spec/backends/{at}/weight", "value": 50} for at in (0, 1)]
        await kube.patch(TRAFFIC_SPLITS, name="web", namespace=NAMESPACE, operations=heavier)

    async with background(router.follow(changed.set)):
        await until(lambda: weighs(10.0), 60)
        assert (await reverting().run(router, RELEASE, located=located)).action is Action.REVERT
        changed.clear()
        _, steps = await asyncio.gather(meddle(), guarded(router, RELEASE, located=located))
        assert PUT_BACK in [step.step for step in steps]
        await asyncio.wait_for(changed.wait(), 60.0)
        await until(lambda: weighs(0.0), 60)
    assert await read(kube) == [("web-v1", 100), ("web-v2", 0)]


@pytest.mark.parametrize("whose", [OSM], indirect=True)
async def test_the_command_takes_it_back(
    server: KubeApiServer, kube: KubeClient, whose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await create(server, "v1alpha2", ("web-v1", 90), ("web-v2", 10))
    kubeconfig = server.write_kubeconfig(tmp_path / "command.json")
    arms = ("--service", "web", "--namespace", NAMESPACE, "--baseline", "service=web-v1", "--canary", "service=web-v2")
    argv = ["revert", "--kubeconfig", str(kubeconfig), *arms, "--yes"]
    assert await asyncio.to_thread(main, argv) == 0
    assert "shop/web: weight 10 of web-v2.shop -> web-v1.shop" in capsys.readouterr().out
    assert await read(kube) == [("web-v1", 100), ("web-v2", 0)]
