"""A final ruling in words and numbers: findings, the one-sentence reason, and classical figures beside them.

Computed for final rulings only, one release at a time. A conviction's reason is the sentence of its leg and how sure that is: the
two cannot differ.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from msgspec import structs

from analyzers import alone, classical, fitness, harm, p99, words
from analyzers.conviction import LATER, Charge
from analyzers.harm import LEVEL, Period
from analyzers.layout import ALONE, B_UNA, B_UNC, C_UNA, C_UNC, CANARY, Rows
from analyzers.legs.table import DENIED, ERRORS, EVENTS, LEGS, SLOW_END, TYPICAL, UNANSWERED
from analyzers.ruling import Finding, Ruling
from analyzers.terms import Limits

Standing = Literal["convicts", "inside", "outside", "open", "idle"]
Span = tuple[float | None, float | None]
_SURE: Final = f"{words.percent(LEVEL)} sure"
_SAME_SHARE: Final = 0.1
"""Pooled over a watch, failures are those expected tick by tick to within this part: no stepped share mixes with a drift."""
_SAME_RANKS: Final = 0.01
"""The same of the probability that a canary request is slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One release at its end, as a batch of one.

    Attributes:
        charge: where it is surely worse at all.
        e_values, beyond: of the legs, that the canary is worse at all, and than tolerated.
        notes: what guards and buckets say of a leg.
    """

    rows: Rows
    limits: Limits
    charge: Charge | None
    e_values: tuple[float, ...]
    beyond: tuple[float, ...]
    notes: Mapping[int, str]

    @property
    def remembered(self) -> bool:
        """The baseline serves nothing any more."""
        return bool(self.rows.head[0, ALONE] > 0.0)

    def convicts(self, leg: int) -> bool:
        """Whether this leg carries a rollback."""
        return self.charge is not None and self.charge.leg == leg

    def period(self, leg: int) -> Period:
        """Over which a leg's figures are counted: the whole watch, or what convicts it where that began later."""
        later = self.charge is not None and (self.charge.start == LATER or self.remembered)
        return harm.period(self.rows, self.limits, leg, recent=later and self.convicts(leg))


def _finding(
    case: Case,
    leg: int,
    sentence: str,
    *,
    tolerance: float,
    effect: float | None = None,
    span: Span = (None, None),
    level: float = LEVEL,
    blind: bool = False,
) -> Finding:
    """What a leg says, without capital letter and end; ``span``: the confidence sequence of its effect.

    Without an effect it idles, unless it is only that the buckets cannot tell it (``blind``).
    """
    low, high = span
    standing: Standing = "open" if effect is not None or blind else "idle"
    if case.convicts(leg):
        standing = "convicts"
    elif effect is not None and high is not None and high <= tolerance:
        standing = "inside"
    elif effect is not None and low is not None and low > tolerance:
        standing = "outside"
    return Finding(
        leg=LEGS[leg].name,
        effect=effect,
        unit=LEGS[leg].unit,
        low=low,
        high=high,
        level=level,
        e_value=case.e_values[leg],
        tolerance=tolerance,
        standing=standing,
        sentence=sentence,
        beyond=case.beyond[leg],
    )


def _at_least(case: Case, leg: int, least: float, base: float) -> str:
    """The lower bound of a harm in brackets, where it says more than that there is one."""
    return f" ({_SURE}: at least {words.percent(least)})" if case.convicts(leg) and least > base else ""


def _baselines(share: float, over: Period) -> str:
    return f", {words.percent(share)} of the baseline's {over.beside}"


def _events(case: Case, leg: int, over: Period) -> Finding:
    """Errors, denials, or requests without an answer."""
    seen, limits = harm.rates(leg, over), case.limits
    limit, above = {
        ERRORS: (limits.max_rate[0], limits.above_baseline[0]),
        DENIED: (0.0, limits.denied_above[0]),
        UNANSWERED: (limits.unanswered_rate[0], limits.unanswered_above[0]),
    }[leg]
    base = seen.base
    tolerance = float(limit if base is None else max(limit - base, above))
    if seen.requests <= 0.0 or (base is None and (leg != ERRORS or not alone.limited(case.rows)[0])):
        arm = "baseline" if seen.requests > 0.0 else "canary"
        return _finding(case, leg, f"{LEGS[leg].words} could not be compared: the {arm} served no request", tolerance=tolerance)
    if leg == DENIED and not seen.some:
        return _finding(case, leg, "no request was seen to be denied by policy", tolerance=tolerance)
    happened = {ERRORS: "failed", DENIED: "were denied by policy", UNANSWERED: "got no answer before their clients gave up"}[leg]
    least = "at least " if leg == ERRORS and case.rows.answers[0, C_UNC] > 0.0 else ""
    said = f"{least}{words.percent(seen.rate)} of the canary's {words.count(seen.requests)} requests {happened} {over.words}"
    said += _at_least(case, leg, seen.least, base or 0.0)
    said += ", and there is no baseline to compare with" if base is None else _baselines(base, over)
    said += f"; allowed {words.percent((base or 0.0) + tolerance)}"
    span: Span = seen.span
    if leg == ERRORS:  # what is not told of the canary has no upper end, and what is not told of the baseline no lower one
        c_unc, b_unc = case.rows.answers[0, [C_UNC, B_UNC]].tolist()
        span = (None if b_unc else span[0], None if c_unc else span[1])
    return _finding(case, leg, said, tolerance=tolerance, effect=seen.rate - (base or 0.0), span=span)


def _unmeasured(case: Case) -> str:
    """How latency was compared of which there are no figures over the whole watch; empty for not at all."""
    return "compared with a remembered baseline only" if case.remembered and case.rows.history[0, 1].any() else ""


def _typical(case: Case, over: Period) -> Finding:
    tolerance = float(case.limits.typical[0])
    seen = harm.slowness(case.rows, case.limits, over)
    allowed = f"allowed {words.times(tolerance)}"
    if seen.factor is not None:
        means = ", by the means," if seen.by_mean else ""
        ends = "" if seen.low is None else f" ({_SURE}: {words.between(seen.low, seen.high)})"
        said = f"typical latency{means} is about {words.times(seen.factor)} the baseline's {over.words}{ends}; {allowed}"
        return _finding(case, TYPICAL, said, tolerance=tolerance, effect=seen.factor, span=(seen.low, seen.high))
    if seen.probability is not None:
        said = f"of 100 pairs of requests the canary's is the slower one in {100.0 * seen.probability:.0f} {over.words} (alike: 50)"
        return _finding(case, TYPICAL, f"typical latency: {said}; {allowed}", tolerance=tolerance, blind=True)
    return _finding(case, TYPICAL, f"latency was {_unmeasured(case) or 'not compared'}", tolerance=tolerance)


def _slow_end(case: Case, over: Period) -> Finding:
    limits, tolerance = case.limits, float(case.limits.slow_end[0])
    seen = harm.exceedance(limits, over)
    if seen is None:
        how = _unmeasured(case) or "not measured"
        return _finding(case, SLOW_END, f"the slow end of latency was {how}", tolerance=tolerance)
    level = 1.0 - 1.0 / float(limits.safe_boundary[0])
    bound = _known(float(p99.certified_bound(case.rows, limits)[0])) if over.whole else None
    blind = bool(fitness.blind(case.rows, limits)[1][0])
    effect = None if blind else _known(float(harm.p99_factor(over.slow[None], limits)[0]))
    said = (
        f"{words.percent(seen.canary)} of the canary's requests took longer than {words.milliseconds(seen.bound_ms)} {over.words}"
        f"{_at_least(case, SLOW_END, seen.least, seen.baseline)}{_baselines(seen.baseline, over)}"
    )
    if seen.tolerated <= harm.TOLD:
        said += f"; allowed {words.percent(seen.tolerated)} ({words.slower(tolerance)})"
    if bound is not None and not case.convicts(SLOW_END):
        said += f"; p99 is at most {words.times(bound)} the baseline's ({words.percent(level)} sure)"
    return _finding(case, SLOW_END, said, tolerance=tolerance, effect=effect, span=(None, bound), level=level, blind=blind)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _found(case: Case, leg: int) -> Finding:
    over = case.period(leg)
    if leg in EVENTS:
        return _events(case, leg, over)
    return _typical(case, over) if leg == TYPICAL else _slow_end(case, over)


def findings(case: Case) -> tuple[Finding, ...]:
    """Every leg's finding, in the order of the table; of unanswered requests only where there were any."""
    found = []
    some = bool(case.rows.answers[0, [C_UNA, B_UNA]].any())
    for leg in range(len(LEGS)) if some else range(UNANSWERED):
        one, note = _found(case, leg), case.notes.get(leg, "")
        found.append(replace(one, sentence=f"{one.sentence[0].upper()}{one.sentence[1:]}. {note}".strip()))
    return tuple(found)


def harm_sentence(case: Case, charge: Charge, leg: int) -> str:
    """What is worse, over which period, against what is allowed, and how sure that is."""
    sure = f"{words.alarm(charge.odds)}; {words.to_one(charge.beyond)} that it is worse than allowed"
    return f"{_found(case, leg).sentence}; {sure}{case.period(leg).growth}"


def safe_sentence(case: Case) -> str:
    """What was shown."""
    over, timed = case.period(ERRORS), case.period(TYPICAL)
    seen, factor = harm.rates(ERRORS, over), harm.slowness(case.rows, case.limits, timed).factor
    errors = f"errors {words.percent(seen.rate)} {over.words} against {words.percent(seen.base or 0.0)} {over.beside}"
    shown = f"shown to be within tolerance on {words.count(seen.requests)} canary requests"
    if case.limits.timed[0] == 0.0 and not case.rows.exposed[0, CANARY].any():
        return f"{errors}, {shown}; no latency is known of TCP: promoted on failed connections alone"
    latency = "typical latency" if factor is None else f"typical latency {words.times(factor)} the baseline's {timed.words}"
    return f"{errors}, and {latency}, both {shown}; {p99.told(case.rows, case.limits)[0]}"


def of_connections(ruling: Ruling) -> Ruling:
    """The same ruling, on connections that were counted as requests are."""
    told = found_of_connections(ruling.findings)
    return structs.replace(ruling, reason=words.of_connections(ruling.reason), findings=told)


def found_of_connections(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The same findings, on connections that were counted as requests are."""
    return tuple(replace(one, sentence=words.of_connections(one.sentence)) for one in found)


def fixed_horizon(case: Case) -> Mapping[str, float | None]:
    """Classical figures over the whole watch; null where the data give none, or none that can be trusted. They decide nothing.

    Errors' ends are Wilson's 95 % intervals; the ends of p50 and p99 (ms) are those of the buckets that hold the 95 % order
    statistics. ``typical_factor`` is the estimate of the findings: the shift that explains the ranks (akin to Hodges and Lehmann
    1963), or the ratio of the means. The p-values pool all ticks: where shares were stepped while load drifted, or where ties leave
    the normal approximation too little, they are null.
    """
    c_err, b_err, c_req, b_req, _, _, expected, *_ = case.rows.counts[0].tolist()
    slow = harm.slowness(case.rows, case.limits, harm.period(case.rows, case.limits, TYPICAL, recent=False))
    arms, bounds = (case.rows.exposed[0, CANARY], case.rows.baseline[0]), case.limits.bounds[0]
    test = classical.mann_whitney(*arms)
    alike = test is not None and slow.probability is not None and abs(test.probability - slow.probability) <= _SAME_RANKS
    pooled = b_err * c_req / max(b_req, 1.0)
    steady = abs(pooled - expected) <= _SAME_SHARE * max(pooled, expected)
    figures = {
        **_ends("canary_errors", "", classical.wilson(c_err, c_req)),
        **_ends("baseline_errors", "", classical.wilson(b_err, b_req)),
        "mann_whitney_u": None if test is None else test.u,
        "mann_whitney_probability": None if test is None else test.probability,
        "mann_whitney_p": test.p_greater if test is not None and alike and test.trusted else None,
        "typical_factor": slow.factor,
        "binomial_p": classical.conditional_binomial(c_err, b_err, c_req / max(c_req + b_req, 1.0)) if steady else None,
        "relative_risk": (c_err / c_req) / (b_err / b_req) if c_req > 0.0 and b_err > 0.0 and b_req > 0.0 else None,
    }
    for arm, counts in zip(("canary", "baseline"), arms, strict=True):
        for name, level in (("p50", 0.5), ("p99", 0.99)):
            figures |= _ends(f"{arm}_{name}", "_ms", classical.quantile_interval(counts[: len(bounds) + 1], bounds, level))
    return figures


def _ends(name: str, unit: str, span: Span) -> Mapping[str, float | None]:
    return {f"{name}_low{unit}": span[0], f"{name}_high{unit}": span[1]}
