"""docs/concepts.svg, drawn by ``python -m tests.docs.evidence``: the evidence of three canaries as the judge gathers it.

It is no part of what is made anew each time: numbers of numpy's may differ in their last digit from machine to machine.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import numpy as np

from analyzers.counts import Arm, Sample
from analyzers.judge import fold, start, terms_of
from config.policy import Policy
from tests.docs.__main__ import ROOT

PAGE: Final = "docs/concepts.svg"
SECONDS: Final = 180
BOUNDARY: Final = 100.0
_REQUESTS: Final = (20, 180)
_USUAL: Final = 0.001
_SEED: Final = 5
CANARIES: Final = (("fails 5 %", 0.05, "#c9364f"), ("fails 1 %", 0.01, "#9a6700"), ("as good as its baseline", _USUAL, "#2a7f62"))
"""What each does, its failed share, and the colour of its line, which shows on light and on dark."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 340, 70, 20, 40, 40
_MOST = 20_000.0
_LEAST = 0.5
_STYLE: Final = """svg { font: 13px system-ui, sans-serif; } text { fill: #57606a; } .grid { stroke: #8b949e; stroke-opacity: .35; }
.limit { stroke: #57606a; stroke-dasharray: 6 4; } polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
@media (prefers-color-scheme: dark) { text { fill: #b1bac4; } .limit { stroke: #b1bac4; } }"""


@functools.cache
def evidence(failed: float) -> list[float]:
    """That a canary which fails this share of its requests is worse at all: after each second, until its verdict."""
    random = np.random.default_rng(_SEED)
    terms = terms_of(Policy(), tick_seconds=1.0, window_seconds=float(SECONDS) * 10, weight=None, bounds_ms=(), timed=True)
    state, found = start(terms), [1.0]
    for second in range(1, SECONDS + 1):
        canary, baseline = (
            Arm(requests=requests, errors=int(random.binomial(requests, share)), latency=None)
            for requests, share in zip(random.poisson(_REQUESTS).tolist(), (failed, _USUAL), strict=True)
        )
        [(state, ruling)] = fold([terms], [state], [Sample(t=float(second), seconds=1.0, canary=canary, baseline=baseline)])
        found.append(ruling.evidence)
        if ruling.outcome != "continue":
            break
    return found


def picture() -> str:
    """The whole picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="title">'
    title = "<title id='title'>Evidence that a canary is worse at all, over time, of three canaries</title>"
    curves = (part for (name, failed, colour) in CANARIES for part in _curve(name, evidence(failed), colour))
    return "\n".join([head, title, f"<style>{_STYLE}</style>", *_frame(), *curves, "</svg>"]) + "\n"


def _frame() -> Iterator[str]:
    yield f'<text x="{_LEFT}" y="22">evidence that the canary is worse at all (logarithmic)</text>'
    for value in (1.0, 10.0, BOUNDARY, 1000.0, 10_000.0):
        kind = "limit" if value == BOUNDARY else "grid"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(value):.1f}" y2="{_y(value):.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="{_y(BOUNDARY) - 7:.1f}" text-anchor="end">the boundary</text>'
    for second in range(0, SECONDS + 1, 30):
        yield f'<text x="{_x(second):.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{second} s</text>'


def _curve(name: str, values: Sequence[float], colour: str) -> Iterator[str]:
    points = [(_x(second), _y(value)) for second, value in enumerate(values)]
    yield f'<polyline stroke="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    (x, y), ended = points[-1], len(values) <= SECONDS
    if ended:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    words = f"{name}: {'rollback' if ended else 'no verdict yet'}"
    near = x < _WIDTH / 2
    place = (x + 9, y + 4, "start") if near else (x - 9, y - 9, "end")
    yield f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{place[2]}" style="fill: {colour}">{escape(words)}</text>'


def _x(second: float) -> float:
    return _LEFT + second / SECONDS * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float) -> float:
    """Where a value is, on a scale of powers of ten; what lies beyond an end stands at it."""
    share = math.log(min(_MOST, max(_LEAST, value)) / _LEAST) / math.log(_MOST / _LEAST)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


if __name__ == "__main__":
    (ROOT / PAGE).write_text(picture(), encoding="utf-8")
