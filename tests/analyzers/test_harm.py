"""What is said of a harm: over which period it was counted, its lower bound, and since when the evidence grew."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from analyzers import buckets, harm
from analyzers.counts import Sample
from analyzers.harm import Period
from analyzers.judge import JudgeState
from analyzers.layout import Rows
from analyzers.legs.table import ERRORS, TYPICAL
from analyzers.ruling import Ruling
from analyzers.terms import Limits
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, latency, sample, terms, watch

NEVER = Policy(promotion=Promotion(min_requests=10**9))
BOUNDS = np.array([[100.0, 250.0]])


def _late(bad: Sample, *, good: Sample, at: int, ticks: int) -> Sequence[Sample]:
    return [replace(bad if t > at else good, t=float(t)) for t in range(1, ticks + 1)]


def _after(stream: Sequence[Sample], bounds: tuple[float, ...] = ()) -> tuple[JudgeState, Ruling]:
    return watch(terms(NEVER, bounds_ms=bounds), stream)


def test_a_late_harm_is_counted_since_its_evidence_began_to_grow() -> None:
    good, bad = sample(1.0, canary=(500, 0), baseline=(500, 0)), sample(1.0, canary=(500, 25), baseline=(500, 0))
    _, ruling = _after(_late(bad, good=good, at=100, ticks=120))
    assert ruling.outcome == "rollback"
    assert ruling.reason.startswith("5 % of the canary's ")
    assert " requests failed since second 100 (95 % sure: at least " in ruling.reason
    assert "), 0 % of the baseline's in the same seconds; allowed 0.5 %; at most 1 in " in ruling.reason
    assert " ticks since then" in ruling.reason
    finding = ruling.findings[0]
    assert finding.sentence == ruling.reason.partition("; at most 1 in ")[0] + ".", "one harm, one period, and no bursts"
    assert finding.effect == pytest.approx(0.05)
    assert finding.low is not None
    assert finding.low > 0.0


def test_evidence_that_all_came_in_one_tick_is_said_to() -> None:
    _, ruling = _after([sample(1.0, canary=(100, 60), baseline=(900, 0))])
    assert ruling.outcome == "rollback"
    assert ruling.reason.endswith("all of the evidence came in one tick")


def test_a_late_slow_end_and_late_typical_latency_are_counted_over_their_own_periods() -> None:
    base = latency((500, 300, 100, 90, 10), 10_000.0)
    good, tail, slow = (
        sample(1.0, canary=(1000, 0), baseline=(1000, 0), slow=(mine, base))
        for mine in (base, latency((500, 300, 100, 50, 50), 14_000.0), latency((200, 300, 300, 150, 50), 25_000.0))
    )
    bounds = (10.0, 20.0, 40.0, 80.0)
    _, ruling = _after(_late(tail, good=good, at=50, ticks=90), bounds)
    assert (ruling.outcome, ruling.leg) == ("rollback", "slow_end")
    assert ruling.reason.startswith("5 % of the canary's requests took longer than 80 ms since second 50 (95 % sure: at least ")
    assert "), 1 % of the baseline's in the same seconds; allowed " in ruling.reason
    assert " (10 % slower); at most 1 in " in ruling.reason
    assert ruling.findings[3].high is None, "the bound on p99 is of the whole watch"
    state, ruling = _after(_late(slow, good=good, at=50, ticks=90), bounds)
    assert ruling.outcome == "rollback"
    seen = harm.slowness(Rows(state.row[None]), Limits.of([terms(bounds_ms=bounds)]), _recent(state, bounds))
    assert seen.factor is not None
    assert seen.factor > 1.5


def _recent(state: JudgeState, bounds: tuple[float, ...]) -> Period:
    return harm.period(Rows(state.row[None]), Limits.of([terms(bounds_ms=bounds)]), TYPICAL, recent=True)


def test_a_bound_over_a_period_that_the_data_chose_is_wider() -> None:
    good, bad = sample(1.0, canary=(500, 0), baseline=(500, 0)), sample(1.0, canary=(500, 25), baseline=(500, 0))
    state, _ = _after(_late(bad, good=good, at=2, ticks=6))
    rows, limits = Rows(state.row[None]), Limits.of([terms(bounds_ms=())])
    whole, recent = (harm.period(rows, limits, ERRORS, recent=recent) for recent in (False, True))
    assert recent.alpha == pytest.approx(whole.alpha / 300.0)
    assert (whole.words, recent.words) == ("since the start", "since second 2")
    assert harm.rates(ERRORS, recent).rate == pytest.approx(0.05)
    assert harm.rates(ERRORS, whole).rate < 0.05
    assert 0.0 < harm.rates(ERRORS, recent).least < 0.05


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.5])
def test_the_factor_of_typical_latency_lies_between_its_bounds(factor: float) -> None:
    state, _ = watch(terms(Policy(evidence="strict", promotion=NEVER.promotion)), World(factor=factor).ticks(1, 20))
    rows, limits = Rows(state.row[None]), Limits.of([terms()])
    seen = harm.slowness(rows, limits, harm.period(rows, limits, TYPICAL, recent=False))
    assert seen.factor is not None
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low <= factor <= seen.high
    assert seen.low < seen.factor < seen.high


def test_no_classical_p_value_is_shown_where_ties_or_stepped_shares_leave_it_untrue() -> None:
    tied = sample(1.0, canary=(20, 0), baseline=(2000, 2), slow=(latency((8, 12)), latency((1990, 8))))
    _, ended = watch(terms(NEVER, bounds_ms=(10.0,), ticks=1), [tied])
    assert ended.fixed_horizon is not None
    assert ended.fixed_horizon["mann_whitney_u"] is not None
    assert ended.fixed_horizon["mann_whitney_p"] is None
    stepped = [
        sample(1.0, canary=(50, 0), baseline=(950, 10)),
        sample(2.0, canary=(950, 90), baseline=(50, 5)),
    ]
    _, ended = watch(terms(NEVER, bounds_ms=(), ticks=2), stepped)
    assert ended.fixed_horizon is not None
    assert ended.fixed_horizon["binomial_p"] is None


def test_a_p99_right_above_a_bound_lies_near_it() -> None:
    """Pareto's tail between the bounds: with 1.2 % above 100 ms and 0.05 % above 250, one per cent is above 105.4 ms."""
    edges = buckets.log_edges(BOUNDS)
    exact = 100.0 * (0.012 / 0.01) ** (np.log(2.5) / np.log(0.012 / 0.0005))
    assert buckets.tail_quantile(np.array([[9880.0, 115.0, 5.0]]), edges, 0.99)[0] == pytest.approx(exact)


def test_a_tail_ends_with_its_last_request() -> None:
    edges = buckets.log_edges(BOUNDS)
    found = buckets.tail_quantile(np.array([[0.0, 100.0, 0.0], [0.0, 0.0, 0.0]]), edges[[0, 0]], 0.99)
    assert 100.0 < found[0] <= 250.0
    assert np.isfinite(found[1])
