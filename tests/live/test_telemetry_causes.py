"""What cannot work, with a real Prometheus and the daemon's own ticker: said soon after the start, and in the verdict by its cause.

One server with a job for each case, and a watch of forty seconds of each, all at the same time: it waits, and costs next to no CPU.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from config.policy import Policy, Promotion
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.engine import lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.feed import view
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Outcome, Release
from daemon.placement import Placement
from daemon.releaseview import ReleaseView
from daemon.telemetry.factory import telemetry_from
from tests.hand.ports import Scene
from tests.live.test_telemetry_prometheus import Pod
from tests.mesh.doctor_world import ShiftedClock
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports, until

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("causes")]

WINDOW_SECONDS = 40.0
PATIENCE_SECONDS = 60.0
SOON_SECONDS = 36.0
"""Within these a cause is said: half a minute, and a tick."""


@dataclass
class Aged(Pod):
    """A pod that serves all the time, and says of its samples how old they are."""

    old_seconds: float = 0.0
    since: float = field(default_factory=time.time)

    async def metrics(self, request: web.Request) -> web.Response:
        at = time.time() - self.old_seconds
        self.served = 1000 + int(20 * (at - self.since + 100.0))
        self.scraped += 1
        when = f" {round(at * 1000)}" if self.old_seconds else ""
        lines = [line if line.startswith("#") else line + when for line in self._lines()]
        return web.Response(text="\n".join(lines) + "\n")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that cannot work.

    Attributes:
        cause: what must be said of it, early and in the verdict.
        early: what must be said while it is watched, where that is in other words.
        drops: labels that the store has not.
        every: seconds between two scrapes.
        old_seconds: of the samples, when they come.
        canary: the canary's workload.
        telemetry: settings of the source.
        ahead_seconds: how far our clock is ahead.
    """

    cause: str
    early: str = ""
    drops: str = ""
    every: int = 1
    old_seconds: float = 0.0
    canary: str = "web-v2"
    telemetry: Mapping[str, float] = field(default_factory=dict)
    ahead_seconds: float = 0.0


CASES: Mapping[str, Case] = {
    "samples-too-late": Case(
        cause="none older than 10 s counts (stale_after_seconds)", old_seconds=20.0, telemetry={"stale_after_seconds": 10.0}
    ),
    "watch-too-short": Case(cause="a watch of 40 s sees too few of them; raise window_seconds", every=15),
    "summed": Case(cause="the counters are sums over several pods", drops="pod|instance"),
    # Which they are: a scrape that failed just when the store was asked has none, and it is asked once a minute.
    "no-series": Case(
        cause='the series of destination_workload_namespace="no-series" have destination_workload web-v', canary="web-v3"
    ),
    "arms-alike": Case(cause="istio telemetry cannot tell the arms apart: both are", canary="web-v1"),
    "no-status": Case(cause="labels are missing", drops="response_code|grpc_response_status"),
    "clock-ahead": Case(cause="s ahead of the store's: let both follow one time", ahead_seconds=90.0),
    "clock-behind": Case(cause="s behind the store's: let both follow one time", ahead_seconds=-90.0),
}


@dataclass(kw_only=True)
class Told:
    """What was said of a case: while it was watched, soon and at the end, and in the verdict."""

    early: list[ReleaseView] = field(default_factory=list)
    decided: list[Session] = field(default_factory=list)


async def watched(case: Case, namespace: str, *, url: str) -> Told:
    """A watch of the release, as the daemon's ticker makes it, to its end."""
    clock, scene, registry, told = ShiftedClock(case.ahead_seconds), Scene(), Registry(max_ended=10), Told()
    async with telemetry_from(
        PrometheusTelemetry(url=url, dialect="istio", tick_seconds=1.0, **case.telemetry),  # type: ignore[arg-type]  # some of the settings
        clock=clock,
        schemas=schemas(),
    ) as telemetry:
        ticker = Ticker(
            "store",
            telemetry,
            meshes=frozenset({"m"}),
            registry=registry,
            checkpoints=Checkpoints(
                scene.sessions, records=scene.records, clock=clock, meter=scene.meter, leave=lambda release_id: None
            ),
            clock=clock,
            meter=scene.meter,
            decided=told.decided.append,
        )
        registry.put(_watching(case, namespace, clock=clock))
        ticking = asyncio.create_task(ticker.run())
        try:
            async with asyncio.timeout(WINDOW_SECONDS + PATIENCE_SECONDS):
                while not told.decided:
                    told.early.append(view(registry.get("web-1")))
                    await asyncio.sleep(1.0)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
    return told


def _watching(case: Case, namespace: str, *, clock: SystemClock) -> Session:
    release = Release(
        service="web", namespace=namespace, baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload=case.canary), mesh="m"
    )
    session = lifecycle.admitted(
        release,
        release_id="web-1",
        policy=Policy(window_seconds=WINDOW_SECONDS, warmup_seconds=0.0, promotion=Promotion(min_seconds=10.0)),
        policy_hash="sha256:x",
        cluster="test",
        tick_seconds=1.0,
        split=True,
        now=clock.now(),
    )
    return lifecycle.located(session, Placement(routes=(), canary_percent=50.0), now=clock.now())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Told]]:
    """All of them, watched side by side."""
    ports = iter(free_ports(2 * len(CASES)))
    async with AsyncExitStack() as stack:
        jobs, pods = [], list[Aged]()
        for name, case in CASES.items():
            both = [Aged(workload, next(ports), namespace=name, old_seconds=case.old_seconds) for workload in ("web-v1", "web-v2")]
            for pod in both:
                await pod.start()
                stack.push_async_callback(pod.stop)
            relabel = [{"action": "labeldrop", "regex": case.drops}] if case.drops else []
            targets = [f"{LOOPBACK}:{pod.port}" for pod in both]
            interval = {"scrape_interval": f"{case.every}s", "scrape_timeout": f"{min(case.every, 5)}s"}
            jobs.append({"job_name": name, **interval, "static_configs": [{"targets": targets}], "metric_relabel_configs": relabel})
            pods += both
        server = await stack.enter_async_context(prometheus(tmp_path_factory.mktemp("prometheus"), jobs))
        await until(lambda: _scraped(pods), within=60)
        made = await asyncio.gather(*(watched(case, name, url=server.url) for name, case in CASES.items()))
        yield dict(zip(CASES, made, strict=True))


async def _scraped(pods: Sequence[Aged]) -> bool:
    return all(pod.scraped for pod in pods)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", CASES)
async def test_what_cannot_work_is_said_soon_and_in_the_verdict_by_its_cause(told: Mapping[str, Told], name: str) -> None:
    case, found = CASES[name], told[name]
    soon = [one for one in found.early if one.seconds <= SOON_SECONDS]
    said = [words for one in soon for words in (*one.hindrances, one.waiting_for)]
    assert any((case.early or case.cause) in words for words in said), said[-3:]
    [session] = found.decided
    assert session.decision is not None
    assert session.decision.outcome is Outcome.INCONCLUSIVE
    assert case.cause in session.decision.reason
