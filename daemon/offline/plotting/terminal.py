"""Curves in a terminal: two columns and four rows of dots to a character, in a frame with a scale and an axis of time."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_FIRST = 0x2800
# The bit of each dot, by row from the top and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_RESET = "\x1b[0m"


class Canvas:
    """A field of dots with a colour for each character (the one that was drawn last)."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self.width, self.height = columns * 2, rows * 4
        self._cells = [[0] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, *, colour: str = "") -> None:
        """Set a dot; ``y`` counts from the bottom. What is outside is not drawn."""
        if 0 <= x < self.width and 0 <= y < self.height:
            top = self.height - 1 - y
            self._cells[top // 4][x // 2] |= _BITS[top % 4][x % 2]
            self._colours[top // 4][x // 2] = colour

    def curve(self, points: Sequence[float | None], *, colour: str = "") -> None:
        """Draw a curve of values from 0 (bottom) to 1 (top), stretched over the whole width, with gaps where null."""
        last: int | None = None
        for x in range(self.width):
            value = points[x * len(points) // self.width] if points else None
            if value is None:
                last = None
                continue
            y = round(min(1.0, max(0.0, value)) * (self.height - 1))
            low, high = (y, y) if last is None else (min(y, last), max(y, last))
            for step in range(low, high + 1):
                self.dot(x, step, colour=colour)
            last = y

    def lines(self, *, colours: bool) -> list[str]:
        """The field as text, from the top."""
        return [
            "".join(_cell(bits, colour if colours else "") for bits, colour in zip(row, shades, strict=True))
            for row, shades in zip(self._cells, self._colours, strict=True)
        ]


def _cell(bits: int, colour: str) -> str:
    character = chr(_FIRST + bits)
    return f"{colour}{character}{_RESET}" if colour and bits else character


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


def moments(seconds: float, *, most: int = 6) -> list[int]:
    """Seconds from 0 to the end at even steps, at most ``most`` besides 0."""
    step = next((step for step in _STEPS if seconds / step < most + 1), math.ceil(seconds / most))
    return list(range(0, math.floor(seconds) + 1, step))
