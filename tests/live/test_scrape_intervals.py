"""One Prometheus with four jobs, scraped every 5, 15, 30 and 60 s, watched at once by one daemon's ticker with default settings.

It takes four minutes and next to no CPU: it waits, beside the other tests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from config.policy import Failures, Policy
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.engine import lifecycle as life
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Outcome, Release
from daemon.placement import Placement
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from tests.hand.ports import Scene
from tests.live.test_telemetry_prometheus import Pod
from tests.servers.prometheus import prometheus
from tests.servers.run import free_ports, until

pytestmark = pytest.mark.live

EVERY_SECONDS = (5, 15, 30, 60)
WATCHED_SECONDS = 220.0
SLACK_SECONDS = 20.0
"""Beyond the scrapes themselves, for a machine that has other tests to run; how long it takes is for ``make bench`` to say."""
RATE = 20.0
CANARIES = {"bad": 0.1, "calm": 0.0}


@dataclass
class Serving(Pod):
    """A pod that serves all the time, and remembers what it has shown at each scrape: when, and how many requests."""

    fails: float = 0.0
    since: float = field(default_factory=time.time)
    shown: list[tuple[float, int]] = field(default_factory=list)

    async def metrics(self, request: web.Request) -> web.Response:
        total = int(RATE * (time.time() - self.since))
        self.failed = int(self.fails * total)
        self.served = 1000 + total - self.failed
        self.shown.append((time.time(), total))
        return await super().metrics(request)


@dataclass
class Counted:
    """A telemetry, and the canaries' requests that it has counted, by release. Counting starts in the first reading: between
    ``began`` and ``started``, during which there may have been a scrape.
    """

    telemetry: Telemetry
    requests: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    started: float | None = None

    tick_seconds = property(lambda self: self.telemetry.tick_seconds)
    wait_seconds = property(lambda self: self.telemetry.wait_seconds)
    split = property(lambda self: self.telemetry.split)
    failure = property(lambda self: self.telemetry.failure)

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        return self.telemetry.cannot_tell(failures)

    def cannot_count(self, release: Release) -> str | None:
        return self.telemetry.cannot_count(release)

    def timed(self, release: Release) -> bool:
        return True

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        readings = await self.telemetry.read(watches)
        self.started = self.started or time.time()
        for release_id, reading in readings.items():
            counted = 0 if reading.canary is None else reading.canary.requests
            self.requests[release_id] = self.requests.get(release_id, 0) + counted
        return readings

    def forget(self, release_id: str) -> None:
        self.telemetry.forget(release_id)


@asynccontextmanager
async def scraped(folder: Path) -> AsyncIterator[tuple[dict[str, Serving], str]]:
    """The canaries by release, and the Prometheus that scrapes them and two pods of the baseline for each interval."""
    ports = iter(free_ports(len(EVERY_SECONDS) * (2 + len(CANARIES))))
    canaries: dict[str, Serving] = {}
    jobs = []
    async with AsyncExitStack() as stack:
        for every in EVERY_SECONDS:
            pods = [Serving("web-v1", next(ports), namespace=f"every-{every}") for _ in range(2)]
            for kind, fails in CANARIES.items():
                pods.append(Serving(f"web-{kind}", next(ports), namespace=f"every-{every}", fails=fails))
                canaries[f"{kind}-{every}"] = pods[-1]
            for pod in pods:
                await pod.start()
                stack.push_async_callback(pod.stop)
            targets = [f"127.0.0.1:{pod.port}" for pod in pods]
            interval = {"scrape_interval": f"{every}s", "scrape_timeout": f"{min(every, 10)}s"}
            jobs.append({"job_name": f"every-{every}", **interval, "static_configs": [{"targets": targets}]})
        server = await stack.enter_async_context(prometheus(folder, jobs))
        await until(lambda: _all_scraped(canaries.values()), within=120)
        yield canaries, server.url


async def _all_scraped(pods: Iterable[Serving]) -> bool:
    return all(pod.shown for pod in pods)


def watching(release_id: str, *, telemetry: Telemetry, clock: SystemClock) -> Session:
    """A session of the release, in its watch."""
    kind, every = release_id.split("-")
    release = Release(
        service="web",
        namespace=f"every-{every}",
        baseline=ArmSpec(workload="web-v1"),
        canary=ArmSpec(workload=f"web-{kind}"),
        mesh="m",
    )
    session = life.admitted(
        release,
        release_id=release_id,
        policy=Policy(window_seconds=1800.0, warmup_seconds=0.0),
        policy_hash="sha256:x",
        cluster="test",
        tick_seconds=telemetry.tick_seconds,
        split=telemetry.split,
        now=clock.now(),
    )
    return life.located(session, Placement(routes=(), canary_percent=50.0), now=clock.now())


@pytest.mark.timeout(420)
async def test_at_every_usual_scrape_interval_almost_all_is_counted_and_a_bad_canary_is_taken_back(tmp_path: Path) -> None:
    clock, scene, registry = SystemClock(), Scene(), Registry(max_ended=10)
    decided: dict[str, float] = {}
    verdicts: list[Session] = []

    def decide(session: Session) -> None:
        decided[session.release_id] = time.time()
        verdicts.append(session)

    async with scraped(tmp_path) as (canaries, url), AsyncExitStack() as stack:
        settings = PrometheusTelemetry(url=url, dialect="istio")
        made = await stack.enter_async_context(telemetry_from(settings, clock=clock, schemas=schemas()))
        counted = Counted(made)
        checkpoints = Checkpoints(
            scene.sessions, records=scene.records, clock=clock, meter=scene.meter, leave=lambda release_id: None
        )
        ticker = Ticker(
            "field",
            counted,
            meshes=frozenset({"m"}),
            registry=registry,
            checkpoints=checkpoints,
            clock=clock,
            meter=scene.meter,
            decided=decide,
        )
        for release_id in canaries:
            registry.put(watching(release_id, telemetry=counted, clock=clock))
        ticking = asyncio.create_task(ticker.run())
        try:
            await asyncio.sleep(WATCHED_SECONDS)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        ended = time.time()

    assert {session.release_id for session in verdicts} == {f"bad-{every}" for every in EVERY_SECONDS}
    assert {session.decision.outcome for session in verdicts if session.decision is not None} == {Outcome.ROLLBACK}
    for release_id, pod in canaries.items():
        every = int(release_id.split("-")[1])
        first, started = (
            [total for when, total in pod.shown if when <= moment][-1] for moment in (counted.began, counted.started or ended)
        )
        if release_id in decided:
            assert decided[release_id] - counted.began <= 4 * every + SLACK_SECONDS, f"{release_id}: {decided}"
            continue
        # A canary's scrape can wait for the baseline's, and for its own next one.
        known = [total for when, total in pod.shown if when <= ended - every - SLACK_SECONDS]
        got = counted.requests[release_id]
        assert known[-1] > started, f"{release_id}: nothing to count"
        assert got <= pod.shown[-1][1] - first, f"{release_id}: more than was served"
        assert got >= 0.95 * (known[-1] - started), f"{release_id}: {got} of {known[-1] - started}"
