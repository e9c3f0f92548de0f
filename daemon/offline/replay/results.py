"""What judging a recording gives: a last ruling for each policy, or the reason why the file cannot be used."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from analyzers.ruling import Finding, Ruling
from daemon.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A recording's last ruling under each policy, in the order in which the policies were given.

    ``torn_line`` is the number of a last line that was not written to its end and was left out.
    ``translated``: a sentence for each word of the recorded policy that is read as another, where that policy was asked for.
    """

    file: Path
    rulings: tuple[Ruling, ...]
    torn_line: int | None = None
    translated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A recording with a fault, wherever in the file: whether it can be used does not depend on the policy."""

    file: Path
    error: InvalidInput


Result = Judged | Unusable


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``verdictd replay --json`` prints, one line a file.

    ``decided_at_tick`` is null when the recording ended first; ``verdict`` is null when it cannot be used, and ``reason`` then
    names the line and the fault. ``torn_line`` is the number of a torn last line, which was left out; else null. ``notes``
    says which words of the recorded policy, an earlier version's, are read as others.
    """

    file: str
    verdict: str | None
    decided_at_tick: int | None
    ticks: int
    reason: str
    findings: tuple[Finding, ...] = ()
    torn_line: int | None = None
    notes: tuple[str, ...] = ()


def replayed(result: Result) -> Replayed:
    """A result under its first policy."""
    if isinstance(result, Unusable):
        return Replayed(file=str(result.file), verdict=None, decided_at_tick=None, ticks=0, reason=str(result.error))
    ruling = result.rulings[0]
    final = ruling.outcome != "continue"
    return Replayed(
        file=str(result.file),
        verdict=ruling.outcome if final else "inconclusive",
        decided_at_tick=ruling.tick if final else None,
        ticks=ruling.tick,
        reason=ruling.reason if final else f"the recording ends before a decision: {ruling.reason}",
        findings=ruling.findings,
        torn_line=result.torn_line,
        notes=tuple(f"the recorded policy's {one}" for one in result.translated),
    )
