"""A plan as somebody reads it who has to choose a canary's weight: what is found, how soon, and what more would buy."""

import textwrap
from collections.abc import Iterable, Iterator

from analyzers import words
from analyzers.fitness import Resolution
from daemon.offline.plan.scenarios import FINER, Plan
from daemon.offline.plan.service import Service
from daemon.offline.plan.trying import Cell, Delay, Share

_WIDTH = 100
TABLE_WIDTH = 132
"""Columns into which the table fits where nobody says otherwise; narrower ones show its scenarios one below the other."""
_MISSED = 0.005


def lines(plan: Plan, *, columns: int = TABLE_WIDTH) -> Iterator[str]:
    """The whole table with what it means; the words are wrapped, and the table laid out, for so many columns."""
    yield from _wrapped(_service(plan.scenarios[0].service), columns)
    yield from _wrapped(_policy(plan), columns)
    yield from ("", "What these latency buckets can tell of the tolerances:")
    for said in (*(one.sentence for one in plan.scenarios[0].buckets), *_finer(plan)):
        yield from _wrapped(said, columns, indent="  ")
    worse = [[f"  {row.label}", *(_rollback(one, plan) for one in row.cells)] for row in plan.rows]
    healthy = plan.healthy.cells
    same = [
        ["  promoted after", *(_promotion(one, plan) for one in healthy)],
        ["  rolled back by mistake", *(_false_rollback(one, plan) for one in healthy)],
    ]
    heading = ["", *(scenario.name for scenario in plan.scenarios)]
    widths = [max(len(row[column]) for row in (heading, *worse, *same)) for column in range(len(heading))]
    for shown in _side_by_side(widths, columns):
        for title, rows in (
            ("If the canary is worse, it is rolled back after (half / 90 % of the releases):", [heading, *worse]),
            ("If it is as good as the baseline:", same),
        ):
            yield from ("", title)
            yield from ("  ".join(row[column].ljust(widths[column]) for column in shown).rstrip() for row in rows)
    yield ""
    yield from _wrapped(_errors(plan), columns)
    if any(row.regression is not None and row.regression.kind == "p99" for row in plan.rows):
        yield from _wrapped(
            "slow end, p99: the slowest 5 % of the requests become slower, p99 by the factor; the others stay as they are.", columns
        )


def _side_by_side(widths: list[int], columns: int) -> Iterator[list[int]]:
    """Which columns of the table stand side by side: the labels, and as many scenarios as fit."""
    shown = [0]
    for column in range(1, len(widths)):
        if len(shown) > 1 and sum(widths[one] + 2 for one in (*shown, column)) - 2 > columns:
            yield shown
            shown = [0]
        shown.append(column)
    yield shown


def _service(service: Service) -> str:
    rps = words.count(service.rps) if service.rps >= 10.0 else f"{service.rps:.2g}"
    denied = f", {words.percent(service.denied)} denied" if service.denied else ""
    burst = f" in bursts of {service.burst}" if service.burst > 1 else ""
    jitter = f", moving by {words.percent(service.jitter)} from tick to tick" if service.jitter else ""
    source = "as observed" if service.histogram is not None else "lognormal"
    return (
        f"{rps} requests/s, {service.weight:g} % of them to the canary; errors {words.percent(service.errors)}{burst}{denied}; "
        f"median {service.median_ms:.3g} ms, p99 {service.p99_ms:.3g} ms ({source}){jitter}; "
        f"a tick every {service.tick_seconds:g} s; {len(service.bounds_ms)} latency buckets"
    )


def _policy(plan: Plan) -> str:
    allowed = plan.policy.tolerances
    return (
        f"policy {plan.policy_hash[:19]}: errors up to {words.percent(allowed.errors.max_rate)}, typical latency "
        f"x{allowed.latency.typical:g} and the slow end x{allowed.latency.slow_end:g} are tolerated, and that clients give "
        f"up on {words.percent(allowed.unanswered.max_rate)} of the requests (not simulated); evidence: "
        f"{plan.policy.evidence}; promoted after {plan.policy.promotion.min_seconds:g} s at the earliest, watched for "
        f"{plan.policy.window_seconds:g} s at most"
    )


def _finer(plan: Plan) -> Iterator[str]:
    """Whether finer buckets, which have a column of the table, can tell what the service's own cannot."""
    asked = {one.quantity for one in plan.scenarios[0].buckets if not one.resolved}
    finer = [one for scenario in plan.scenarios if scenario.name == FINER for one in scenario.buckets if one.quantity in asked]
    can, cannot = (_slower(one for one in finer if one.resolved is resolved) for resolved in (True, False))
    if finer:
        said = f"can tell {can}{', but not ' if cannot else ''}{cannot}" if can else f"cannot tell {cannot} either"
        yield f"the finer buckets of the last column {said}"


def _slower(tolerances: Iterable[Resolution]) -> str:
    names = {"typical": "a typical latency", "slow_end": "a p99"}
    return " and ".join(f"{names[one.quantity]} {words.slower(one.tolerance)}" for one in tolerances)


def _rollback(one: Cell, plan: Plan) -> str:
    """Delays, and how many are ever found."""
    found = one.rolled_back
    return _delays(one, plan) if found.value > 1.0 - _MISSED else f"{_delays(one, plan)}, {_share(found)} found"


def _promotion(one: Cell, plan: Plan) -> str:
    """Delays, and how many are ever promoted."""
    promoted = one.promoted
    return _delays(one, plan) if promoted.value > 1.0 - _MISSED else f"{_delays(one, plan)}, {_share(promoted)} promoted"


def _false_rollback(one: Cell, plan: Plan) -> str:
    return f"{_share(one.rolled_back)} (allowed {words.percent(plan.policy.alpha)})"


def _share(share: Share) -> str:
    digits = 1 if share.value < 0.1 or share.value > 0.9 else 0
    return f"{100.0 * share.value:.{digits}f}±{100.0 * share.error:.1f} %"


def _delays(one: Cell, plan: Plan) -> str:
    return f"{_delay(one.median, plan)} / {_delay(one.p90, plan)} s"


def _delay(delay: Delay, plan: Plan) -> str:
    if delay.seconds is None:
        return f">{plan.policy.window_seconds:g}"
    digits = 0 if plan.scenarios[0].service.tick_seconds >= 1.0 else 1
    return f"{delay.seconds:.{digits}f}" + (f"±{delay.error:{'.0f' if delay.error >= 10.0 else '.2g'}}" if delay.error else "")


def _errors(plan: Plan) -> str:
    """How far the figures can be trusted."""
    return (
        f"{plan.releases} simulated releases for each figure, seed {plan.seed}; ± is one standard error, within which "
        "two of three repetitions lie. Pods are taken to be "
        "alike and load to be steady: a real service is less regular, and its regressions take somewhat longer to find."
    )


def _wrapped(text: str, columns: int, *, indent: str = "") -> list[str]:
    # A number and its unit stay together.
    joined = text.replace(" %", "\u00a0%").replace(" s;", "\u00a0s;")
    return [
        line.replace("\u00a0", " ")
        for line in textwrap.wrap(
            joined, min(_WIDTH, columns), break_on_hyphens=False, initial_indent=indent, subsequent_indent=indent
        )
    ]
