"""Whether the evidence convicts: sure that the canary is worse at all, and sure that it is worse than tolerated.

No estimate of harm takes part. Two guards divide the logarithms of the evidence: by how much failures come in clumps, and by how
much latency wanders by itself; where pods are told apart, they must agree. Only releases whose undivided evidence convicts come
so far, so that guards cost nothing while nothing is wrong.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzers import alone, words
from analyzers.arrays import Array, Mask
from analyzers.evidence import START_WEIGHTS, Standing, lent, waiting
from analyzers.guards import bursts, dispersion, pods
from analyzers.guards.pods import Tallies
from analyzers.layout import ALONE, ONE_BUCKET, Rows
from analyzers.legs import mean
from analyzers.legs.table import DENIED, ERRORS, EVENTS, LATENCY, LEGS, SLOW_END, TYPICAL, UNANSWERED
from analyzers.look import Look
from analyzers.release import NOTEWORTHY
from analyzers.terms import Limits

LATER: Final = 1
"""The place of later starts, after that of the evidence since tick 0."""
FAILURES: Final = (ERRORS, DENIED)
"""Whose evidence clumps of failures divide."""
_DISAGREEING: Final = "the difference is no larger than that between pods of one version"
_SHARES: Final[Array] = np.array([leg.share for leg in LEGS])


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What was folded, of a batch.

    Attributes:
        worse, beyond: (releases, legs, 2 starts), see ``evidence.Standing``; guards have not had their say.
        shares: of alpha, of each leg (releases, legs).
        waiting: (releases,), what starts that are still to come are worth: nothing has been staked on them yet.
        outage: (releases, legs), this tick is too bad to be a clump.
        tallies: per release, what its pods' counts add up to.
        total: one over the chance with which a canary that is no worse comes as far (releases,), at least 1; 1/alpha convicts.
    """

    worse: Array
    beyond: Array
    shares: Array
    waiting: Array
    outage: Mask
    tallies: Sequence[Tallies]
    total: Array

    @property
    def legs(self) -> Array:
        """Each leg's e-value that the canary is worse at all (releases, legs)."""
        values: Array = np.exp(self.worse).sum(2) / self.shares + self.waiting[:, None]
        return values

    @property
    def tolerated(self) -> Array:
        """Each leg's evidence that the canary is worse than tolerated (releases, legs); K convicts."""
        values: Array = np.exp(self.beyond.max(2))
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A release that is surely worse at all.

    Attributes:
        leg: the quantity that convicts it; null for none. suspect: that with the most evidence.
        start: by the evidence since tick 0, or of a later start.
        odds: one over the chance with which a canary that is no worse comes as far.
        beyond: evidence that it is worse than tolerated.
        hold: what keeps evidence that would convict from convicting; null where nothing does.
    """

    leg: int | None
    suspect: int
    start: int
    odds: float
    beyond: float
    hold: str | None

    def why_not(self, wanted: float) -> str:
        """Why it is not convicted; ``wanted``: K."""
        looks = f"{LEGS[self.suspect].words} {'look' if self.suspect in EVENTS else 'looks'} worse than the baseline's"
        if self.hold is not None:
            return f"{looks}, but that may come from elsewhere: {self.hold}"
        return (
            f"{looks} ({words.alarm(self.odds)}), but not shown to be worse than is allowed "
            f"(evidence {words.to_one(self.beyond)}; {words.to_one(wanted)} would do)"
        )


def stand(rows: Rows, limits: Limits, cooling: Array | None = None) -> Standing:
    """The evidence as it stands, divided by ``cooling`` (releases, legs)."""
    standing = Standing(rows, cooling)
    mean.join(standing, rows, rows.head[:, ONE_BUCKET])
    if (rows.head[:, ALONE] > 0.0).any():
        standing.beyond[:, :, LATER] += alone.wanted(rows, limits)[1][:, None]
        only = alone.limited(rows)
        standing.beyond[only, ERRORS] = standing.limit[only]
        standing.worse[only, ERRORS] = standing.limit[only] + np.log(LEGS[ERRORS].share * START_WEIGHTS)
        standing.worse[only, ERRORS] += lent(rows)[only, ERRORS, None]
    return standing


def weigh(rows: Rows, limits: Limits, look: Look, tallies: Sequence[Tallies]) -> Evidence:
    """The evidence after a tick was folded."""
    standing = stand(rows, limits)
    return Evidence(
        worse=standing.worse,
        beyond=standing.beyond,
        shares=_SHARES * np.exp(lent(rows)),
        waiting=waiting(rows, limits),
        outage=look.outage,
        tallies=tallies,
        total=np.maximum(np.exp(standing.worse.reshape(len(rows.raw), -1).max(1)), 1.0),
    )


def _convicting(worse: Array, beyond: Array, rows: Rows, limits: Limits) -> Mask:
    """Which evidence convicts (releases, legs, starts)."""
    least, enough = np.log(limits.boundary), np.log(alone.wanted(rows, limits)[0])
    return (worse >= least[:, None, None]) & (beyond >= enough[:, None, None])


def cooling(rows: Rows, tallies: Sequence[Tallies]) -> tuple[Array, Array, Array, Array]:
    """By what the evidence is divided: clumps of failures, failures that differ between pods, latency's dispersion, clumps of
    clients that give up (releases,).
    """
    clumps, leaving = bursts.clumping(rows)
    differing = np.array([pods.failing(one, clumps=float(phi)) for one, phi in zip(tallies, clumps, strict=True)])
    return clumps, differing, dispersion.dispersion(rows.blocks), leaving


def _disagreeing(tallies: Sequence[Tallies], one_bucket: Mask) -> Mask:
    """Latency legs on which the arms' pods do not agree (releases, legs)."""
    found = np.zeros((len(tallies), len(LEGS)), dtype=np.bool_)
    for at, mine in enumerate(tallies):
        agreed = pods.agreement(mine) if mine else None
        if agreed is not None:
            rank, tail, means = agreed
            found[at, TYPICAL] = not (rank or (means and one_bucket[at]))
            found[at, SLOW_END] = not tail
    return found


def _cause(leg: int, clumps: float, differing: float, spread: float, leaving: float) -> str:
    """By what a leg's evidence is divided, in words."""
    if leg == UNANSWERED:
        return f"clients give up in bursts, about {leaving:.1f} at a time"
    if leg in LATENCY:
        return f"latency moves from tick to tick on its own, {math.sqrt(spread):.1f} times as much as chance explains"
    if differing > clumps:
        return f"pods of one version differ in their failures, {math.sqrt(differing):.1f} times as much as chance explains"
    return f"failures come in bursts, about {clumps:.1f} at a time"


def charges(rows: Rows, limits: Limits, evidence: Evidence) -> dict[int, Charge]:
    """The releases that are surely worse at all, and what follows."""
    reached = np.flatnonzero(evidence.total >= limits.boundary)
    if not len(reached):
        return {}
    part, terms = Rows(rows.raw[reached]), limits.take(reached)
    tallies = [evidence.tallies[at] for at in reached.tolist()]
    worse, beyond = evidence.worse[reached], evidence.beyond[reached]
    undivided = _convicting(worse, beyond, part, terms)
    causes = clumps, differing, spread, leaving = cooling(part, tallies)
    phi = np.ones((len(reached), len(LEGS)))
    phi[:, FAILURES] = np.where(evidence.outage[reached][:, FAILURES], 1.0, np.maximum(clumps, differing)[:, None])
    phi[:, LATENCY] = spread[:, None]
    phi[:, UNANSWERED] = leaving
    disagree = _disagreeing(tallies, part.head[:, ONE_BUCKET] > 0.0)
    divided = stand(part, terms, phi)
    convicting = undivided & _convicting(divided.worse, divided.beyond, part, terms) & ~disagree[:, :, None]
    result = {}
    for at, place in enumerate(reached.tolist()):
        convicts, held = bool(convicting[at].any()), bool(undivided[at].any())
        values, weights = (divided.worse[at], divided.beyond[at]) if convicts else (worse[at], beyond[at])
        asked = convicting[at] if convicts else undivided[at] if held else values >= np.log(terms.boundary[at])
        leg, start = divmod(int(np.where(asked, weights, -np.inf).argmax()), len(START_WEIGHTS))
        cause = _DISAGREEING if disagree[at, leg] else _cause(leg, *(float(one[at]) for one in causes))
        result[place] = Charge(
            leg=leg if convicts else None,
            suspect=leg,
            start=start,
            odds=float(np.exp(values[leg, start])),
            beyond=float(np.exp(weights[leg, start])),
            hold=cause if held and not convicts else None,
        )
    return result


def notes(rows: Rows, tallies: Tallies, e_values: Sequence[float]) -> dict[int, str]:
    """What the guards saw of one release (a batch of one), a sentence per leg that is concerned; pods only where there is something
    to compare (``e_values`` of the legs).
    """
    causes = clumps, differing, spread, leaving = [float(one[0]) for one in cooling(rows, [tallies])]
    found = {}
    for leg, divisor in ((ERRORS, max(clumps, differing)), (TYPICAL, spread), (UNANSWERED, leaving)):
        if divisor > 1.0:
            found[leg] = f"{_cause(leg, *causes).capitalize()}; the judge allows for it."
    for leg, agrees in zip(LATENCY, pods.agreement(tallies) or (), strict=False):
        if e_values[leg] >= NOTEWORTHY:
            said = _DISAGREEING.replace("no larger", "larger") if agrees else _DISAGREEING
            found[leg] = f"{found.get(leg, '')} {said.capitalize()}.".strip()
    return found
