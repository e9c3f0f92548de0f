"""``verdictd revert``: the manual fallback, on a real Envoy; and how it is told what to do."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import EnvoyTelemetry, Settings, Telemetry
from daemon.cli import main, meshfinding
from daemon.cli.parser import build
from daemon.cli.reverting import release_of
from daemon.cli.steering import mesh_of
from daemon.kube import transport
from daemon.meshes.envoy.mesh import EnvoyMesh
from daemon.meshes.istio.mesh import IstioMesh
from daemon.model import ArmSpec
from tests.meshes.cluster import cluster as kubernetes
from tests.meshes.objects import service, to, two_versions, versions, virtual_service
from tests.meshes.test_envoy_live import bootstrap, cluster, routes_document
from tests.servers.envoy import envoy
from tests.servers.run import free_ports

ARMS = ["--service", "web", "--baseline", "service=v1", "--canary", "service=v2"]
EDGE = EnvoyMesh(telemetry="t", routes_file="routes.json", admin="http://127.0.0.1:1")
TELEMETRY: dict[str, Telemetry] = {"t": EnvoyTelemetry(endpoints=["http://127.0.0.1:1"])}


@dataclass(frozen=True)
class Edge:
    """An Envoy and the settings file that names it."""

    settings: Path
    routes: Path

    def splits(self) -> dict[str, int]:
        """The weights of the split route."""
        route = json.loads(self.routes.read_text())["resources"][0]["virtual_hosts"][0]["routes"][2]["route"]
        return {target["name"]: target["weight"] for target in route["weighted_clusters"]["clusters"]}


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    admin_port, proxy_port, one, two = free_ports(4)
    routes = tmp_path / "routes.json"
    routes.write_text(json.dumps(routes_document()))
    clusters = [cluster("v1", one), cluster("v2", two), cluster("empty")]
    config = tmp_path / "bootstrap.json"
    config.write_text(json.dumps(bootstrap(routes=routes, admin_port=admin_port, proxy_port=proxy_port, clusters=clusters)))
    async with envoy(tmp_path, config, admin_port) as running:
        settings = tmp_path / "settings.json"
        mesh = {"kind": "envoy", "telemetry": "t", "routes_file": str(routes), "admin": running.admin}
        telemetry = {"kind": "envoy", "endpoints": [running.admin]}
        settings.write_text(json.dumps({"telemetry": {"t": telemetry}, "meshes": {"edge": mesh}}))
        yield Edge(settings, routes)


async def revert(edge: Edge, *argv: str) -> int:
    return await asyncio.to_thread(main, ["revert", "--config", str(edge.settings), *argv])


@pytest.mark.live
async def test_all_traffic_goes_to_the_baseline(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    assert await revert(edge, *ARMS, "--yes") == 0
    assert edge.splits() == {"v1": 100, "v2": 0}
    out = capsys.readouterr().out
    assert "the canary gets at most 30 % of the traffic, through:" in out
    assert "revert: " in out
    assert "patch_sent" in out


@pytest.mark.live
async def test_a_dry_run_shows_the_routes_and_changes_nothing(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    assert await revert(edge, *ARMS, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (len(shown["routes"]), shown["canary_percent"], shown["action"]) == (3, 30.0, None)
    [written] = shown["objects"]
    split = "/virtual_hosts/0/routes/2/route/weighted_clusters/clusters"
    assert {"path": f"{split}/0/weight", "before": 70, "after": 100} in written["values"]
    assert {"path": "/virtual_hosts/0/routes/2/route/request_mirror_policies", "before": [{"cluster": "v2"}]} in written["values"]
    assert edge.splits() == {"v1": 70, "v2": 30}


@pytest.mark.live
async def test_a_dry_run_shows_each_value_with_its_path_and_what_it_means(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    assert await revert(edge, *ARMS, "--dry-run") == 0
    out = capsys.readouterr().out.split("would be written:\n")[1]
    target = "virtual_hosts[0].routes[2].route.weighted_clusters.clusters"
    assert out.startswith("RouteConfiguration edge\n")
    assert "  /web/split: weight 30 of v2 -> v1, now 100\n" in out
    assert f"  - {target}[0].weight: 70\n  + {target}[0].weight: 100\n" in out
    assert '  - virtual_hosts[0].routes[2].route.request_mirror_policies: [{"cluster":"v2"}]\n' in out


@pytest.mark.live
async def test_a_dry_run_says_that_nobody_would_serve_and_is_no_success(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--service", "web", "--baseline", "service=empty", "--canary", "service=v2"]
    assert await revert(edge, *arms, "--dry-run") == 69
    assert "would be blocked: the baseline has no ready endpoints" in capsys.readouterr().out


class Keyboard(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.live
@pytest.mark.parametrize(("answer", "code", "weights"), [("y", 0, (100, 0)), ("", 64, (70, 30)), ("no", 64, (70, 30))])
async def test_without_yes_it_asks_a_person(
    edge: Edge,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
    weights: tuple[int, int],
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(answer + "\n"))
    assert await revert(edge, *ARMS) == code
    assert ("nothing was changed" in capsys.readouterr().err) == (code == 64)
    assert tuple(edge.splits().values()) == weights


@pytest.mark.live
async def test_whoever_asks_for_json_is_shown_what_would_be_written_before_the_question_too(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard("no\n"))
    assert await revert(edge, *ARMS, "--json") == 64
    said = capsys.readouterr()
    shown, _, asked = said.err.partition("Send all of it")
    assert "would be written:" in shown
    assert asked
    assert json.loads(said.out)["action"] is None


@pytest.mark.live
async def test_without_yes_and_nobody_to_ask_nothing_is_changed(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert await revert(edge, *ARMS) == 64
    assert "--yes: is not given, and there is nobody to ask" in capsys.readouterr().err
    assert edge.splits() == {"v1": 70, "v2": 30}


@pytest.mark.live
async def test_a_canary_that_no_route_names_is_not_found(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    assert await revert(edge, "--service", "web", "--baseline", "service=v1", "--canary", "service=v9", "--yes") == 66
    assert "no route in" in capsys.readouterr().err


@pytest.mark.live
async def test_a_baseline_without_endpoints_is_not_given_the_traffic(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    code = await revert(edge, "--service", "web", "--baseline", "service=empty", "--canary", "service=v2", "--yes", "--json")
    assert code == 69
    told = json.loads(capsys.readouterr().out)
    assert (told["action"], told["baseline"]) == ("blocked", "0 ready endpoints (the canary has 1)")
    assert edge.splits() == {"v1": 70, "v2": 30}


@pytest.mark.live
@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
async def test_a_baseline_that_is_not_there_is_answered_with_what_is(
    edge: Edge, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """The cluster is not known to Envoy at all: every request would be answered 503."""
    assert await revert(edge, "--service", "web", "--baseline", "service=v0", "--canary", "service=v2", how) != 0
    told = capsys.readouterr()
    assert "Envoy knows no cluster 'v0' (there are empty, v1, v2)" in told.err
    assert "confirmed" not in told.out
    assert edge.splits() == {"v1": 70, "v2": 30}


def options(*argv: str) -> Any:
    return build().parse_args(["revert", *argv])


def test_a_release_is_named_by_options() -> None:
    release = release_of(options(*ARMS, "--namespace", "prod", "--route", "web", "--mesh", "edge", "--canary", "labels.app=web"))
    assert (release.service, release.namespace, release.route, release.mesh) == ("web", "prod", "web", "edge")
    assert release.canary == ArmSpec(service="v2", labels={"app": "web"})


def test_options_are_stronger_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text("service: web\nbaseline: {subset: v1}\ncanary: {subset: v2}\nweight: 5", encoding="utf-8")
    release = release_of(options("--release", str(file), "--canary", "subset=v3"))
    assert (release.baseline, release.canary, release.weight) == (ArmSpec(subset="v1"), ArmSpec(subset="v3"), 5.0)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--service", "web"], "baseline: is missing"),
        ([*ARMS, "--canary", "v2"], "--canary: 'v2' has no ="),
        ([*ARMS, "--canary", "subst=v2"], "canary.subst: is not a known key; did you mean subset?"),
        (["--service", "a/b", *ARMS[2:]], "service: 'a/b' is not a usable name"),
    ],
)
def test_what_is_not_named_rightly_is_refused(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        release_of(options(*argv))
    assert message in str(caught.value)


def test_the_only_mesh_is_taken_and_of_several_one_must_be_named() -> None:
    of = partial(mesh_of, source="verdictd revert")
    release = release_of(options(*ARMS))
    one = Settings(telemetry=TELEMETRY, meshes={"edge": EDGE})
    two = Settings(telemetry=TELEMETRY, meshes={"edge": EDGE, "other": IstioMesh(telemetry="t")})
    assert of(one.meshes, release) == EDGE
    with pytest.raises(ConfigError, match="mesh: is not given; use one of: edge, other"):
        of(two.meshes, release)
    assert of(two.meshes, release_of(options(*ARMS, "--mesh", "other"))) == IstioMesh(telemetry="t")
    with pytest.raises(ConfigError, match="mesh: 'third' is not configured; use one of: edge, other"):
        of(two.meshes, release_of(options(*ARMS, "--mesh", "third")))
    with pytest.raises(ConfigError, match="mesh: is not given; configure it under meshes"):
        of({}, release)


def test_without_a_cluster_it_says_so_and_exits_66(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without settings, Istio is reached through the kubeconfig that is named."""
    code = main(["revert", *ARMS, "--kubeconfig", str(tmp_path / "none"), "--yes"])
    assert code == 66
    assert capsys.readouterr().err.startswith("verdictd: ")


async def test_the_first_call_does_not_pay_for_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may take longer to import, on a busy machine, than the routes may take to be read: it is there before they are."""
    order: list[str] = []
    imported, located = transport._import, meshfinding.locate

    def importing() -> object:
        order.append("import")
        return imported()

    async def locating(*args: Any, **options: Any) -> Any:
        order.append("read")
        return await located(*args, **options)

    monkeypatch.setattr(transport, "_import", importing)
    monkeypatch.setattr(meshfinding, "locate", locating)
    async with kubernetes(tmp_path) as api:
        objects = [virtual_service(to("web", "v1", 50), to("web", "v2", 50)), versions("v1", "v2"), service("web", app="web")]
        for resource, item in (*objects, *two_versions()):
            api.put(resource, item)
        argv = ["--service", "web", "--namespace", "shop", "--baseline", "subset=v1", "--canary", "subset=v2", "--dry-run"]
        assert await asyncio.to_thread(main, ["revert", "--kubeconfig", str(api.kubeconfig), *argv]) == 0
    assert order == ["import", "read"]
