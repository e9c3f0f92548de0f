"""Envoy's histograms as Envoy keeps them: bins of two significant digits, far finer than the buckets it shows to Prometheus.

Bins are gathered on one fixed grid, so that all proxies and all ticks have the same bounds. Every bound of the grid has at
most two significant digits and is therefore an edge of a bin: no bin is ever torn apart. A bin ``[low, high)`` goes to the
first bound that is not below ``high``, so that no latency is ever shown as shorter than it was.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Annotated

import msgspec

from daemon.errors import InvalidInput
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import Series, SeriesIndex
from daemon.telemetry.counters.snapshot import LARGEST_COUNT, Histogram
from daemon.telemetry.schema import EnvoyStats, Schema
from daemon.telemetry.scrape.targets import ScrapeStamp
from daemon.telemetry.wire import UNREADABLE, Elements

_TWELVE = (1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2)

# Envoy measures in whole milliseconds: below 10 ms there is a bound for each, above twelve a decade.
GRID_MS: tuple[float, ...] = (
    0.1,
    0.5,
    *(float(ms) for ms in range(1, 11)),
    *(round(decade * step) * 1.0 for decade in (10, 100, 1_000, 10_000) for step in _TWELVE if decade * step > 10),
    100_000.0,
    180_000.0,
    300_000.0,
    600_000.0,
)


# Thirty years. What Envoy counts is far from both limits; a sum beyond them would be no number any more.
_Milliseconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=int(LARGEST_COUNT))]


class Bin(msgspec.Struct, frozen=True):
    """``count`` latencies in ``[lower_bound, lower_bound + width)`` ms; the zero bin has no width."""

    lower_bound: _Milliseconds
    width: _Milliseconds
    count: _Count


class _Named(msgspec.Struct, frozen=True):
    """A number (or text) by its name, or a histogram, which has ``totals``."""

    name: str
    value: float | str | None = None
    totals: list[Bin] = []


class _Histograms(msgspec.Struct, frozen=True):
    details: list[_Named] = []


class _Stat(msgspec.Struct, frozen=True):
    name: str = ""
    value: float | str | None = None
    histograms: _Histograms | None = None


class _Page(msgspec.Struct, frozen=True):
    stats: list[_Stat]


_PAGE = msgspec.json.Decoder(_Page)
_NAMED = msgspec.json.Decoder(list[_Named])


def on_grid(bins: Sequence[Bin]) -> Histogram:
    """Envoy's bins (all since the start of the process, each counting for itself) as a cumulative histogram on the grid.

    The sum is that of the middles of the bins, as Envoy's own is an estimate from them too.
    """
    counts = [0] * (len(GRID_MS) + 1)
    sum_ms = 0.0
    for one in bins:
        high = one.lower_bound + one.width
        # A width of a tenth is not exact in binary: the edge may come out a hair above its bound.
        counts[bisect_left(GRID_MS, high * (1 - 1e-9))] += one.count
        sum_ms += one.count * (one.lower_bound + one.width / 2)
    total = 0
    cumulative = []
    for count in counts:
        total += count
        cumulative.append(total)
    return Histogram(GRID_MS, tuple(cumulative), sum_ms)


class EnvoyBins:
    """``Page`` of Envoy's admin endpoint in JSON. Arms are known by Envoy's own names, dots and all."""

    path = "/stats"
    query = {"format": "json", "histogram_buckets": "detailed"}  # noqa: RUF012 - a constant of the page, never changed

    def __init__(self, index: SeriesIndex, schema: Schema) -> None:
        names = schema.scrape.bins if isinstance(schema.scrape, EnvoyStats) else ()
        if not names:
            raise InvalidInput(
                f"the {schema.name} dialect has no names for raw bins", path="histograms", fix="write histograms: text"
            )
        self._index = index
        self._names = [(re.compile(one.pattern), one.metric) for one in names]

    def reader(self, into: Collection, stamp: ScrapeStamp) -> "BinsReader":
        """What reads one proxy's page."""
        return BinsReader(self, into, stamp)

    def series(self, name: str) -> Series | None:
        """What is known of one of Envoy's names; null when it is nobody's."""
        try:
            return self._index[name]
        except KeyError:
            pass
        for pattern, metric in self._names:
            if (found := pattern.fullmatch(name)) is not None:
                labels = {label: value for label, value in found.groupdict().items() if value is not None}
                return self._index.learn(name, found.expand(metric), labels)
        return self._index.learn(name, "", {})


class BinsReader:
    """Adds one proxy's page to a collection. ``feed`` and ``close`` raise ``InvalidInput`` when it cannot be understood."""

    def __init__(self, page: EnvoyBins, into: Collection, stamp: ScrapeStamp) -> None:
        self._page = page
        self._into = into
        self._stamp = stamp
        self._elements = Elements("name", leaving="histograms")

    def feed(self, piece: bytes) -> None:
        """See ``Reader``."""
        for array in self._elements.feed(piece):
            try:
                named = _NAMED.decode(array)
            except UNREADABLE as error:
                raise _not_envoys(error) from error
            for one in named:
                self._take(one)

    def close(self) -> None:
        """See ``Reader``."""
        try:
            page = _PAGE.decode(self._elements.close())
        except UNREADABLE as error:
            raise _not_envoys(error) from error
        for stat in page.stats:
            if stat.histograms is None:
                self._take(_Named(stat.name, stat.value))
            else:
                for detail in stat.histograms.details:
                    self._take(detail)

    def _take(self, one: _Named) -> None:
        stamp, into = self._stamp, self._into
        into.met += 1
        series = self._page.series(one.name)
        if series is None:
            return
        if isinstance(one.value, float):
            into.add(
                series,
                one.value,
                target=stamp.target,
                pod=stamp.pod,
                at=stamp.at,
                spacing_seconds=stamp.spacing_seconds,
            )
        elif one.value is None and series.label_set.arms:
            into.add_histogram(
                series,
                on_grid(one.totals),
                target=stamp.target,
                pod=stamp.pod,
                at=stamp.at,
                spacing_seconds=stamp.spacing_seconds,
            )


def _not_envoys(error: Exception) -> InvalidInput:
    return InvalidInput(f"not Envoy's statistics: {error}", path="stats")
