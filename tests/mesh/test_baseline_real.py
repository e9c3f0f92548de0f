"""A baseline that is not what the release says, on a real API server: by the router, and by ``verdictd revert`` as a command."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.cli import main
from daemon.engine.reverting import RevertOutcome
from daemon.errors import InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import SERVICES, Json, Resource
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action, ArmSpec, Release
from tests.hand import istio_objects
from tests.hand.istio_cluster import client_of, istio_cluster, post
from tests.hand.istio_objects import NAMESPACE, SERVICE
from tests.hand.procedures import reverting
from tests.servers.kube_apiserver import KubeApiServer

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("baseline"),
]

SUBSETS = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
VERSIONS = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    async with istio_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kubeconfig(api: KubeApiServer, tmp_path: Path) -> Path:
    return api.write_kubeconfig(tmp_path / "admin.json")


@pytest_asyncio.fixture(loop_scope="module")
async def kube(api: KubeApiServer, kubeconfig: Path) -> AsyncIterator[KubeClient]:
    """The administrator's client, and the objects as they were in the beginning."""
    client = client_of(api, kubeconfig)
    await write(client, VIRTUAL_SERVICES, istio_objects.virtual_service()["spec"])
    await write_subsets(client, v1={"version": "v1"}, v2={"version": "v2"})
    yield client
    await client.close()


async def write(kube: KubeClient, kind: Resource, spec: Json) -> None:
    operations = [{"op": "replace", "path": "/spec", "value": spec}]
    await kube.patch(kind, name=SERVICE, namespace=NAMESPACE, operations=operations)


async def write_subsets(kube: KubeClient, **subsets: Json) -> None:
    named = [{"name": name, "labels": labels} for name, labels in subsets.items()]
    await write(kube, DESTINATION_RULES, {"host": istio_objects.HOST, "subsets": named})


async def routes(kube: KubeClient) -> Any:
    return (await kube.get(VIRTUAL_SERVICES, name=SERVICE, namespace=NAMESPACE))["spec"]


async def revert(router: IstioRouter, release: Release, *, located: str = "") -> RevertOutcome:
    return await reverting(confirm_seconds=2.0).run(router, release, located=located)


async def command(kubeconfig: Path, *argv: str) -> int:
    """``verdictd revert`` with nothing but credentials."""
    service = ("--service", SERVICE, "--namespace", NAMESPACE)
    return await asyncio.to_thread(main, ["revert", "--kubeconfig", str(kubeconfig), *service, *argv])


async def test_a_subset_that_was_deleted_does_not_get_the_traffic(kube: KubeClient) -> None:
    router = IstioRouter(kube)
    await router.locate(SUBSETS)
    await write_subsets(kube, v2={"version": "v2"})
    outcome = await revert(router, SUBSETS)
    assert outcome.action is Action.BLOCKED
    assert "DestinationRule shop/web for web.shop.svc does not define subset v1 (there is v2)" in outcome.reason
    assert await routes(kube) == istio_objects.virtual_service()["spec"]
    with pytest.raises(NotFound, match="does not define subset v1"):
        await router.locate(SUBSETS)


async def test_a_service_that_is_not_there_does_not_get_the_traffic(kube: KubeClient) -> None:
    slip = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(service="wep"), canary=ArmSpec(service=SERVICE))
    outcome = await revert(IstioRouter(kube), slip)
    assert outcome.action is Action.BLOCKED
    assert "there is no Service wep in namespace shop (there is web; did you mean web?)" in outcome.reason
    assert await routes(kube) == istio_objects.virtual_service()["spec"]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_the_command_says_what_there_is_instead_dry_run_or_not(
    kube: KubeClient, kubeconfig: Path, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    how = "--dry-run" if dry_run else "--yes"
    assert await command(kubeconfig, "--baseline", "subset=v0", "--canary", "subset=v2", how) != 0
    told = capsys.readouterr()
    assert "does not define subset v0 (there are v1, v2)" in told.err
    assert "confirmed" not in told.out
    assert await routes(kube) == istio_objects.virtual_service()["spec"]


async def test_the_command_says_who_would_serve(kube: KubeClient, kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = ("--baseline", "subset=v1", "--canary", "subset=v2")
    assert await command(kubeconfig, *arms, "--dry-run") == 0
    assert "the baseline: 1 ready endpoints (the canary has 1)" in capsys.readouterr().out
    assert await command(kubeconfig, *arms, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "1 ready endpoints (the canary has 1)"


async def test_versions_whose_subsets_changed_places_are_resolved_anew(kube: KubeClient) -> None:
    router = IstioRouter(kube)
    await router.locate(VERSIONS)
    await write_subsets(kube, v1={"version": "v2"}, v2={"version": "v1"})
    outcome = await revert(router, VERSIONS)
    assert outcome.action is Action.REVERT, outcome.reason
    primary = (await routes(kube))["http"][2]["route"]
    assert [target["weight"] for target in primary] == [0, 100], "version v1 is subset v2 now, and gets everything"


async def test_subsets_that_changed_places_during_the_watch_block_also_after_a_restart(kube: KubeClient) -> None:
    located = (await IstioRouter(kube).locate(SUBSETS)).located
    await write_subsets(kube, v1={"version": "v2"}, v2={"version": "v1"})
    outcome = await revert(IstioRouter(kube), SUBSETS, located=located)
    assert outcome.action is Action.BLOCKED
    assert "subset v1 has come to mean the canary's pods" in outcome.reason
    assert await routes(kube) == istio_objects.virtual_service()["spec"]


async def test_two_subsets_of_the_same_pods_are_refused_and_block(
    kube: KubeClient, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    router = IstioRouter(kube)
    await router.locate(SUBSETS)
    await write_subsets(kube, v1={"version": "v2"}, v2={"version": "v2"})
    outcome = await revert(router, SUBSETS)
    assert outcome.action is Action.BLOCKED
    assert "are the same pods (version=v2): there is nothing to go back to" in outcome.reason
    with pytest.raises(InvalidInput, match="are the same pods"):
        await router.locate(SUBSETS)
    assert await command(kubeconfig, "--baseline", "subset=v1", "--canary", "subset=v2", "--yes") != 0
    assert "are the same pods" in capsys.readouterr().err
    assert await routes(kube) == istio_objects.virtual_service()["spec"]


async def test_two_services_of_the_same_pods_block(kube: KubeClient, api: KubeApiServer) -> None:
    spec = {"selector": {"app": SERVICE}, "ports": [{"name": "http", "port": istio_objects.PORT, "protocol": "TCP"}]}
    alias = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-alias", "namespace": NAMESPACE}, "spec": spec}
    await post(api, SERVICES.path(namespace=NAMESPACE), alias)
    both = Release(service=SERVICE, namespace=NAMESPACE, baseline=ArmSpec(service="web-alias"), canary=ArmSpec(service=SERVICE))
    outcome = await revert(IstioRouter(kube), both)
    assert outcome.action is Action.BLOCKED
    assert "are the same pods (app=web)" in outcome.reason
