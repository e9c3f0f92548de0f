"""The plots of the page."""

from collections.abc import Sequence
from typing import Final

from tests.bench.calibration import figures, svg
from tests.bench.calibration.asks import RolledBack
from tests.bench.calibration.row import Row, Section
from tests.bench.calibration.svg import Axis, Bar
from tests.bench.calibration.watching import Ends

_PERCENT: Final = Axis(low=0.05, high=100.0, ticks=(0.05, 0.2, 1.0, 5.0, 20.0, 100.0), log=True)
_TIME: Final = Axis(low=1.0, high=300.0, ticks=(1, 2, 5, 10, 20, 50, 100, 300), log=True)
_CURVES: Final = ("errors 20 %", "errors 5 %", "errors 2 %", "errors 1 %", "x1.5", "x1.2")
_SMALL: Final = ("errors .75 %", "x1.15", "x1.2, lognormal", "p99 +50 %", "p99 +100 %", "5/95 rps: x1.5")
Answered = Sequence[tuple[Row, Ends]]


def _bars(answered: Answered, section: Section) -> list[Bar]:
    found = []
    for row, ends in answered:
        if row.section == section and isinstance(row.asked, RolledBack):
            share, wanted = figures.rolled_back(ends), row.asked.at_most
            low, high = share.limits
            found.append(
                Bar(
                    label=row.title,
                    value=100.0 * share.count / share.runs,
                    low=100.0 * low,
                    high=100.0 * high,
                    wanted=None if wanted is None else 100.0 * wanted,
                )
            )
    return found


def _curves(answered: Answered, titles: Sequence[str]) -> list[tuple[str, list[float]]]:
    bad = {row.title: figures.delays(ends, row.onset) for row, ends in answered if row.section == "bad"}
    return [(title, bad[title]) for title in titles]


def all_plots(answered: Answered) -> dict[str, str]:
    """SVG by file name."""
    unit = "percent of releases (logarithmic); bars: exact 95 % limits; red: wanted at most"
    since = "ticks since the canary turned bad (logarithmic)"
    return {
        "calibration-same.svg": svg.dots(
            "Releases of the same code, or of better code, taken back", _bars(answered, "same code"), axis=_PERCENT, unit=unit
        ),
        "calibration-tolerated.svg": svg.dots(
            "Releases within their tolerance, or right at it, taken back", _bars(answered, "tolerated"), axis=_PERCENT, unit=unit
        ),
        "calibration-detection.svg": svg.shares(
            "Bad releases taken back by time (ticks of 1 s, 50 of 1000 requests a second)",
            _curves(answered, _CURVES),
            axis=_TIME,
            unit=since,
        ),
        "calibration-small.svg": svg.shares(
            "Small changes, slow ends and low traffic", _curves(answered, _SMALL), axis=_TIME, unit=since
        ),
    }
