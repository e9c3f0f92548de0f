"""Evidence against its boundary over time, in 80 columns of a terminal: the sum large, each leg's own in one row."""

import math
from collections.abc import Sequence

from daemon.offline.explain.account import Account, Curves
from daemon.offline.explain.amounts import amount
from daemon.offline.plotting.terminal import LABEL, Canvas, LogScale, framed, resampled, time_axis

_COLUMNS = 58
_ROWS = 8
_LOWEST = 0.01
_MARGIN = " " * (LABEL + 2)
SPOKE = 2.0
"""Evidence of a leg that is worth a word."""
_RED, _DIM = "\x1b[31m", "\x1b[2m"


def plot(told: Account, curves: Curves, *, colours: bool) -> list[str]:
    """The plot's lines; the dotted line is the boundary."""
    boundary = told.boundary
    scale = scale_of(curves.evidence, boundary=boundary)
    canvas = Canvas(columns=_COLUMNS, rows=_ROWS)
    height = round(scale.place(boundary) * (canvas.height - 1))
    for x in range(0, canvas.width, 4):
        canvas.dot(x, height, colour=_DIM)
    canvas.curve(_placed(curves.evidence, scale, points=canvas.width), colour=_RED)
    labels = {0: amount(scale.top), _ROWS - 1: amount(scale.bottom)}
    labels |= {scale.row(1.0, rows=_ROWS): "1", (canvas.height - 1 - height) // (canvas.height // _ROWS): amount(boundary)}
    title = "that the canary is worse at all (logarithmic; the dots: enough)"
    text = framed(canvas.lines(colours=colours), labels=labels, title=title)
    return [*text, *_gaps(curves), *time_axis(columns=_COLUMNS, seconds=curves.t[-1]), *_legs(told, curves)]


def scale_of(evidence: Sequence[float], *, boundary: float) -> LogScale:
    """From a power of ten below what was seen to one above the boundary; certainty beyond is cut off."""
    lowest = max(_LOWEST, min(1.0, *evidence, 1.0))
    highest = max(2.0 * boundary, min(max(evidence), boundary * boundary))
    return LogScale(bottom=_power(math.floor(math.log10(lowest))), top=_power(math.ceil(math.log10(highest))))


def _power(exponent: int) -> float:
    return math.pow(10.0, exponent)


def _placed(values: Sequence[float], scale: LogScale, *, points: int) -> list[float]:
    return [scale.place(value) for value in resampled(values, points=points)]


def _gaps(curves: Curves) -> list[str]:
    """Where there was no telemetry."""
    if not curves.gaps:
        return []
    row = [" "] * _COLUMNS
    for number in curves.gaps:
        row[(number - 1) * _COLUMNS // len(curves.t)] = "x"
    return [f"{'no data':>{LABEL}}  {''.join(row)}".rstrip()]


def _legs(told: Account, curves: Curves) -> list[str]:
    """Each leg that ever spoke against the canary: a row of its own evidence, and one that it is worse than tolerated."""
    spoke = [name for name, values in curves.legs.items() if max(values) >= SPOKE]
    silent = [name for name in curves.legs if name not in spoke]
    text = []
    for title, legs, enough in (
        (f"each line alone, from 1 to {amount(told.boundary)}", curves.legs, told.boundary),
        (f"that it is worse than tolerated, from 1 to {amount(told.beyond_boundary)} to 1", curves.beyond, told.beyond_boundary),
    ):
        if spoke and (told.after is None or legs is curves.legs):
            text += ["", f"{_MARGIN}{title}", *(_row(name, legs[name], enough) for name in spoke)]
    return [*text, "", f"{_MARGIN}never above {amount(SPOKE)}: {', '.join(silent)}"] if silent else text


def _row(name: str, values: Sequence[float], enough: float) -> str:
    """One leg from 1 to what is enough, with its last value."""
    canvas = Canvas(columns=_COLUMNS, rows=1)
    canvas.curve(_placed(values, LogScale(bottom=1.0, top=enough), points=canvas.width))
    return f"{name:>{LABEL}} │{canvas.lines(colours=False)[0]} {amount(values[-1])}"
