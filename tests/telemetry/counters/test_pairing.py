"""Which scrape of the baseline the canary's is counted with, where all of the baseline is scraped at one moment, every 15 s."""

from daemon.telemetry.counters.snapshot import ArmSnapshot
from daemon.telemetry.schema import Ended
from tests.telemetry.counters.test_readings import counts, latencies
from tests.telemetry.support import Table, shown


def table() -> Table:
    return Table(server_side=True, patience_seconds=10.0, stale_after_seconds=300.0)


def baseline(at: float, requests: int) -> dict[str, ArmSnapshot]:
    """Both of its pods have had so many requests by then."""
    return {name: shown(at, requests, spacing_seconds=15.0, latency=(requests,) * 3) for name in ("a", "b")}


def canary(at: float, requests: int, *, began: bool = False) -> dict[str, ArmSnapshot]:
    """So many requests; ``began``: the scrape before had no word of it."""
    counters = {"2": (Ended.SERVED, requests)}
    histograms = shown(at, requests, latency=(requests,) * 3).histograms
    one = ArmSnapshot(at=at, spacing_seconds=15.0, counters=counters, histograms=histograms, absent=at - 15.0 if began else None)
    return {"c": one}


def test_a_canary_that_begins_right_after_the_baselines_scrape_is_counted_with_that_one() -> None:
    one = table()
    one.read(1, baseline(0, 100), {})
    assert one.read(15.2, baseline(15, 110), {}).gap == "canary: no series yet"
    first = one.read(16.2, baseline(15, 110), canary(16, 7, began=True))
    assert counts(first) == ((20, 0), (7, 0))
    assert first.seconds == 15.0
    assert one.read(30.2, baseline(30, 125), canary(16, 7)).gap == "canary: no new scrape of c yet"
    second = one.read(31.2, baseline(30, 125), canary(31, 12))
    assert counts(second) == ((30, 0), (5, 0))
    assert latencies(second) == ((30, 0, 0), (5, 0, 0))


def test_what_the_baseline_served_before_the_scrape_that_is_kept_is_left_out() -> None:
    one = table()
    for at in (0, 15, 30, 45):
        one.read(at + 1, baseline(at, 100 + at), {})
        one.read(at + 6, baseline(at, 100 + at), {})
    assert counts(one.read(61.2, baseline(60, 160), canary(61, 7, began=True))) == ((30, 0), (7, 0))


def test_a_scrape_of_the_baseline_that_is_newer_than_the_canarys_is_kept_for_the_next_one() -> None:
    one = table()
    one.read(1, baseline(0, 100), {})
    one.read(15.2, baseline(15, 110), {})
    assert counts(one.read(31, baseline(30, 125), canary(28, 7, began=True))) == ((20, 0), (7, 0))
    assert counts(one.read(43.2, baseline(30, 125), canary(43, 12))) == ((30, 0), (5, 0))


def test_scrapes_that_are_as_good_as_of_one_moment_are_counted_together_whichever_was_first() -> None:
    one = table()
    one.read(1, baseline(0, 100), {})
    one.read(15.2, baseline(15, 110), {})
    assert counts(one.read(31, baseline(30, 125), canary(29.9, 7, began=True))) == ((30, 0), (7, 0))


def test_a_canary_whose_history_is_not_known_is_joined_and_its_next_scrape_is_counted_at_once() -> None:
    one = table()
    one.read(1, baseline(0, 100), {})
    one.read(15.2, baseline(15, 110), {})
    assert one.read(20.2, baseline(15, 110), canary(14, 900)).gap == "canary: first sight of its series"
    assert counts(one.read(29.2, baseline(15, 110), canary(29, 907))) == ((20, 0), (7, 0))


def test_a_canary_that_was_there_long_before_the_baseline_is_waited_for_once() -> None:
    one = table()
    one.read(1, baseline(0, 100), canary(-14, 10))
    assert one.read(1.2, baseline(0, 100), canary(1, 15)).gap == "baseline: no new scrape of a yet"
    assert one.read(15.2, baseline(15, 110), canary(1, 15)).gap == "canary: no new scrape yet, and one is due: it is waited for"
    both = one.read(16.2, baseline(15, 110), canary(16, 22))
    assert counts(both) == ((20, 0), (12, 0))
    assert latencies(both) == ((20, 0, 0), (12, 0, 0))
    assert one.read(30.2, baseline(30, 120), canary(16, 22)).gap == "canary: no new scrape of c yet"
    assert counts(one.read(31.2, baseline(30, 120), canary(31, 30))) == ((20, 0), (8, 0))


def test_a_canary_that_does_not_come_again_is_not_waited_for_any_longer() -> None:
    one = table()
    one.read(1, baseline(0, 100), canary(-14, 10))
    one.read(1.2, baseline(0, 100), canary(1, 15))
    assert one.read(17.2, baseline(15, 110), canary(1, 15)).gap == "canary: no new scrape yet, and one is due: it is waited for"
    assert counts(one.read(20, baseline(15, 110), canary(1, 15))) == ((20, 0), (5, 0))


def test_a_canary_that_was_there_shortly_before_the_baseline_is_counted_at_once() -> None:
    one = table()
    one.read(1, baseline(0, 100), canary(-6, 10))
    one.read(9.2, baseline(0, 100), canary(9, 15))
    assert counts(one.read(15.2, baseline(15, 110), canary(9, 15))) == ((20, 0), (5, 0))


def test_a_pod_of_the_baseline_that_goes_while_there_is_no_canary_is_forgotten_as_ever() -> None:
    one = table()
    one.read(1, baseline(0, 100), {})
    one.read(16, baseline(15, 110), {})
    for at in range(30, 121, 15):
        one.read(at + 1, {"a": baseline(at, 100 + at)["a"]}, {})
    back = one.read(137, baseline(135, 9000), canary(136, 7, began=True))
    assert counts(back) == ((9000 - 220, 0), (7, 0)), "of b nobody knows over which time it grew"
