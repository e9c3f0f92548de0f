"""The demo's three charts as SVG (who gets the traffic, what fails, how long it takes), as one picture and on one page.

The page is an HTML file that needs nothing else: the charts and the timelines, in light and dark.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from daemon.demo.acts import Played
from daemon.demo.timeline import Moment, Turn, turns
from daemon.demo.traffic import Curve, Series, VersionCurves

WIDTH, HEIGHT = 920.0, 150.0
_LEFT, _BOTTOM = 52.0, 22.0
_COLOURS = ("#4c78a8", "#54a24b", "#e45756", "#b279a2", "#f58518", "#72b7b2")

STYLE = """
.axis { stroke: var(--line); } .turn { stroke: var(--soft); stroke-dasharray: 3 3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg text { fill: var(--soft); font-size: 12px; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoChart:
    """A chart's title and what is inside its SVG element, ``WIDTH`` by ``HEIGHT``."""

    title: str
    body: str


def shades(series: Series) -> dict[str, str]:
    """A colour for each version."""
    return {version: _COLOURS[i % len(_COLOURS)] for i, version in enumerate(series.versions)}


def charts(series: Series, acts: Sequence[Played]) -> tuple[DemoChart, ...]:
    """Share of the traffic, failed requests, median latency."""
    shade = shades(series)
    marked = turns(acts)
    latencies = [value for curves in series.versions.values() for value in curves.p50_ms if value is not None]
    rates = [value for curves in series.versions.values() for value in curves.error_rate if value is not None]
    wanted = (
        ("Share of the traffic, %", 100.0, _share),
        ("Failed requests, %", round_top(max([5.0, *rates])), _error_rate),
        ("Median latency, ms", round_top(max([10.0, *latencies])), _p50),
    )
    return tuple(
        DemoChart(title=title, body=_chart(series, marked, top=top, pick=pick, shade=shade)) for title, top, pick in wanted
    )


def round_top(value: float) -> float:
    """The least that is no less and can be read off, as can its half: 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 6.0, 8.0, 10.0) if step * power >= value)


def _share(curves: VersionCurves) -> Curve:
    return curves.share


def _error_rate(curves: VersionCurves) -> Curve:
    return curves.error_rate


def _p50(curves: VersionCurves) -> Curve:
    return curves.p50_ms


def _chart(
    series: Series, marked: Sequence[Turn], *, top: float, pick: Callable[[VersionCurves], Curve], shade: dict[str, str]
) -> str:
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


def _points(
    series: Series, curves: VersionCurves, pick: Callable[[VersionCurves], Curve]
) -> Iterable[tuple[float, float | None, float | None]]:
    return zip(series.at, pick(curves), curves.share, strict=True)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path that is interrupted where there is no point."""
    words, pen_down = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = point is not None
    return "".join(words)


_HEAD = 30.0
_TITLE = 24.0
_MARGIN = 16.0
# A picture brings its own ground, and colours that every viewer understands; dark ones for those that know the reader's choice.
_PICTURE_STYLE = (
    STYLE.replace("var(--line)", "#d6d9de").replace("var(--soft)", "#6b7280")
    + "svg { font-family: system-ui, sans-serif; } .title { font-weight: 600; } .ground { fill: #ffffff; }\n"
    + "@media (prefers-color-scheme: dark) { .ground { fill: #16181b; } .axis { stroke: #3c4043; } .turn { stroke: #9aa0a6; }\n"
    + "svg text { fill: #b1bac4; } }"
)
_PICTURE_NAME = "Share of the traffic, failed requests and median latency of each version over the whole run"


def picture(series: Series, acts: Sequence[Played]) -> str:
    """The charts below each other, with a key and a ground of their own."""
    drawn = charts(series, acts)
    height = _HEAD + len(drawn) * (HEIGHT + _TITLE) + _MARGIN
    width = WIDTH + 2 * _MARGIN
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{_PICTURE_NAME}</title>",
        f'<style>{_PICTURE_STYLE}</style><rect class="ground" width="100%" height="100%"/>',
    ]
    for place, (version, colour) in enumerate(shades(series).items()):
        x = _MARGIN + 60.0 + place * 60.0
        parts.append(
            f'<rect x="{x:g}" y="12" width="11" height="11" fill="{colour}"/><text x="{x + 16:g}" y="22">{escape(version)}</text>'
        )
    for place, chart in enumerate(drawn):
        top = _HEAD + place * (HEIGHT + _TITLE)
        parts.append(f'<text class="title" x="{_MARGIN:g}" y="{top + 16:g}">{escape(chart.title)}</text>')
        parts.append(f'<g transform="translate({_MARGIN:g} {top + _TITLE:g})">{chart.body}</g>')
    return "".join([*parts, "</svg>\n"])


_STYLE = f"""{STYLE}
:root {{ color-scheme: light dark; --ink: #1c1e21; --soft: #6b7280; --line: #d6d9de; --ground: #ffffff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaed; --soft: #9aa0a6; --line: #3c4043; --ground: #16181b; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .2rem; }} p {{ color: var(--soft); margin: .2rem 0 .8rem; }}
svg {{ width: 100%; height: auto; }} .wide {{ overflow-x: auto; }} .wide svg {{ min-width: 44rem; }}
table {{ border-collapse: collapse; }} td {{ padding: .12rem 1rem .12rem 0; vertical-align: top; }}
td.t {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }} td.d {{ color: var(--soft); }}
.key span {{ margin-right: 1.2rem; }} .key i {{ display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }}
"""


def page(series: Series, acts: Sequence[tuple[Played, tuple[Moment, ...]]]) -> str:
    """The whole document."""
    body = "".join(
        f'<h2>{escape(one.title)}</h2><div class="wide">'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(one.title)}">{one.body}</svg></div>'
        for one in charts(series, [played for played, _ in acts])
    )
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(version)}</span>' for version, colour in shades(series).items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>verdictd demo</title><style>{_STYLE}</style></head><body><h1>verdictd demo</h1>"
        "<p>Every value was measured by the load generator, one request at a time, outside verdictd.</p>"
        f'<p class="key">{key}</p>{body}{"".join(_act(played, steps) for played, steps in acts)}</body></html>\n'
    )


def _act(played: Played, steps: tuple[Moment, ...]) -> str:
    zero = next((step.at for step in steps if step.at is not None), 0.0)
    rows = "".join(
        f'<tr><td>{escape(step.label)}</td><td class="t">{"" if step.at is None else f"{step.at - zero:+.3f} s"}</td>'
        f'<td class="d">{escape(step.detail)}</td></tr>'
        for step in steps
    )
    verdict = played.record.verdict
    return (
        f"<h2>Act {played.act.number}: {escape(played.act.title)}</h2>"
        f"<p><b>{escape(verdict.outcome)}</b>: {escape(verdict.reason)}</p><table>{rows}</table>"
    )
