"""A final ruling in words and numbers: findings, the one-sentence reason, and classical figures beside them.

Computed for final rulings only, one release at a time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from analyzers import classical, fitness, harm, intervals, p99, words
from analyzers.arrays import Array
from analyzers.conviction import LATER, Charge
from analyzers.harm import LEVEL, Period
from analyzers.layout import B_ERR, B_REQ, C_ERR, C_REQ, CANARY, E_ERR, Rows
from analyzers.legs.table import DENIED, ERRORS, LEGS, SLOW_END, TYPICAL
from analyzers.ruling import Finding
from analyzers.terms import Limits

Standing = Literal["convicts", "inside", "outside", "open", "idle"]
Span = tuple[float | None, float | None]
_UNBOUNDED: Final[Span] = (None, None)
_SAME_SHARE: Final = 0.1
"""Pooled over a watch, failures are those expected tick by tick to within this part: no stepped share mixes with a drift."""
_SAME_RANKS: Final = 0.01
"""The same of the probability that a canary request is slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One release at its end, as a batch of one.

    Attributes:
        charge: where it is surely worse at all. alone: there is no baseline to compare failures with.
        e_values, beyond: of the legs, that the canary is worse at all, and than tolerated.
        notes: what guards and buckets say of a leg.
    """

    rows: Rows
    limits: Limits
    charge: Charge | None
    alone: bool
    e_values: tuple[float, ...]
    beyond: tuple[float, ...]
    notes: Mapping[int, str]

    @property
    def convicted(self) -> int | None:
        """The leg that carries a rollback."""
        return None if self.charge is None else self.charge.leg

    def period(self, leg: int) -> Period:
        """Over which a leg's figures are counted in a sentence."""
        later = self.charge is not None and self.charge.leg == leg and self.charge.start == LATER
        return harm.period(self.rows, self.limits, leg, later=later)

    def since_start(self, leg: int) -> Period:
        """The whole watch."""
        return harm.period(self.rows, self.limits, leg, later=False)


def _standing(span: Span, tolerance: float) -> Standing:
    low, high = span
    if high is not None and high <= tolerance:
        return "inside"
    return "outside" if low is not None and low > tolerance else "open"


def _finding(
    case: Case, leg: int, *, effect: float | None, span: Span = _UNBOUNDED, tolerance: float, sentence: str, told: bool = True
) -> Finding:
    """What a leg says; ``span``: the confidence sequence of its effect. Without one it idles, unless it is only not ``told``."""
    note = case.notes.get(leg)
    standing: Standing = "open" if not told else "idle" if effect is None else _standing(span, tolerance)
    return Finding(
        leg=LEGS[leg].name,
        effect=effect,
        unit=LEGS[leg].unit,
        low=span[0],
        high=span[1],
        level=LEVEL,
        e_value=case.e_values[leg],
        tolerance=tolerance,
        standing="convicts" if case.convicted == leg else standing,
        sentence=sentence if note is None else f"{sentence} {note}",
        beyond=case.beyond[leg],
    )


def _errors(case: Case) -> Finding:
    seen = harm.rates(ERRORS, case.since_start(ERRORS))
    limit = float(case.limits.max_rate[0])
    if seen.requests <= 0.0 or (seen.base_requests <= 0.0 and not case.alone):
        return _finding(case, ERRORS, effect=None, tolerance=limit, sentence="No failures could be compared.")
    if case.alone:
        span = intervals.rate(seen.events, seen.requests, alpha=1.0 - LEVEL)
        said = f"{words.percent(seen.rate)} of the canary's {words.count(seen.requests)} requests failed; there is no baseline to "
        sentence = f"{said}compare with; allowed {words.percent(limit)}."
        return _finding(case, ERRORS, effect=seen.rate, span=span, tolerance=limit, sentence=sentence)
    tolerance = max(limit - seen.base, float(case.limits.above_baseline[0]))
    sentence = (
        f"{words.percent(seen.rate)} of the canary's {words.count(seen.requests)} requests failed since the start, "
        f"{words.percent(seen.base)} of the baseline's in the same seconds; allowed {words.percent(seen.base + tolerance)}."
    )
    return _compared(case, ERRORS, seen, tolerance=tolerance, sentence=sentence)


def _compared(case: Case, leg: int, seen: harm.Rates, *, tolerance: float, sentence: str) -> Finding:
    canary, baseline = (seen.events, seen.requests), (seen.base_events, seen.base_requests)
    span = intervals.difference_of_rates(canary, baseline, alpha=1.0 - LEVEL)
    return _finding(case, leg, effect=seen.rate - seen.base, span=span, tolerance=tolerance, sentence=sentence)


def _denied(case: Case) -> Finding:
    seen = harm.rates(DENIED, case.since_start(DENIED))
    tolerance = float(case.limits.denied_above[0])
    if seen.events + seen.base_events <= 0.0 or seen.base_requests <= 0.0:
        return _finding(case, DENIED, effect=None, tolerance=tolerance, sentence="No request was seen to be denied by policy.")
    sentence = (
        f"Policy denied {words.percent(seen.rate)} of the canary's requests since the start, {words.percent(seen.base)} of the "
        f"baseline's in the same seconds; allowed {words.percent(seen.base + tolerance)}."
    )
    return _compared(case, DENIED, seen, tolerance=tolerance, sentence=sentence)


def _typical(case: Case) -> Finding:
    tolerance = float(case.limits.typical[0])
    seen = harm.slowness(case.rows, case.limits, case.since_start(TYPICAL))
    if seen.factor is None:
        return _finding(case, TYPICAL, effect=None, tolerance=tolerance, sentence="Latency was not compared.")
    sentence = f"Typical latency is about {words.times(seen.factor)} the baseline's since the start"
    sentence += f" (shown: {_between(seen.low, seen.high)})" if seen.low is not None and seen.high is not None else ""
    sentence += ", by the means, since the buckets do not resolve the median" if seen.by_mean else ", by the ranks"
    if seen.probability is not None:
        sentence += f": a canary request is slower than a baseline request with probability {seen.probability:.3f} (0.5 is alike)"
    span = (seen.low, seen.high)
    sentence = f"{sentence}; allowed {words.times(tolerance)}."
    return _finding(case, TYPICAL, effect=seen.factor, span=span, tolerance=tolerance, sentence=sentence)


def _between(low: float, high: float) -> str:
    return f"between {words.times(low).removesuffix(' times')} and {words.times(high)}"


def _slow_end(case: Case) -> Finding:
    tolerance = float(case.limits.slow_end[0])
    size = case.limits.bounds.shape[1] + 1
    seen = harm.exceedance(case.rows, case.limits, case.since_start(SLOW_END))
    if seen is None:
        return _finding(case, SLOW_END, effect=None, tolerance=tolerance, sentence="The slow end of latency was not measured.")
    _, blind = fitness.blind(case.rows.baseline[:, :size], case.limits)
    bound = _known(float(p99.certified_bound(case.rows, case.limits)[0]))
    shown = "no factor of p99 is excluded" if bound is None else f"p99 is shown to be at most {words.times(bound)} the baseline's"
    factor = harm.p99_factor(case.rows, case.limits)
    effect = None if blind[0] else _known(float(factor[0]))
    sentence = f"{_exceeding(seen, tolerance, case.since_start(SLOW_END).words)}; {shown}."
    return _finding(case, SLOW_END, effect=effect, span=(None, bound), tolerance=tolerance, sentence=sentence, told=not blind[0])


def _exceeding(seen: harm.Exceedance, tolerance: float, since: str, *, least: bool = False) -> str:
    """The slow end, as requests that took longer than a bound."""
    at_least = f" (at least {words.percent(seen.least)})" if least else ""
    longer = f"took longer than {words.milliseconds(seen.bound_ms)}"
    return (
        f"{words.percent(seen.canary)}{at_least} of the canary's requests {longer} {since}, "
        f"{words.percent(seen.baseline)} of the baseline's in the same seconds, "
        f"at most {words.percent(seen.tolerated)} if {words.slower(tolerance)}"
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def findings(case: Case) -> tuple[Finding, ...]:
    """Every leg's finding, in the order of the table."""
    return (_errors(case), _denied(case), _typical(case), _slow_end(case))


def harm_sentence(case: Case, charge: Charge, leg: int) -> str:
    """What is worse, over which period, against what is allowed, and how sure that is."""
    over = case.period(leg)
    return (
        f"{_worse(case, leg, over)}; sure to be worse: {words.odds(charge.odds)}; "
        f"{words.to_one(charge.beyond)} that it is worse than tolerated; {over.growth}"
    )


def _worse(case: Case, leg: int, over: Period) -> str:
    limits = case.limits
    if leg in {ERRORS, DENIED}:
        seen = harm.rates(leg, over)
        above = float((limits.above_baseline if leg == ERRORS else limits.denied_above)[0])
        allowed = max(float(limits.max_rate[0]) if leg == ERRORS else 0.0, seen.base + above)
        said = f"{LEGS[leg].words} {words.percent(seen.rate)} (at least {words.percent(seen.least)}) {over.words}"
        if case.alone:
            return f"{said} and no baseline to compare with, allowed {words.percent(float(limits.max_rate[0]))}"
        return f"{said} against {words.percent(seen.base)} in the same seconds, allowed {words.percent(allowed)}"
    if leg == SLOW_END:
        tail = harm.exceedance(case.rows, limits, over)
        return "the slow end" if tail is None else _exceeding(tail, float(limits.slow_end[0]), over.words, least=True)
    slow = harm.slowness(case.rows, limits, over)
    at_least = "" if slow.low is None else f" (at least {words.times(slow.low)})"
    factor = "" if slow.factor is None else f" about {words.times(slow.factor)} the baseline's{at_least}"
    return f"typical latency{factor} {over.words}, allowed {words.times(float(limits.typical[0]))}"


def safe_sentence(case: Case) -> str:
    """What was shown."""
    totals = case.rows.counts[0]
    rate, base = float(totals[C_ERR] / max(totals[C_REQ], 1.0)), float(totals[B_ERR] / max(totals[B_REQ], 1.0))
    typical = harm.slowness(case.rows, case.limits, case.since_start(TYPICAL)).factor
    factor = "typical latency" if typical is None else f"typical latency {words.times(typical)} the baseline's"
    return (
        f"errors {words.percent(rate)} against {words.percent(base)} and {factor}, "
        f"both shown to be within tolerance on {words.count(float(totals[C_REQ]))} canary requests; "
        f"{p99.told(case.rows, case.limits)}"
    )


def fixed_horizon(case: Case) -> Mapping[str, float | None]:
    """Classical figures over the whole watch; null where the data give none, or none that can be trusted. They decide nothing.

    Errors' ends are Wilson's 95 % intervals; the ends of p50 and p99 (ms) are those of the buckets that hold the 95 % order
    statistics. ``typical_factor`` is the estimate of the findings: the shift that explains the ranks (akin to Hodges and Lehmann
    1963), or the ratio of the means. The p-values pool all ticks: where shares were stepped while load drifted, or where ties leave
    the normal approximation too little, they are null.
    """
    totals = case.rows.counts[0]
    c_err, b_err, c_req, b_req = (float(totals[column]) for column in (C_ERR, B_ERR, C_REQ, B_REQ))
    slow = harm.slowness(case.rows, case.limits, case.since_start(TYPICAL))
    test = classical.mann_whitney(*(one.tolist() for one in _arms(case)))
    alike = test is not None and slow.probability is not None and abs(test.probability - slow.probability) <= _SAME_RANKS
    pooled, expected = b_err * c_req / max(b_req, 1.0), float(totals[E_ERR])
    steady = abs(pooled - expected) <= _SAME_SHARE * max(pooled, expected)
    c_low, c_high = classical.wilson(c_err, c_req)
    b_low, b_high = classical.wilson(b_err, b_req)
    return {
        "canary_errors_low": c_low,
        "canary_errors_high": c_high,
        "baseline_errors_low": b_low,
        "baseline_errors_high": b_high,
        "mann_whitney_u": None if test is None else test.u,
        "mann_whitney_probability": None if test is None else test.probability,
        "mann_whitney_p": test.p_greater if test is not None and alike and test.trusted else None,
        "typical_factor": slow.factor,
        "binomial_p": classical.conditional_binomial(c_err, b_err, c_req / max(c_req + b_req, 1.0)) if steady else None,
        "relative_risk": (c_err / c_req) / (b_err / b_req) if c_req > 0.0 and b_err > 0.0 and b_req > 0.0 else None,
        **_quantiles(case),
    }


def _arms(case: Case) -> tuple[Array, Array]:
    """Histograms of canary and baseline since the start, as long as the widest."""
    return case.rows.exposed[0, CANARY], case.rows.baseline[0]


def _quantiles(case: Case) -> Mapping[str, float | None]:
    """Intervals of p50 and p99 of both arms in ms."""
    bounds = case.limits.bounds[0].tolist()
    figures: dict[str, float | None] = {}
    for arm, counts in zip(("canary", "baseline"), _arms(case), strict=True):
        for name, level in (("p50", 0.5), ("p99", 0.99)):
            low, high = classical.quantile_interval(counts[: len(bounds) + 1].tolist(), bounds, level)
            figures |= {f"{arm}_{name}_low_ms": low, f"{arm}_{name}_high_ms": high}
    return figures
