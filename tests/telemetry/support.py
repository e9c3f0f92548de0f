"""Snapshots, rounds and watches written by hand."""

import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from daemon.measurements import Reading, Watch
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.arms import LabelSet
from daemon.telemetry.counters.deltas import ScrapeRound
from daemon.telemetry.counters.readings import DeltaTracker
from daemon.telemetry.counters.series import SampleKind, Series
from daemon.telemetry.counters.snapshot import ArmSnapshot, Histogram
from daemon.telemetry.outcomes import Ending
from daemon.telemetry.schema import Ended

BOUNDS = (10.0, 100.0)


@contextmanager
def impatient(telemetry: Any) -> Iterator[None]:
    """Wait for an answer so short a time only; before and after, for as long as it takes on a busy machine."""
    client = telemetry._source._client
    patience, client._timeout_seconds = client._timeout_seconds, 0.3
    try:
        yield
    finally:
        client._timeout_seconds = patience


def watch(release_id: str = "web-1", *, baseline: str = "web-v1", canary: str = "web-v2") -> Watch:
    """A release whose arms have services of their own."""
    return Watch(
        release_id=release_id,
        release=Release(service="web", baseline=ArmSpec(service=baseline), canary=ArmSpec(service=canary)),
    )


def workloads(release_id: str = "web-1", *, baseline: str = "web-v1", canary: str = "web-v2", namespace: str = "default") -> Watch:
    """A release whose arms are workloads."""
    release = Release(service="web", namespace=namespace, baseline=ArmSpec(workload=baseline), canary=ArmSpec(workload=canary))
    return Watch(release_id=release_id, release=release)


def shown(
    at: float,
    ok: int | None = None,
    failed: int | None = None,
    *,
    latency: tuple[int, ...] | None = None,
    spacing_seconds: float = 1.0,
    bounds: tuple[float, ...] = BOUNDS,
) -> ArmSnapshot:
    """One target's snapshot of an arm; ``latency`` is cumulative."""
    counters = {}
    if ok is not None:
        counters["2"] = (Ended.SERVED, ok)
    if failed is not None:
        counters["5"] = (Ended.FAILED, failed)
    histograms = {} if latency is None else {"h": Histogram(bounds, latency, 10.0 * latency[-1])}
    return ArmSnapshot(at=at, spacing_seconds=spacing_seconds, counters=counters, histograms=histograms)


def series(identity: str, kind: SampleKind = SampleKind.COUNTER, *, scraper: str = "") -> Series:
    """A series that counts what was served, or what a target says of itself."""
    return Series(
        kind=kind,
        identity=identity,
        scraper=scraper,
        ending=Ending({}),
        le=math.nan,
        target="p",
        pod="p",
        instance="p",
        of_target=kind is not SampleKind.COUNTER,
        label_set=LabelSet((), {}),
    )


class Rounds:
    """Rounds one after the other, each knowing who answered in the one before."""

    def __init__(self, *, stale_after_seconds: float = 30.0, patience_seconds: float = 2.0) -> None:
        self.serial = 0
        self.before: Mapping[str, float] = {}
        self._terms = (stale_after_seconds, patience_seconds)

    def next(
        self,
        now: float,
        *,
        answered: Mapping[str, float],
        failed: Mapping[str, str] | None = None,
        unpaced: AbstractSet[str] = frozenset(),
    ) -> ScrapeRound:
        """The round at ``now``."""
        self.serial += 1
        stale, patience = self._terms
        made = ScrapeRound(
            serial=self.serial,
            now=now,
            newest=max(answered.values(), default=now),
            answered=answered,
            before=self.before,
            failed=failed or {},
            stale_after_seconds=stale,
            patience_seconds=patience,
            unpaced=unpaced,
        )
        self.before = answered
        return made


class Table:
    """A tracker, and readings taken of it with one target called ``p`` unless said otherwise."""

    def __init__(self, *, server_side: bool = False, **terms: float) -> None:
        self.tracker = DeltaTracker(server_side=server_side)
        self.rounds = Rounds(**terms)

    def read(
        self,
        now: float,
        baseline: Mapping[str, ArmSnapshot],
        canary: Mapping[str, ArmSnapshot],
        *,
        answered: tuple[str, ...] = (),
        failed: Mapping[str, str] | None = None,
        unpaced: AbstractSet[str] = frozenset(),
    ) -> Reading:
        """What is read of both arms at ``now``; ``answered`` are targets that say nothing of either."""
        times = {target: one.at for views in (baseline, canary) for target, one in views.items()}
        times.update(dict.fromkeys(answered, now))
        return self.tracker.advance((baseline, canary), self.rounds.next(now, answered=times, failed=failed, unpaced=unpaced))

    def one(self, now: float, baseline: ArmSnapshot, canary: ArmSnapshot) -> Reading:
        """The same of arms of one target each."""
        return self.read(now, {"p": baseline}, {"p": canary})
