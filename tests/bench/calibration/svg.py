"""Plots as SVG, drawn by hand: a few dozen lines of our own need no plotting library and give the same bytes everywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

COLOURS: Final = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
_FONT: Final = 'font-family="sans-serif" font-size="12" fill="#24292f"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of values on a range of pixels."""

    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def at(self, value: float, first: float, last: float) -> float:
        """The pixel of a value between the pixels of the ends; values outside stand at the ends."""
        low, high, here = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return first + (last - first) * min(1.0, max(0.0, (here - low) / (high - low)))


@dataclass(slots=True)
class Drawing:
    """Elements on a white sheet."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, colour: str = "#d0d7de", wide: float = 1.0, dash: str = ""
    ) -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{wide:g}"{dashed}/>'
        )

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", colour: str = "#24292f") -> None:
        """Words."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{colour}">{escape(words)}</text>')

    def dot(self, x: float, y: float, *, colour: str, hollow: bool = False) -> None:
        """A point."""
        inside = "#ffffff" if hollow else colour
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{inside}" stroke="{colour}" stroke-width="1.5"/>')

    def curve(self, points: Sequence[tuple[float, float]], *, colour: str) -> None:
        """Joined points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" {_FONT}>\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a dot plot: (value, half width of its bar, index of its series); hollow dots are references."""

    label: str
    dots: Sequence[tuple[float, float, int]]
    hollow: Sequence[tuple[float, int]] = ()


def _legend(drawing: Drawing, names: Sequence[str], x: float, *, hollow: str = "") -> None:
    y = 38.0
    for series, name in enumerate(names):
        drawing.dot(x, y - 4, colour=COLOURS[series])
        drawing.text(x + 10, y, name)
        x += 28 + 6.6 * len(name)
    if hollow:
        drawing.dot(x, y - 4, colour=COLOURS[-1], hollow=True)
        drawing.text(x + 10, y, hollow)


def dots(title: str, rows: Sequence[Row], *, axis: Axis, unit: str, series: Sequence[str], limit: float, hollow: str = "") -> str:
    """A dot plot with bars of two standard errors and a dashed limit."""
    left, right, top, step = 300.0, 740.0, 60.0, 22.0
    bottom = top + step * len(rows)
    drawing = Drawing(760, int(bottom + 45), title)
    drawing.text(16, 20, title)
    _legend(drawing, series, 20.0, hollow=hollow)
    for value in axis.ticks:
        x = axis.at(value, left, right)
        drawing.line(x, top - 6, x, bottom)
        drawing.text(x, bottom + 16, f"{value:g}", anchor="middle")
    drawing.text(right, bottom + 34, unit, anchor="end")
    drawing.line(*(axis.at(limit, left, right), top - 6, axis.at(limit, left, right), bottom), colour="#d1242f", dash="5 3")
    for number, row in enumerate(rows):
        y = top + step * (number + 0.5)
        drawing.text(left - 10, y + 4, row.label, anchor="end")
        for value, half, which in row.dots:
            low, high = (axis.at(value + sign * half, left, right) for sign in (-1, 1))
            drawing.line(low, y, high, y, colour=COLOURS[which], wide=2)
        for value, _ in row.hollow:
            drawing.dot(axis.at(value, left, right), y, colour=COLOURS[-1], hollow=True)
        for value, _, which in row.dots:
            drawing.dot(axis.at(value, left, right), y, colour=COLOURS[which])
    return str(drawing)


def shares(title: str, curves: Sequence[tuple[str, Sequence[float]]], *, axis: Axis, unit: str) -> str:
    """Shares of releases that have ended by a time: each curve is a sorted list of times, infinite for never."""
    left, right, top, bottom = 60.0, 560.0, 40.0, 320.0
    drawing = Drawing(760, 370, title)
    drawing.text(16, 20, title)
    for value in axis.ticks:
        x = axis.at(value, left, right)
        drawing.line(x, top, x, bottom)
        drawing.text(x, bottom + 16, f"{value:g}", anchor="middle")
    for percent in (0, 25, 50, 75, 100):
        y = bottom - (bottom - top) * percent / 100.0
        drawing.line(left, y, right, y)
        drawing.text(left - 8, y + 4, f"{percent} %", anchor="end")
    drawing.text(right, bottom + 36, unit, anchor="end")
    for number, (name, times) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = [(left, bottom)]
        for time in sorted({time for time in times if time <= axis.high}):
            x, share = axis.at(time, left, right), sum(other <= time for other in times) / len(times)
            points += [(x, points[-1][1]), (x, bottom - (bottom - top) * share)]
        drawing.curve([*points, (right, points[-1][1])], colour=colour)
        drawing.line(right + 14, top + 20 * number + 6, right + 34, top + 20 * number + 6, colour=colour, wide=2)
        drawing.text(right + 40, top + 20 * number + 10, name)
    return str(drawing)
