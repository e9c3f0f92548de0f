"""How long a canary fails before it is found out where telemetry is scraped seldom and each pod has a phase of its own.

A real Prometheus, and the daemon's own way from it to the decision. The pods are stand-ins that count what they would have served,
so that many releases can be watched at once, each as if it were alone: the seconds are those of the clock, and nobody has to wait
for one release after the other. What follows a decision (patch, mesh) is measured elsewhere: it is a few ms.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiohttp import web

from config.policy import Policy
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.engine import lifecycle as life
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Outcome, Release
from daemon.placement import Placement
from daemon.telemetry.factory import telemetry_from
from tests.bench.figures import Figure, spread
from tests.hand.ports import Scene
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports

RUNS = 12
BASELINE_PODS = 3
GOALS_SECONDS = {(1, 15): 24, (1, 30): 46, (3, 15): 18, (3, 30): 35}
"""Median, by the canary's pods and by how far apart scrapes are."""
RATES = {"v1": 950.0, "v2": 50.0}
"""Requests a second of each arm."""
ERROR_RATES = {"v1": 0.001, "v2": 0.05}
_CASES = tuple(GOALS_SECONDS)
_LONGEST_SECONDS = 240.0


@dataclass
class _Pod:
    """Counts what it would have served since it was last asked; nothing before ``begins``."""

    version: str
    release: str
    rate: float
    begins: float
    served: int = 0
    failed: int = 0
    asked: float = 0.0
    dice: np.random.Generator = field(default_factory=np.random.default_rng)

    def page(self) -> str:
        now = time.time()
        seconds, self.asked = max(0.0, now - max(self.asked, self.begins)), now
        total = int(self.dice.poisson(self.rate * seconds))
        failed = int(self.dice.binomial(total, ERROR_RATES[self.version]))
        self.served, self.failed = self.served + total - failed, self.failed + failed
        lines = ["# TYPE istio_requests_total counter", "# TYPE istio_request_duration_milliseconds histogram"]
        for code, count in (("200", self.served), ("503", self.failed)):
            if count:
                labels = (
                    f'reporter="destination",destination_workload="{self.version}",'
                    f'destination_workload_namespace="{self.release}",response_code="{code}"'
                )
                name = "istio_request_duration_milliseconds"
                lines.append(f"istio_requests_total{{{labels}}} {count}")
                lines += [f'{name}_bucket{{{labels},le="{le}"}} {count}' for le in (5, 10, 100, "+Inf")]
                lines += [f"{name}_sum{{{labels}}} {4 * count}", f"{name}_count{{{labels}}} {count}"]
        return "\n".join([*lines, ""])


@dataclass
class _Fleet:
    """The pods of all releases, each under a path of its own."""

    pods: dict[str, _Pod] = field(default_factory=dict)

    def add(self, release: str, *, canaries: int, begins: float) -> None:
        for version, many in (("v1", BASELINE_PODS), ("v2", canaries)):
            for number in range(many):
                pod = _Pod(version, release, RATES[version] / many, time.time() if version == "v1" else begins)
                self.pods[f"{release}-{version}-{number}"] = pod

    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(text=self.pods[request.match_info["pod"]].page())

    def jobs(self, port: int) -> list[Mapping[str, object]]:
        """By how far apart scrapes are."""
        made: list[Mapping[str, object]] = []
        for every in sorted({every for _, every in _CASES}):
            targets = [
                {"targets": [f"{LOOPBACK}:{port}"], "labels": {"__metrics_path__": f"/{name}", "instance": name, "pod": name}}
                for name in self.pods
                if name.startswith(f"every-{every}-")
            ]
            made.append(
                {"job_name": f"{every}", "scrape_interval": f"{every}s", "scrape_timeout": "10s", "static_configs": targets}
            )
        return made


def figures(*, runs: int = RUNS) -> list[Figure]:
    """All cases, side by side."""
    found = asyncio.run(_measured(runs))
    return [
        Figure(
            what=f"errors 5 % from its first request, {pods} canary pod(s) scraped every {every} s: first request to decision, s",
            measured=spread(found[pods, every]),
            goal=f"median <= {GOALS_SECONDS[pods, every]}",
            parts=f"{BASELINE_PODS} pods of the baseline; stand-ins for pods, a real Prometheus",
        )
        for pods, every in _CASES
    ]


async def _measured(runs: int) -> dict[tuple[int, int], list[float]]:
    dice, fleet, watches = random.Random(7), _Fleet(), dict[str, float]()  # noqa: S311  # moments, not secrets
    began = time.time()
    longest = max(every for _, every in _CASES)
    for pods, every in _CASES:
        for number in range(runs):
            # All are scraped once or twice before the watch, which begins a moment before the canary's first request.
            name, begins = f"every-{every}-{pods}-{number}", began + 2.0 * longest + dice.uniform(0.0, every)
            fleet.add(name, canaries=pods, begins=begins)
            watches[name] = begins
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verdictd-bench-phases-")))
        (port,) = free_ports(1)
        app = web.Application()
        app.router.add_get("/{pod}", fleet.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, LOOPBACK, port).start()
        server = await stack.enter_async_context(prometheus(folder, fleet.jobs(port), flags=("--log.level=error",)))
        taken = await asyncio.gather(*(_found_out(name, begins, url=server.url) for name, begins in watches.items()))
    found: dict[tuple[int, int], list[float]] = {case: [] for case in _CASES}
    for name, seconds in zip(watches, taken, strict=True):
        _, of, pods_of, _ = name.split("-")
        found[int(pods_of), int(of)].append(seconds)
    return found


async def _found_out(name: str, begins: float, *, url: str) -> float:
    """From the canary's first request, all of whose pods begin then, to the decision to take it back."""
    await asyncio.sleep(begins - 1.0 - time.time())
    clock, scene, registry = SystemClock(), Scene(), Registry(max_ended=1)
    decided: asyncio.Future[tuple[float, Session]] = asyncio.get_running_loop().create_future()
    settings = PrometheusTelemetry(url=url, dialect="istio")
    async with telemetry_from(settings, clock=clock, schemas=schemas()) as telemetry, asyncio.timeout(_LONGEST_SECONDS):
        ticker = Ticker(
            name,
            telemetry,
            meshes=frozenset({"m"}),
            registry=registry,
            checkpoints=Checkpoints(
                scene.sessions, records=scene.records, clock=clock, meter=scene.meter, leave=lambda release_id: None
            ),
            clock=clock,
            meter=scene.meter,
            decided=lambda session: decided.set_result((time.time(), session)),
        )
        registry.put(_session(name, tick_seconds=telemetry.tick_seconds, split=telemetry.split, now=clock.now()))
        ticking = asyncio.create_task(ticker.run())
        try:
            at, session = await decided
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
    if session.decision is None or session.decision.outcome is not Outcome.ROLLBACK:
        raise RuntimeError(f"{name}: {session.decision}")
    return at - begins


def _session(name: str, *, tick_seconds: float, split: bool, now: float) -> Session:
    arms: Sequence[ArmSpec] = [ArmSpec(workload=version) for version in RATES]
    session = life.admitted(
        Release(service="web", namespace=name, baseline=arms[0], canary=arms[1], mesh="m"),
        release_id=name,
        policy=Policy(window_seconds=1800.0, warmup_seconds=0.0),
        policy_hash="sha256:x",
        cluster="bench",
        tick_seconds=tick_seconds,
        split=split,
        now=now,
    )
    return life.located(session, Placement(routes=(), canary_percent=5.0), now=now)
