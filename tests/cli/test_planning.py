"""``verdictd plan``: where the service comes from, what is refused, and its output."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from daemon.aio.clock import SystemClock
from daemon.cli import main, observing
from daemon.offline.plan.scenarios import Plan
from tests.hand.servers import stub
from tests.meshes.cluster import cluster
from tests.meshes.objects import behind, pod, rule, to, virtual_service
from tests.offline.replay.recorded import HEALTHY, record

QUICK = ["--runs", "5", "--regression", "latency=2", "--processes", "1"]
FIGURES = ["--rps", "200", "--median-ms", "40", "--p99-ms", "240", "--tick", "30"]


def planned(capsys: pytest.CaptureFixture[str], *argv: str) -> Plan:
    assert main(["plan", "--json", *QUICK, *argv]) == 0
    return msgspec.json.decode(capsys.readouterr().out, type=Plan)


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *FIGURES, *QUICK, "--errors", "0.1%"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("200 requests/s, 5 % of them to the canary; errors 0.1 %")
    assert "all latency x2" in out
    assert err == ""


def test_the_table_fits_into_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["plan", *FIGURES, *QUICK, "--regression", "errors=1%", "--regression", "p99=1.5"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_every_option_that_is_missing_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == 64
    said = capsys.readouterr().err
    assert "give --rps, --median-ms and --p99-ms (or --histogram), or --from RECORDING" in said


def test_a_torn_recording_is_used_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [file] = record(tmp_path, change=HEALTHY, ticks=40)
    file.write_bytes(file.read_bytes()[:-40])
    assert main(["plan", "--from", str(file), *QUICK]) == 0
    assert capsys.readouterr().err.startswith(f"verdictd: {file}:41: the last line is torn")


def test_figures(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(
        capsys,
        *FIGURES,
        "--weight",
        "20",
        "--errors",
        "0.01",
        "--denied",
        "1%",
        "--tick",
        "20",
        "--bounds-ms",
        "10,50,500",
        "--unsplit",
        "--burst",
        "3",
        "--jitter",
        "4%",
    )
    service = found.scenarios[0].service
    assert (service.weight, service.errors, service.denied, service.tick_seconds) == (20.0, 0.01, 0.01, 20.0)
    assert (service.bounds_ms, service.split, found.releases, found.seed) == ((10.0, 50.0, 500.0), False, 5, 1)
    assert (service.burst, service.jitter) == (3, 0.04)
    assert [row.label for row in found.rows] == ["all latency x2"]
    assert found.healthy.regression is None


def test_a_histogram(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "h.yaml"
    file.write_text("bounds_ms: [10, 20, 50, 100]\ncounts: [5, 40, 50, 4, 1]\n", encoding="utf-8")
    service = planned(capsys, "--rps", "100", "--histogram", str(file)).scenarios[0].service
    assert service.bounds_ms == (10.0, 20.0, 50.0, 100.0)
    assert 10.0 < service.median_ms < 50.0 < service.p99_ms
    assert service.histogram is not None


def test_a_recording_and_figures_that_go_before_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    [path] = record(tmp_path, change=HEALTHY, ticks=20)
    service = planned(capsys, "--from", str(path), "--weight", "25").scenarios[0].service
    assert (service.weight, service.tick_seconds) == (25.0, 1.0)
    assert service.histogram is not None
    other = planned(capsys, "--from", str(path), "--median-ms", "10").scenarios[0].service
    assert (other.median_ms, other.histogram) == (10.0, None)


def test_a_policy_sets_the_regressions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "tolerances: {latency: {typical: 2.5, slow_end: 4}, errors: {max_rate: 0.3}}\nwindow_seconds: 301", encoding="utf-8"
    )
    assert main(["plan", "--json", "--runs", "2", "--processes", "1", *FIGURES, "--policy", str(policy)]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Plan)
    assert [row.label for row in found.rows] == [
        "errors 0 % -> 50 %", "errors 0 % -> 100 %", "all latency x3", "all latency x5", "all latency x10",
        "slow end, p99 x5", "slow end, p99 x10",
    ]  # fmt: skip
    assert found.policy.window_seconds == 301.0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "--rps: is missing"),
        (["--rps", "10", "--p99-ms", "20"], "--median-ms: is missing"),
        ([*FIGURES, "--rps", "0"], "rps must be positive"),
        ([*FIGURES, "--errors", "few"], "--errors: 'few' is no share"),
        ([*FIGURES, "--bounds-ms", "1,2,x"], "no list of numbers"),
        ([*FIGURES, "--bounds-ms", "1,2,inf"], "leave out +Inf"),
        ([*FIGURES, "--bounds-ms", "2,1"], "must increase"),
        ([*FIGURES, "--regression", "speed=2"], "names no kind"),
        ([*FIGURES, "--config", "x.yaml"], "--release: is missing"),
        ([*FIGURES, "--release", "x.yaml"], "--config: is missing"),
        (["--from", "absent.jsonl"], "absent.jsonl"),
    ],
)
def test_what_cannot_be_planned_exits_64(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *argv]) == 64
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("content", ["bounds_ms: [1]\ncounts: [1]", "bounds_ms: [1]", "counts: [0, 0]\nbounds_ms: [1]"])
def test_a_histogram_that_is_none_exits_64(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "h.yaml"
    file.write_text(content, encoding="utf-8")
    assert main(["plan", "--rps", "10", "--histogram", str(file)]) == 64
    assert str(file) in capsys.readouterr().err


TICK_SECONDS = 5.0


class Proxy(SystemClock):
    """Envoy's page of a service that serves 2200 requests between two readings, 40 of them failing; and the time, by which it is
    a tick from one reading to the next, however long they take."""

    def __init__(self) -> None:
        self.readings = 0

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return TICK_SECONDS * self.readings

    async def page(self, request: web.Request) -> web.Response:
        """Counters that grow."""
        self.readings += 1
        lines = ["# TYPE envoy_cluster_upstream_rq_xx counter"]
        for name, number, failed in (("web-v1", 2000, 40), ("web-v2", 200, 0)):
            for code, count in ((2, number - failed), (5, failed)):
                labels = f'envoy_response_code_class="{code}",envoy_cluster_name="{name}"'
                lines.append(f"envoy_cluster_upstream_rq_xx{{{labels}}} {count * self.readings}")
        lines.append("# TYPE envoy_cluster_upstream_rq_time histogram")
        for name, number in (("web-v1", 2000 * self.readings), ("web-v2", 200 * self.readings)):
            cluster, metric = f'envoy_cluster_name="{name}"', "envoy_cluster_upstream_rq_time"
            for le, part in (("10", 0.2), ("50", 0.9), ("100", 1.0), ("+Inf", 1.0)):
                lines.append(f'{metric}_bucket{{{cluster},le="{le}"}} {int(number * part)}')
            lines += [f"{metric}_sum{{{cluster}}} {30 * number}", f"{metric}_count{{{cluster}}} {number}"]
        return web.Response(text="\n".join(lines) + "\n")


async def observe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: Proxy, **changed: str) -> int:
    monkeypatch.setattr(observing, "SystemClock", lambda: proxy)
    monkeypatch.setattr(observing, "time", proxy)
    async with stub() as server:
        server.does(proxy.page)
        settings = {
            "telemetry": {"t": {"kind": "envoy", "endpoints": [server.url], "tick_seconds": TICK_SECONDS, "timeout_seconds": 4.5}},
            "meshes": {"edge": {"kind": "envoy", "telemetry": "t", "routes_file": "r", "admin": server.url}},
            "policies": {"default": {"alpha": 0.02, "window_seconds": 60, "warmup_seconds": 0, "promotion": {"min_seconds": 5}}},
        }
        (tmp_path / "s.json").write_text(json.dumps(settings), encoding="utf-8")
        release = {"service": "web", "baseline": {"service": "web-v1"}, "canary": {"service": "web-v2"}, "weight": 10}
        (tmp_path / "r.json").write_text(json.dumps({**release, **changed}), encoding="utf-8")
        files = ["--config", str(tmp_path / "s.json"), "--release", str(tmp_path / "r.json")]
        return await asyncio.to_thread(main, ["plan", "--json", *QUICK, *files, "--observe", "20"])


async def test_a_running_service_is_observed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the daemon's own telemetry. The baseline's failures and latencies, the requests of both."""
    assert await observe(monkeypatch, tmp_path, Proxy()) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Plan)
    service = found.scenarios[0].service
    assert service.rps == pytest.approx(440.0)
    assert (service.errors, service.weight, service.tick_seconds, service.split) == (0.02, 10.0, TICK_SECONDS, False)
    assert service.bounds_ms == (10.0, 50.0, 100.0)
    assert 10.0 < service.median_ms < 50.0
    assert found.policy.alpha == 0.02


async def test_a_service_that_is_not_there_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Empty(Proxy):
        async def page(self, request: web.Request) -> web.Response:
            self.readings += 1
            return web.Response(text="# nothing\n")

    assert await observe(monkeypatch, tmp_path, Empty()) == 64
    assert "nothing was seen: baseline: no series yet" in capsys.readouterr().err


async def test_connections_are_not_foretold_and_that_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy()
    assert await observe(monkeypatch, tmp_path, proxy, protocol="tcp") == 64
    assert "no latency is known of TCP, and what a watch would find is foretold from latencies too" in capsys.readouterr().err
    assert not proxy.readings


async def observe_istio(tmp_path: Path, kubeconfig: Path) -> list[str]:
    """Observe two subsets through a Prometheus that has nothing; gives what it was asked."""
    async with stub() as server:
        server.says('{"status":"success","data":{"resultType":"matrix","result":[]}}')
        settings = {
            "telemetry": {"t": {"kind": "prometheus", "url": server.url, "dialect": "istio", "tick_seconds": 0.25}},
            "meshes": {"m": {"kind": "istio", "telemetry": "t"}},
            "kubernetes": {"auth": "kubeconfig", "kubeconfig": str(kubeconfig)},
        }
        (tmp_path / "s.json").write_text(json.dumps(settings), encoding="utf-8")
        arms = {"baseline": {"subset": "stable"}, "canary": {"subset": "canary"}}
        (tmp_path / "r.json").write_text(json.dumps({"service": "web", "namespace": "shop", **arms}), encoding="utf-8")
        files = ["--config", str(tmp_path / "s.json"), "--release", str(tmp_path / "r.json")]
        assert await asyncio.to_thread(main, ["plan", *QUICK, *files, "--observe", "1"]) == 64
        return [asked["query"] for asked in server.asked]


async def test_a_running_services_arms_are_their_pods_as_for_the_daemon(tmp_path: Path) -> None:
    async with cluster(tmp_path) as api:
        for resource, item in (
            virtual_service(to("web", "stable", 90), to("web", "canary", 10)),
            rule({"stable": {"version": "2.0"}, "canary": {"version": "2.1"}}),
            pod("web-a", version="2.0"),
            pod("web-b", version="2.1"),
            behind("web", "web-a", "web-b"),
        ):
            api.put(resource, item)
        asked = await observe_istio(tmp_path, api.kubeconfig)
    assert 'destination_workload=~"web-a|web-b"' in asked[0]


async def test_where_there_is_no_cluster_to_ask_the_releases_own_words_do_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = await observe_istio(tmp_path, tmp_path / "nowhere.json")
    assert 'destination_version=~"canary|stable"' in asked[0]
    assert "the arms are taken for what the release says, since their pods are not known" in capsys.readouterr().err
