"""A mesh that is only observed: it says so wherever something of it would be changed."""

import json
from pathlib import Path

import pytest

from config.settings import Kubernetes
from daemon.cli import main
from daemon.errors import Blocked
from daemon.kube.client import KubeClient
from daemon.meshes import registry
from daemon.meshes.envoygateway.mesh import ENVOY_GATEWAY, EnvoyGatewayMesh
from daemon.meshes.kind import MeshKind
from daemon.model import ArmSpec, Release

RELEASE = Release(service="web", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
UNSTEERED = [kind for kind in registry.BUILT_IN if kind.router is None]


@pytest.mark.parametrize("kind", UNSTEERED, ids=lambda kind: kind.name)
async def test_its_watch_begins_at_once_and_nothing_of_it_is_ever_changed(kind: MeshKind) -> None:
    router = registry.router_for(kind.settings(telemetry="t"), kube=KubeClient(Kubernetes()))
    found = await router.locate(RELEASE)
    assert (found.routes, found.canary_percent) == ((), 0.0)
    for ask in (router.check_baseline, router.revert, router.canary_gets_traffic):
        with pytest.raises(Blocked, match=f"routes of {kind.name} are not steered by this version"):
            await ask(RELEASE)
    await router.close()


def test_to_take_it_back_by_hand_is_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.json"
    telemetry = {"kind": "prometheus", "url": "http://127.0.0.1:9090", "dialect": "envoy-gateway"}
    meshes = {"m": {"kind": "envoy-gateway", "telemetry": "t"}}
    file.write_text(json.dumps({"telemetry": {"t": telemetry}, "meshes": meshes}), encoding="utf-8")
    arms = ["--service", "web", "--baseline", "service=web-v1", "--canary", "service=web-v2"]
    assert main(["revert", "--config", str(file), *arms, "--yes"]) == 64
    assert "routes of envoy-gateway are not steered by this version: its releases are observed only" in capsys.readouterr().err


def test_a_kind_has_a_router_and_words_for_its_routes_or_neither() -> None:
    assert registry.why_observed_only(EnvoyGatewayMesh(telemetry="t")).startswith("routes of envoy-gateway")
    with pytest.raises(TypeError, match="must have a router and the words for its routes, or neither"):
        MeshKind(settings=EnvoyGatewayMesh, telemetry=ENVOY_GATEWAY.telemetry, routes="HTTPRoutes", arms="x", proven="y")
