"""The run as one HTML file that needs nothing else: three charts in SVG and the timelines, in light and dark."""

from collections.abc import Sequence
from html import escape

from daemon.demo.acts import Played
from daemon.demo.charts import HEIGHT, STYLE, WIDTH, charts, shades
from daemon.demo.series import Series
from daemon.demo.timeline import Step

_STYLE = f"""{STYLE}
:root {{ color-scheme: light dark; --ink: #1c1e21; --soft: #6b7280; --line: #d6d9de; --ground: #ffffff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaed; --soft: #9aa0a6; --line: #3c4043; --ground: #16181b; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .2rem; }} p {{ color: var(--soft); margin: .2rem 0 .8rem; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; }} td {{ padding: .12rem 1rem .12rem 0; vertical-align: top; }}
td.t {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }} td.d {{ color: var(--soft); }}
.key span {{ margin-right: 1.2rem; }} .key i {{ display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }}
"""


def page(series: Series, acts: Sequence[tuple[Played, tuple[Step, ...]]]) -> str:
    """The whole document."""
    body = "".join(
        f'<h2>{escape(one.title)}</h2><svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">{one.body}</svg>'
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


def _act(played: Played, steps: tuple[Step, ...]) -> str:
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
