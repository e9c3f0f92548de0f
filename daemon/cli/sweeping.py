"""Policies side by side, as a person reads them."""

from collections.abc import Sequence

from daemon.cli import rendering
from daemon.offline.replay.comparing import Compared, Proportion, Spread

_HEADING = ("POLICY", "FALSE ROLLBACKS", "DETECTED", "DELAY", "MISSED", "PROMOTED", "AFTER", "INCONCLUSIVE", "TOO SHORT")


def lines(rows: Sequence[Compared]) -> list[str]:
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
