"""One line of the bench's table, and how a list of measurements becomes one."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured figure with its goal and what it is made of.

    Attributes:
        what: the quantity with its unit.
        measured: the value(s) as text.
        goal: what the project wants, or empty.
        parts: what part of it is the tick, the judge, the patch, the mesh.
    """

    what: str
    measured: str
    goal: str = ""
    parts: str = ""


def spread(values: Sequence[float], *, digits: int = 1) -> str:
    """``median (min .. max), n``."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):.{digits}f} ({ordered[0]:.{digits}f} .. {ordered[-1]:.{digits}f}), n={len(ordered)}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(figures: Sequence[Figure]) -> str:
    """All figures as an aligned Markdown table."""
    rows = [("quantity", "measured", "goal", "parts"), *((f.what, f.measured, f.goal, f.parts) for f in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
