"""The rows of a watch: a tick each, and where there are too many, each two neighbours become one.

So a long watch keeps its whole shape in as much memory as a short one. Evidence is kept as its decimal logarithm: it grows beyond
what a small number can hold.
"""

import math
from array import array
from collections.abc import Iterable
from typing import Any, Final

from analyzers.counts import Arm, Sample
from analyzers.legs.table import LEGS
from analyzers.ruling import Ruling
from daemon.measurements import Reading

MOST_ROWS: Final = 240
NAMES: Final = tuple(leg.name for leg in LEGS)
_T, _SECONDS, _GAP, _EVIDENCE, _WEIGHT, _BASELINE, _CANARY, _LEGS = range(8)
_BEYOND: Final = _LEGS + len(NAMES)
_COLUMNS: Final = _BEYOND + len(NAMES)
_SMALLEST: Final = 1e-30
LOG_DIGITS: Final = 6
"""Of a logarithm: who shows what it is of, to three digits, shows what the verdict says."""


class Ticks:
    """Of one watch."""

    def __init__(self) -> None:
        self._rows: array[float] = array("f")

    def add(self, counted: Reading | Sample, ruling: Ruling | None, *, t: float | None = None, alone: bool = False) -> float:
        """A tick; its end in seconds since the watch began. What is not ruled any more keeps the last word's evidence.

        ``alone``: of the canary only, so that nothing is missing where there is no baseline.
        """
        row = self._rows[-_COLUMNS:] or array("f", bytes(4 * _COLUMNS))
        known = t if ruling is None else ruling.t
        row[_T] = row[_T] + counted.seconds if known is None else known
        row[_SECONDS] = counted.seconds
        row[_GAP] = counted.gap is not None or counted.canary is None or (counted.baseline is None and not alone)
        row[_WEIGHT] = math.nan if counted.weight is None else counted.weight
        row[_BASELINE], row[_CANARY] = _served(counted.baseline), _served(counted.canary)
        if ruling is not None:
            row[_EVIDENCE] = log_of(ruling.evidence)
            for number, name in enumerate(NAMES):
                now = ruling.legs.get(name)
                row[_LEGS + number] = 0.0 if now is None else log_of(now.e_value)
                row[_BEYOND + number] = 0.0 if now is None else log_of(now.beyond)
        self._rows.extend(row)
        if len(self._rows) > MOST_ROWS * _COLUMNS:
            self._rows = _halved(self._rows)
        return row[_T]

    def loudest(self) -> str:
        """The quantity that speaks most against the canary at the last tick; empty where none does."""
        said = self._rows[len(self._rows) - _COLUMNS :][_LEGS:_BEYOND]
        most = max(said, default=0.0)
        return NAMES[said.index(most)] if most > 0.0 else ""

    def shown(self) -> dict[str, Any]:
        """The fields of a course that are told of rows."""
        return {
            "t": _rounded(self._column(_T)),
            "seconds": _rounded(self._column(_SECONDS)),
            "gaps": [bool(gap) for gap in self._column(_GAP)],
            "log_evidence": _rounded(self._column(_EVIDENCE), digits=LOG_DIGITS),
            "legs": {name: _rounded(self._column(_LEGS + number), digits=LOG_DIGITS) for number, name in enumerate(NAMES)},
            "beyond": {name: _rounded(self._column(_BEYOND + number), digits=LOG_DIGITS) for number, name in enumerate(NAMES)},
            "weight": [None if math.isnan(weight) else round(weight, 3) for weight in self._column(_WEIGHT)],
        }

    def rates(self) -> tuple[list[float | None], list[float | None]]:
        """Requests a second of the baseline and of the canary, those denied included; null where there is no information."""
        baseline, canary = (
            [
                None if math.isnan(served) else round(served / max(seconds, 1e-3), 3)
                for served, seconds in zip(column, self._column(_SECONDS), strict=True)
            ]
            for column in (self._column(_BASELINE), self._column(_CANARY))
        )
        return baseline, canary

    def _column(self, number: int) -> list[float]:
        return self._rows[number::_COLUMNS].tolist()


def log_of(evidence: float) -> float:
    """Its decimal logarithm, between -30 and 30 where it is none."""
    return math.log10(max(evidence, _SMALLEST)) if math.isfinite(evidence) else -math.log10(_SMALLEST)


def _served(arm: Arm | None) -> float:
    return math.nan if arm is None else float(arm.requests + arm.denied)


def _halved(rows: "array[float]") -> "array[float]":
    """Each two neighbours as one row: counts and seconds are added, whatever stands at a moment is the later one's."""
    halved = array("f")
    for start in range(0, len(rows) - _COLUMNS, 2 * _COLUMNS):
        first, later = rows[start : start + _COLUMNS], rows[start + _COLUMNS : start + 2 * _COLUMNS]
        later[_SECONDS] += first[_SECONDS]
        for column in (_BASELINE, _CANARY):
            both = [served for served in (first[column], later[column]) if not math.isnan(served)]
            later[column] = sum(both) if both else math.nan
        later[_GAP] = max(first[_GAP], later[_GAP])
        halved.extend(later)
    if (len(rows) // _COLUMNS) % 2:
        halved.extend(rows[-_COLUMNS:])
    return halved


def _rounded(values: Iterable[float], *, digits: int = 3) -> list[float]:
    return [round(value, digits) for value in values]
