"""A Prometheus that has a past: series as Istio's sidecars show them, written as blocks of its database, in seconds."""

import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.locate import require
from tests.servers.prometheus import Prometheus, prometheus

SPACING_SECONDS = 15
LOAD = 20
"""Requests a pod serves in a second, when all is well."""
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000)
_SHARES = (0.02, 0.10, 0.38, 0.30, 0.14, 0.05, 0.007, 0.003)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version that served for a while: its pods, when (seconds from the world's start), and what it did wrong from when on."""

    workload: str
    begin: float
    end: float
    version: str = "v1"
    pods: int = 2
    load: float = LOAD
    failing: float = 0.0
    failing_from: float = 0.0
    slower: int = 0


@dataclass
class _Counters:
    ok: int = 0
    failed: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    sum_ms: float = 0.0


def openmetrics(versions: Sequence[Version], *, start: float) -> str:
    """What was scraped of them, as promtool reads it: metric by metric, each series in order of time."""
    requests: list[str] = []
    buckets: list[str] = []
    sums: list[str] = []
    counts: list[str] = []
    for version in versions:
        for pod in range(version.pods):
            labels = _labels(version, pod)
            for at, seen in scrapes(version, pod):
                stamp = f"{start + at:.3f}"
                for code, count in (("200", seen.ok), ("503", seen.failed)):
                    if count or code == "200":
                        requests.append(f'istio_requests_total{{{labels},response_code="{code}"}} {count} {stamp}')
                latency, served = "istio_request_duration_milliseconds", f'{labels},response_code="200"'
                total = 0
                for bound, count in zip((*map(str, BOUNDS_MS), "+Inf"), seen.buckets, strict=True):
                    total += count
                    buckets.append(f'{latency}_bucket{{{served},le="{bound}"}} {total} {stamp}')
                sums.append(f"{latency}_sum{{{served}}} {seen.sum_ms:.1f} {stamp}")
                counts.append(f"{latency}_count{{{served}}} {total} {stamp}")
    return "\n".join(
        [
            "# TYPE istio_requests counter",
            *requests,
            "# TYPE istio_request_duration_milliseconds histogram",
            *buckets,
            *sums,
            *counts,
            "# EOF",
            "",
        ]
    )


def _labels(version: Version, pod: int) -> str:
    return (
        f'reporter="destination",destination_workload="{version.workload}",destination_workload_namespace="shop",'
        f'destination_service_name="checkout",destination_version="{version.version}",'
        f'request_protocol="http",response_flags="-",pod="{version.workload}-{pod}",instance="10.0.0.{pod}:15090"'
    )


def scrapes(version: Version, pod: int) -> Iterator[tuple[float, _Counters]]:
    """What one of its pods showed, and when (seconds from the world's start). The same each time."""
    draw = random.Random(f"{version.workload} {pod}")  # noqa: S311 - traffic, no secret
    seen, at = _Counters(), version.begin + 3.0 * pod
    while at < version.end:
        served = round(draw.gauss(version.load * SPACING_SECONDS, 5.0))
        ill = at - version.begin >= version.failing_from
        failed = sum(draw.random() < max(0.001, version.failing if ill else 0.0) for _ in range(served))
        seen.failed += failed
        seen.ok += served - failed
        for place in draw.choices(range(len(_SHARES)), _SHARES, k=served - failed):
            slow = min(place + version.slower, len(_SHARES) - 1)
            seen.buckets[slow] += 1
            seen.sum_ms += 0.7 * BOUNDS_MS[slow]
        yield at, seen
        at += SPACING_SECONDS


def _written(folder: Path, versions: Sequence[Version], *, start: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "past.om"
    text.write_text(openmetrics(versions, start=start), encoding="utf-8")
    return text


def write_past(folder: Path, versions: Sequence[Version], *, start: float) -> None:
    """Make the database of a Prometheus with this past."""
    text = folder / "past.om"
    text.write_text(openmetrics(versions, start=start), encoding="utf-8")
    promtool = require("prometheus").with_name("promtool")
    argv: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def past(folder: Path, *, flags: Sequence[str] = ()) -> AbstractAsyncContextManager[Prometheus]:
    """A Prometheus on this database, with nothing to scrape. One at a time."""
    return prometheus(folder, [], flags=("--storage.tsdb.retention.time=10y", *flags))
