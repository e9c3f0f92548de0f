"""Plots as SVG, drawn by hand: a few dozen lines of our own need no plotting library and give the same bytes everywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

COLOURS: Final = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
_DARK: Final = "@media (prefers-color-scheme: dark) { svg { filter: invert(.9) hue-rotate(180deg); } }"
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

    def dot(self, x: float, y: float, *, colour: str) -> None:
        """A point."""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def curve(self, points: Sequence[tuple[float, float]], *, colour: str) -> None:
        """Joined points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" {_FONT}>\n'
            f"<title>{escape(self.title)}</title>\n"
            f"<style>{_DARK}</style>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A row of a dot plot: a value with its limits, and what is wanted (null: nothing)."""

    label: str
    value: float
    low: float
    high: float
    wanted: float | None = None


def dots(title: str, bars: Sequence[Bar], *, axis: Axis, unit: str) -> str:
    """A dot plot with the values' limits; a red mark is what is wanted."""
    left, right, top, step = 330.0, 740.0, 50.0, 18.0
    bottom = top + step * len(bars)
    drawing = Drawing(760, int(bottom + 45), title)
    drawing.text(16, 20, title)
    for value in axis.ticks:
        x = axis.at(value, left, right)
        drawing.line(x, top - 6, x, bottom)
        drawing.text(x, bottom + 16, f"{value:g}", anchor="middle")
    drawing.text(right, bottom + 34, unit, anchor="end")
    for number, bar in enumerate(bars):
        y = top + step * (number + 0.5)
        drawing.text(left - 10, y + 4, bar.label, anchor="end")
        drawing.line(axis.at(bar.low, left, right), y, axis.at(bar.high, left, right), y, colour=COLOURS[0], wide=2)
        drawing.dot(axis.at(bar.value, left, right), y, colour=COLOURS[0])
        if bar.wanted is not None:
            x = axis.at(bar.wanted, left, right)
            drawing.line(x, y - 7, x, y + 7, colour=COLOURS[1], wide=2)
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
