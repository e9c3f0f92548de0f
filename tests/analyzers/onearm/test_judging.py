"""A canary alone after its promotion: taken back where a share is surely above its limit, else called good at the end."""

from collections.abc import Collection, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from analyzers.counts import Arm, Latency, Pod, Sample, Signal
from analyzers.judge import JudgeState, Terms, fold, start
from analyzers.reference import Reference
from analyzers.ruling import Ruling
from config.policy import LatencyTolerance, Policy, Tolerances
from tests.analyzers.onearm.streams import NOTHING, after, alone, before, lone
from tests.analyzers.streams import ISTIO_MS, World, terms, watch

REFERENCE = before()


def _judged(one: Terms, *samples: Sample) -> Ruling:
    return watch(one, iter(samples))[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_canary_like_the_baseline_before_is_good_at_the_end_and_not_sooner(seed: int) -> None:
    _, ruling = watch(after(REFERENCE), alone(World(), seed=seed, ticks=300))
    assert (ruling.outcome, ruling.tick) == ("promote", 300)
    assert "requests in 300 s after the promotion" in ruling.reason
    assert "(tolerated are 0.5 %)" in ruling.reason
    assert {one.standing for one in ruling.findings} == {"inside"}
    assert [one.leg for one in ruling.findings] == ["errors", "unanswered", "typical", "slow_end"]


def test_nobody_is_asked_whether_what_is_promoted_already_shall_be() -> None:
    _, ruling = watch(after(REFERENCE, Policy(on_promote="wait", after="5m")), alone(World(), seed=1, ticks=300))
    assert (ruling.outcome, ruling.good_since) == ("promote", None)


@pytest.mark.parametrize(
    ("world", "leg", "most"),
    [
        (World(errors=(0.2, 0.001), onset=5), "errors", 10),
        (World(errors=(0.05, 0.001), onset=5), "errors", 20),
        (World(errors=(0.2, 0.001), onset=200), "errors", 210),
        (World(factor=2.0), None, 40),
        (World(factor=1.5), None, 90),
        (World(median_ms=40.0, p99_ms=700.0), "slow_end", 30),
    ],
    ids=["20 % fail", "5 % fail", "20 % fail late", "twice as slow", "half as slow again", "a longer tail"],
)
def test_one_that_goes_bad_is_taken_back(world: World, leg: str | None, most: int) -> None:
    _, ruling = watch(after(REFERENCE), alone(world, seed=1, ticks=300))
    assert ruling.outcome == "rollback"
    assert ruling.tick <= most
    assert leg in {None, ruling.leg}
    [convicting] = [one for one in ruling.findings if one.standing == "convicts"]
    assert convicting.leg == ruling.leg
    assert ruling.evidence >= ruling.boundary


def test_the_reason_counts_from_when_it_began() -> None:
    _, ruling = watch(after(REFERENCE), alone(World(errors=(0.2, 0.0), onset=200), seed=1, ticks=300))
    assert "requests failed since second 200 after the promotion; " in ruling.reason
    assert "tolerated are 0.5 %" in ruling.reason
    assert "canaries that are no worse would look as bad" in ruling.reason


def test_without_a_request_nothing_is_concluded() -> None:
    ruling = _judged(after(REFERENCE, ticks=10), *(lone(float(t), Arm(requests=0)) for t in range(1, 11)))
    assert ruling.outcome == "inconclusive"
    assert "any request to the canary after its promotion" in ruling.reason
    assert {one.standing for one in ruling.findings} == {"idle"}
    assert {one.effect for one in ruling.findings} == {None}


def test_without_telemetry_nothing_is_concluded() -> None:
    ruling = _judged(after(REFERENCE, ticks=3), *(lone(float(t), None) for t in range(1, 4)))
    assert (ruling.outcome, ruling.tick) == ("inconclusive", 3)


def _an_hour(seen: Collection[int]) -> Iterator[Sample]:
    """Connections of an hour at a tick a minute, of which telemetry told in these minutes."""
    for minute in range(1, 61):
        there = minute in seen
        arm, gap = (Arm(requests=9000), None) if there else (None, "no answer")
        yield Sample(t=60.0 * minute, seconds=60.0 if there else 0.0, baseline=None, canary=arm, gap=gap)


HOUR = after(NOTHING, ticks=3600, bounds_ms=(), timed=False)


def test_a_good_minute_says_nothing_of_the_hour() -> None:
    ruling = _judged(HOUR, *_an_hour([1]))
    assert (ruling.outcome, ruling.tick) == ("inconclusive", 60)
    assert "how it did for at least half of that time (telemetry told of 60 s)" in ruling.reason
    assert "any connection to the canary in the last quarter of that time" in ruling.reason


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (range(1, 61, 2), "promote"),
        (range(32, 61), "inconclusive"),
        (range(31, 61), "promote"),
        (range(1, 45), "promote"),
        (range(1, 44), "inconclusive"),
        ({*range(1, 35), 45}, "promote"),
    ],
    ids=["every other", "less than half", "the second half", "until the last quarter", "until before it", "a word of it"],
)
def test_half_of_the_watch_must_have_been_seen_and_something_of_its_last_quarter(seen: Collection[int], outcome: str) -> None:
    assert _judged(HOUR, *_an_hour(seen)).outcome == outcome


def test_where_no_request_comes_any_more_it_is_not_called_good_by_what_came_before() -> None:
    """As where another controller has renamed the arms: telemetry tells of nothing going on."""
    stream = [lone(float(t), Arm(requests=500 if t <= 60 else 0)) for t in range(1, 301)]
    ruling = _judged(after(NOTHING, bounds_ms=(), timed=False), *stream)
    assert ruling.outcome == "inconclusive"
    assert ruling.reason.endswith("not shown yet: any connection to the canary in the last quarter of that time")


def test_telemetry_that_comes_seldom_is_not_late() -> None:
    """A word every 15 s in a watch of 30 s: the last one may be 14 s old."""
    stream = [lone(float(t), None) for t in range(1, 31)]
    stream[15] = Sample(t=16.0, seconds=15.0, baseline=None, canary=Arm(requests=9000))
    assert _judged(after(NOTHING, ticks=30, bounds_ms=(), timed=False), *stream).outcome == "promote"


@settings(max_examples=30, deadline=None)
@given(seen=st.sets(st.integers(1, 12)))
def test_nobody_is_called_good_of_whom_less_than_half_was_seen_or_nothing_lately(seen: set[int]) -> None:
    stream = [lone(float(t), Arm(requests=90_000) if t in seen else None) for t in range(1, 13)]
    ruling = _judged(after(NOTHING, ticks=12, bounds_ms=(), timed=False), *stream)
    is_seen = len(seen) >= 6 and max(seen) >= 8
    assert ruling.outcome == ("promote" if is_seen else "inconclusive")


def test_what_cannot_be_shown_at_this_traffic_is_named() -> None:
    ruling = _judged(after(NOTHING, ticks=10), *(lone(float(t), Arm(requests=2)) for t in range(1, 11)))
    assert ruling.outcome == "inconclusive"
    for said in ("20 of 500 canary requests seen", "that at most 0.5 % failed", "a typical latency within its tolerance"):
        assert said in ruling.reason


def test_while_it_is_watched_it_says_how_long_to_go() -> None:
    assert _judged(after(REFERENCE), lone(1.0, Arm(requests=50))).reason == "50 requests since the promotion, 299 s to go"


def test_connections_have_no_latency_and_are_called_so() -> None:
    one = after(NOTHING, ticks=10, bounds_ms=(), timed=False)
    good = _judged(one, *(lone(float(t), Arm(requests=500)) for t in range(1, 11)))
    assert good.outcome == "promote"
    assert "of 5 000 connections in 10 s" in good.reason
    bad = _judged(one, *(lone(float(t), Arm(requests=500, errors=100)) for t in range(1, 11)))
    assert "connections failed since the promotion; tolerated are 0.5 %" in bad.reason


def test_requests_of_which_it_is_not_told_how_they_ended_promote_nobody_and_convict_nobody() -> None:
    stream = [lone(float(t), Arm(requests=500, unclassified=100)) for t in range(1, 11)]
    ruling = _judged(after(NOTHING, ticks=10, bounds_ms=(), timed=False), *stream)
    assert ruling.outcome == "inconclusive"


def test_requests_that_nobody_answers_are_judged_by_their_own_limit() -> None:
    one = after(NOTHING, ticks=60, bounds_ms=(), timed=False)
    bad = _judged(one, *(lone(float(t), Arm(requests=400, unanswered=100)) for t in range(1, 61)))
    assert (bad.outcome, bad.leg) == ("rollback", "unanswered")
    assert "connections had no answer" in bad.reason
    few = _judged(one, *(lone(float(t), Arm(requests=10, unanswered=int(t == 1))) for t in range(1, 61)))
    assert few.outcome == "inconclusive"
    assert "that at most 1 % had no answer" in few.reason


def test_the_slow_end_must_be_shown_only_where_the_policy_says_so() -> None:
    required = Policy(tolerances=Tolerances(latency=LatencyTolerance(require_slow_end=True)))
    usual = np.rint(np.array(REFERENCE.latency) * 100.0 / sum(REFERENCE.latency)).astype(int)
    latency = Latency(counts=tuple(usual.tolist()), sum_ms=1000.0)
    stream = [lone(float(t), Arm(requests=100, latency=latency)) for t in range(1, 21)]
    assert _judged(after(REFERENCE, ticks=20), *stream).outcome == "promote"
    asked = _judged(after(REFERENCE, required, ticks=20), *stream)
    assert asked.outcome == "inconclusive"
    assert "took longer than 250 ms" in asked.reason


def test_of_two_bounds_of_the_slow_end_that_is_told_which_tells_more() -> None:
    bounds = (10.0, 25.0, 50.0, 100.0, 250.0)
    reference = Reference(bounds_ms=bounds, latency=(1000.0, 3000.0, 4000.0, 1500.0, 440.0, 60.0))
    for counts, bound in (((10, 30, 40, 15, 40, 0), "100 ms"), ((10, 30, 40, 18, 0, 10), "250 ms")):
        latency = Latency(counts=counts, sum_ms=5000.0)
        stream = [lone(float(t), Arm(requests=200, latency=latency)) for t in range(1, 61)]
        ruling = _judged(after(reference, bounds_ms=bounds), *stream)
        assert ruling.leg == "slow_end"
        [told] = [one for one in ruling.findings if one.leg == "slow_end"]
        assert f"took longer than {bound}" in told.sentence
        assert ruling.legs["slow_end"].e_value == told.e_value


def test_noteworthy_evidence_of_a_slow_end_keeps_it_from_being_called_good() -> None:
    reference = Reference(bounds_ms=(10.0, 20.0), latency=(5000.0, 5000.0, 10.0))
    slow = Latency(counts=(10, 10, 3), sum_ms=300.0)
    stream = [lone(float(t), Arm(requests=1000, latency=slow if t > 8 else None)) for t in range(1, 12)]
    one = after(reference, ticks=11, bounds_ms=(10.0, 20.0))
    ruling = _judged(one, *stream)
    assert ruling.outcome == "inconclusive"
    assert "took longer than 20 ms" in ruling.reason


@pytest.mark.parametrize(
    "canary",
    [
        Arm(requests=10, errors=11),
        Arm(requests=-1),
        Arm(requests=10, errors=6, unclassified=5),
        Arm(requests=10**400),
        Arm(requests=10, latency=Latency(counts=(1, 2), sum_ms=1.0)),
        Arm(requests=10, latency=Latency(counts=(-1,) * (len(ISTIO_MS) + 1), sum_ms=1.0)),
    ],
)
def test_what_cannot_be_a_count_is_no_evidence(canary: Arm) -> None:
    one = after(REFERENCE)
    usual = fold([one], [start(one)], [lone(1.0, Arm(requests=10) if canary.latency else None)])[0][1]
    assert fold([one], [start(one)], [lone(1.0, canary)])[0][1].evidence == usual.evidence


def test_the_latency_of_young_pods_is_not_judged() -> None:
    slow = Latency(counts=(0,) * len(ISTIO_MS) + (100,), sum_ms=1e9)
    pods = {"young": Pod(requests=100, latency=slow, age_seconds=5.0)}
    stream = [lone(float(t), Arm(requests=100, latency=slow, pods=pods)) for t in range(1, 31)]
    assert _judged(after(REFERENCE), *stream).outcome == "continue"
    old = {"old": Pod(requests=100, latency=slow, age_seconds=500.0)}
    stream = [lone(float(t), Arm(requests=100, latency=slow, pods=old)) for t in range(1, 31)]
    assert _judged(after(REFERENCE), *stream).outcome == "rollback"


def test_signals_are_heeded() -> None:
    words = Signal(kind="restarted", about="canary", effect="holds", words="a container was restarted")
    stream = [with_fields(one, signals=(words,)) for one in alone(World(), seed=1, ticks=60)]
    ruling = _judged(after(REFERENCE, ticks=60), *stream)
    assert ruling.outcome == "inconclusive"
    assert "a container was restarted" in ruling.reason


def test_its_state_is_kept_and_restored_to_the_bit() -> None:
    one = after(REFERENCE)
    state = start(one)
    for sample in alone(World(errors=(0.01, 0.001)), seed=5, ticks=20):
        kept = JudgeState.restore(state.save())
        assert np.array_equal(kept.row, state.row)
        (state, ruling), (again, same) = fold([one, one], [state, kept], [sample, sample])
        assert np.array_equal(again.row, state.row)
        assert (same.evidence, same.reason) == (ruling.evidence, ruling.reason)


def test_its_kept_state_is_none_to_who_knows_only_two_arms() -> None:
    """A version before this one would take its numbers for evidence of its own."""
    mine, others = start(after(REFERENCE)).save(), start(terms()).save()
    assert mine[:4] != others[:4]
    assert JudgeState.restore(mine).alone
    assert not JudgeState.restore(others).alone


def test_it_changes_nothing_of_the_releases_beside_it() -> None:
    both, lonely = terms(), after(REFERENCE)
    stream = list(World().ticks(1, 20))
    alone_states, mixed = [start(both)], [start(lonely), start(both)]
    for sample in stream:
        [(state, one)] = fold([both], alone_states, [sample])
        (first, _), (second, other) = fold([lonely, both], mixed, [lone(sample.t, sample.canary), sample])
        alone_states, mixed = [state], [first, second]
        assert np.array_equal(state.row, second.row)
        assert one.evidence == other.evidence


def test_the_evidence_of_each_leg_is_there_at_every_tick() -> None:
    ruling = _judged(after(REFERENCE), *alone(World(), seed=1, ticks=5))
    assert list(ruling.legs) == ["errors", "denied", "typical", "slow_end", "unanswered"]
    assert ruling.legs["errors"].effect == pytest.approx(0.0, abs=0.02), "against the baseline before"
    assert [ruling.legs[name].effect for name in ("denied", "typical", "slow_end")] == [None] * 3
    assert ruling.findings == ()
    assert ruling.fixed_horizon is None


def test_side_by_side_each_is_judged_as_by_itself() -> None:
    few = Reference(bounds_ms=(10.0, 20.0), latency=(50.0, 40.0, 10.0))
    one, other = after(REFERENCE), after(few, ticks=60, bounds_ms=(10.0, 20.0))
    slow = Latency(counts=(1, 1, 8), sum_ms=300.0)
    by_itself = together = (start(one), start(other))
    for number, sample in enumerate(alone(World(errors=(0.01, 0.0)), seed=2, ticks=20), start=1):
        samples = [sample, lone(float(number), Arm(requests=10, latency=slow))]
        rulings = [fold([terms], [state], [its])[0] for terms, state, its in zip((one, other), by_itself, samples, strict=True)]
        both = fold([one, other], together, samples)
        assert [ruling.evidence for _, ruling in both] == [ruling.evidence for _, ruling in rulings]
        by_itself, together = (rulings[0][0], rulings[1][0]), (both[0][0], both[1][0])
