"""A simulated fleet behind a simulated Prometheus: pods that serve, their scrapes, and the store that answers for them.

What the fleet served is known exactly, so that what is counted can be held against it. No network: the source reads its own
queries' answers in this process, at the speed of the parser.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import Reader
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus.source import PrometheusSource
from daemon.telemetry.sampled import SampledTelemetry
from tests.hand.clock import HandClock
from tests.telemetry.support import workloads

START = 1_000_000.0
SCHEMA = schemas()["istio"]
NAME, LATENCY, UPTIME = "istio_requests_total", "istio_request_duration_milliseconds", "envoy_server_uptime"


@dataclass(frozen=True, kw_only=True)
class Scraper:
    """Somebody who scrapes a pod: how often, at which times, since when, how late it comes into the store, with which labels.

    Attributes:
        torn: answers (``503``) and buckets (``+Inf``) that come into the store later than the others of their scrape.
        torn_seconds: by so much.
        lost: when there was a scrape that came to nothing.
    """

    every: float = 15.0
    phase: float = 0.0
    late: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()
    since: float = -1e9
    torn: tuple[str, ...] = ()
    torn_seconds: float = 0.0
    lost: float = math.inf


@dataclass(kw_only=True)
class Pod:
    """One pod of the fleet. Times are in seconds since the start.

    Attributes:
        workload: whose it is.
        name: the label ``pod``; without it, the pod is known by its instance.
        rate, fails: requests a second, and the share of them that fails.
        born, died: when it runs; ``restarts`` are when its process begins anew.
        history: requests before it was first scraped, all served, and those that failed.
        uptime: whether it says since when it runs.
        begins: when its first request comes; it has no counter before.
        callers: each lives for one scrape only, and its series with it.
        host: its address; empty: its own.
    """

    workload: str
    name: str
    scrapers: tuple[Scraper, ...]
    rate: float = 10.0
    fails: float = 0.0
    born: float = -1000.0
    died: float = 1e9
    restarts: tuple[float, ...] = ()
    history: tuple[int, int] = (0, 0)
    uptime: bool = False
    begins: float = -1e9
    callers: bool = False
    host: str = ""

    def counters(self, at: float) -> tuple[int, int]:
        """Requests served and failed, as its process counts them at this time."""
        began = self.born
        for restart in self.restarts:
            if began < restart <= at:
                began = restart
        total = int(self.rate * max(0.0, at - max(began, self.begins)))
        failed = int(total * self.fails)
        old = self.history if began == self.born else (0, 0)
        return total - failed + old[0], failed + old[1]

    def served(self, since: float, until: float) -> tuple[int, int]:
        """All requests, and those that failed, that it has answered in this time: the truth."""
        edges = [since, *(restart for restart in self.restarts if since < restart < until), until]
        total = failed = 0
        for left, right in itertools.pairwise(edges):
            begin, end = max(left, self.born), min(right, self.died)
            if end > begin:
                before = (0, 0) if begin in self.restarts or begin == self.born else self.counters(begin)
                history = self.history if begin == self.born else (0, 0)
                after = self.counters(end - 1e-6)
                failed += after[1] - before[1] - history[1]
                total += sum(after) - sum(before) - sum(history)
        return total, failed

    def scrapes(self, scraper: Scraper, since: float, now: float, *, part: str = "") -> Iterator[float]:
        """When it was scraped, as far as that part of it is in the store by now."""
        number = int((since - scraper.phase) // scraper.every)
        late = scraper.late + (scraper.torn_seconds if part in scraper.torn else 0.0)
        begin = max(self.born, scraper.since)
        while (at := number * scraper.every + scraper.phase) + late <= now:
            if at > since and begin <= at < self.died and at != scraper.lost:
                yield at
            number += 1


@dataclass
class Fleet:
    """Pods, and the store of what was scraped from them.

    Attributes:
        summed: the store keeps sums by workload only.
        kept_up: it keeps the scrapers' own series ``up`` too.
        marks_ends: it writes the end of a series as NaN.
        marks_starts: it writes a 0 where a series began, as its page says (Prometheus' created-timestamp-zero-ingestion).
    """

    pods: list[Pod]
    summed: bool = False
    kept_up: bool = True
    marks_ends: bool = False
    marks_starts: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, query: str, *, now: float) -> bytes:
        """What the store says to a query of the source."""
        if query.startswith(("topk(", "(time()")):  # what is near an arm without a series
            return b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'
        self.asked.append(query)
        seconds = float(query.rpartition("[")[2].removesuffix("ms]")) / 1000.0
        result = [
            {"metric": labels, "values": [[START + at, f"{value:.10g}".replace("nan", "NaN")] for at, value in samples]}
            for labels, samples in self._series(query, now - seconds, now)
            if samples
        ]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()

    def served(self, workload: str, since: float, until: float) -> tuple[int, int]:
        """The truth about an arm."""
        parts = [pod.served(since, until) for pod in self.pods if pod.workload == workload]
        return sum(total for total, _ in parts), sum(failed for _, failed in parts)

    def _series(self, query: str, since: float, now: float) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        if self.summed:
            yield from self._sums(query, since, now)
            return
        for number, pod in enumerate(self.pods):
            host = pod.host or f"10.0.0.{number}"
            for scraper in pod.scrapers:
                times = list(pod.scrapes(scraper, since, now))
                own = {"instance": f"{host}:15020", **({"pod": pod.name} if pod.name else {}), **dict(scraper.labels)}
                if f'"{NAME}"' in query:
                    ends = self.marks_ends and since < pod.died <= now
                    parts = {code: list(pod.scrapes(scraper, since, now, part=code)) for code in ("200", "503")}
                    for labels, samples in self._counters(pod, scraper, own, parts, ends=ends):
                        yield labels, self._with_starts(pod, scraper, labels["response_code"], samples, since=since, now=now)
                elif LATENCY in query:
                    for le in ("10", "100", "+Inf"):
                        labels = {**_labels(pod.workload, "200"), **own, "__name__": f"{LATENCY}_bucket", "le": le}
                        there = pod.scrapes(scraper, since, now, part=le)
                        yield labels, [(at, float(pod.counters(at)[0])) for at in there]
                elif UPTIME in query:
                    if pod.uptime:
                        yield {"__name__": UPTIME, **own}, [(at, float(int(at - pod.born))) for at in times]
                    if self.kept_up:
                        yield {"__name__": "up", **own}, [(at, 1.0) for at in times]

    def _with_starts(
        self, pod: Pod, scraper: Scraper, code: str, samples: list[tuple[float, float]], *, since: float, now: float
    ) -> list[tuple[float, float]]:
        """With a 0 a little before the first scrape of each life of the series, where the store writes it."""
        if not self.marks_starts or pod.callers:
            return samples
        zeros = []
        for began in (max(pod.born, pod.begins), *pod.restarts):
            first = (at for at in pod.scrapes(scraper, began, now, part=code) if pod.counters(at)[code != "200"])
            if (at := next(first, None)) is not None and since < (created := max(began, at - 0.4 * scraper.every)):
                zeros.append((created, 0.0))
        return sorted([*samples, *zeros])

    def _counters(
        self, pod: Pod, scraper: Scraper, own: dict[str, str], parts: dict[str, list[float]], *, ends: bool
    ) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        for index, (code, times) in enumerate(parts.items()):
            labels = {**_labels(pod.workload, code), **own}
            if pod.callers:
                yield from self._callers(pod, scraper, index, labels, times)
                continue
            samples = [(at, float(pod.counters(at)[index])) for at in times]
            if ends and samples:
                samples.append((samples[-1][0] + scraper.every, math.nan))
            yield labels, [one for one in samples if one[1]]

    def _callers(
        self, pod: Pod, scraper: Scraper, index: int, labels: dict[str, str], times: list[float]
    ) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        for at in times:
            grown = pod.counters(at)[index] - pod.counters(at - scraper.every)[index]
            yield {**labels, "source_workload": f"job-{at:.0f}"}, [(at, float(grown))] if grown else []

    def _sums(self, query: str, since: float, now: float) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        if f'"{NAME}"' not in query:
            return
        scraper = self.pods[0].scrapers[0]
        for workload in sorted({pod.workload for pod in self.pods}):
            for index, code in enumerate(("200", "503")):
                samples = []
                number = int(since // scraper.every) + 1
                while (at := number * scraper.every) <= now:
                    there = [pod for pod in self.pods if pod.workload == workload and pod.born <= at < pod.died]
                    samples.append((at, float(sum(pod.counters(at)[index] for pod in there))))
                    number += 1
                yield {**_labels(workload, code), **dict(scraper.labels)}, [one for one in samples if one[1]]


@dataclass
class Watched:
    """What a watch of the fleet came to: requests and errors by arm, and the gaps."""

    requests: list[int] = field(default_factory=lambda: [0, 0])
    errors: list[int] = field(default_factory=lambda: [0, 0])
    latencies: list[int] = field(default_factory=lambda: [0, 0])
    gaps: list[str] = field(default_factory=list)
    counted_at: list[float] = field(default_factory=list)
    ticks: int = 0

    def add(self, reading: Reading, now: float) -> None:
        """Fold one reading."""
        self.ticks += 1
        if reading.gap is not None:
            self.gaps.append(reading.gap)
            return
        self.counted_at.append(now)
        for index, arm in enumerate((reading.baseline, reading.canary)):
            assert arm is not None
            self.requests[index] += arm.requests
            self.errors[index] += arm.errors
            self.latencies[index] += 0 if arm.latency is None else sum(arm.latency.counts)


class _Client:
    """Asks the fleet instead of a server."""

    def __init__(self, fleet: Fleet, clock: HandClock) -> None:
        self._fleet, self._clock = fleet, clock

    longest_question_bytes = 262_144

    def deadline(self) -> float:
        return 0.0

    async def read(self, url: URL, reader: Callable[[], Reader], *, form: Mapping[str, str], by: float | None = None) -> None:
        made = reader()
        made.feed(self._fleet.answer(form["query"], now=self._clock.now() - START))
        made.close()


def source_of(fleet: Fleet, index: SeriesIndex, *, clock: HandClock, tick_seconds: float = 5.0) -> PrometheusSource:
    """A source that asks the fleet's store; whoever made it closes it."""
    return PrometheusSource(
        cast("HttpClient", _Client(fleet, clock)),
        url=URL("http://store"),
        schema=SCHEMA,
        index=index,
        clock=clock,
        tick_seconds=tick_seconds,
        stale_after_seconds=300.0,
    )


async def watched(
    fleet: Fleet,
    seconds: float,
    *,
    tick_seconds: float = 5.0,
    cluster: str | None = None,
    begin: float = 0.37,
    beside: Sequence[Watch] = (),
) -> Watched:
    """Watch ``web-v1`` against ``web-v2`` for so long, as the ticker does, with other releases beside it."""
    clock = HandClock(START + begin)
    index = SeriesIndex(SCHEMA, as_text=True)
    source = source_of(fleet, index, clock=clock, tick_seconds=tick_seconds)
    telemetry = SampledTelemetry(source, schema=SCHEMA, index=index, clock=clock)
    watches = [in_cluster(workloads(), cluster), *beside]
    made = Watched()
    while clock.time < START + seconds:
        made.add((await telemetry.read(watches))["web-1"], clock.time - START)
        clock.time += telemetry.wait_seconds or tick_seconds
    await source.close()
    return made


def in_cluster(watch: Watch, cluster: str | None) -> Watch:
    """The same, with the cluster named."""
    return msgspec.structs.replace(watch, release=msgspec.structs.replace(watch.release, cluster=cluster))


def _labels(workload: str, code: str) -> dict[str, str]:
    return {
        "__name__": NAME,
        "reporter": "destination",
        "destination_workload": workload,
        "destination_workload_namespace": "default",
        "response_code": code,
    }
