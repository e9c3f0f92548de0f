"""Connections, of which no latency is known: promoted on those that failed alone, and the verdict says so."""

from collections.abc import Sequence

import pytest

from analyzers.counts import Arm, Pod, Sample
from analyzers.judge import fold, start
from analyzers.ruling import LegsNow, Ruling
from config.policy import ErrorTolerance, LatencyTolerance, Policy, Promotion, Tolerances
from tests.analyzers.streams import latency, sample, terms, watch

EARLY = Policy(warmup_seconds=0.0, promotion=Promotion(min_requests=200, min_seconds=10.0))


def stream(ticks: int = 120, *, failed: int = 0, baseline: int = 1) -> list[Sample]:
    return [sample(float(t), canary=(100, failed), baseline=(900, baseline)) for t in range(1, ticks + 1)]


def sentences(ruling: Ruling) -> dict[str, str]:
    return {one.leg: one.sentence for one in ruling.findings}


def test_a_canary_whose_connections_hold_is_promoted_on_them_alone() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), timed=False), stream())
    assert ruling.outcome == "promote"
    assert ruling.reason == (
        "errors 0 % since the start against 0.11 % in the same seconds, shown to be within tolerance on 1 000 canary connections; "
        "no latency is known of TCP: promoted on failed connections alone"
    )
    assert sentences(ruling)["errors"].startswith("0 % of the canary's 1 000 connections failed since the start")
    assert sentences(ruling)["typical"] == "Latency was not compared."
    assert isinstance(ruling.legs, LegsNow)
    assert ruling.legs.findings() == ruling.findings


def test_the_same_counts_of_requests_wait_for_latency_until_the_end() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), ticks=120), stream())
    assert ruling.outcome == "inconclusive"
    assert "not shown yet: any latency to compare" in ruling.reason


def test_it_is_told_of_connections_while_it_waits_for_more_of_them() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), timed=False), stream(1))
    assert ruling.outcome == "continue"
    assert ruling.reason == "100 of 200 canary connections seen, 1 of 10 s watched"


def test_failed_connections_roll_back_and_are_called_that() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), timed=False), stream(failed=10))
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    assert ruling.reason.startswith("10 % of the canary's 200 connections failed since the start")
    assert "request" not in ruling.reason


def test_connections_that_fail_more_than_is_tolerated_are_never_promoted() -> None:
    policy = Policy(warmup_seconds=0.0, promotion=EARLY.promotion, tolerances=Tolerances(errors=ErrorTolerance(max_rate=0.001)))
    _, ruling = watch(terms(policy, bounds_ms=(), ticks=60, timed=False), stream(failed=1, baseline=8))
    assert ruling.outcome == "inconclusive"
    assert "not shown yet: an error rate below" in ruling.reason


def test_a_slow_end_that_a_policy_requires_cannot_be_shown() -> None:
    policy = Policy(
        warmup_seconds=0.0,
        promotion=EARLY.promotion,
        tolerances=Tolerances(latency=LatencyTolerance(require_slow_end=True)),
    )
    _, ruling = watch(terms(policy, bounds_ms=(), ticks=60, timed=False), stream(60))
    assert ruling.outcome == "inconclusive"
    assert "a slow end within its tolerance" in ruling.reason


def test_latency_that_comes_all_the_same_is_judged() -> None:
    one = terms(EARLY, bounds_ms=(10.0, 100.0), ticks=60, timed=False)
    slow = latency([0, 5, 45], 9_000.0), latency([400, 500, 50], 40_000.0)
    _, ruling = watch(one, [sample(float(t), slow=slow) for t in range(1, 61)])
    assert (ruling.outcome, ruling.leg) == ("rollback", "typical")
    blind = latency([0, 50, 0], 0.0), latency([0, 950, 0], 0.0)
    _, ruling = watch(one, [sample(float(t), slow=blind) for t in range(1, 61)])
    assert "not shown yet: any latency to compare" in ruling.reason
    alike = latency([20, 25, 5], 2_000.0), latency([380, 475, 95], 38_000.0)
    _, ruling = watch(one, [sample(float(t), slow=alike) for t in range(1, 61)])
    assert ", and typical latency " in ruling.reason


def test_young_pods_have_no_latency_that_would_be_waited_for() -> None:
    policy = Policy(warmup_seconds=30.0)
    young = {"a": Pod(requests=50, age_seconds=1.0)}
    old = {"b": Pod(requests=950, age_seconds=900.0)}
    both = Sample(t=1.0, seconds=1.0, canary=Arm(requests=50, pods=young), baseline=Arm(requests=950, pods=old))
    each = [terms(policy, bounds_ms=(), timed=timed) for timed in (False, True)]
    said = [ruling.reason for _, ruling in fold(each, [start(one) for one in each], [both, both])]
    assert ["young pods" in reason for reason in said] == [False, True]


@pytest.mark.parametrize("timed", [[True, False], [False, True]])
def test_in_one_batch_each_release_is_told_in_its_own_words(timed: Sequence[bool]) -> None:
    each = [terms(EARLY, bounds_ms=(), timed=one) for one in timed]
    rulings = [ruling for _, ruling in fold(each, [start(one) for one in each], [sample(1.0), sample(1.0)])]
    assert ["connections" in ruling.reason for ruling in rulings] == [not one for one in timed]
