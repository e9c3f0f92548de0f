"""What is no measurement: it is held with its reason or refused in one clear sentence, and never decides anything."""

import math
import re
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from analyzers.counts import Arm, Latency, Pod, Sample
from analyzers.judge import fold, start, terms_of
from analyzers.layout import Rows
from analyzers.ruling import Ruling
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, latency, sample, terms, watch

BOUNDS = (10.0, 20.0, 40.0)
GOOD = (latency((20, 15, 10, 5)), latency((380, 285, 190, 95)))
HUGE = 10**400
POLICY = Policy(promotion=Promotion(min_requests=10**9))
COUNTS_HELD = "; the last tick is not judged: its counts are impossible"
LATENCY_HELD = "; the last tick's latency is not judged: its histograms do not fit the bounds, or have impossible counts"


def _good(t: float) -> Sample:
    return sample(t, canary=(50, int(t == 7.0)), baseline=(950, 1), slow=GOOD)


def _with_one(bad: Sample, *, policy: Policy = POLICY) -> tuple[Ruling, Ruling, np.ndarray]:
    """The rulings after a bad tick amid good ones and after a gap in its place, and by how much the states differ."""
    one = terms(policy, bounds_ms=BOUNDS)
    ticks: list[Sequence[Sample]] = [[_good(float(t))] * 2 for t in range(1, 20)]
    gap = Sample(t=20.0, seconds=1.0, baseline=None, canary=None, gap="nothing came")
    ticks.append([bad, gap])
    folded = fold([one] * 2, [start(one)] * 2, ticks[0])
    for pair in ticks[1:]:
        folded = fold([one] * 2, [state for state, _ in folded], pair)
    (state, ruling), (other, without) = folded
    return ruling, without, state.row - other.row


def _slow(canary: Latency, baseline: Latency = GOOD[1]) -> Sample:
    return sample(20.0, slow=(canary, baseline))


@pytest.mark.parametrize(
    "canary",
    [
        Arm(requests=-50, latency=GOOD[0]),
        Arm(requests=50, errors=-3, latency=GOOD[0]),
        Arm(requests=50, denied=-1, latency=GOOD[0]),
        Arm(requests=50, errors=51, latency=GOOD[0]),
        Arm(requests=HUGE, errors=HUGE, latency=GOOD[0]),
        Arm(requests=10**16, errors=10**16, latency=GOOD[0]),
    ],
    ids=["requests go backwards", "errors go backwards", "denials go backwards", "more errors than requests", "huge", "too many"],
)
def test_a_tick_with_impossible_counts_is_a_gap_and_is_said(canary: Arm) -> None:
    bad = Sample(t=20.0, seconds=1.0, canary=canary, baseline=Arm(requests=950, latency=GOOD[1]))
    ruling, without, difference = _with_one(bad)
    assert ruling.outcome == "continue"
    assert ruling.reason.endswith(COUNTS_HELD)
    assert ruling.evidence == without.evidence
    assert not difference.any()


@pytest.mark.parametrize(
    "histogram",
    [
        latency((5, 5, 40)),
        latency(()),
        latency((5, 5, 5, 5, 5, 25)),
        latency((60, -10, 0, 0)),
        latency((0, 0, 0, HUGE), 1e9),
        latency((0, 0, 0, 10**16), 1e9),
    ],
    ids=["too short", "no buckets", "other bounds", "not monotone", "huge", "too many"],
)
@pytest.mark.parametrize("arm", [0, 1])
def test_an_impossible_histogram_is_no_latency_and_is_said_while_errors_are_judged(histogram: Latency, arm: int) -> None:
    """Cumulative buckets that are not monotone have a negative count once they are differenced."""
    slow = (histogram, GOOD[1]) if arm == 0 else (GOOD[0], histogram)
    ruling, without, _ = _with_one(sample(20.0, canary=(50, 5), slow=slow))
    assert ruling.outcome == "continue"
    assert ruling.reason.endswith(LATENCY_HELD)
    for leg in ("typical", "slow_end"):
        assert ruling.legs[leg].e_value == pytest.approx(without.legs[leg].e_value)
    assert ruling.legs["errors"].e_value > without.legs["errors"].e_value


@pytest.mark.parametrize("total", [math.nan, math.inf, -math.inf, -5.0, 0.0, 1e19])
def test_a_sum_that_is_none_is_no_mean_and_nothing_else(total: float) -> None:
    ruling, _, _ = _with_one(_slow(Latency(counts=GOOD[0].counts, sum_ms=total)))
    good, _, _ = _with_one(_slow(GOOD[0]))
    assert ruling.legs["typical"].e_value == good.legs["typical"].e_value
    assert ruling.legs["typical"].effect == pytest.approx(1.0)
    assert math.isfinite(ruling.evidence)


def test_a_sum_without_a_count_is_no_latency() -> None:
    ruling, without, _ = _with_one(_slow(latency((0, 0, 0, 0), 1e9)))
    assert ruling.legs["typical"].effect == without.legs["typical"].effect
    assert ruling.legs["typical"].e_value == pytest.approx(without.legs["typical"].e_value)


def test_bounds_that_change_in_the_middle_begin_new_histograms_at_once() -> None:
    """Also in a tick that brings no latency: the old counts must not be read by the new bounds."""
    before, after = terms(bounds_ms=BOUNDS), terms(bounds_ms=(100.0, 200.0, 4000.0))
    state = start(before)
    for t in range(1, 20):
        ((state, _),) = fold([before], [state], [_good(float(t))])
    ((state, ruling),) = fold([after], [state], [sample(20.0)])
    assert Rows(state.row[None]).baseline.sum() == 0.0
    assert ruling.legs["slow_end"].effect is None
    assert ruling.outcome == "continue"
    unknown = terms(bounds_ms=())
    ((kept, _),) = fold([unknown], [state], [sample(21.0)])
    assert kept.row.shape == state.row.shape


def test_bounds_that_change_again_and_again_convict_nobody() -> None:
    kinds = [terms(bounds_ms=bounds) for bounds in (BOUNDS, (15.0, 20.0, 80.0), (10.0, 20.0), ())]
    state = start(kinds[0])
    for t in range(1, 61):
        one = kinds[t % 4]
        size = len(one.bounds_ms) + 1
        slow = (latency((10,) * size), latency((190,) * size))
        ((state, ruling),) = fold([one], [state], [sample(float(t), canary=(50, 0), slow=slow)])
        assert ruling.outcome in {"continue", "promote"}
        assert np.isfinite(state.row).all()


@pytest.mark.parametrize("gone", ["canary", "baseline", "both"])
def test_an_arm_that_is_missing_for_minutes_is_waited_for_and_ends_inconclusive(gone: str) -> None:
    """What comes of the other arm meanwhile, errors above all, is not compared with anything."""
    arms = {"canary": Arm(requests=50, errors=50), "baseline": Arm(requests=950)}
    present = {name: None if gone in {name, "both"} else arm for name, arm in arms.items()}
    missing = [
        Sample(t=float(t), seconds=1.0, gap="scrape failed", canary=present["canary"], baseline=present["baseline"])
        for t in range(30, 301)
    ]
    _, ruling = watch(terms(POLICY, bounds_ms=BOUNDS), [*(_good(float(t)) for t in range(1, 30)), *missing])
    assert (ruling.outcome, ruling.t) == ("inconclusive", 300.0)
    assert ruling.evidence < 10.0


def test_an_arm_that_was_missing_for_minutes_is_judged_when_it_is_back() -> None:
    missing = [Sample(t=float(t), seconds=1.0, baseline=None, canary=None) for t in range(10, 200)]
    back = [sample(float(t), canary=(50, 5), baseline=(950, 1)) for t in range(200, 260)]
    _, ruling = watch(terms(POLICY, bounds_ms=BOUNDS), [*(_good(float(t)) for t in range(1, 10)), *missing, *back])
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    assert ruling.t <= 206.0


@pytest.mark.parametrize(("weight", "outcome"), [(None, "promote"), (0.0, "promote"), (100.0, "promote"), (60.0, "inconclusive")])
def test_weights_that_do_not_sum_to_what_is_seen_hold_a_promotion_and_convict_nobody(weight: float | None, outcome: str) -> None:
    """5 % of the requests are the canary's. A weight of 0 or 100 % says nothing of a split (a header, a mirror)."""
    policy = Policy(promotion=Promotion(min_requests=0, min_seconds=0.0))
    _, ruling = watch(terms(policy, weight=weight, ticks=80), World().ticks(8, 80))
    assert ruling.outcome == outcome


@pytest.mark.parametrize("weight", [-1.0, 100.5, math.nan, math.inf])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="a share in percent, between 0 and 100"):
        terms(weight=weight)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.7, -0.01, math.nan, math.inf])
@pytest.mark.parametrize("promotion", [False, True])
def test_an_alpha_outside_its_range_is_refused_by_the_policy_and_by_the_judge(alpha: float, promotion: bool) -> None:
    document = {"promotion": {"alpha": alpha}} if promotion else {"alpha": alpha}
    with pytest.raises(msgspec.ValidationError, match="alpha"):
        msgspec.convert(document, Policy)
    unchecked = Policy(promotion=Promotion(alpha=alpha)) if promotion else Policy(alpha=alpha)
    with pytest.raises(ValueError, match=r"alpha is a chance above 0 and below 0\.5"):
        terms_of(unchecked, tick_seconds=1.0, window_seconds=300.0)


def test_a_million_million_requests_are_judged_rightly() -> None:
    many = 10**12
    slow = (latency((2 * many, many, many, many)), latency((20 * many, 10 * many, 10 * many, 10 * many)))
    one = terms(Policy(promotion=Promotion(min_seconds=60.0)), bounds_ms=BOUNDS)
    alike = [sample(float(t), canary=(many, many // 1000), baseline=(10 * many, many // 100), slow=slow) for t in range(1, 80)]
    _, good = watch(one, alike)
    assert good.outcome == "promote"
    _, bad = watch(one, [sample(float(t), canary=(many, many // 20), baseline=(10 * many, many // 100)) for t in range(1, 9)])
    assert (bad.outcome, bad.leg) == ("rollback", "errors")
    _, few = watch(one, [sample(float(t), canary=(many, 1), baseline=(10 * many, 10), slow=slow) for t in range(1, 80)])
    assert few.outcome == "promote"
    for ruling in (good, bad, few):
        assert re.search(r"\bnan\b", repr(ruling)) is None
        assert math.isfinite(ruling.evidence)


def test_pods_with_impossible_histograms_are_left_out() -> None:
    odd = {"a": Pod(requests=5, latency=latency((0, 0, 0, HUGE), 1.0)), "b": Pod(requests=5, latency=GOOD[0])}
    arm = Arm(requests=50, latency=GOOD[0], pods=odd)
    state, ruling = watch(terms(bounds_ms=BOUNDS), [Sample(t=1.0, seconds=1.0, canary=arm, baseline=arm)])
    assert sorted(key for key, tally in state.pods.items() if tally[0] > 0.0) == ["bb", "cb"]
    assert ruling.outcome == "continue"


@pytest.mark.parametrize("t", [math.nan, math.inf, -5.0])
def test_a_time_that_is_none_promotes_and_convicts_nobody(t: float) -> None:
    _, ruling = watch(terms(bounds_ms=BOUNDS), [sample(t, slow=GOOD)])
    assert ruling.outcome == ("inconclusive" if t == math.inf else "continue")
