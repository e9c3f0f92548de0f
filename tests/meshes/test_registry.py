"""A mesh that another package brings is one like ours: settings, locate, revert, rights, documents. No file of ours changes."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import structs

from config.errors import ConfigError
from config.settings import Kubernetes, PrometheusTelemetry, Settings
from daemon.aio.clock import SystemClock
from daemon.cli import main
from daemon.http.capacity import set_aside
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS
from daemon.kube.rights import Right
from daemon.meshes import registry
from daemon.meshes.consulkubernetes.mesh import ConsulKubernetesMesh
from daemon.meshes.gatewayapi.mesh import GatewayApiMesh
from daemon.meshes.istio.mesh import IstioMesh
from daemon.meshes.kind import MeshKind
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.linkerd.mesh import LinkerdMesh
from daemon.meshes.osm.mesh import OsmMesh
from daemon.model import ArmSpec, Release
from daemon.settings import load_settings, settings_schema
from daemon.telemetry.factory import telemetry_from
from tests.docs import meshes, rbac, reference
from tests.hand.packages import install, packages
from tests.meshes.cluster import cluster
from tests.meshes.made_up import MADE_UP, REDIRECTS, SPLITS, MadeUpMesh
from tests.meshes.objects import behind

__all__ = ["packages"]

ARMS = ["--service", "web", "--namespace", "shop", "--baseline", "service=web-v1", "--canary", "service=web-v2"]
ALL = "consul, envoy, envoy-gateway, istio, linkerd"
KINDS = "consul, consul-kubernetes, envoy, envoy-gateway, gateway-api, istio, linkerd, nomad"
TELEMETRY = {"kind": "prometheus", "url": "http://127.0.0.1:9090", "dialect": "made-up"}


@pytest.fixture
def made_up(packages: Path) -> None:
    install(packages, {registry.GROUP: {"made-up": "tests.meshes.made_up:MADE_UP"}})


def written(folder: Path, mesh: dict[str, Any], **more: Any) -> Path:
    file = folder / "settings.json"
    file.write_text(json.dumps({"telemetry": {"t": TELEMETRY}, "meshes": {"m": {"telemetry": "t", **mesh}}, **more}))
    return file


@pytest.mark.usefixtures("made_up")
def test_its_settings_are_read_and_refused_as_any_other(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, {"kind": "made-up", "zone": "b"}))
    assert settings.meshes == {"m": MadeUpMesh(telemetry="t", zone="b")}
    assert settings.telemetry == {"t": PrometheusTelemetry(url="http://127.0.0.1:9090", dialect="made-up")}
    for mesh, path, fix in (
        ({"kind": "made-up", "zone": 5}, "meshes.m.zone", 'write it in quotes: "5"'),
        ({"kind": "made-up", "zoen": "b"}, "meshes.m.zoen", "did you mean zone?"),
        ({"kind": "made-upp"}, "meshes.m.kind", "write made-up"),
        ({"kind": 7}, "meshes.m.kind", f"write {KINDS}, osm or made-up"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(written(tmp_path, mesh))
        assert [(problem.path, problem.fix) for problem in caught.value.faults] == [(path, fix)]
    assert settings_schema()["$defs"]["MadeUpMesh"]["properties"]["zone"]["description"] == "Where it would be."


def test_without_it_its_settings_name_no_mesh_and_no_dialect(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, {"kind": "made-up"}))
    assert [(problem.path, problem.fix) for problem in caught.value.faults] == [
        ("telemetry.t.dialect", f"write {ALL} or osm"),
        ("meshes.m.kind", f"write {KINDS} or osm"),
    ]


@pytest.mark.usefixtures("made_up")
async def test_its_routes_are_found_and_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with cluster(tmp_path) as api:
        api.listed |= {"splits", "redirects"}
        shares = [{"service": "web-v1", "weight": 90}, {"service": "web-v2", "weight": 10}]
        api.put(SPLITS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"backends": shares}})
        api.put(REDIRECTS, {"metadata": {"name": "beta", "namespace": "edge"}, "spec": {"to": "web-v2"}})
        api.put(*behind("web-v1", "a", "b"))
        kubernetes = {"auth": "kubeconfig", "kubeconfig": str(api.kubeconfig)}
        file = written(tmp_path, {"kind": "made-up"}, kubernetes=kubernetes)
        assert await asyncio.to_thread(main, ["revert", "--config", str(file), *ARMS, "--yes", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["routes"] == ["shop/web: 10 % of the traffic", "edge/beta: 100 % of the traffic"]
        assert (told["action"], told["canary_percent"], told["baseline"]) == ("revert", 10.0, "2 ready endpoints")
        assert [one["weight"] for one in api.get(SPLITS, "shop", "web")["spec"]["backends"]] == [100, 0]
        assert api.get(REDIRECTS, "edge", "beta")["spec"] == {"to": "web-v1"}


@pytest.mark.usefixtures("made_up")
async def test_a_release_that_its_telemetry_cannot_count_is_taken_back_by_hand_all_the_same(tmp_path: Path) -> None:
    entry = PrometheusTelemetry(url="http://127.0.0.1:9090", dialect="made-up")
    release = Release(
        service="web", namespace="shop", protocol="tcp", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2")
    )
    async with telemetry_from(entry, clock=SystemClock(), schemas=registry.schemas()) as telemetry:
        assert telemetry.cannot_count(release) == "made-up telemetry has no counters of tcp: nothing of the release could be seen"
    async with cluster(tmp_path) as api:
        api.listed |= {"splits", "redirects"}
        api.put(REDIRECTS, {"metadata": {"name": "beta", "namespace": "edge"}, "spec": {"to": "web-v2"}})
        api.put(*behind("web-v1", "a"))
        file = written(tmp_path, {"kind": "made-up"}, kubernetes={"auth": "kubeconfig", "kubeconfig": str(api.kubeconfig)})
        told = tmp_path / "release.json"
        told.write_bytes(msgspec.json.encode(release))
        assert await asyncio.to_thread(main, ["revert", "--release", str(told), "--config", str(file), "--yes"]) == 0
        assert api.get(REDIRECTS, "edge", "beta")["spec"] == {"to": "web-v1"}


@pytest.mark.usefixtures("made_up")
async def test_its_telemetry_speaks_its_dialect() -> None:
    entry = PrometheusTelemetry(url="http://127.0.0.1:9090", dialect="made-up")
    async with telemetry_from(entry, clock=SystemClock(), schemas=registry.schemas()) as telemetry:
        assert telemetry.split == MADE_UP.telemetry.split


@pytest.mark.usefixtures("made_up")
def test_its_connections_are_set_aside_and_its_credentials_are_read_at_the_start() -> None:
    entry = PrometheusTelemetry(url="http://127.0.0.1:9090", dialect="made-up")
    without = Settings(telemetry={"t": entry})
    mesh = MadeUpMesh(telemetry="t")
    assert registry.need_kubernetes([mesh])
    istio = set_aside(Settings(telemetry={"t": entry}, meshes={"m": IstioMesh(telemetry="t")})) - set_aside(without)
    assert set_aside(Settings(telemetry={"t": entry}, meshes={"m": mesh})) - set_aside(without) == istio + MADE_UP.connections


def test_the_documents_and_the_manifest_have_its_lines() -> None:
    kinds = [*registry.BUILT_IN, MADE_UP]
    page = reference.page(kinds)
    assert "### `meshes.NAME` of kind `made-up`\n\nA mesh that nobody has." in page
    assert "| `zone` | text | `nowhere` | Where it would be. |" in page
    assert "`linkerd`, `made-up` or `osm` | *required* |" in page
    assert "| `made-up` | Splits and Redirects | `service` | `made-up` | nothing |" in meshes.page(kinds)
    assert "| **patch `splits.made-up.example`, `redirects.made-up.example`** |" in meshes.page(kinds)
    roles = {one["metadata"]["name"]: one for one in yaml.safe_load_all(rbac.manifest([MADE_UP])) if "rules" in one}
    routes = {"apiGroups": ["made-up.example"], "resources": ["splits", "redirects"]}
    assert roles["verdictd-find-routes"]["rules"] == [{**routes, "verbs": ["get", "list"]}]
    assert roles["verdictd-enforce"]["rules"] == [{**routes, "verbs": ["patch"]}]
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}
    assert roles["verdictd-observe"]["rules"] == [slices]
    together = {one["metadata"]["name"]: one for one in yaml.safe_load_all(rbac.manifest(kinds)) if "rules" in one}
    assert together["verdictd-observe"]["rules"].count(slices) == 1


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("nowhere.at_all:MESH", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("tests.meshes.made_up:ABSENT", "cannot be loaded: AttributeError"),
        ("tests.meshes.made_up:SPLITS", "is no MeshKind but a Resource"),
        ("daemon.meshes.istio.mesh:ISTIO", "is a mesh of the kind istio, and so is one of verdictd"),
    ],
)
def test_a_package_whose_mesh_cannot_be_used_is_refused_with_its_name(
    packages: Path, capsys: pytest.CaptureFixture[str], point: str, message: str
) -> None:
    install(packages, {registry.GROUP: {"theirs": point, "made-up": "tests.meshes.made_up:MADE_UP"}})
    with pytest.raises(ConfigError) as caught:
        registry.kinds()
    (problem,) = caught.value.faults
    assert (problem.path, problem.fix) == ("verdictd.meshes.theirs", "mend or remove somebody")
    assert message in problem.message
    settings = written(packages, {"kind": "istio"})
    assert main(["check", str(settings)]) != 0
    assert "verdictd.meshes.theirs" in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 1, "boom"])
def test_a_package_that_ends_python_when_it_is_loaded_is_refused_and_no_command_takes_its_word_for_the_exit_code(
    packages: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int | str
) -> None:
    (packages / "leaving.py").write_text(f"raise SystemExit({code!r})\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "leaving", raising=False)
    install(packages, {registry.GROUP: {"theirs": "leaving:MESH"}})
    settings = written(packages, {"kind": "istio"})
    for command in (["check", str(settings)], ["run", "--config", str(settings)], ["revert", *ARMS, "--yes"]):
        assert main(command) == 64
        told = capsys.readouterr()
        said = f"leaving:MESH of somebody cannot be loaded: RuntimeError: it wanted to end the process, with {code!r}"
        assert f"verdictd.meshes.theirs: {said}" in told.out + told.err


def test_of_our_own_each_kind_is_known_by_its_name() -> None:
    assert list(registry.kinds()) == [
        "consul",
        "consul-kubernetes",
        "envoy",
        "envoy-gateway",
        "gateway-api",
        "istio",
        "linkerd",
        "nomad",
        "osm",
    ]
    assert registry.kind_of(IstioMesh(telemetry="t")) is registry.kinds()["istio"]


def test_routes_of_the_gateway_api_have_the_signs_of_the_mesh_whose_proxies_are_read() -> None:
    mesh, kinds = GatewayApiMesh(telemetry="t"), registry.kinds()
    istios = registry.kind_read(mesh, dialect="istio")
    assert istios is kinds["gateway-api"]
    for told in ("build", "control_plane", "arm_signs", "mends"):
        assert getattr(istios, told) == getattr(kinds["istio"], told)
    assert registry.kind_read(mesh, dialect="envoy-gateway") is kinds["envoy-gateway"]
    assert registry.kind_read(mesh, dialect="linkerd") is kinds["linkerd"]
    assert registry.kind_read(mesh, dialect="nobodys") is kinds["gateway-api"]


def test_a_backend_of_the_gateway_api_is_a_cluster_of_istios_clients() -> None:
    release = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
    signs = registry.kinds()["gateway-api"].arm_signs
    assert signs is not None
    pattern = signs.clusters(release, release.canary)
    assert pattern is not None
    assert re.fullmatch(pattern, "outbound|8080||web-v2.shop.svc.cluster.local")
    assert not re.fullmatch(pattern, "outbound|8080||web-v1.shop.svc.cluster.local")


def test_without_settings_every_mesh_that_needs_only_credentials_can_be_reverted() -> None:
    assert registry.bare() == {
        "consul-kubernetes": ConsulKubernetesMesh(telemetry=""),
        "gateway-api": GatewayApiMesh(telemetry=""),
        "istio": IstioMesh(telemetry=""),
        "linkerd": LinkerdMesh(telemetry=""),
        "osm": OsmMesh(telemetry=""),
    }


@pytest.mark.parametrize(
    ("verbs", "scopes"), [(("patch",), ("watched",)), (("get",), ("enforced",)), (("patch",), ("everywhere", "watched"))]
)
def test_a_right_to_change_something_is_one_of_enforcing(verbs: Any, scopes: Any) -> None:
    with pytest.raises(ValueError, match="patch goes with enforced"):
        Right(verbs=verbs, resources=(PODS,), scopes=scopes, purpose="x")


@pytest.mark.parametrize("kind", [one for one in (*registry.BUILT_IN, MADE_UP) if one.router], ids=lambda kind: kind.name)
async def test_a_row_has_the_rights_that_every_mesh_of_kubernetes_routes_needs(kind: MeshKind) -> None:
    """Forgotten, they would be missed at the first revert."""
    required = {field.name: "http://127.0.0.1:1" for field in structs.fields(kind.settings) if field.required}
    assert kind.router is not None
    router = kind.router(kind.settings(**required), kube=KubeClient(Kubernetes()), name="m")
    resources = set(router._kinds) if isinstance(router, KubeRouter) else set()
    await router.close()
    granted = {
        (scope, verb, one) for right in kind.rights for scope in right.scopes for verb in right.verbs for one in right.resources
    }
    needed = (("everywhere", "get"), ("everywhere", "list"), ("enforced", "patch"))
    assert {(scope, verb, one) for scope, verb in needed for one in resources} <= granted
    assert {one for scope, _, one in granted if scope == "enforced"} == resources
