"""A backtest in words: a line for each release, what stands behind each verdict that was no promotion, and the answers."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from daemon.offline.backtest.moments import shown
from daemon.offline.backtest.past import Past, arm_words
from daemon.offline.backtest.results import Backtest, Row, WouldBe

QUESTION = "Would it have caught the bad ones, would it have disturbed the good ones?"
NOT_JUDGED = "not judged"
_WIDTH = 100


def lines(told: Backtest) -> Iterator[str]:
    """All of it, for a terminal."""
    yield from table(told)
    yield from _reasons(told.rows)
    yield ""
    yield QUESTION
    yield from (f"  {answer}" for answer in told.answers)


def headings(told: Backtest) -> list[str]:
    """Of the columns."""
    return ["FROM (UTC)", "SERVICE", "BASELINE -> CANARY", "IT WAS", *(one.policy for one in told.policies)]


def cells(row: Row, *, policies: int) -> list[str]:
    """Of one line."""
    past = row.past
    arms = f"{arm_words(past.release.baseline)} -> {arm_words(past.release.canary)}"
    would = [verdict_words(one) for one in row.verdicts] or [NOT_JUDGED] * policies
    return [shown(past.begin), f"{past.release.namespace}/{past.release.service}", arms, known(past), *would]


def known(past: Past) -> str:
    """What is known of how it went."""
    if past.label is None:
        return past.became or "not known"
    word = "good" if past.label.label == "healthy" else "bad"
    return f"{word} ({past.became})" if past.became else word


def verdict_words(one: WouldBe) -> str:
    """What a policy would have done, and when."""
    if one.verdict is None:
        return f"undecided at {one.after_seconds:.0f} s"
    return f"{one.verdict} at {one.after_seconds:.0f} s"


def table(told: Backtest) -> list[str]:
    """The lines with their heading."""
    grid = [headings(told), *(cells(row, policies=len(told.policies)) for row in told.rows)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        said = list(reasons(row))
        if said:
            yield ""
            yield f"{shown(row.past.begin)}  {arm_words(row.past.release.canary)}"
            for one in said:
                yield from wrap(one, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def reasons(row: Row) -> Iterator[str]:
    """Why it was not promoted, by those policies that would not have."""
    if row.problem:
        yield f"{NOT_JUDGED}: {row.problem}"
    yield from (f"{one.policy}: {one.verdict or 'undecided'}: {one.reason}" for one in row.verdicts if one.verdict != "promote")
