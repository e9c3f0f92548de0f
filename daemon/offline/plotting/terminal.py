"""Frames for curves in a terminal: a scale, labels on the left, an axis of time below."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.offline.plotting.times import moments

LABEL = 9
"""Columns of the labels; two more stand between them and the curves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScale:
    """Values from ``bottom`` to ``top`` (both positive) on a logarithmic scale; what is outside lies on the edge."""

    bottom: float
    top: float

    def place(self, value: float) -> float:
        """Where a value is, 0 (bottom) to 1 (top)."""
        if value <= self.bottom:
            return 0.0
        return min(1.0, math.log(value / self.bottom) / math.log(self.top / self.bottom))

    def row(self, value: float, *, rows: int) -> int:
        """The row of text of a value, from the top."""
        return round((1.0 - self.place(value)) * (rows - 1))


def resampled(values: Sequence[float], *, points: int) -> list[float]:
    """As many values as there are points: the largest of each stretch, so that no peak is lost; few values are repeated."""
    size = len(values)
    edges = [at * size // points for at in range(points + 1)]
    return [max(values[first : max(last, first + 1)]) for first, last in itertools.pairwise(edges)]


def framed(rows: Sequence[str], *, labels: Mapping[int, str], title: str) -> list[str]:
    """Rows of curves with labels by row, under a title."""
    body = [f"{labels.get(at, ''):>{LABEL}} {'┤' if at in labels else '│'}{row}" for at, row in enumerate(rows)]
    return [" " * (LABEL + 2) + title, *body]


def time_axis(*, columns: int, seconds: float) -> list[str]:
    """A ruler and its labels for a width that stands for some seconds."""
    ruler, labels = ["─"] * columns, [" "] * columns
    for moment in moments(seconds):
        column = min(columns - 1, round(moment / max(seconds, 1.0) * columns))
        text = f"{moment} s"
        ruler[column] = "┴"
        column = min(column, columns - len(text))
        if all(one == " " for one in labels[max(0, column - 1) : column + len(text)]):
            labels[column : column + len(text)] = text
    pad = " " * (LABEL + 1)
    return [f"{pad}└{''.join(ruler)}", f"{pad} {''.join(labels)}".rstrip()]
