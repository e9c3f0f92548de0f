"""``verdictd replay``: recordings judged again, under their own policy, another, or several side by side."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.identity import policy_hash
from config.load import load_policy
from daemon.cli import rendering
from daemon.cli.exits import Exit, of_outcome
from daemon.cli.rendering import ProgressLine
from daemon.model import Outcome
from daemon.offline.parallel import available_processes
from daemon.offline.replay.comparing import Compared, Proportion, Spread, compare
from daemon.offline.replay.joining import joined
from daemon.offline.replay.labels import labels_of
from daemon.offline.replay.lockstep import Judged, Replayed, Result, Unusable, judge_all, replayed
from daemon.offline.replay.sources import recordings_in
from daemon.recordings import torn_words

# The exit code of several files is that of the first of these that occurs.
_WORST_FIRST = (Exit.DATA, Exit.ROLLBACK, Exit.INCONCLUSIVE, Exit.OK)
_NAME_COLUMNS = 48


def run(options: argparse.Namespace) -> Exit:
    """The command. A recording that cannot be used is said to be, and the others are judged."""
    paths = recordings_in(options.files)
    if options.join is not None:
        paths = [joined(paths, whole=Path(options.join), digest=options.digest)]
    processes = options.processes or available_processes()
    if options.sweep:
        return _sweep(paths, options, processes=processes)
    policy = None if options.policy is None else load_policy(options.policy)
    results = judge_all(paths, policies=[policy], processes=processes)
    notes: dict[str, None] = {}
    ends = [_show(result, notes, json=options.json, alone=len(paths) == 1, width=_width(paths)) for result in results]
    if len(ends) > 1 and not options.json:
        print("\n".join([_summary(ends), *(rendering.clean(f"note: {note}") for note in notes)]))
    codes = {Exit.DATA if verdict is None else of_outcome(Outcome(verdict)) for verdict in ends}
    return next(code for code in _WORST_FIRST if code in codes)


def _show(result: Result, notes: dict[str, None], *, json: bool, alone: bool, width: int) -> str | None:
    """Print one result at once; what remains of it is its verdict, and its notes, each once for all recordings."""
    _complain(result)
    shown = replayed(result)
    notes |= dict.fromkeys(shown.notes)
    if json:
        print(rendering.as_json(shown), flush=True)
    elif shown.verdict is not None:
        print("\n".join(_lines(shown) if alone else [_row(shown, width=width)]), flush=True)
    return shown.verdict


def _complain(result: Result) -> None:
    """What is wrong with the file, if anything is."""
    if isinstance(result, Unusable):
        print(rendering.clean(f"verdictd: {result.error}"), file=sys.stderr, flush=True)
    elif result.torn_line is not None:
        print(rendering.clean(f"verdictd: {torn_words(result.file, result.torn_line)}"), file=sys.stderr, flush=True)


def _lines(shown: Replayed) -> list[str]:
    when = "undecided" if shown.decided_at_tick is None else f"at tick {shown.decided_at_tick}"
    head = f"{shown.file}: {shown.verdict} ({when}, {shown.ticks} ticks judged): {shown.reason}"
    notes = [rendering.clean(f"  note: {note}") for note in shown.notes]
    return [rendering.clean(head), *notes, *rendering.finding_lines(shown.findings)]


def _row(shown: Replayed, *, width: int) -> str:
    """One line of the table. A name that is too long loses its beginning, which recordings of one folder share."""
    name = shown.file if len(shown.file) <= width else f"...{shown.file[3 - width :]}"
    when = "undecided" if shown.decided_at_tick is None else f"tick {shown.decided_at_tick}"
    return rendering.clean(f"{name:<{width}}  {shown.verdict:<12}  {when:<10}  {shown.reason}")


def _width(paths: Sequence[Path]) -> int:
    return min(_NAME_COLUMNS, max(len(str(path)) for path in paths))


def _summary(ends: Sequence[str | None]) -> str:
    counts = [f"{ends.count(outcome.value)} {outcome.value}" for outcome in Outcome]
    unusable = ends.count(None)
    return f"{len(ends)} recordings: {', '.join(counts)}" + (f", {unusable} cannot be used" if unusable else "")


def _sweep(paths: Sequence[Path], options: argparse.Namespace, *, processes: int) -> Exit:
    policies = [load_policy(file) for file in options.sweep]
    labels = labels_of(paths, labels_file=None if options.labels is None else Path(options.labels))
    results = judge_all(paths, policies=[None, *policies], processes=processes)
    named = [("as recorded", None), *((file, policy_hash(one)) for file, one in zip(options.sweep, policies, strict=True))]
    rows, unusable = compare(_counted(results, len(paths)), policies=named, labels=labels)
    for one in unusable:
        _complain(one)
    print("\n".join([rendering.as_json(row) for row in rows] if options.json else _side_by_side(rows)))
    return Exit.DATA if unusable else Exit.OK


def _counted(results: Iterator[Result], total: int) -> Iterator[Result]:
    """The same results, with a line of progress on a terminal, and torn files said as they come."""
    line = ProgressLine()
    try:
        for number, result in enumerate(results, start=1):
            if line.live:
                line.show(f"{number} of {total} recordings", stage="sweep")
            if isinstance(result, Judged) and result.torn_line is not None:
                line.end()
                _complain(result)
            yield result
    finally:
        line.end()


_HEADING = ("POLICY", "FALSE ROLLBACKS", "DETECTED", "DELAY", "MISSED", "PROMOTED", "AFTER", "INCONCLUSIVE", "TOO SHORT")


def _side_by_side(rows: Sequence[Compared]) -> list[str]:
    """The table and what its columns mean."""
    cells = [_HEADING, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADING))]
    table = [rendering.clean("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))) for row in cells]
    return [*table, *_unlabelled(rows), "", *_notes(rows[0])]


def _cells(row: Compared) -> tuple[str, ...]:
    return (
        row.policy,
        _share(row.false_rollbacks),
        _share(row.detections),
        _spread(row.delay_seconds),
        _share(row.missed),
        _share(row.promotions),
        _spread(row.promotion_seconds),
        str(row.inconclusive),
        str(row.ended_first),
    )


def _share(share: Proportion) -> str:
    if share.low is None or share.high is None:
        return "-"
    return f"{share.count} of {share.of} ({100 * share.low:.1f}-{100 * share.high:.1f} %)"


def _spread(spread: Spread) -> str:
    return "-" if spread.median is None or spread.p90 is None else f"{spread.median:.0f} / {spread.p90:.0f} s"


def _unlabelled(rows: Sequence[Compared]) -> list[str]:
    """Releases without a label can only be counted by their verdict."""
    if not rows[0].unlabelled:
        return []
    told = [f"  {row.policy}: " + ", ".join(f"{count} {end}" for end, count in row.unlabelled.items()) for row in rows]
    return ["", "without a label:", *map(rendering.clean, told)]


def _notes(row: Compared) -> list[str]:
    return [
        f"{row.recordings} recordings. In brackets: 95 % interval for the true share.",
        "Delay (from the onset) and time to promotion: median / 90th percentile.",
        "False rollbacks: healthy releases, or bad ones before their onset. Missed: bad releases promoted.",
        "Too short: the recording ends before this policy decides.",
    ]
