"""A final ruling in words and numbers: findings, the one-sentence reason, and classical figures beside them.

Computed for final rulings only, one release at a time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from analyzers import classical, intervals, normal, p99, promotion, words
from analyzers.effects import Harm
from analyzers.layout import B_DEN, B_ERR, B_REQ, C_DEN, C_ERR, C_REQ, Rows
from analyzers.legs.mean import PRIOR_TICKS
from analyzers.ruling import Finding
from analyzers.terms import Limits

LEVEL: Final = 0.95
LEGS: Final = ("errors", "denied", "rank", "tail", "mean", "slo")
ERRORS, DENIED, RANK, TAIL, MEAN, SLO = range(len(LEGS))
LATENCY: Final = (RANK, TAIL, MEAN)
Standing = Literal["inside", "outside", "open", "idle"]
Unit = Literal["points", "ratio", "probability"]
Counted = tuple[float, float]
"""Events and the requests among which they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One release at its end: batches of one, the legs' e-values in the order of ``LEGS``, and what guards say of a leg."""

    rows: Rows
    limits: Limits
    harm: Harm
    e_values: tuple[float, ...]
    notes: Mapping[str, str]


def _standing(low: float | None, high: float | None, tolerance: float) -> Standing:
    if high is not None and high <= tolerance:
        return "inside"
    return "outside" if low is not None and low > tolerance else "open"


def _rate(counted: Counted) -> float:
    return counted[0] / max(counted[1], 1.0)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finding(
    case: Case,
    leg: int,
    unit: Unit,
    *,
    effect: float | None,
    span: tuple[float | None, float | None] = (None, None),
    tolerance: float | None,
    sentence: str,
) -> Finding:
    """What a leg says; ``span`` is the confidence sequence of its effect. Without an effect it idles."""
    low, high = span
    return Finding(
        leg=LEGS[leg],
        effect=effect,
        unit=unit,
        low=low,
        high=high,
        level=LEVEL,
        e_value=case.e_values[leg],
        tolerance=tolerance,
        standing="idle" if effect is None or tolerance is None else _standing(low, high, tolerance),
        sentence=sentence,
    )


def _idle(case: Case, leg: int, unit: Unit, sentence: str, *, tolerance: float | None = None) -> Finding:
    """A leg that has nothing to say."""
    return _finding(case, leg, unit, effect=None, tolerance=tolerance, sentence=sentence)


def _rates(case: Case, leg: int, counts: tuple[Counted, Counted], *, tolerance: float, said: tuple[str, str]) -> Finding:
    """A leg that compares events per request, (events, requests) of canary and baseline; ``said``: with requests, and without."""
    (canary, asked), (baseline, base_asked) = counts
    if asked <= 0.0 or base_asked <= 0.0 or not said[0]:
        return _idle(case, leg, "points", said[1], tolerance=tolerance)
    span = intervals.difference_of_rates(*counts, alpha=1.0 - LEVEL)
    effect = canary / asked - baseline / base_asked
    return _finding(case, leg, "points", effect=effect, span=span, tolerance=tolerance, sentence=said[0])


def _errors(case: Case) -> Finding:
    totals = case.rows.counts[0, 0]
    canary, baseline = (float(totals[C_ERR]), float(totals[C_REQ])), (float(totals[B_ERR]), float(totals[B_REQ]))
    rate, base = _rate(canary), _rate(baseline)
    tolerance = max(float(case.limits.max_rate[0]) - base, float(case.limits.above_baseline[0]))
    sentence = (
        f"{words.percent(rate)} of the canary's {words.count(canary[1])} requests failed, "
        f"{words.percent(base)} of the baseline's {words.count(baseline[1])}; allowed {words.percent(base + tolerance)}."
    )
    return _rates(case, ERRORS, (canary, baseline), tolerance=tolerance, said=(sentence, sentence))


def _denied(case: Case) -> Finding:
    totals = case.rows.counts[0, 0]
    canary = (float(totals[C_DEN]), float(totals[C_REQ] + totals[C_DEN]))
    baseline = (float(totals[B_DEN]), float(totals[B_REQ] + totals[B_DEN]))
    rates = words.percent(_rate(canary)), words.percent(_rate(baseline))
    sentence = f"Policy denied {rates[0]} of the canary's requests, {rates[1]} of the baseline's."
    said = (sentence if canary[0] + baseline[0] > 0.0 else "", "No request was seen to be denied by policy.")
    return _rates(case, DENIED, (canary, baseline), tolerance=float(case.limits.denied_above[0]), said=said)


def _rank(case: Case) -> Finding:
    total, precision = (float(value) for value in case.rows.ranks[0, 0])
    probability, typical = float(case.harm.probability[0]), float(case.harm.typical[0])
    allowed = promotion.allowed_probability(case.rows, case.limits)
    if precision <= 0.0 or allowed is None:
        return _idle(case, RANK, "probability", "The latency histograms say nothing about typical latency.")
    scale = normal.tuned(np.array([12.0 * promotion.TUNED_REQUESTS]), alpha=0.5 * (1.0 - LEVEL))
    half = float(normal.radius(np.array([precision]), scale=scale, alpha=1.0 - LEVEL)[0]) / precision
    middle = 0.5 + total / precision
    source = "by the means, since the buckets do not resolve the median" if case.harm.by_mean[0] else "by the ranks"
    return _finding(
        case,
        RANK,
        "probability",
        effect=min(1.0, max(0.0, middle)),
        span=(max(0.0, middle - half), min(1.0, middle + half)),
        tolerance=float(allowed[0]),
        sentence=f"A canary request is slower than a baseline request with probability {probability:.3f} (0.5 is alike): typical "
        f"latency {words.times(typical)} the baseline's {source}, allowed {words.times(float(case.limits.typical[0]))}.",
    )


def _tail(case: Case) -> Finding:
    factor = _known(float(case.harm.p99[0]))
    if factor is None:
        return _idle(case, TAIL, "ratio", "The 99th percentile was not measured.")
    tolerance = float(case.limits.slow_end[0])
    bound = _known(float(p99.certified_bound(case.rows, case.limits)[0]))
    shown = "no factor is excluded yet" if bound is None else f"shown to be at most {words.times(bound)}"
    sentence = f"p99 is estimated at {words.times(factor)} the baseline's, {shown}, allowed {words.times(tolerance)}."
    return _finding(case, TAIL, "ratio", effect=factor, span=(None, bound), tolerance=tolerance, sentence=sentence)


def _mean(case: Case) -> Finding:
    factor = _known(float(case.harm.mean[0]))
    if factor is None:
        return _idle(case, MEAN, "ratio", "The mean latency was not measured.")
    number, total, squares = (float(value) for value in case.rows.mean[0, 0])
    logs = intervals.log_mean(number, total, squares, alpha=1.0 - LEVEL, prior=PRIOR_TICKS)
    span = (None, None) if logs is None else (math.exp(logs[0]), math.exp(logs[1]))
    tolerance = float(case.limits.typical[0])
    sentence = f"Mean latency is {words.times(factor)} the baseline's, allowed {words.times(tolerance)}."
    return _finding(case, MEAN, "ratio", effect=factor, span=span, tolerance=tolerance, sentence=sentence)


def _slo(case: Case) -> Finding:
    totals = case.rows.counts[0, 0]
    errors, requests = float(totals[C_ERR]), float(totals[C_REQ])
    limit = float(case.limits.max_rate[0])
    if requests <= 0.0:
        return _idle(case, SLO, "points", "The canary served no request.")
    rate, span = errors / requests, intervals.rate(errors, requests, alpha=1.0 - LEVEL)
    sentence = f"The canary by itself fails {words.percent(rate)} of its requests; the absolute limit is {words.percent(limit)}."
    return _finding(case, SLO, "points", effect=rate, span=span, tolerance=limit, sentence=sentence)


def findings(case: Case) -> tuple[Finding, ...]:
    """Every leg's finding, in the order of ``LEGS``."""
    found = (_errors(case), _denied(case), _rank(case), _tail(case), _mean(case), _slo(case))
    return tuple(_noted(finding, case.notes.get(finding.leg)) for finding in found)


def _noted(finding: Finding, note: str | None) -> Finding:
    return finding if note is None else replace(finding, sentence=f"{finding.sentence} {note}")


def harm_sentence(case: Case, leg: int) -> str:
    """What is worse, against what is allowed."""
    harm, limits = case.harm, case.limits
    if leg == SLO:
        rate, limit = float(np.nan_to_num(harm.c_rate[0])), float(limits.max_rate[0])
        return f"errors {words.percent(rate)} and no baseline to compare with, allowed {words.percent(limit)}"
    if leg == ERRORS:
        base = float(np.nan_to_num(harm.b_rate[0]))
        allowed = max(float(limits.max_rate[0]), base + float(limits.above_baseline[0]))
        rate = float(np.nan_to_num(harm.c_rate[0]))
        return f"errors {words.percent(rate)} against {words.percent(base)}, allowed {words.percent(allowed)}"
    if leg == DENIED:
        base = float(np.nan_to_num(harm.b_denied[0]))
        denied = float(np.nan_to_num(harm.c_denied[0]))
        allowed = base + float(limits.denied_above[0])
        return f"denied by policy {words.percent(denied)} against {words.percent(base)}, allowed {words.percent(allowed)}"
    name, factor, allowed = (
        ("typical latency", float(harm.typical[0]), float(limits.typical[0])),
        ("p99 latency", float(harm.p99[0]), float(limits.slow_end[0])),
        ("mean latency", float(harm.mean[0]), float(limits.typical[0])),
    )[leg - RANK]
    return f"{name} {words.times(factor)} the baseline's, allowed {words.times(allowed)}"


def safe_sentence(case: Case) -> str:
    """What was shown."""
    totals = case.rows.counts[0, 0]
    rate, base = float(totals[C_ERR] / max(totals[C_REQ], 1.0)), float(totals[B_ERR] / max(totals[B_REQ], 1.0))
    typical = float(case.harm.typical[0])
    return (
        f"errors {words.percent(rate)} against {words.percent(base)} and typical latency {words.times(typical)} "
        f"the baseline's, both shown to be within tolerance on {words.count(float(totals[C_REQ]))} canary requests; "
        f"{p99.told(case.rows, case.limits)}"
    )


def fixed_horizon(case: Case) -> Mapping[str, float | None]:
    """Classical figures over the whole watch; null where the data give none. They decide nothing.

    Errors' ends are Wilson's 95 % intervals; the ends of p50 and p99 (ms) are those of the buckets that hold the 95 % order
    statistics. ``typical_factor`` is the harm's estimate: the shift that explains the ranks (akin to Hodges and Lehmann 1963), or
    the ratio of the means, over the memory in which it stands out.
    """
    totals = case.rows.counts[0, 0]
    c_err, b_err, c_req, b_req = (float(totals[column]) for column in (C_ERR, B_ERR, C_REQ, B_REQ))
    test = classical.mann_whitney(case.rows.hist[0, 0, 0].tolist(), case.rows.hist[0, 0, 1].tolist())
    c_low, c_high = classical.wilson(c_err, c_req)
    b_low, b_high = classical.wilson(b_err, b_req)
    return {
        "canary_errors_low": c_low,
        "canary_errors_high": c_high,
        "baseline_errors_low": b_low,
        "baseline_errors_high": b_high,
        "mann_whitney_u": None if test is None else test.u,
        "mann_whitney_probability": None if test is None else test.probability,
        "mann_whitney_p": None if test is None else test.p_greater,
        "typical_factor": _known(float(case.harm.typical[0])),
        "binomial_p": classical.conditional_binomial(c_err, b_err, c_req / max(c_req + b_req, 1.0)),
        "relative_risk": (c_err / c_req) / (b_err / b_req) if c_req > 0.0 and b_err > 0.0 and b_req > 0.0 else None,
        **_quantiles(case),
    }


def _quantiles(case: Case) -> Mapping[str, float | None]:
    """Intervals of p50 and p99 of both arms in ms."""
    bounds = case.limits.bounds[0].tolist()
    figures: dict[str, float | None] = {}
    for arm, counts in zip(("canary", "baseline"), case.rows.hist[0, 0, :, : len(bounds) + 1].tolist(), strict=True):
        for name, level in (("p50", 0.5), ("p99", 0.99)):
            low, high = classical.quantile_interval(counts, bounds, level)
            figures |= {f"{arm}_{name}_low_ms": low, f"{arm}_{name}_high_ms": high}
    return figures
