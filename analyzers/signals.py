"""What signals do to a tick and to its ruling: the one place where something that is no count has a say, and it never convicts.

Signals come and go with what they tell of. Those that hold keep a canary from being promoted; those that excuse keep it from being
convicted too, and what was counted while they stand is no evidence, for or against: it would convict, or promote, as soon as they
are gone. Without signals nothing here is reached, and every ruling is the judge's own, to the bit.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final, assert_never

from msgspec.structs import replace

from analyzers.counts import Effect, Sample, Signal
from analyzers.ruling import Finding, Ruling

_MEANS: Final[dict[Effect, str]] = {
    "excuses": " (while it is so nothing is judged)",
    "holds": " (while it is so nothing is promoted)",
    "says": "",
}


def counted(sample: Sample) -> Sample:
    """What of a sample is evidence: nothing of it, while something excuses. Its time goes on, and with it the window."""
    excuses = [one.words for one in sample.signals if one.effect == "excuses"]
    if not excuses:
        return sample
    return Sample(t=sample.t, seconds=sample.seconds, baseline=None, canary=None, gap="; ".join(excuses), weight=sample.weight)


def heeded(ruling: Ruling, signals: Sequence[Signal], *, window_seconds: float) -> Ruling:
    """The ruling with what stands beside it, which may put it off and never decides it; at the deadline it is inconclusive.

    Args:
        ruling: the judge's, on the counts.
        signals: that stand at this tick.
        window_seconds: of the watch.
    """
    if not signals:
        return ruling
    against = [one for one in signals if one.effect in _forbidding(ruling)]
    if not against:
        return replace(ruling, reason=f"{ruling.reason}; {said(signals)}")
    put_off = f"{_but_for(ruling)}, but {said(signals)}"
    if ruling.t >= window_seconds:
        reason = f"no decision after {ruling.t:.0f} s: {put_off}"
        findings = tuple(map(_unconvicting, ruling.findings))
        return replace(ruling, outcome="inconclusive", leg=None, reason=reason, findings=findings)
    return replace(ruling, outcome="continue", leg=None, reason=put_off, findings=(), fixed_horizon=None)


def said(signals: Sequence[Signal]) -> str:
    """Signals in words, with what each of them does."""
    return "; ".join(f"{one.words}{_MEANS[one.effect]}" for one in signals)


def _forbidding(ruling: Ruling) -> frozenset[Effect]:
    """The effects that forbid this outcome."""
    match ruling.outcome:
        case "continue" | "inconclusive":
            return frozenset()
        case "promote":
            return frozenset({"holds", "excuses"})
        case "rollback":
            return frozenset({"excuses"})
        case _:
            assert_never(ruling.outcome)


def _but_for(ruling: Ruling) -> str:
    """What would have been decided."""
    return "everything asked for promotion is shown" if ruling.outcome == "promote" else f"it looks bad ({ruling.reason})"


def _unconvicting(finding: Finding) -> Finding:
    """The finding that would have carried the rollback carries none: it is worse than is tolerated, and that is all."""
    if finding.standing != "convicts":
        return finding
    return dataclasses.replace(finding, standing="outside")
