"""From evidence to a ruling: rollback, promote, inconclusive at the deadline, else go on, and a sentence for each.

A rollback needs the combined evidence at 1/alpha *and* an estimated harm beyond the policy's tolerance on a leg that carries that
evidence. A promotion needs every certificate (``analyzers.promotion``), the exposure the policy asks for, and no leg with
noteworthy evidence against the canary. At the deadline whatever is neither is inconclusive.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analyzers import buckets, combine, effects, promotion, report, words
from analyzers.intake import Tick
from analyzers.layout import C_REQ, TICK, Array, Mask, Rows
from analyzers.report import DENIED, ERRORS, LEGS, MEAN, RANK, TAIL
from analyzers.ruling import LegNow, Outcome, Ruling
from analyzers.terms import Limits

NOTEWORTHY: Final = 10.0
"""A leg with this e-value carries evidence: it may convict as part of a sum, and forbids a promotion."""


def combined(legs: Array, split: Array) -> Array:
    """Combined evidence (releases,) of the legs' e-values (releases, 5)."""
    slowness = combine.latency(legs[:, RANK], legs[:, TAIL], legs[:, MEAN])
    return combine.together(legs[:, ERRORS] * legs[:, DENIED], slowness, split)


def _carriers(legs: Array, split: Array) -> tuple[Array, Mask]:
    """By how much the sum falls without each leg, and which legs carry it (releases, 5)."""
    whole = combined(legs, split)
    fall = np.zeros_like(legs)
    for leg in range(len(LEGS)):
        without = legs.copy()
        without[:, leg] = np.minimum(1.0, legs[:, leg])
        fall[:, leg] = whole - combined(without, split)
    carries = (legs >= NOTEWORTHY) | (fall >= fall.max(1, keepdims=True)) & (fall > 0.0)
    return fall, carries


def _convicted(rows: Rows, limits: Limits, legs: Array, total: Array) -> dict[int, tuple[int | None, effects.Harm]]:
    """Releases whose evidence has reached the boundary: the leg that convicts (null: harm within tolerance) and the harm."""
    reached = np.flatnonzero(total >= limits.boundary)
    if not len(reached):
        return {}
    part, terms = Rows(rows.raw[reached]), limits.take(reached)
    fall, carries = _carriers(legs[reached], terms.split)
    judged: dict[int, tuple[int | None, effects.Harm]] = {}
    harm = effects.estimate(part, terms, recent=True)
    guilty = carries & harm.beyond
    worst = np.where(guilty, fall, -1.0).argmax(1)
    for at, place in enumerate(reached.tolist()):
        judged[place] = (int(worst[at]) if guilty[at].any() else None, harm.take(at))
    return judged


def _missing(certificates: promotion.Certificates, at: int, *, tail: float, denied: float, p99_wanted: bool) -> list[str]:
    """What still stands between a release and its promotion, in words; empty when nothing does."""
    missing = []
    if not certificates.errors[at]:
        missing.append(f"an error rate below {words.percent(float(certificates.error_limit[at]))}")
    if not (certificates.by_rank[at] or certificates.by_mean[at]):
        missing.append("any latency measurement")
    elif not ((certificates.rank[at] or not certificates.by_rank[at]) and (certificates.mean[at] or not certificates.by_mean[at])):
        missing.append("a typical latency within its tolerance")
    if p99_wanted:
        missing.append("a p99 within its tolerance")
    elif tail >= NOTEWORTHY:
        missing.append("a tail as fast as the baseline's")
    if denied >= NOTEWORTHY:
        missing.append("as few policy denials as the baseline's")
    return missing


def _unshown(rows: Rows, limits: Limits, tick: Tick, legs: Array) -> dict[int, list[str]]:
    """For releases with the exposure the policy asks for: what is not shown yet."""
    exposed = (rows.counts[:, 0, C_REQ] >= limits.min_requests) & (tick.t >= limits.min_seconds)
    chosen = np.flatnonzero(exposed & tick.seen)
    if not len(chosen):
        return {}
    terms = limits.take(chosen)
    certificates = promotion.certify(Rows(rows.raw[chosen]), terms)
    return {
        place: _missing(
            certificates,
            at,
            tail=float(legs[place, TAIL]),
            denied=float(legs[place, DENIED]),
            p99_wanted=bool(terms.require_p99[at]),
        )
        for at, place in enumerate(chosen.tolist())
    }


def _effects_now(rows: Rows, limits: Limits) -> list[list[float]]:
    """Each leg's effect since the start (releases, 5), NaN while unknown: cheap, for metrics."""
    totals = rows.counts[:, 0]
    c_rate, b_rate, c_denied, b_denied = effects.rates(totals)
    size = limits.bounds.shape[1] + 1
    unknown = np.full(len(totals), np.nan)
    p99 = effects.p99_factor(rows.hist[:, 0, :, :size], buckets.log_edges(limits.bounds)) if size > 1 else unknown
    probability = effects.probability(rows.ranks[:, 0])
    shown: list[list[float]] = np.stack(
        [c_rate - b_rate, c_denied - b_denied, probability, p99, effects.mean_factor(totals)], axis=-1
    ).tolist()
    return shown


def _watching(rows: Rows, limits: Limits, tick: Tick, at: int) -> str:
    """What a release without the exposure its policy asks for is waiting for."""
    requests, wanted = float(rows.counts[at, 0, C_REQ]), float(limits.min_requests[at])
    return f"{words.count(requests)} of {words.count(wanted)} canary requests, {tick.t[at]:.0f} of {limits.min_seconds[at]:.0f} s"


@dataclass(slots=True, kw_only=True)
class _Batch:
    """What ruling on one release of a batch needs."""

    rows: Rows
    limits: Limits
    tick: Tick
    convicted: dict[int, tuple[int | None, effects.Harm]]
    unshown: dict[int, list[str]]

    def outcome(self, at: int) -> Outcome:
        """Rollback before promotion before the deadline."""
        if self.convicted.get(at, (None,))[0] is not None:
            return "rollback"
        if self.unshown.get(at) == []:
            return "promote"
        return "inconclusive" if self.tick.t[at] >= self.limits.window_seconds[at] else "continue"

    def waiting(self, at: int) -> str:
        """What is missing for a decision."""
        if at in self.unshown:
            return f"not shown yet: {words.listed(self.unshown[at])}"
        return f"seen: {_watching(self.rows, self.limits, self.tick, at)}"

    def case(self, at: int, e_values: list[float]) -> report.Case:
        """One release by itself."""
        place = np.array([at])
        rows, limits = Rows(self.rows.raw[place]), self.limits.take(place)
        harm = self.convicted[at][1] if at in self.convicted else effects.estimate(rows, limits, recent=False)
        return report.Case(rows=rows, limits=limits, harm=harm, e_values=tuple(e_values))


def _final(batch: _Batch, ruling: Ruling, at: int, e_values: list[float]) -> Ruling:
    """A final ruling with its reason, findings and classical figures."""
    case = batch.case(at, e_values)
    findings = report.findings(case)
    leg = batch.convicted.get(at, (None,))[0]
    if leg is not None:
        reason = f"{report.harm_sentence(case, leg)}; sure at {words.odds(ruling.evidence)}"
    elif ruling.outcome == "promote":
        reason = report.safe_sentence(case)
    else:
        reason = f"no decision after {ruling.t:.0f} s; {batch.waiting(at)}"
    return replace(
        ruling,
        leg=None if leg is None else LEGS[leg],
        reason=reason,
        findings=findings,
        fixed_horizon=report.fixed_horizon(case),
    )


def rule(rows: Rows, limits: Limits, tick: Tick, legs: Array) -> list[Ruling]:
    """Rule on every release of a batch after its tick was folded. ``legs``: e-values (releases, 5)."""
    total = combined(legs, limits.split)
    batch = _Batch(
        rows=rows,
        limits=limits,
        tick=tick,
        convicted=_convicted(rows, limits, legs, total),
        unshown=_unshown(rows, limits, tick, legs),
    )
    facts = zip(
        rows.head[:, TICK].tolist(),
        tick.t.tolist(),
        total.tolist(),
        limits.boundary.tolist(),
        legs.tolist(),
        _effects_now(rows, limits),
        strict=True,
    )
    rulings = []
    for at, (ticks, t, evidence, boundary, e_values, shown) in enumerate(facts):
        outcome = batch.outcome(at)
        ruling = Ruling(
            outcome=outcome,
            tick=int(ticks),
            t=t,
            evidence=evidence,
            boundary=boundary,
            legs={
                name: LegNow(e_value=value, effect=None if math.isnan(effect) else effect)
                for name, value, effect in zip(LEGS, e_values, shown, strict=True)
            },
            leg=None,
            reason=_going_on(batch, at, evidence) if outcome == "continue" else "",
        )
        rulings.append(ruling if outcome == "continue" else _final(batch, ruling, at, e_values))
    return rulings


def _going_on(batch: _Batch, at: int, evidence: float) -> str:
    """Why there is no verdict yet."""
    if at in batch.convicted:
        return f"worse for sure ({words.odds(evidence)}), but by an estimate that the policy tolerates; {batch.waiting(at)}"
    return batch.waiting(at)
