"""The run as one picture in SVG, for a page that shows pictures only."""

from collections.abc import Sequence
from html import escape

from daemon.demo.acts import Played
from daemon.demo.charts import HEIGHT, STYLE, WIDTH, charts, shades
from daemon.demo.series import Series

_HEAD = 30.0
_TITLE = 24.0
_MARGIN = 16.0
# A picture has no reader's light or dark to ask for: it brings its own ground, and colours that every viewer understands.
_STYLE = (
    STYLE.replace("var(--line)", "#d6d9de").replace("var(--soft)", "#6b7280")
    + "svg { font-family: system-ui, sans-serif; } .title { font-weight: 600; }"
)


def picture(series: Series, acts: Sequence[Played]) -> str:
    """The charts below each other, with a key and a ground of their own."""
    drawn = charts(series, acts)
    height = _HEAD + len(drawn) * (HEIGHT + _TITLE) + _MARGIN
    width = WIDTH + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">',
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#ffffff"/>',
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
