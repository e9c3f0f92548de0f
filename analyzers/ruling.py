"""What the judge says after a tick. Frozen, in words and numbers, and the same on any machine."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

Outcome = Literal["continue", "promote", "rollback", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one leg says now.

    Attributes:
        leg: errors, denied, typical (latency), slow_end (of the latency) or unanswered.
        effect: canary against baseline in ``unit`` since the start, or null when nothing can be said.
        unit: ``points`` (difference of rates, as a fraction) or ``ratio`` (canary / baseline; the slow end's is that of p99).
        low, high: a confidence sequence for the effect: it covers the truth at every look at once with probability
            ``level``; null where it is unbounded or not known.
        e_value: evidence that the canary is worse at all.
        tolerance: the policy's limit in ``unit``, or null where the policy has none for this leg.
        standing: ``convicts`` for the leg that carries a rollback, else where the confidence sequence lies against the tolerance.
        sentence: one plain sentence for a person.
        beyond: evidence that the canary is worse than tolerated; null in what earlier versions wrote.
    """

    leg: str
    effect: float | None
    unit: Literal["points", "ratio", "probability"]
    low: float | None
    high: float | None
    level: float
    e_value: float
    tolerance: float | None
    standing: Literal["convicts", "inside", "outside", "open", "idle"]
    sentence: str
    beyond: float | None = None


class LegNow(NamedTuple):
    """One leg at this tick, for metrics: evidence that the canary is worse at all, its estimated effect (null: nothing to say yet),
    and evidence that it is worse than tolerated.
    """

    e_value: float
    effect: float | None
    beyond: float = 1.0


@dataclass(slots=True, eq=False)
class LegsNow(Mapping[str, LegNow]):
    """All legs of a release at this tick, by name: three sequences in the same order, and how to have a fourth (NaN is unknown).

    It is made for every release at every tick, and hardly ever read: effects and findings of the release ``at`` are computed when
    somebody asks.
    """

    names: Sequence[str]
    e_values: Sequence[float]
    beyond: Sequence[float]
    effects: Callable[[int], Sequence[float]]
    told: Callable[[int], tuple[Finding, ...]]
    at: int

    def __getitem__(self, name: str) -> LegNow:
        """The leg of this name."""
        if name not in self.names:
            raise KeyError(name)
        place = self.names.index(name)
        effect = self.effects(self.at)[place]
        return LegNow(self.e_values[place], None if math.isnan(effect) else effect, self.beyond[place])

    def findings(self) -> tuple[Finding, ...]:
        """What each leg says now, as a final ruling would have it. Takes about a millisecond."""
        return self.told(self.at)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.names)

    def __len__(self) -> int:
        """How many legs there are."""
        return len(self.names)


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """The judge's word after a tick. A struct: one is made for every release and tick, at a sixth of a dataclass's time.

    Attributes:
        outcome: ``continue`` until one of the three others, which is final.
        tick: number of ticks folded, gaps included.
        t: seconds since the watch began.
        evidence: that the canary is worse at all, weighted: the largest of the legs'.
        boundary: 1/alpha.
        legs: every leg's e-value and effect now.
        leg: the leg that carries a rollback, else null.
        reason: one sentence. While the outcome is ``continue``: what is still missing.
        findings: every leg's finding; computed for a final outcome only, else empty.
        fixed_horizon: classical figures for the reader (Mann-Whitney p, ...), which do not decide; for a final outcome only.
        good_since: when everything asked for promotion was shown first, in seconds since the watch began, where a person is to
            confirm it; else null.
    """

    outcome: Outcome
    tick: int
    t: float
    evidence: float
    boundary: float
    legs: Mapping[str, LegNow]
    leg: str | None
    reason: str
    findings: tuple[Finding, ...] = ()
    fixed_horizon: Mapping[str, float | None] | None = None
    good_since: float | None = None

    @property
    def found(self) -> tuple[Outcome, float]:
        """What the judge has found by itself, whatever a person says of it, and when, in seconds since the watch began."""
        if self.good_since is None or self.outcome == "rollback":
            return self.outcome, self.t
        return "promote", self.good_since
