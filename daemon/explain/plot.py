"""Evidence against its boundary over time, in 80 columns of a terminal: the sum large, each leg's own in one row."""

import math
from collections.abc import Sequence

from daemon.explain.account import Curves
from daemon.explain.amounts import amount
from daemon.plotting.braille import Canvas
from daemon.plotting.terminal import LABEL, LogScale, framed, resampled, time_axis

_COLUMNS = 58
_ROWS = 8
_LOWEST = 0.01
_SPOKE = 2.0
"""Evidence of a leg that is worth a row."""
_RED, _DIM = "\x1b[31m", "\x1b[2m"


def plot(curves: Curves, *, boundary: float, colours: bool) -> list[str]:
    """The plot's lines; the dotted line is the boundary."""
    scale = scale_of(curves.evidence, boundary=boundary)
    canvas = Canvas(columns=_COLUMNS, rows=_ROWS)
    height = round(scale.place(boundary) * (canvas.height - 1))
    for x in range(0, canvas.width, 4):
        canvas.dot(x, height, colour=_DIM)
    canvas.curve(_placed(curves.evidence, scale, points=canvas.width), colour=_RED)
    labels = {0: amount(scale.top), _ROWS - 1: amount(scale.bottom)}
    labels |= {scale.row(1.0, rows=_ROWS): "1", scale.row(boundary, rows=_ROWS): amount(boundary)}
    title = "that the canary is worse (logarithmic; the dots: enough to convict)"
    text = framed(canvas.lines(colours=colours), labels=labels, title=title)
    return [*text, *_gaps(curves), *time_axis(columns=_COLUMNS, seconds=curves.t[-1]), "", *_legs(curves, boundary)]


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


def _legs(curves: Curves, boundary: float) -> list[str]:
    """Each leg that ever spoke against the canary in one row, from 1 to the boundary, with its last value."""
    scale = LogScale(bottom=1.0, top=boundary)
    text, silent = [], []
    for name, values in curves.legs.items():
        if max(values) < _SPOKE:
            silent.append(name)
            continue
        canvas = Canvas(columns=_COLUMNS, rows=1)
        canvas.curve(_placed(values, scale, points=canvas.width))
        text.append(f"{name:>{LABEL}} │{canvas.lines(colours=False)[0]} {amount(values[-1])}")
    return [*text, f"{'':>{LABEL}}  never above {amount(_SPOKE)}: {', '.join(silent)}"] if silent else text
