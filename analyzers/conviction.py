"""Whether the evidence convicts: the boundary reached, no guard holding, and harm beyond what the policy tolerates.

Only releases whose evidence has reached the boundary come here, so that guards cost nothing while nothing is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers import bank, combine, effects, strict, words
from analyzers.effects import Harm
from analyzers.guards import bursts, dispersion, pods
from analyzers.guards.pods import Tallies
from analyzers.intake import Tick
from analyzers.layout import B_REQ, C_REQ, CANARY_RING, ERROR_TICKS, GAIN, LATENCY_TICKS, SEEN, TEMPERS, Array, Mask, Rows
from analyzers.report import DENIED, ERRORS, MEAN, RANK, SLO, TAIL
from analyzers.terms import Limits

CARRYING: Final = 10.0
"""A leg with this e-value carries evidence: it may convict as part of a sum."""
_PHI: Final[Array] = np.array(TEMPERS)


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What was folded, of a batch.

    Attributes:
        legs: (releases, 6), e-values in the order of ``report.LEGS``.
        total: (releases,), combined evidence.
        alone: (releases,), the baseline has served no request: the absolute limit is the whole judge.
        tallies: per release, what its pods' latencies add up to.
    """

    legs: Array
    total: Array
    alone: Mask
    tallies: Sequence[Tallies]


@dataclass(slots=True, kw_only=True)
class Charge:
    """A release whose evidence has reached the boundary: the leg that convicts it (null: none), the harm, and what holds."""

    leg: int | None
    harm: Harm
    holds: list[str]

    def why_not(self, evidence: float) -> str:
        """Why evidence beyond the boundary has not convicted."""
        if self.holds:
            return f"evidence at {words.odds(evidence)} is held: {words.listed(self.holds)}"
        return f"worse for sure ({words.odds(evidence)}), but by an estimate that the policy tolerates"


def sure(rows: Rows, limits: Limits, total: Array) -> Array:
    """1 over the chance (releases,) with which a healthy canary would reach the evidence ``total`` at any time.

    Ville's inequality holds for the evidence up to the boundary, which is what the multiplier preserves, and for the evidence
    without the multiplier at any height.
    """
    return np.maximum(np.minimum(total, limits.boundary), total / np.maximum(rows.head[:, GAIN], 1.0))


def alone(rows: Rows, limits: Limits) -> Mask:
    """Whether the canary served the requests a promotion asks for and the baseline none at all (releases,)."""
    served = rows.counts[:, 0, C_REQ]
    return (rows.counts[:, 0, B_REQ] <= 0.0) & (served > 0.0) & (served >= limits.min_requests)


def combined(legs: Array, split: Array) -> Array:
    """Combined evidence (releases,) of e-values (releases, 5 or more), without the multiplier."""
    slowness = combine.latency(legs[:, RANK], legs[:, TAIL], legs[:, MEAN])
    return combine.together(combine.events(legs[:, ERRORS], legs[:, DENIED]), slowness, split)


def _carriers(legs: Array, split: Array, lonely: Mask) -> tuple[Array, Mask]:
    """By how much the sum falls without each leg, and which legs carry it (releases, 6)."""
    whole = combined(legs, split)
    fall = np.zeros_like(legs)
    for leg in range(SLO):
        without = legs.copy()
        without[:, leg] = np.minimum(1.0, legs[:, leg])
        fall[:, leg] = whole - combined(without, split)
    carries = (legs >= CARRYING) | ((fall >= fall.max(1, keepdims=True)) & (fall > 0.0))
    carries[:, :SLO] &= ~lonely[:, None]
    carries[:, SLO] = lonely
    return fall, carries


@dataclass(slots=True)
class _Bench:
    """The releases at the boundary, by themselves; ``cooled``: the exact legs at every temper (releases, tempers, 4)."""

    rows: Rows
    limits: Limits
    tick: Tick
    evidence: Evidence
    cooled: Array

    def after_clumps(self, phi: Array) -> tuple[Array, Mask]:
        """Evidence with the errors cooled by ``phi`` (releases,), and whether one tick's errors must wait.

        Beyond the largest temper the coolest copy is cooled on: any power below 1 of an e-value is one.
        """
        temper = bursts.cooling(phi)
        legs, cooled = self.evidence.legs, self.cooled
        row = np.arange(len(temper))
        events = combine.events(cooled[row, temper, ERRORS], cooled[row, temper, DENIED])
        events **= np.minimum(1.0, _PHI[-1] / phi)
        slowness = combine.latency(legs[:, RANK], legs[:, TAIL], legs[:, MEAN])
        total = combine.together(events, slowness, self.limits.split)
        total = np.where(self.evidence.alone, legs[:, SLO] ** (1.0 / phi), total)
        single = (self.rows.head[:, ERROR_TICKS] < bursts.TICKS_WITH_ERRORS) & (slowness < self.limits.boundary)
        waived = bursts.is_outage(self.tick)
        total = np.where(waived | (temper == 0), self.evidence.total, total)
        return total, single & ~waived

    def after_dispersion(self) -> tuple[Array, npt.NDArray[np.intp]]:
        """Evidence with the latency cooled by its dispersion between ticks, and the temper's index."""
        seen = dispersion.dispersion(self.rows.blocks)
        temper = bursts.cooling(np.maximum(seen, dispersion.assumed(self.rows.head[:, LATENCY_TICKS])))
        legs, cooled = self.evidence.legs, self.cooled
        row = np.arange(len(temper))
        slowness = combine.latency(cooled[row, temper, RANK], cooled[row, temper, TAIL], legs[:, MEAN])
        total = combine.together(combine.events(legs[:, ERRORS], legs[:, DENIED]), slowness, self.limits.split)
        total = self.rows.head[:, GAIN] * total
        return np.where(self.evidence.alone | (temper == 0), self.evidence.total, total), temper

    def after_pods(self) -> Array:
        """Evidence without the latency legs on which the arms' pods do not agree."""
        legs = self.evidence.legs.copy()
        asked = np.zeros(len(legs), dtype=np.bool_)
        for at, tallies in enumerate(self.evidence.tallies):
            agreed = pods.agreement(tallies) if tallies else None
            if agreed is None:
                continue
            asked[at] = True
            for leg, may_convict in zip((RANK, TAIL, MEAN), agreed, strict=True):
                if not may_convict:
                    legs[at, leg] = min(1.0, legs[at, leg])
        total = self.rows.head[:, GAIN] * combined(legs, self.limits.split)
        return np.where(asked & ~self.evidence.alone, total, self.evidence.total)

    def moving(self, at: int, phi: float) -> str:
        """Why latency's dispersion holds a release."""
        if self.rows.head[at, LATENCY_TICKS] <= dispersion.EARLY_TICKS:
            return "too few ticks to tell whether latency moves on its own"
        return f"latency moves from tick to tick on its own (variance {phi:g} times the model's)"

    def holds(self) -> list[list[str]]:
        """Per release, what holds the rollback, in words."""
        boundary = self.limits.boundary
        clumps = clumping(self.rows)
        differing = np.array([pods.failing(one, clumps=float(phi)) for one, phi in zip(self.evidence.tallies, clumps, strict=True)])
        early = bursts.assumed(self.rows.counts[:, 0], self.rows.head[:, SEEN])
        by_bursts, single = self.after_clumps(clumps)
        by_failing, _ = self.after_clumps(differing)
        by_early, _ = self.after_clumps(early)
        by_dispersion, spread = self.after_dispersion()
        by_pods = self.after_pods()
        found: list[list[str]] = []
        for at in range(len(boundary)):
            mine = []
            if single[at]:
                mine.append("all failures came in one tick")
            if by_bursts[at] < boundary[at]:
                mine.append(f"failures come in bursts (variance {clumps[at]:.1f} times that of independent ones)")
            elif by_early[at] < boundary[at]:
                mine.append("too few ticks to tell whether failures come in bursts")
            if by_failing[at] < boundary[at]:
                mine.append("failures differ as much between pods of one version")
            if by_dispersion[at] < boundary[at]:
                mine.append(self.moving(at, float(_PHI[spread[at]])))
            if by_pods[at] < boundary[at]:
                mine.append("the difference is no larger than that between pods of one version")
            found.append(mine)
        return found


def clumping(rows: Rows) -> Array:
    """How many failures come at a time in either arm, as variance over that of independent ones (releases,)."""
    newest = (rows.head[:, SEEN].astype(np.intp) - 1) % CANARY_RING
    return np.maximum(bursts.dispersion(rows.baseline_ring), bursts.successive_dispersion(rows.canary_ring, newest))


def notes(rows: Rows, tallies: Tallies) -> dict[str, str]:
    """What the guards saw of one release (a batch of one), a sentence per leg that is concerned."""
    found = {}
    clumps, spread = float(clumping(rows)[0]), float(dispersion.dispersion(rows.blocks)[0])
    if clumps > 1.0:
        found["errors"] = f"Failures come in bursts: their variance is {clumps:.1f} times that of independent ones."
    if spread > 1.0:
        found["rank"] = f"Latency moves from tick to tick on its own: its variance is {spread:.1f} times the model's."
    differing = pods.failing(tallies, clumps=clumps)
    if differing > 1.0:
        said = f"Pods of one version differ in their failures: variance {differing:.1f} times that of alike ones."
        found["errors"] = f"{found.get('errors', '')} {said}".strip()
    agreed = pods.agreement(tallies)
    for leg, agrees in zip(("rank", "tail", "mean"), agreed or (), strict=False):
        said = "larger than" if agrees else "no larger than"
        found[leg] = f"{found.get(leg, '')} The difference is {said} that between pods of one version.".strip()
    return found


def charges(rows: Rows, limits: Limits, tick: Tick, evidence: Evidence) -> dict[int, Charge]:
    """The releases whose evidence has reached the boundary, and what follows."""
    reached = np.flatnonzero(evidence.total >= limits.boundary)
    if not len(reached):
        return {}
    part, terms = Rows(rows.raw[reached]), limits.take(reached)
    mine = Evidence(
        legs=evidence.legs[reached],
        total=evidence.total[reached],
        alone=evidence.alone[reached],
        tallies=[evidence.tallies[at] for at in reached.tolist()],
    )
    holds = _Bench(part, terms, tick.take(reached), mine, bank.cooled(part, terms)).holds()
    fall, carries = _carriers(mine.legs, terms.split, mine.alone)
    harm = effects.estimate(part, terms, recent=True)
    guilty = carries & np.concatenate([harm.beyond, (harm.c_rate > terms.max_rate)[:, None]], axis=1)
    if (terms.strict > 0.0).any():
        margins = strict.legs(part, terms)
        sure = (strict.combined(margins) >= terms.boundary)[:, None] & (margins >= CARRYING)
        sure = np.concatenate([sure, mine.alone[:, None]], axis=1)
        guilty &= sure | (terms.strict == 0.0)[:, None]
    worst = np.where(guilty, fall, -1.0).argmax(1)
    result = {}
    for at, place in enumerate(reached.tolist()):
        convicts = guilty[at].any() and not holds[at]
        result[place] = Charge(leg=int(worst[at]) if convicts else None, harm=harm.take(at), holds=holds[at])
    return result
