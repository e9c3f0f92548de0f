"""The whole run in 80 columns of a terminal: share, error rate and latency over time, with a mark at each turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.demo.timeline import Turn
from daemon.demo.traffic import Curve, Series, VersionCurves
from daemon.offline.plotting.terminal import Canvas

_COLUMNS = 66
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
    rates = [p for curves in series.versions.values() for p in curves.error_rate if p is not None]
    panels = (
        _Panel("share of the traffic", "%", 0.0, 100.0, lambda curves: curves.share),
        _Panel("failed requests", "%", 0.0, _round_up(max(rates, default=0.0)), lambda curves: curves.error_rate),
        _Panel(
            "median latency",
            "ms",
            _round_down(min(latencies, default=0.0)),
            _round_up(max(latencies, default=0.0)),
            lambda curves: curves.p50_ms,
        ),
    )
    text = [_legend(shade, colours=colours)]
    for panel in panels:
        text += _draw(panel, series, shade=shade, colours=colours)
    return [*text, *_axis(series, turns)]


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: str
    bottom: float
    top: float
    pick: Callable[[VersionCurves], Curve]


def _round_up(highest: float) -> float:
    """The top of a panel: the next multiple of 5 with some room above the curve."""
    return 5.0 * (int(highest * 1.1 // 5) + 1)


def _round_down(lowest: float) -> float:
    """The bottom of a panel that need not begin at zero."""
    return 5.0 * int(lowest * 0.8 // 5)


def _legend(shade: dict[str, str], *, colours: bool) -> str:
    names = [f"{colour}{version}{_RESET}" if colours else version for version, colour in shade.items()]
    return " " * (_LABEL + 2) + ("versions: " + "  ".join(names) if colours else "one curve for each of " + ", ".join(names))


def _draw(panel: _Panel, series: Series, *, shade: dict[str, str], colours: bool) -> list[str]:
    canvas = Canvas(columns=_COLUMNS, rows=_ROWS)
    span = panel.top - panel.bottom
    for version, curves in series.versions.items():
        values = [None if value is None else (value - panel.bottom) / span for value in _quiet(panel.pick(curves), curves)]
        canvas.curve(values, colour=shade[version])
    labels = [f"{panel.top:.0f} {panel.unit}", *[""] * (_ROWS - 2), f"{panel.bottom:.0f} {panel.unit}"]
    rows = canvas.lines(colours=colours)
    body = [f"{label:>{_LABEL}} ┤{row}" for label, row in zip(labels, rows, strict=True)]
    return [" " * (_LABEL + 2) + panel.title, *body]


def _quiet(curve: Curve, curves: VersionCurves) -> Curve:
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
