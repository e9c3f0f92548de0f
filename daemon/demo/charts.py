"""The demo's three charts as SVG: who gets the traffic, what fails, how long it takes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from daemon.demo.acts import Played
from daemon.demo.marks import Turn, turns
from daemon.demo.series import Curve, Curves, Series

WIDTH, HEIGHT = 920.0, 150.0
_LEFT, _BOTTOM = 52.0, 22.0
_COLOURS = ("#4c78a8", "#54a24b", "#e45756", "#b279a2", "#f58518", "#72b7b2")

STYLE = """
.axis { stroke: var(--line); } .turn { stroke: var(--soft); stroke-dasharray: 3 3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg text { fill: var(--soft); font-size: 12px; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart's title and what is inside its SVG element, ``WIDTH`` by ``HEIGHT``."""

    title: str
    body: str


def shades(series: Series) -> dict[str, str]:
    """A colour for each version."""
    return {version: _COLOURS[i % len(_COLOURS)] for i, version in enumerate(series.versions)}


def charts(series: Series, acts: Sequence[Played]) -> tuple[Chart, ...]:
    """Share of the traffic, failed requests, median latency."""
    shade = shades(series)
    marked = turns(acts)
    latencies = [value for curves in series.versions.values() for value in curves.p50_ms if value is not None]
    rates = [value for curves in series.versions.values() for value in curves.error_rate if value is not None]
    wanted = (
        ("Share of the traffic, %", 100.0, _share),
        ("Failed requests, %", max(5.0, max(rates, default=0.0) * 1.1), _error_rate),
        ("Median latency, ms", max(10.0, max(latencies, default=0.0) * 1.2), _p50),
    )
    return tuple(Chart(title=title, body=_chart(series, marked, top=top, pick=pick, shade=shade)) for title, top, pick in wanted)


def _share(curves: Curves) -> Curve:
    return curves.share


def _error_rate(curves: Curves) -> Curve:
    return curves.error_rate


def _p50(curves: Curves) -> Curve:
    return curves.p50_ms


def _chart(series: Series, marked: Sequence[Turn], *, top: float, pick: Callable[[Curves], Curve], shade: dict[str, str]) -> str:
    length = series.at[-1] + series.at[0]

    def x(seconds: float) -> float:
        return _LEFT + seconds / length * (WIDTH - _LEFT)

    def y(value: float) -> float:
        return 18.0 + (1.0 - min(value, top) / top) * (HEIGHT - _BOTTOM - 18.0)

    parts: list[str] = []
    for value in (0.0, top / 2, top):
        parts.append(f'<line class="axis" x1="{_LEFT:g}" x2="{WIDTH:g}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    parts += [
        f'<text x="{x(second):.1f}" y="{HEIGHT - 4:g}" text-anchor="middle">{second} s</text>'
        for second in range(10, int(length), 10)
    ]
    for turn in marked:
        at = x(turn.at - series.begin)
        parts.append(f'<line class="turn" x1="{at:.1f}" x2="{at:.1f}" y1="14" y2="{HEIGHT - _BOTTOM:g}"/>')
        parts.append(
            f'<text x="{at:.1f}" y="11" text-anchor="middle">{escape(turn.sign)}<title>{escape(turn.meaning)}</title></text>'
        )
    for version, curves in series.versions.items():
        path = _path([(x(t), y(v)) if v is not None and s else None for t, v, s in _points(series, curves, pick)])
        parts.append(f'<path class="curve" stroke="{shade[version]}" d="{path}"><title>{escape(version)}</title></path>')
    return "".join(parts)


def _points(series: Series, curves: Curves, pick: Callable[[Curves], Curve]) -> Iterable[tuple[float, float | None, float | None]]:
    return zip(series.at, pick(curves), curves.share, strict=True)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path that is interrupted where there is no point."""
    words, pen_down = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = point is not None
    return "".join(words)
