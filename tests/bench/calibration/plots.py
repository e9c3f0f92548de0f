"""The plots of the page."""

from typing import Final

from tests.bench.calibration import svg
from tests.bench.calibration.cells import Cell
from tests.bench.calibration.figures import delays, share
from tests.bench.calibration.probes import First
from tests.bench.calibration.svg import Axis, Row
from tests.bench.calibration.tables import Tables

_FALSE: Final = Axis(low=0.0, high=2.0, ticks=(0.0, 0.5, 1.0, 1.5, 2.0))
_HAZARDS: Final = Axis(low=0.1, high=100.0, ticks=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0), log=True)
_TIME: Final = Axis(low=1.0, high=300.0, ticks=(1, 2, 5, 10, 20, 50, 100, 300), log=True)
_CURVES: Final = ("e20", "e5", "e1", "x1.5", "x1.2", "x1.1")
_TAILS: Final = ("t2", "t1.5", "e0.5", "x1.05", "5/95 x1.2", "5/95 e1")


def _row(tables: Tables, cell: Cell, first: First, columns: tuple[str, ...]) -> Row:
    found = [share(first[column]) for column in columns]
    known = [tables.known(cell, column) for column in columns]
    return Row(
        label=cell.title,
        dots=[(one.percent, 2.0 * one.error, series) for series, one in enumerate(found)],
        hollow=[(float(value), series) for series, value in enumerate(known) if isinstance(value, int | float)],
    )


def all_plots(tables: Tables) -> dict[str, str]:
    """SVG by file name."""
    false = [_row(tables, cell, first, ("guarded",)) for cell, first in tables.of("false")]
    hazards = [_row(tables, cell, first, ("boost", "guarded")) for cell, first in tables.of("hazards")]
    detection = {cell.key: (cell.title, first["guarded"]) for cell, first in tables.of("detection")}
    same = next(first for cell, first in tables.of("promotion") if cell.key == "same")
    return {
        "calibration-false.svg": svg.dots(
            "Healthy releases taken back, percent (bars: two standard errors)",
            false,
            axis=_FALSE,
            unit="percent of releases; dashed: what the policy allows",
            series=("judge with guards",),
            limit=1.0,
        ),
        "calibration-hazards.svg": svg.dots(
            "Healthy releases taken back under hazards, percent, without and with guards",
            hazards,
            axis=_HAZARDS,
            unit="percent of releases (logarithmic); dashed: what the policy allows",
            series=("without guards", "with guards"),
            limit=1.0,
            hollow="reference",
        ),
        "calibration-detection.svg": svg.shares(
            "Bad releases taken back by time (ticks of 1 s, 50 of 1000 requests a second)",
            [(detection[key][0], delays(detection[key][1], 0).tolist()) for key in _CURVES],
            axis=_TIME,
            unit="ticks since the start (logarithmic)",
        ),
        "calibration-small.svg": svg.shares(
            "Small changes, tails and low traffic",
            [(detection[key][0], delays(detection[key][1], 0).tolist()) for key in _TAILS],
            axis=_TIME,
            unit="ticks since the start (logarithmic)",
        ),
        "calibration-promotion.svg": svg.shares(
            "What is shown of an identical canary by time",
            [(column, delays(same[column], 0).tolist()) for column in ("rank", "mean", "errors", "together", "p99")],
            axis=Axis(low=1.0, high=600.0, ticks=(1, 2, 5, 10, 20, 50, 100, 200, 600), log=True),
            unit="ticks since the start (logarithmic)",
        ),
    }
