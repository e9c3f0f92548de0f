"""The whole run in 80 columns of a terminal: share, error rate and latency over time, with a mark at each turn."""

from collections.abc import Callable, Sequence

from daemon.demo.braille import Canvas
from daemon.demo.marks import Turn
from daemon.demo.series import Curve, Curves, Series

_COLUMNS = 68
_ROWS = 4
_LABEL = 9
_COLOURS = ("\x1b[34m", "\x1b[32m", "\x1b[31m", "\x1b[35m", "\x1b[33m", "\x1b[36m")
_RESET = "\x1b[0m"


def plot(series: Series, turns: Sequence[Turn], *, colours: bool) -> list[str]:
    """The plot's lines.

    Args:
        series: what to draw; every version is a curve.
        turns: what to mark on the axis of time.
        colours: write ANSI colours.
    """
    shade = {version: _COLOURS[i % len(_COLOURS)] for i, version in enumerate(series.versions)}
    latencies = [p for curves in series.versions.values() for p in curves.p50_ms if p is not None]
    top_ms = 10.0 * (int(max(latencies, default=10.0) * 1.15) // 10 + 1)
    rates = [p for curves in series.versions.values() for p in curves.error_rate if p is not None]
    top_rate = max(5.0, max(rates, default=0.0) * 1.15)
    text = [_legend(shade, colours=colours)]
    text += _panel("share of the traffic", "%", 100.0, series, lambda c: c.share, shade=shade, colours=colours)
    text += _panel("failed requests", "%", top_rate, series, lambda c: c.error_rate, shade=shade, colours=colours)
    text += _panel("median latency", "ms", top_ms, series, lambda c: c.p50_ms, shade=shade, colours=colours)
    return [*text, *_axis(series, turns)]


def _legend(shade: dict[str, str], *, colours: bool) -> str:
    names = [f"{colour}{version}{_RESET}" if colours else version for version, colour in shade.items()]
    return " " * (_LABEL + 2) + ("versions: " + "  ".join(names) if colours else "one curve for each of " + ", ".join(names))


def _panel(
    title: str, unit: str, top: float, series: Series, pick: Callable[[Curves], Curve], *, shade: dict[str, str], colours: bool
) -> list[str]:
    canvas = Canvas(columns=_COLUMNS, rows=_ROWS)
    for version, curves in series.versions.items():
        values = [None if value is None else value / top for value in _quiet(pick(curves), curves)]
        canvas.curve(values, colour=shade[version])
    labels = [f"{top:.0f} {unit}", *[""] * (_ROWS - 2), f"0 {unit}"]
    rows = canvas.lines(colours=colours)
    body = [f"{label:>{_LABEL}} ┤{row}" for label, row in zip(labels, rows, strict=True)]
    return [" " * (_LABEL + 2) + title, *body]


def _quiet(curve: Curve, curves: Curves) -> Curve:
    """Nothing is drawn while a version has no traffic: a line at zero for every version says nothing."""
    return tuple(value if share else None for value, share in zip(curve, curves.share, strict=True))


def _axis(series: Series, turns: Sequence[Turn]) -> list[str]:
    length = series.at[-1] + series.at[0]
    ruler, labels = ["─"] * _COLUMNS, [" "] * _COLUMNS
    for second in range(0, int(length) + 1, 10):
        column = min(_COLUMNS - 1, int(second / length * _COLUMNS))
        ruler[column] = "┴"
        _put(labels, column, f"{second} s")
    marks = [" "] * _COLUMNS
    for turn in turns:
        column = min(_COLUMNS - 1, max(0, int((turn.at - series.begin) / length * _COLUMNS)))
        _put(marks, column, turn.sign)
    pad = " " * (_LABEL + 2)
    key = "  ".join(dict.fromkeys(f"{turn.sign[0]} {turn.meaning}" for turn in turns))
    return [f"{pad[:-1]}└{''.join(ruler)}", pad + "".join(labels), pad + "".join(marks), f"{pad}{key}"]


def _put(row: list[str], column: int, text: str) -> None:
    """Write a label where it fits; one that would run over another is shortened to what is free."""
    column = min(column, len(row) - len(text)) if len(text) < len(row) else 0
    for offset, character in enumerate(text):
        if row[column + offset] != " ":
            return
        row[column + offset] = character
