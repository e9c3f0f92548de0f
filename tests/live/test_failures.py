"""What counts as a failure, on a real Prometheus: pods that speak as Istio's proxies do, several policies, the real judge."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from analyzers.judge import fold, start, terms_of
from analyzers.ruling import Ruling
from config.policy import Failures, LatencyTolerance, Policy, Promotion, Tolerances
from daemon.measurements import Watch
from daemon.model import ArmSpec, Release
from daemon.recordings import sample_of
from tests.live.test_telemetry_prometheus import telemetry
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.run import LOOPBACK, free_ports, until

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]

TICKS = 9
Ends = Mapping[tuple[tuple[str, str], ...], int]
"""Requests a second by the labels that say how they ended."""


def ends(requests: int, **labels: str) -> tuple[tuple[tuple[str, str], ...], int]:
    """So many requests a second with these labels, beside the usual ones; an empty one is left out."""
    usual = {"response_code": "200", "response_flags": "-", "request_protocol": "http"}
    return tuple(sorted({label: value for label, value in {**usual, **labels}.items() if value}.items())), requests


FINE = ends(200)
CASES: dict[str, tuple[Ends, Ends]] = {
    "hangs": (
        dict([FINE, ends(1, response_code="0", response_flags="DC")]),
        dict([ends(20), ends(20, response_code="0", response_flags="DC")]),
    ),
    "leaves": (
        dict([FINE, ends(6, response_code="0", response_flags="DC")]),
        dict([ends(40), ends(1, response_code="0", response_flags="DC")]),
    ),
    "unlabelled": (dict([FINE]), dict([ends(40, response_code="")])),
    "grpc": (
        dict([ends(200, request_protocol="grpc", grpc_response_status="0")]),
        dict(
            [
                ends(20, request_protocol="grpc", grpc_response_status="0"),
                ends(20, request_protocol="grpc", grpc_response_status="13"),
            ]
        ),
    ),
    "lost": (dict([FINE]), dict([ends(20), ends(20, response_code="404")])),
}
"""Baseline and canary of each service."""


@dataclass
class Sidecar:
    """One pod's sidecar; it counts on with the clock, from its first scrape on."""

    service: str
    workload: str
    ends: Ends
    port: int
    began: float | None = None
    scraped: int = 0
    runner: web.AppRunner | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Serve its page."""
        app = web.Application()
        app.router.add_get("/metrics", self.page)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, LOOPBACK, self.port).start()

    async def page(self, request: web.Request) -> web.Response:
        """All series as they stand now; every request took 4 ms."""
        now = asyncio.get_running_loop().time()
        self.began = self.began or now
        self.scraped += 1
        common = (
            f'reporter="destination",destination_workload="{self.workload}",destination_workload_namespace="{self.service}",'
            f'destination_service_name="{self.service}"'
        )
        lines = ["# TYPE istio_requests_total counter", "# TYPE istio_request_duration_milliseconds histogram"]
        for labels, a_second in self.ends.items():
            count = int((now - self.began + 5.0) * a_second)
            ours = ",".join([common, *(f'{label}="{value}"' for label, value in labels)])
            lines.append(f"istio_requests_total{{{ours}}} {count}")
            name = "istio_request_duration_milliseconds"
            lines += [f'{name}_bucket{{{ours},le="{le}"}} {count}' for le in ("5", "10", "+Inf")]
            lines += [f"{name}_sum{{{ours}}} {4 * count}", f"{name}_count{{{ours}}} {count}"]
        return web.Response(text="\n".join(lines) + "\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """One Prometheus that scrapes the pods of all cases every second."""
    ports = iter(free_ports(2 * len(CASES)))
    pods = [
        Sidecar(case, f"web-{version}", arm, next(ports))
        for case, arms in CASES.items()
        for version, arm in zip(("v1", "v2"), arms, strict=True)
    ]
    job = {
        "job_name": "pods",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [f"{LOOPBACK}:{pod.port}" for pod in pods]}],
    }
    try:
        for pod in pods:
            await pod.start()

        async def scraped() -> bool:
            return all(pod.scraped >= 2 for pod in pods)

        async with prometheus(tmp_path_factory.mktemp("prometheus"), [job]) as started:
            await until(scraped, within=30)
            yield started
    finally:
        for pod in pods:
            if pod.runner is not None:
                await pod.runner.cleanup()


def policy(*, promotes_after_seconds: float = 600.0, **failures: object) -> Policy:
    """Promotes nothing in the time of the test, however much a tick of a busy machine brings.

    Buckets of 5 and 10 ms tell no tenth, so that latency is not asked to be close.
    """
    return Policy(
        failures=Failures(**failures),  # type: ignore[arg-type]  # the fields of a test's case
        promotion=Promotion(min_seconds=promotes_after_seconds, min_requests=100),
        tolerances=Tolerances(latency=LatencyTolerance(typical=3.0, slow_end=3.0)),
    )


async def judged(url: str, asked: Sequence[tuple[str, str, Policy]]) -> dict[str, Ruling]:
    """The last ruling on each (name, case, policy), all of them read together."""
    watches, going = [], {}
    for name, case, one in asked:
        release = Release(service=case, namespace=case, baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload="web-v2"))
        watches.append(Watch(release_id=name, release=release, failures=one.failures))
        terms = terms_of(one, tick_seconds=1.0, window_seconds=900.0, bounds_ms=(5.0, 10.0))
        going[name] = (terms, start(terms))
    rulings: dict[str, Ruling] = {}
    seen = dict.fromkeys(going, 0)
    async with telemetry(url, "istio") as source, asyncio.timeout(90):
        while any(seen[name] < TICKS and rulings.get(name, _NONE).outcome == "continue" for name in going):
            readings = await source.read(watches)
            for name, (terms, state) in going.items():
                if rulings.get(name, _NONE).outcome != "continue" or readings[name].gap is not None:
                    continue
                seen[name] += 1
                sample, bounds = sample_of(readings[name], t=float(seen[name]), bounds_ms=(5.0, 10.0))
                assert bounds == (5.0, 10.0)
                [(after, rulings[name])] = fold([terms], [state], [sample])
                going[name] = (terms, after)
            await asyncio.sleep(1.0)
    return rulings


_NONE = Ruling(outcome="continue", tick=0, t=0.0, evidence=1.0, boundary=100.0, legs={}, leg=None, reason="")


async def test_each_release_is_judged_by_what_its_own_policy_calls_a_failure(server: Prometheus, tmp_path: Path) -> None:
    """Ten releases under seven policies; a canary that hangs, one whose clients leave less, one without codes, gRPC, and 404."""
    asked = [
        ("hangs", "hangs", policy()),
        ("hangs and is said to fail", "hangs", policy(gave_up="failures")),
        ("hangs and nobody minds", "hangs", policy(gave_up="excused")),
        ("leaves", "leaves", policy()),
        ("unlabelled", "unlabelled", policy(promotes_after_seconds=5.0)),
        ("grpc", "grpc", policy()),
        ("grpc and nobody minds", "grpc", policy(grpc_status=("UNAVAILABLE",))),
        ("lost", "lost", policy()),
        ("lost and that is a failure", "lost", policy(status=("5xx", 404))),
        ("lost, as one of a class", "lost", policy(status=("4xx", "5xx"))),
    ]
    found = await judged(server.url, asked)
    ended = {name: (ruling.outcome, ruling.leg) for name, ruling in found.items()}
    assert ended == {
        "hangs": ("rollback", "unanswered"),
        "hangs and is said to fail": ("rollback", "errors"),
        "hangs and nobody minds": ("continue", None),
        "leaves": ("continue", None),
        "unlabelled": ("continue", None),
        "grpc": ("rollback", "errors"),
        "grpc and nobody minds": ("continue", None),
        "lost": ("continue", None),
        "lost and that is a failure": ("rollback", "errors"),
        "lost, as one of a class": ("rollback", "errors"),
    }
    assert "how 100 % of the canary's requests ended is not told: labels are missing" in found["unlabelled"].reason
    assert "got no answer before their clients gave up" in found["hangs"].reason
    assert "without an answer" not in found["leaves"].reason
