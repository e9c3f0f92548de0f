"""One release's readings: what makes a tick null, what it costs, and that no number is ever too high."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzers.counts import Arm
from daemon.measurements import Reading
from daemon.telemetry.counters.snapshot import ArmSnapshot, Histogram
from daemon.telemetry.schema import Ended
from tests.telemetry.support import Table, shown

Snapshots = dict[str, ArmSnapshot]


def counts(reading: Reading) -> tuple[tuple[int, int], tuple[int, int]]:
    assert reading.gap is None, reading.gap
    assert reading.baseline is not None
    assert reading.canary is not None
    return (reading.baseline.requests, reading.baseline.errors), (reading.canary.requests, reading.canary.errors)


def both_null(reading: Reading) -> bool:
    return reading.baseline is None and reading.canary is None and reading.seconds == 0.0


def test_the_first_reading_is_a_gap_and_the_second_counts_what_came_between() -> None:
    table = Table()
    first = table.one(10, shown(10, 1000, 5), shown(10, 50, 1))
    assert both_null(first)
    assert first.gap == "first reading: counting starts here"
    second = table.one(11.5, shown(11.5, 1100, 6), shown(11.5, 60, 4))
    assert counts(second) == ((101, 1), (13, 3))
    assert second.seconds == 1.5
    assert second.at == 11.5


def test_a_silent_arm_has_zero_requests_when_its_counters_stand_still() -> None:
    table = Table()
    table.one(1, shown(1, 10), shown(1, 5))
    assert counts(table.one(2, shown(2, 20), shown(2, 5))) == ((10, 0), (0, 0))


def test_a_restarted_process_counts_from_zero() -> None:
    table = Table()
    table.one(1, shown(1, 1000, 100), shown(1, 500, 50))
    assert counts(table.one(2, shown(2, 30, 2), shown(2, 7))) == ((32, 2), (7, 0))
    # The canary's failures went with the restart: they come back at zero, not at 50.
    assert counts(table.one(3, shown(3, 40, 2), shown(3, 9, 51))) == ((10, 0), (53, 51))


def test_counters_of_one_arm_that_fall_alone_where_both_are_shown_are_no_restart() -> None:
    """As sums over pods do when a pod goes: what is left is the history of the others."""
    table = Table()
    table.one(1, shown(1, 90_000, 900), shown(1, 28_000, 280))
    fallen = table.one(2, shown(2, 90_100, 901), shown(2, 21_050, 212))
    assert both_null(fallen)
    assert (fallen.gap or "").startswith(
        "the counters of one version alone fell at p, which is no restart: are they sums over pods?"
    )
    assert counts(table.one(3, shown(3, 90_200, 901), shown(3, 21_060, 213))) == ((100, 0), (11, 1))
    assert both_null(table.one(4, shown(4, 60_100, 601), shown(4, 21_070, 213))), "of the baseline too"


def test_a_pod_that_comes_back_into_a_sum_brings_no_requests() -> None:
    table = Table()
    table.one(1, shown(1, 90_000, 900), shown(1, 28_000, 280))
    table.one(2, shown(2, 90_100, 901), shown(2, 21_050, 212))
    assert counts(table.one(3, shown(3, 90_200, 901), shown(3, 21_060, 213))) == ((100, 0), (11, 1))
    back = table.one(4, shown(4, 90_300, 901), shown(4, 28_090, 282))
    assert both_null(back)
    assert (back.gap or "").startswith(
        "the counters at p rose at once by the 7018 that they had fallen by: are they sums over pods?"
    )
    assert counts(table.one(5, shown(5, 90_400, 902), shown(5, 28_100, 282))) == ((101, 1), (10, 0))


def test_what_rises_by_less_than_had_fallen_or_by_nothing_that_was_much_is_requests() -> None:
    table = Table()
    table.one(1, shown(1, 90_000), shown(1, 900))
    assert both_null(table.one(2, shown(2, 90_100), shown(2, 9))), "one arm was forgotten: it was idle for long"
    assert counts(table.one(3, shown(3, 90_200), shown(3, 2_009))) == ((100, 0), (2_000, 0))
    table.one(4, shown(4, 90_300), shown(4, 0))
    assert counts(table.one(5, shown(5, 90_400), shown(5, 1_999))) == ((100, 0), (1_999, 0))


def test_where_targets_are_pods_each_restarts_alone() -> None:
    table = Table(server_side=True)
    table.read(1, {"a": shown(1, 90_000)}, {"b": shown(1, 28_000)})
    assert counts(table.read(2, {"a": shown(2, 90_100)}, {"b": shown(2, 30)})) == ((100, 0), (30, 0))


def test_counters_that_fell_a_little_were_read_before_and_their_history_is_not_counted() -> None:
    """Two stores behind one address: one has scraped sooner than its time says, or the other's scrape took a moment longer."""
    table = Table(server_side=True)
    table.read(1, {"a": shown(1, 90_000)}, {"b": shown(1, 28_000, 1_500)})
    assert counts(table.read(2, {"a": shown(2, 90_100)}, {"b": shown(2, 28_030, 1_501)})) == ((100, 0), (31, 1))
    sooner = table.read(3, {"a": shown(3, 90_200)}, {"b": shown(3, 28_020, 1_500)})
    assert sooner.gap == "canary: no new scrape of b yet"
    assert counts(table.read(4, {"a": shown(4, 90_300)}, {"b": shown(4, 28_090, 1_502)})) == ((200, 0), (61, 1))


def test_a_process_that_has_served_more_than_half_as_much_since_it_began_anew_is_counted_at_its_second_scrape() -> None:
    """A canary that crashes again and again does so: its counters may never stand higher than what is known of them."""
    table = Table(server_side=True)
    table.read(1, {"a": shown(1, 90_000)}, {"b": shown(1, 60, 20)})
    table.read(2, {"a": shown(2, 90_100)}, {"b": shown(2, 100, 30)})
    assert table.read(3, {"a": shown(3, 90_200)}, {"b": shown(3, 60, 20)}).gap == "canary: no new scrape of b yet"
    assert counts(table.read(4, {"a": shown(4, 90_300)}, {"b": shown(4, 62, 25)})) == ((200, 0), (87, 25))
    assert counts(table.read(5, {"a": shown(5, 90_400)}, {"b": shown(5, 63, 27)})) == ((100, 0), (3, 2))


def test_histograms_that_fell_a_little_were_read_before_and_their_history_is_no_latency() -> None:
    table = Table(server_side=True)
    table.read(1, {"a": shown(1, 900, latency=(0, 900, 900))}, {"b": shown(1, 300, latency=(0, 300, 300))})
    two = table.read(2, {"a": shown(2, 910, latency=(0, 910, 910))}, {"b": shown(2, 305, latency=(0, 305, 305))})
    assert latencies(two) == ((0, 10, 0), (0, 5, 0))
    sooner = table.read(3, {"a": shown(3, 920, latency=(0, 920, 920))}, {"b": shown(3, 310, latency=(0, 303, 303))})
    assert (counts(sooner), latencies(sooner)) == (((10, 0), (5, 0)), None)
    after = table.read(4, {"a": shown(4, 930, latency=(0, 930, 930))}, {"b": shown(4, 315, latency=(0, 315, 315))})
    assert latencies(after) == ((0, 20, 0), (0, 10, 0))


def test_a_series_that_comes_back_without_a_restart_is_not_counted_twice() -> None:
    table = Table()
    table.one(1, shown(1, 100, 10), shown(1, 100, 10))
    assert counts(table.one(2, shown(2, 110), shown(2, 110))) == ((10, 0), (10, 0))
    assert counts(table.one(3, shown(3, 120, 12), shown(3, 120, 10))) == ((12, 2), (10, 0))


def test_a_new_series_at_a_known_target_counts_from_zero() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    assert counts(table.one(2, shown(2, 110), shown(2, 110, 3))) == ((10, 0), (13, 3))


def test_an_arm_that_begins_at_a_target_that_had_answered_counts_from_zero() -> None:
    """A proxy shows no series of a cluster before its first request, so that absence at the last reading was zero."""
    table = Table()
    table.read(1, {"p": shown(1, 100)}, {})
    assert table.read(2, {"p": shown(2, 110)}, {}).gap == "canary: no series yet"
    third = table.one(3, shown(3, 125), shown(3, 4, 2))
    assert counts(third) == ((15, 0), (6, 2))
    assert third.seconds == 1.0


def test_an_arm_that_begins_at_a_target_never_met_before_may_have_a_long_history() -> None:
    table = Table()
    table.read(1, {"p": shown(1, 100)}, {})
    assert table.read(2, {"p": shown(2, 110)}, {"q": shown(2, 9000)}).gap == "canary: first sight of its series"
    assert counts(table.read(3, {"p": shown(3, 120)}, {"q": shown(3, 9004)})) == ((10, 0), (4, 0))


def test_series_met_during_a_gap_are_not_taken_for_new_ones_after_it() -> None:
    """What was there already while the tick was null did not begin at zero afterwards."""
    table = Table()
    table.read(1, {"p": shown(1, 10)}, {"p": shown(1, 100), "r": shown(1, 100)})
    gap = table.read(2, {"p": shown(2, 20)}, {"p": shown(2, 110), "q": shown(2, 7000)}, failed={"r": "r: refused"})
    assert gap.gap == "r: refused"
    after = table.read(3, {"p": shown(3, 30)}, {"p": shown(3, 120), "q": shown(3, 7001), "r": shown(3, 130)})
    assert counts(after) == ((20, 0), (50, 0))


def test_series_under_new_names_are_not_counted_again() -> None:
    """Somebody relabels in Prometheus: old series go, new ones come and hold the whole history."""
    table = Table()
    table.one(1, shown(1, 1000), shown(1, 1000))
    renamed = ArmSnapshot(at=2, spacing_seconds=1, counters={"other": (Ended.SERVED, 1010)})
    assert table.one(2, shown(2, 1010), renamed).gap == "canary: first sight of its series"
    again = ArmSnapshot(at=3, spacing_seconds=1, counters={"other": (Ended.SERVED, 1015)})
    assert counts(table.one(3, shown(3, 1020), again)) == ((10, 0), (5, 0))


def test_a_failed_target_makes_the_tick_null_and_the_next_one_covers_both() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    gap = table.read(2, {}, {}, failed={"p": "p did not answer within 1 s"})
    assert both_null(gap)
    assert gap.gap == "p did not answer within 1 s"
    after = table.one(3, shown(3, 130), shown(3, 120))
    assert counts(after) == ((30, 0), (20, 0))
    assert after.seconds == 2.0


def test_a_failed_target_that_never_served_the_release_is_none_of_its_business() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    reading = table.read(2, {"p": shown(2, 110)}, {"p": shown(2, 101)}, failed={"q": "q is down"})
    assert counts(reading) == ((10, 0), (1, 0))


def test_half_of_the_canary_is_no_answer() -> None:
    """One pod of two has been scraped anew: the tick waits for the other, and loses nothing by it."""
    table = Table(patience_seconds=3.0)
    table.read(1, {"c": shown(1, 5)}, {"a": shown(1, 10), "b": shown(0.5, 20)})
    gap = table.read(2, {"c": shown(2, 6)}, {"a": shown(2, 15), "b": shown(0.5, 20)})
    assert gap.gap == "canary: no new scrape of b yet"
    after = table.read(3, {"c": shown(3, 9)}, {"a": shown(3, 20), "b": shown(2.5, 40)})
    assert counts(after) == ((4, 0), (30, 0))
    assert after.seconds == 2.0


def test_the_canary_waits_for_no_pod_of_the_baseline_while_others_are_there_and_all_of_them_are_counted() -> None:
    table = Table(patience_seconds=3.0)
    table.read(1, {"a": shown(1, 10), "b": shown(0.5, 20)}, {"c": shown(1, 5)})
    early = table.read(2, {"a": shown(2, 15), "b": shown(0.5, 20)}, {"c": shown(2, 6)})
    assert counts(early) == ((5, 0), (1, 0))
    assert counts(table.read(3, {"a": shown(3, 20), "b": shown(2.5, 40)}, {"c": shown(3, 9)})) == ((25, 0), (3, 0))


def test_the_same_scrape_again_is_not_a_tick_without_requests() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    assert table.one(1.5, shown(1, 100), shown(1, 100)).gap == "baseline: no new scrape of p yet"


def test_a_target_that_stays_away_is_given_up_and_the_others_go_on() -> None:
    table = Table(patience_seconds=1.0)
    table.read(0, {"c": shown(0, 5)}, {"a": shown(0, 10), "b": shown(0, 20)})
    assert table.read(1, {"c": shown(1, 5)}, {"a": shown(1, 11)}).gap == "canary: no new scrape of b yet"
    assert counts(table.read(3, {"c": shown(3, 5)}, {"a": shown(3, 13)})) == ((0, 0), (3, 0))
    assert counts(table.read(4, {"c": shown(4, 6)}, {"a": shown(4, 14)})) == ((1, 0), (1, 0))
    # When it comes back, nobody knows over which time its counters grew.
    assert counts(table.read(5, {"c": shown(5, 7)}, {"a": shown(5, 15), "b": shown(5, 90)})) == ((1, 0), (1, 0))
    assert counts(table.read(6, {"c": shown(6, 8)}, {"a": shown(6, 16), "b": shown(6, 95)})) == ((1, 0), (6, 0))


def test_a_target_that_misses_a_scrape_is_not_waited_for_and_loses_nothing() -> None:
    table = Table(patience_seconds=1.0)
    table.read(0, {"a": shown(0, 10), "b": shown(0, 20, latency=(20, 20, 20))}, {"c": shown(0, 5, latency=(5, 5, 5))})
    assert counts(table.read(2, {"a": shown(2, 12)}, {"c": shown(2, 6, latency=(5, 5, 5))})) == ((2, 0), (1, 0))
    back = table.read(3, {"a": shown(3, 13), "b": shown(3, 50, latency=(50, 50, 50))}, {"c": shown(3, 7, latency=(7, 7, 7))})
    assert counts(back) == ((31, 0), (1, 0))
    assert latencies(back) == ((30, 0, 0), (2, 0, 0))


def test_the_only_target_of_an_arm_is_waited_for_longer() -> None:
    """Without it there is nothing to compare."""
    table = Table(patience_seconds=1.0)
    table.one(0, shown(0, 10), shown(0, 5))
    assert table.read(2, {"p": shown(2, 12)}, {}, answered=()).gap is not None
    assert table.read(2.5, {"q": shown(2.5, 12)}, {"c": shown(0, 5)}).gap is not None


def test_samples_of_before_the_watch_are_its_history() -> None:
    """They come 60 s late: a canary that failed and was mended before the watch has failed in none of its ticks."""
    table = Table(stale_after_seconds=300.0)
    table.one(100, shown(40, 10), shown(40, 5))
    gap = table.one(110, shown(50, 20), shown(50, 10, 90))
    assert gap.gap == "the newest samples are 60 s old, of before the watch: they come so late, or the clocks differ"
    assert table.one(159, shown(99, 30), shown(99, 20, 120)).gap is not None
    assert counts(table.one(161, shown(101, 40), shown(101, 25, 121))) == ((10, 0), (6, 1))


def test_callers_that_come_and_go_are_counted_and_are_no_new_labels() -> None:
    """Every series lives as long as one short caller: nothing stays from scrape to scrape but the form of the labels."""
    table = Table()
    callers = [
        ArmSnapshot(at=at, spacing_seconds=1, counters={f"caller-{at}": (Ended.SERVED, 10 + at)}, forms=frozenset({7}))
        for at in (1, 2, 3)
    ]
    table.one(1, shown(1, 100), callers[0])
    assert counts(table.one(2, shown(2, 110), callers[1])) == ((10, 0), (12, 0))
    assert counts(table.one(3, shown(3, 120), callers[2])) == ((10, 0), (13, 0))


def test_an_arm_that_was_not_there_at_the_scrape_before_counts_from_zero() -> None:
    table = Table()
    table.read(10, {"p": shown(9.5, 100)}, {})
    begun = ArmSnapshot(at=10.8, spacing_seconds=1, counters={"2": (Ended.SERVED, 7)}, absent=9.8)
    assert counts(table.read(11, {"p": shown(10.5, 110)}, {"q": begun})) == ((10, 0), (7, 0))
    long_ago = ArmSnapshot(at=10.8, spacing_seconds=1, counters={"2": (Ended.SERVED, 7)}, absent=5.0)
    table = Table()
    table.read(10, {"p": shown(9.5, 100)}, {})
    assert table.read(11, {"p": shown(10.5, 110)}, {"q": long_ago}).gap == "canary: first sight of its series"


def test_an_arm_whose_series_all_went_is_a_gap_and_not_zero_requests() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    gone = table.read(2, {"p": shown(2, 110)}, {})
    assert both_null(gone)
    assert gone.gap == "canary: its series have vanished"
    back = table.one(3, shown(3, 125), shown(3, 104))
    assert counts(back) == ((15, 0), (4, 0))
    assert back.seconds == 1.0


def test_old_samples_are_a_gap_with_their_age() -> None:
    table = Table(stale_after_seconds=30.0)
    assert table.one(3700, shown(100, 10), shown(100, 10)).gap == "stale: the newest sample is 3600 s old"
    assert table.one(3701, shown(3701, 500), shown(3701, 90)).gap is not None, "history, not requests of this second"
    assert counts(table.one(3702, shown(3702, 501), shown(3702, 90))) == ((1, 0), (0, 0))


def test_intervals_that_differ_grossly_make_no_tick() -> None:
    table = Table()
    table.read(2, {"a": shown(0, 10)}, {"b": shown(1.5, 5)})
    gap = table.read(2, {"a": shown(2, 20)}, {"b": shown(2, 6)})
    assert gap.gap == "unequal clocks: the baseline covers 2 s, the canary 0.5 s"
    assert counts(table.read(4, {"a": shown(4, 20)}, {"b": shown(4, 9)})) == ((10, 0), (4, 0))


def test_numbers_that_cannot_be_used_hold_what_was_counted() -> None:
    table = Table()
    table.one(1, shown(1, 100), shown(1, 100))
    assert table.tracker.gap("unusable numbers").gap == "unusable numbers"
    table.rounds.next(2, answered={"p": 2})
    assert counts(table.one(3, shown(3, 120), shown(3, 110))) == ((20, 0), (10, 0))


def test_pods_have_their_own_counts_where_targets_are_pods() -> None:
    table = Table(server_side=True)
    table.read(1, {"a": shown(1, 10, latency=(0, 1, 1)), "b": shown(1, 20)}, {"c": shown(1, 5, latency=(0, 0, 0))})
    reading = table.read(2, {"a": shown(2, 15, latency=(2, 3, 3)), "b": shown(2, 22, 1)}, {"c": shown(2, 6, latency=(1, 1, 1))})
    assert reading.baseline is not None
    assert reading.canary is not None
    pods = reading.baseline.pods
    assert pods is not None
    assert {name: (pod.requests, pod.errors) for name, pod in pods.items()} == {"a": (5, 0), "b": (3, 1)}
    assert pods["a"].latency == reading.baseline.latency
    assert pods["b"].latency is None


def latencies(reading: Reading) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    arms = (reading.baseline, reading.canary)
    found = tuple(arm.latency.counts for arm in arms if arm is not None and arm.latency is not None)
    assert len(found) in {0, 2}, "latency of one arm alone is no comparison"
    return (found[0], found[1]) if found else None


def test_latency_comes_when_both_arms_have_been_flushed_and_covers_all_ticks_since() -> None:
    table = Table()
    table.one(0, shown(0, 0, latency=(0, 0, 0)), shown(0, 0, latency=(0, 0, 0)))
    assert latencies(table.one(1, shown(1, 9, latency=(0, 0, 0)), shown(1, 5, latency=(0, 0, 0)))) is None
    assert latencies(table.one(2, shown(2, 19, latency=(9, 18, 19)), shown(2, 8, latency=(0, 0, 0)))) is None
    both = table.one(3, shown(3, 29, latency=(9, 18, 19)), shown(3, 9, latency=(1, 7, 8)))
    assert latencies(both) == ((9, 9, 1), (1, 6, 1))
    assert counts(both) == ((10, 0), (1, 0)), "counters are live meanwhile"
    assert both.bounds_ms == (10.0, 100.0)
    assert latencies(table.one(4, shown(4, 39, latency=(9, 18, 19)), shown(4, 10, latency=(1, 7, 8)))) is None


def test_a_baseline_that_waits_too_long_for_the_canary_begins_anew() -> None:
    """Latencies of long ago are no comparison for those of now."""
    table = Table(patience_seconds=100.0, stale_after_seconds=1000.0)
    table.one(0, shown(0, 0, latency=(0, 0, 0)), shown(0, 0, latency=(0, 0, 0)))
    for now in (10, 20, 30, 40, 51):
        assert latencies(table.one(now, shown(now, now, latency=(now, now, now)), shown(now, 0, latency=(0, 0, 0)))) is None
    late = table.one(60, shown(60, 60, latency=(60, 60, 60)), shown(60, 1, latency=(0, 1, 1)))
    assert latencies(late) == ((9, 0, 0), (0, 1, 0))


def test_changed_bounds_are_a_gap_and_a_new_start_while_counters_lose_nothing() -> None:
    table = Table()
    table.one(0, shown(0, 0, latency=(0, 0, 0)), shown(0, 0, latency=(0, 0, 0)))
    changed = (10.0, 50.0)
    gap = table.one(1, shown(1, 5, latency=(3, 4, 5)), shown(1, 5, latency=(3, 4, 5), bounds=changed))
    assert gap.gap == "latency: the bucket bounds have changed; its buckets start anew"
    after = table.one(2, shown(2, 8, latency=(5, 6, 8)), shown(2, 9, latency=(4, 7, 9), bounds=changed))
    assert counts(after) == ((8, 0), (9, 0))
    assert after.bounds_ms == (10.0,)
    assert latencies(after) == ((2, 1), (1, 3))


def test_latencies_of_arms_without_a_bound_in_common_cannot_be_compared_and_errors_are_judged_without_them() -> None:
    table = Table()
    _, first, *others = [
        table.one(now, shown(now, now, latency=(now, now), bounds=(10.0,)), shown(now, now, latency=(now, now), bounds=(20.0,)))
        for now in range(4)
    ]
    assert first.gap is not None
    assert "no bucket bound in common" in first.gap
    for reading, seconds in zip(others, (2.0, 1.0), strict=True):
        assert reading.canary is not None
        assert (reading.canary.requests, reading.canary.latency, reading.seconds) == (seconds, None, seconds)


def test_contradicting_buckets_are_a_gap_and_a_new_start() -> None:
    table = Table()
    table.one(0, shown(0, 10, latency=(5, 8, 10)), shown(0, 10, latency=(5, 8, 10)))
    gap = table.one(1, shown(1, 12, latency=(4, 9, 12)), shown(1, 11, latency=(5, 8, 11)))
    assert gap.gap is not None
    assert "contradict" in gap.gap
    after = table.one(2, shown(2, 14, latency=(5, 10, 14)), shown(2, 12, latency=(6, 9, 12)))
    assert counts(after) == ((4, 0), (2, 0))
    assert latencies(after) == ((1, 0, 1), (1, 0, 0))


def test_a_new_pod_with_its_own_history_adds_no_old_latencies() -> None:
    table = Table()
    table.read(0, {"a": shown(0, 0, latency=(0, 0, 0))}, {"c": shown(0, 0, latency=(0, 0, 0))})
    table.read(1, {"a": shown(1, 1, latency=(1, 1, 1)), "b": shown(1, 900, latency=(900, 900, 900))}, {"c": shown(1, 0)})
    reading = table.read(
        2,
        {"a": shown(2, 2, latency=(2, 2, 2)), "b": shown(2, 903, latency=(900, 903, 903))},
        {"c": shown(2, 2, latency=(0, 2, 2))},
    )
    assert latencies(reading) == ((2, 3, 0), (0, 2, 0))


# -- any history whatever ------------------------------------------------------------------------------------------------


class Proxy:
    """A proxy that counts both arms truly and can restart."""

    def __init__(self) -> None:
        self.counters: list[dict[str, int]] = [{}, {}]

    def serve(self, arm: int, code: str, requests: int) -> None:
        if requests:
            self.counters[arm][code] = self.counters[arm].get(code, 0) + requests

    def shown(self, arm: int, at: float) -> ArmSnapshot | None:
        found = self.counters[arm]
        if not found:
            return None
        ended = {"2": Ended.SERVED, "4": Ended.SERVED, "5": Ended.FAILED}
        return ArmSnapshot(at=at, spacing_seconds=1.0, counters={code: (ended[code], value) for code, value in found.items()})


_SERVED = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from("245"), st.integers(0, 40)), max_size=4
)  # proxy, arm, code, requests
_TICK = st.tuples(_SERVED, st.sets(st.integers(0, 1)), st.sets(st.integers(0, 1)), st.sampled_from([1.0, 1.0, 2.0, 9.0]))


def play(ticks: list[tuple[list[tuple[int, int, str, int]], set[int], set[int], float]]) -> tuple[list[list[int]], list[Arm]]:
    """Play a history; return what was truly served since the first reading, and the arms as read."""
    proxies = [Proxy(), Proxy()]
    table = Table(patience_seconds=5.0)
    now = 0.0
    truth = [[0, 0], [0, 0]]
    read: list[list[int]] = [[0, 0], [0, 0]]
    for number, (served, restarted, failing, seconds) in enumerate(ticks):
        now += seconds
        for index in restarted:
            proxies[index] = Proxy()
        for index, arm, code, requests in served:
            proxies[index].serve(arm, code, requests)
            if number:
                truth[arm][0] += requests
                truth[arm][1] += requests if code == "5" else 0
        snapshots: list[Snapshots] = [{}, {}]
        for index in {0, 1} - failing:
            for arm in (0, 1):
                if (one := proxies[index].shown(arm, now)) is not None:
                    snapshots[arm][f"p{index}"] = one
        up = {f"p{index}": now for index in {0, 1} - failing}
        failed = {f"p{index}": f"p{index} is down" for index in failing}
        reading = table.tracker.advance(snapshots, table.rounds.next(now, answered=up, failed=failed))
        for arm, counted in enumerate((reading.baseline, reading.canary)):
            if counted is not None:
                read[arm][0] += counted.requests
                read[arm][1] += counted.errors
    return truth, [Arm(requests=requests, errors=errors) for requests, errors in read]


@settings(max_examples=400)
@given(st.lists(_TICK, min_size=2, max_size=12))
def test_no_history_yields_more_requests_than_were_served(
    ticks: list[tuple[list[tuple[int, int, str, int]], set[int], set[int], float]],
) -> None:
    """Restarts, proxies that fail, codes that come and go, in any order."""
    truth, read = play(ticks)
    for arm in (0, 1):
        assert read[arm].requests <= truth[arm][0]
        assert read[arm].errors <= truth[arm][1]
        assert read[arm].errors <= read[arm].requests


@given(st.lists(st.tuples(_SERVED, st.just(set[int]()), st.sets(st.integers(0, 1)), st.just(1.0)), min_size=2, max_size=8))
def test_when_nothing_is_lost_the_ticks_add_up_to_the_truth(
    ticks: list[tuple[list[tuple[int, int, str, int]], set[int], set[int], float]],
) -> None:
    """Proxies that fail for a while cost nothing but time, once both arms are known and nobody restarts."""
    everyone: list[tuple[int, int, str, int]] = [(proxy, arm, "2", 1) for proxy in (0, 1) for arm in (0, 1)]
    patient = [
        (served, restarted, failing if number % 3 else set[int](), s)
        for number, (served, restarted, failing, s) in enumerate(ticks)
    ]
    history = [(everyone, set[int](), set[int](), 1.0), *patient, (everyone, set[int](), set[int](), 1.0)]
    truth, read = play(history)
    assert [[arm.requests, arm.errors] for arm in read] == truth


@pytest.mark.parametrize("outage", [1, 3])
def test_a_short_outage_loses_nothing(outage: int) -> None:
    table = Table(patience_seconds=5.0)
    table.one(0, shown(0, 0), shown(0, 0))
    for now in range(1, 1 + outage):
        assert table.read(now, {}, {}, failed={"p": "down"}).gap == "down"
    assert counts(table.one(outage + 1, shown(outage + 1, 40, 2), shown(outage + 1, 30))) == ((42, 2), (30, 0))


def test_histograms_first_shown_after_the_watch_began_hold_history_which_is_not_counted() -> None:
    """A proxy that had requests, and had not merged its latencies yet, shows all of them at its first merge."""
    table = Table()
    table.one(0, shown(0, 500), shown(0, 40))
    assert latencies(table.one(1, shown(1, 510), shown(1, 44))) is None
    first = table.one(2, shown(2, 520, latency=(515, 515, 515)), shown(2, 48, latency=(40, 45, 45)))
    assert latencies(first) is None
    assert counts(first) == ((10, 0), (4, 0))
    second = table.one(3, shown(3, 530, latency=(525, 525, 525)), shown(3, 52, latency=(40, 49, 49)))
    assert latencies(second) == ((10, 0, 0), (0, 4, 0))


def test_a_canary_that_begins_during_the_watch_loses_no_latency() -> None:
    table = Table()
    table.read(0, {"p": shown(0, 500, latency=(500, 500, 500))}, {})
    table.one(1, shown(1, 505, latency=(503, 503, 503)), shown(1, 4))
    both = table.one(2, shown(2, 510, latency=(508, 508, 508)), shown(2, 9, latency=(2, 8, 8)))
    assert latencies(both) == ((8, 0, 0), (2, 6, 0))


@pytest.mark.parametrize("others", [(7.0, 20.0, 200.0), (20.0, 200.0)])
def test_a_histogram_that_was_away_while_the_bounds_changed_begins_anew(others: tuple[float, ...]) -> None:
    table = Table()
    length = len(others) + 1
    for now, latency in ((1, (1, 1, 1)), (2, (2, 2, 2))):
        table.one(now, shown(now, now, latency=latency), shown(now, now, latency=latency))
    other = {"p": shown(3, 3, latency=(3,) * length, bounds=others)}
    assert table.read(3, {"p": shown(3, 3)}, other).gap == "latency: the bucket bounds have changed; its buckets start anew"
    table.one(4, shown(4, 4), shown(4, 4, latency=(4,) * length, bounds=others))
    back = [table.one(now, *(shown(now, now, latency=(now,) * length, bounds=others) for _ in (0, 1))) for now in (5, 6, 7)]
    assert back[0].gap == "latency: the bucket bounds have changed; its buckets start anew"
    assert back[-1].baseline is not None
    assert back[-1].baseline.latency is not None
    assert back[-1].baseline.latency.counts == (1, *[0] * (length - 1))


BOUNDS_SHOWN = st.sampled_from([None, (10.0, 100.0), (10.0, 100.0), (7.0, 20.0, 200.0)])
SHOWN = st.tuples(st.integers(0, 9), BOUNDS_SHOWN, st.sampled_from(["2", "2", "2", "renamed"]))
"""Requests since, bounds of the histogram that the target shows if it shows one, and how its series is named."""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SHOWN, SHOWN), min_size=3, max_size=8))
def test_whatever_buckets_come_and_go_there_is_a_reading_and_never_more_latencies_than_requests(
    ticks: list[tuple[tuple[int, tuple[float, ...] | None, str], ...]],
) -> None:
    table = Table()
    served, latencies = [0, 0], [0, 0]
    for now, arms in enumerate(ticks, start=1):
        snapshots = []
        for arm, (requests, bounds, series) in enumerate(arms):
            served[arm] += requests
            total = served[arm]
            histograms = {} if bounds is None else {"h": Histogram(bounds, (total,) * (len(bounds) + 1), 5.0 * total)}
            counters = {series: (Ended.SERVED, total)}
            snapshots.append({"p": ArmSnapshot(at=now, spacing_seconds=1.0, counters=counters, histograms=histograms)})
        reading = table.read(now, *snapshots)
        for arm, counted in enumerate((reading.baseline, reading.canary)):
            if counted is not None and counted.latency is not None:
                latencies[arm] += sum(counted.latency.counts)
    assert latencies[0] <= served[0]
    assert latencies[1] <= served[1]


@pytest.mark.parametrize(("relabelled", "counted"), [(False, 510), (True, 10)])
def test_a_pod_that_an_arm_is_found_to_have_is_counted_from_then_on_and_not_from_zero(*, relabelled: bool, counted: int) -> None:
    """It may have answered all the time, as another arm's; elsewhere a first word of the arm is all new."""
    table = Table(server_side=True)
    table.read(10, {"p": shown(10, 1000)}, {"c": shown(10, 5)}, answered=("q",))
    if relabelled:
        table.tracker.relabelled()
    reading = table.read(11, {"p": shown(11, 1010), "q": shown(11, 500)}, {"c": shown(11, 6)})
    assert counts(reading) == ((counted, 0), (1, 0))
    after = table.read(12, {"p": shown(12, 1010), "q": shown(12, 503)}, {"c": shown(12, 6)})
    assert counts(after) == ((3, 0), (0, 0))
