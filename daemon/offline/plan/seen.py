"""A service as it was seen in a watch: what adds up tick by tick, and the description made of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from analyzers.counts import Arm, Sample
from daemon.errors import InvalidInput
from daemon.offline.plan.irregular import Irregular
from daemon.offline.plan.latency import Histogram
from daemon.offline.plan.service import DEFAULT_WEIGHT, Service
from daemon.offline.replay.sources import Opened, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What adds up of a watch, both arms together (failures and latency: the baseline's alone)."""

    seconds: float = 0.0
    requests: int = 0
    canary_requests: int = 0
    baseline_requests: int = 0
    errors: int = 0
    denied: int = 0
    counts: tuple[int, ...] = ()
    irregular: Irregular = field(default_factory=Irregular)

    def plus(self, sample: Sample) -> "Seen":
        """With one more tick; a tick without a baseline says nothing."""
        if sample.baseline is None or sample.seconds <= 0.0:
            return self
        baseline = sample.baseline
        mine = 0 if sample.canary is None else _arriving(sample.canary)
        return replace(
            self,
            seconds=self.seconds + sample.seconds,
            requests=self.requests + mine + _arriving(baseline),
            canary_requests=self.canary_requests + mine,
            baseline_requests=self.baseline_requests + baseline.requests,
            errors=self.errors + baseline.errors,
            denied=self.denied + baseline.denied,
            counts=self.counts if baseline.latency is None else _sum(self.counts, baseline.latency.counts),
            irregular=self.irregular.plus(sample),
        )

    def service(
        self, *, source: str, bounds_ms: tuple[float, ...], split: bool, tick_seconds: float, weight: float | None
    ) -> Service:
        """The service as seen. Raises ``InvalidInput`` when too little was seen."""
        fix = "give a longer recording, or the figures themselves (--rps, --errors, --median-ms, --p99-ms)"
        if self.baseline_requests == 0 or sum(self.counts) == 0:
            raise InvalidInput("the baseline's requests and latencies were not seen", path=source, fix=fix)
        histogram = Histogram(bounds_ms=bounds_ms, counts=tuple(float(count) for count in self.counts))
        shape = histogram.shape
        mean, square = shape.curves[-1, 1:]
        try:
            return Service(
                rps=self.requests / self.seconds,
                weight=weight or 100.0 * self.canary_requests / self.requests or DEFAULT_WEIGHT,
                errors=self.errors / self.baseline_requests,
                denied=self.denied / (self.baseline_requests + self.denied),
                median_ms=shape.quantile_ms(0.5),
                p99_ms=shape.quantile_ms(0.99),
                histogram=histogram,
                bounds_ms=bounds_ms,
                split=split,
                tick_seconds=tick_seconds,
                burst=self.irregular.burst,
                jitter=min(1.0, self.irregular.jitter(spread=float(square / mean**2) - 1.0)),
            )
        except ValueError as error:
            raise InvalidInput(str(error).replace("\n", "; "), path=source, fix=fix) from error


def of_recording(path: Path) -> tuple[Service, Opened]:
    """The service as a recording shows it (its baseline), and the recording, read to its end.

    Raises:
        InvalidInput: the recording cannot be used, or shows too little.
    """
    recording = opened(path, policies=[None])
    seen, tick_seconds = Seen(), recording.header.tick_seconds
    for sample in recording.samples:
        seen = seen.plus(sample)
        tick_seconds = tick_seconds or sample.seconds
    service = seen.service(
        source=str(path),
        bounds_ms=recording.header.bounds_ms,
        split=recording.header.split,
        tick_seconds=tick_seconds or 1.0,
        weight=recording.release.weight or None,
    )
    return service, recording


def _arriving(arm: Arm) -> int:
    return arm.requests + arm.denied + arm.unanswered


def _sum(so_far: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(so_far, more, strict=True))) if so_far else more
