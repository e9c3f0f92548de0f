"""Charts for a page that needs nothing else: lines over time in SVG, with colours that the page's style may change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from daemon.offline.plotting import moments

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 920.0, 56.0, 8.0, 10.0, 24.0

STYLE = """
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.axis { stroke: var(--line); } .limit { stroke: var(--soft); stroke-dasharray: 5 4; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .thin { stroke-width: 1.1; opacity: .8; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve, with gaps where null."""

    name: str
    values: Sequence[float | None]
    colour: str
    thin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves over common times.

    Attributes:
        t: seconds of the points.
        place: where a value is, 0 (bottom) to 1 (top).
        marks: values of horizontal lines with their labels. limit: a dashed one among them.
    """

    t: Sequence[float]
    lines: Sequence[Line]
    place: Callable[[float], float]
    marks: Sequence[tuple[float, str]]
    limit: float | None = None
    height: float = 170.0


def svg(chart: Chart) -> str:
    """The chart as one element."""
    last = chart.t[-1] if chart.t and chart.t[-1] > 0.0 else 1.0

    def x(seconds: float) -> float:
        return _LEFT + seconds / last * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (1.0 - min(1.0, max(0.0, chart.place(value)))) * (chart.height - _TOP - _BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {chart.height:g}" role="img">']
    for value, label in chart.marks:
        kind = "limit" if value == chart.limit else "axis"
        parts.append(f'<line class="{kind}" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for at in moments(last):
        anchor = "end" if at == last else "middle"
        parts.append(f'<text x="{x(at):.1f}" y="{chart.height - 6:g}" text-anchor="{anchor}">{at} s</text>')
    for line in chart.lines:
        path = _path([None if value is None else (x(t), y(value)) for t, value in zip(chart.t, line.values, strict=True)])
        style = "curve thin" if line.thin else "curve"
        parts.append(f'<path class="{style}" stroke="{line.colour}" d="{path}"><title>{escape(line.name)}</title></path>')
    return "".join([*parts, "</svg>"])


def key(lines: Sequence[Line]) -> str:
    """What the colours mean."""
    return "".join(f'<span><i style="background:{line.colour}"></i>{escape(line.name)}</span>' for line in lines)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Interrupted where there is no point; a point by itself is drawn as a dot's length."""
    words: list[str] = []
    pen_down = False
    for point in points:
        if point is not None:
            words.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}" + ("" if pen_down else "h.1"))
        pen_down = point is not None
    return "".join(words)
