"""One canary in two clusters, each a real API server of its own: taken back in both, and in one while the other is away."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.cli import main
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from tests.hand import istio_objects
from tests.hand.istio_cluster import client_of, istio_cluster
from tests.hand.istio_objects import NAMESPACE, SERVICE
from tests.mesh.test_kube_real import read
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import free_ports

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.xdist_group("kube")]

ARMS = ["--service", SERVICE, "--namespace", NAMESPACE, "--baseline", "version=v1", "--canary", "version=v2"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[KubeApiServer, KubeApiServer]]:
    async with contextlib.AsyncExitStack() as stack:
        begun = (istio_cluster(tmp_path_factory.mktemp(name)) for name in ("east", "west"))
        east, west = await asyncio.gather(*(stack.enter_async_context(one) for one in begun))
        yield east, west


async def weights(api: KubeApiServer, folder: Path) -> list[int]:
    client = client_of(api, folder / "reader.json")
    spec = (await read(client))["spec"]
    await client.close()
    return [target["weight"] for target in spec["http"][2]["route"]]


async def begin(api: KubeApiServer, folder: Path) -> None:
    """The routes as they were before anything was taken back."""
    client = client_of(api, folder / "writer.json")
    operations = [{"op": "replace", "path": "/spec", "value": istio_objects.virtual_service()["spec"]}]
    await client.patch(VIRTUAL_SERVICES, name=SERVICE, namespace=NAMESPACE, operations=operations)
    await client.close()


async def revert(folder: Path, kubernetes: dict[str, Any], *argv: str) -> int:
    meshes = {"mesh": {"kind": "istio", "telemetry": "t", "cluster": "east", "further_clusters": ["west"]}}
    telemetry = {"t": {"kind": "prometheus", "url": "http://127.0.0.1:9", "dialect": "istio"}}
    limits = {"revert_attempts": 3, "confirm_seconds": 2.0}
    file = folder / "settings.json"
    file.write_text(json.dumps({"kubernetes": kubernetes, "meshes": meshes, "telemetry": telemetry, "limits": limits}))
    return await asyncio.to_thread(main, ["revert", "--config", str(file), *ARMS, *argv])


def reached(api: KubeApiServer, path: Path) -> dict[str, str]:
    return {"auth": "kubeconfig", "kubeconfig": str(api.write_kubeconfig(path))}


async def test_the_canary_of_both_clusters_is_shown_and_taken_back(
    apis: tuple[KubeApiServer, KubeApiServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    east, west = apis
    for api in apis:
        await begin(api, tmp_path)
    kubernetes = {"east": reached(east, tmp_path / "east.json"), "west": reached(west, tmp_path / "west.json")}
    assert await revert(tmp_path, kubernetes, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert sorted(route.partition(":")[0] for route in shown["routes"]) == ["east", "east", "west", "west"]
    assert await revert(tmp_path, kubernetes, "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["action"] == "revert"
    assert "; west: " in told["reason"]
    assert [await weights(api, tmp_path) for api in apis] == [[100, 0], [100, 0]]


async def test_a_cluster_that_is_away_holds_up_no_other_and_is_told(
    apis: tuple[KubeApiServer, KubeApiServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    east, west = apis
    await begin(east, tmp_path)
    [nobody] = free_ports(1)
    away = tmp_path / "away.json"
    west.write_kubeconfig(away)
    away.write_text(away.read_text().replace(west.url, f"https://127.0.0.1:{nobody}"))
    kubernetes = {"east": reached(east, tmp_path / "east.json"), "west": {"auth": "kubeconfig", "kubeconfig": str(away)}}
    assert await revert(tmp_path, kubernetes, "--yes") == 69
    out = capsys.readouterr().out
    assert "west: the traffic could not be taken back (3 tried)" in out
    assert await weights(east, tmp_path) == [100, 0]


async def test_who_names_a_kubeconfig_means_that_cluster_alone(
    apis: tuple[KubeApiServer, KubeApiServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    east, west = apis
    for api in apis:
        await begin(api, tmp_path)
    kubernetes = {"east": {"kubeconfig": "nowhere"}, "west": reached(west, tmp_path / "west.json")}
    named = str(east.write_kubeconfig(tmp_path / "named.json"))
    assert await revert(tmp_path, kubernetes, "--yes", "--kubeconfig", named) == 0
    assert "in the cluster that was named only, not in west" in capsys.readouterr().err
    assert [await weights(api, tmp_path) for api in apis] == [[100, 0], [90, 10]]
