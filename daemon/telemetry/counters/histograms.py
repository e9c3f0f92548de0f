"""Latency histograms move in steps of their own: a proxy merges them every few seconds, while its counters are live.

So latency is taken in the ticks in which the histograms of *both* arms have moved since it was last taken, and then for all
the time since: the arms are compared over the same stretch, whatever the phase of each proxy. An arm that has moved alone
for too long is begun anew, since a baseline of long ago is no comparison.
"""

from collections.abc import Iterable, Mapping, Sequence

from analyzers.counts import Latency
from daemon.errors import InvalidInput
from daemon.telemetry.counters.deltas import Active, ArmLatency, Stream
from daemon.telemetry.counters.differencing import Histogram, coarsen, common_bounds, growth
from daemon.telemetry.counters.snapshot import ArmView

MAX_ALONE_SECONDS = 40.0
"""Longest wait of one arm's latencies for the other's. More than half of the slowest flush interval met (60 s)."""

_Grown = dict[str, tuple[list[int], float]]


class LatencyFold:
    """Which bounds a release's latency is counted on, and since when one arm has been waiting for the other."""

    __slots__ = ("_alone_since", "bounds_ms")

    def __init__(self) -> None:
        self.bounds_ms: tuple[float, ...] | None = None
        self._alone_since: float | None = None

    def fold(self, active: Sequence[Sequence[Active]], *, now: float) -> tuple[ArmLatency | None, ArmLatency | None]:
        """New latencies of both arms, or of neither.

        Raises:
            InvalidInput: the buckets have changed or contradict what was read before; ``restart`` must follow.
        """
        if self.bounds_ms is None:
            self.bounds_ms = _shared(one.view for arm in active for one in arm)
        if self.bounds_ms is None:
            return None, None
        if not self.bounds_ms:
            raise InvalidInput("the arms' histograms have no bucket bound in common", path="latency")
        for arm in active:
            for one in arm:
                if one.stream.latencies_before and one.view.histograms:
                    self.join(one.stream, one.view)
        baseline, canary = (_grown(arm, self.bounds_ms) for arm in active)
        if baseline and canary:
            self._alone_since = None
            for arm in active:
                for one in arm:
                    _take(one.stream, one.view, self.bounds_ms)
            return _total(baseline), _total(canary)
        self._wait(active[0] if baseline else active[1] if canary else (), now=now)
        return None, None

    def restart(self, streams: Sequence[Mapping[str, Stream]], views: Sequence[Mapping[str, ArmView]]) -> None:
        """Begin anew at what the histograms hold now, on the bounds that all of them have."""
        self._alone_since = None
        self.bounds_ms = _shared(view for arm in views for view in arm.values())
        for arm, known in zip(views, streams, strict=True):
            for target, stream in known.items():
                if target in arm and arm[target].histograms:
                    stream.histograms.clear()
                    self.join(stream, arm[target])

    def join(self, stream: Stream, view: ArmView) -> None:
        """Start a new stream at what its histograms hold now. One that lacks a bound is left for ``fold`` to complain of."""
        stream.latencies_before &= not view.histograms
        for series, histogram in view.histograms.items():
            coarse = None if self.bounds_ms is None else coarsen(histogram, self.bounds_ms)
            if coarse is not None:
                stream.histograms[series] = coarse

    def _wait(self, moved: Sequence[Active], *, now: float) -> None:
        if not moved:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > MAX_ALONE_SECONDS and self.bounds_ms is not None:
            self._alone_since = None
            for one in moved:
                _take(one.stream, one.view, self.bounds_ms)


def _shared(views: Iterable[ArmView]) -> tuple[float, ...] | None:
    """The bounds that all histograms have: none, perhaps; null while there is no histogram."""
    histograms = [histogram for view in views for histogram in view.histograms.values()]
    return common_bounds(histograms) if histograms else None


def _on(bounds_ms: tuple[float, ...], histogram: Histogram) -> Histogram:
    coarse = coarsen(histogram, bounds_ms)
    if coarse is None:
        raise InvalidInput("the bucket bounds have changed", path="latency")
    return coarse


def _take(stream: Stream, view: ArmView, bounds_ms: tuple[float, ...]) -> None:
    for series, histogram in view.histograms.items():
        stream.histograms[series] = _on(bounds_ms, histogram)


def _grown(arm: Sequence[Active], bounds_ms: tuple[float, ...]) -> _Grown:
    """New latencies by target, for the targets that have any."""
    grown: _Grown = {}
    for one in arm:
        for series, histogram in one.view.histograms.items():
            step = growth(one.stream.histograms.get(series), _on(bounds_ms, histogram))
            if step is None:
                continue
            sofar = grown.get(one.target)
            grown[one.target] = step if sofar is None else _add(sofar, step)
    return grown


def _add(one: tuple[list[int], float], other: tuple[list[int], float]) -> tuple[list[int], float]:
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]


def _total(grown: _Grown) -> ArmLatency:
    steps = list(grown.values())
    whole = steps[0]
    for step in steps[1:]:
        whole = _add(whole, step)
    by_target = {target: Latency(counts=tuple(counts), sum_ms=sum_ms) for target, (counts, sum_ms) in grown.items()}
    return ArmLatency(latency=Latency(counts=tuple(whole[0]), sum_ms=whole[1]), by_target=by_target)
