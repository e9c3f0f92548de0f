"""How long a bad canary hurts: first bad response to last canary response, in the traffic itself, and what the time is made of.

Each run is a release that is healthy at first and begins to fail after a few seconds, on a real Envoy with real requests; the
daemon is the product's own process. One world serves all runs of a way of sampling.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.demo.backend import Behaviour
from daemon.model import Outcome, Record
from tests.bench.figures import Figure, percentile, spread
from tests.live.field import POLICY, Field, field_of
from tests.servers.prometheus import prometheus

RUNS = 15
SLOW_RUNS = 10
SLOWEST_RUNS = 4
"""A run of a slow scrape takes a minute, one of the slowest two."""
GOALS_SECONDS = {5: 8, 15: 24, 30: 46}
"""By how far apart scrapes are: two of a single target, by the judge's cap, and what is around them."""
ERROR_RATE = 0.05
CANARY_PERCENT = 5
CANARY_RATE = 50.0
_HEALTHY_TICKS_SECONDS = 4.0
_AFTER_SECONDS = 1.5
_LONGEST_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """One run, in seconds.

    Attributes:
        total: first bad canary response to last canary response.
        detecting: first bad canary response to decision.
        sending: decision to patch on the wire.
        patching: decision to patch acknowledged.
        leaving: patch acknowledged to last canary response (0 where it came first).
        stopping: decision to last canary response (0 where it came first).
        bad: failed canary responses.
    """

    total: float
    detecting: float
    sending: float
    patching: float
    leaving: float
    stopping: float
    bad: int

    @classmethod
    def of(cls, marks: Mapping[str, float], *, bad: list[float], last: float) -> "Harm":
        """From the record's marks, the times of bad canary responses, and the time of the last canary response."""
        return cls(
            total=last - bad[0],
            detecting=marks["decided"] - bad[0],
            sending=marks["patch_sent"] - marks["decided"],
            patching=marks["patch_acknowledged"] - marks["decided"],
            leaving=max(0.0, last - marks["patch_acknowledged"]),
            stopping=max(0.0, last - marks["decided"]),
            bad=len(bad),
        )


def figures(*, runs: int = RUNS) -> list[Figure]:
    """Both ways of sampling."""
    return asyncio.run(_measure(runs))


async def _measure(runs: int) -> list[Figure]:
    direct = await _series("direct", runs, over={})
    scraped = await _series("prometheus", runs, over=None)
    slow = {
        every: await _series(f"prometheus-{every}", min(runs, _slow_runs(every)), over=None, every=every) for every in GOALS_SECONDS
    }
    return [
        figure("errors 5 %, sidecar sampled every 0.25 s: first bad to last canary response, s", direct, goal="median <= 1.5"),
        figure("errors 5 %, Prometheus scraping every 1 s: first bad to last canary response, s", scraped, goal="median <= 3"),
        *[
            figure(
                f"errors 5 %, Prometheus scraping every {every} s: first bad to last canary response, s",
                harms,
                goal=f"median <= {GOALS_SECONDS[every]}",
            )
            for every, harms in slow.items()
        ],
        *reverting("file", [*direct, *scraped], goal_ms=20),
    ]


def _slow_runs(every: int) -> int:
    return SLOWEST_RUNS if every == max(GOALS_SECONDS) else SLOW_RUNS


def reverting(world: str, harms: list[Harm], *, goal_ms: int) -> list[Figure]:
    """Decision to patch on the wire, and decision to last canary response, in ms."""
    sending = [harm.sending * 1e3 for harm in harms]
    stopping = [harm.stopping * 1e3 for harm in harms]
    leaving = statistics.median(harm.leaving for harm in harms) * 1e3
    return [
        Figure(
            what=f"{world}: decision to patch on the wire, ms",
            measured=f"{spread(sending)}, p99 {percentile(sending, 0.99):.1f}",
            goal="p99 <= 50",
        ),
        Figure(
            what=f"{world}: decision to last canary response, ms",
            measured=spread(stopping),
            goal=f"<= {goal_ms}",
            parts=f"after the patch was acknowledged {leaving:.0f} ms (mesh, and requests under way)",
        ),
    ]


def figure(what: str, harms: list[Harm], *, goal: str) -> Figure:
    """Harm as one figure with its parts."""

    def middle(name: str) -> float:
        return statistics.median(float(getattr(harm, name)) for harm in harms)

    parts = (
        f"tick and judge {middle('detecting'):.2f}, patch {middle('patching') * 1e3:.0f} ms, "
        f"mesh {middle('leaving') * 1e3:.0f} ms; {middle('bad'):g} bad responses"
    )
    return Figure(what=what, measured=spread([harm.total for harm in harms], digits=2), goal=goal, parts=parts)


async def _series(name: str, runs: int, *, over: dict[str, Any] | None, every: int = 1) -> list[Harm]:
    rate = CANARY_RATE * 100.0 / CANARY_PERCENT
    with tempfile.TemporaryDirectory(prefix=f"verdictd-bench-{name}-") as folder:
        async with (
            field_of(Path(folder), canary=Behaviour(), rate=rate) as place,
            _source(place, over, every=every),
            place.daemon(),
        ):
            await place.ready()
            return [await _run(place, number) for number in range(runs)]


@asynccontextmanager
async def _source(place: Field, over: dict[str, Any] | None, *, every: int) -> AsyncIterator[None]:
    """Settings for sampling the proxy itself, or (null) a Prometheus that scrapes it every so many seconds."""
    async with AsyncExitStack() as stack:
        if over is None:
            folder = place.folder / "prometheus"
            folder.mkdir()
            target = place.edge.admin.removeprefix("http://")
            job = {"job_name": "edge", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [target]}]}
            server = await stack.enter_async_context(prometheus(folder, [job], scrape_interval=f"{every}s"))
            quick = {"tick_seconds": 1.0, "timeout_seconds": 0.9} if every == 1 else {}
            source = {"kind": "prometheus", "url": server.url, "dialect": "envoy", **quick}
            # Also a slow scrape is judged to the end, and not given up by a window that is made for quick ones.
            over = {"telemetry": {"edge": source}, "policies": {"default": {**POLICY, "window_seconds": _LONGEST_SECONDS}}}
        place.settings_over = over
        yield


async def _run(place: Field, number: int) -> Harm:
    place.edge.route({"v1": 100 - CANARY_PERCENT, "v2": CANARY_PERCENT}, version_info=f"bench-{number}")
    await place.backends["v2"].behave(Behaviour())
    release_id = await place.submit(key=f"bench-{number}")
    await _watched(place, release_id)
    began = time.time()
    await place.backends["v2"].behave(Behaviour(error_rate=ERROR_RATE))
    record = await _record(place, release_id)
    await asyncio.sleep(_AFTER_SECONDS)
    if record.verdict.outcome is not Outcome.ROLLBACK:
        raise RuntimeError(f"run {number} ended in {record.verdict.outcome}: {record.verdict.reason}")
    return _harm(place, record, began=began)


async def _watched(place: Field, release_id: str) -> None:
    async with asyncio.timeout(_LONGEST_SECONDS):
        while (await place.view(release_id)).seconds < _HEALTHY_TICKS_SECONDS:
            await asyncio.sleep(0.1)


async def _record(place: Field, release_id: str) -> Record:
    """A slow scrape takes longer than whoever asks for a record usually waits."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        while True:
            try:
                return await place.record(release_id)
            except TimeoutError:
                continue


def _harm(place: Field, record: Record, *, began: float) -> Harm:
    canary = [answer for answer in place.users.traffic if answer.version == "v2" and answer.end > began]
    marks = {mark.step: mark.at for mark in record.marks}
    return Harm.of(marks, bad=[answer.end for answer in canary if answer.failed], last=canary[-1].end)
