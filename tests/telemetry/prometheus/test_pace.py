"""How far apart and how late samples are, learnt from their times."""

import math

import pytest

from daemon.measurements import Cadence
from daemon.telemetry.prometheus.pace import Pace, Rhythm


def met(pace: Pace, samples: dict[str, tuple[float, float | None]], *, now: float) -> None:
    for target, (at, before) in samples.items():
        pace.meet(target, at, before=before)
    pace.settle(now=now)


def test_spacing_and_lateness_are_each_targets_own() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"quick": (100.0, 95.0), "late": (40.0, 25.0)}, now=100.5)
    met(pace, {"quick": (105.0, 100.0), "late": (55.0, 40.0)}, now=115.5)
    assert (pace.spacing_of("quick"), pace.spacing_of("late"), pace.spacing_of("new")) == (5.0, 15.0, 15.0)
    assert pace.later_seconds == {"late": 50.0}
    assert (pace.least_spacing_seconds, pace.spacing_seconds, pace.late_seconds) == (5.0, 15.0, 60.5)


def test_nobody_knows_how_far_apart_the_samples_of_a_target_are_before_its_second_one() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"new": (100.0, None), "known": (100.0, 95.0)}, now=100.5)
    assert pace.unpaced == {"new"}
    met(pace, {"new": (100.0, None), "known": (105.0, 100.0)}, now=105.5)
    assert pace.unpaced == {"new"}, "the same sample again tells nothing"
    met(pace, {"new": (160.0, None)}, now=160.5)
    assert pace.unpaced == set()


def test_for_somebody_new_it_is_looked_so_far_back_that_two_scrapes_a_minute_apart_are_met_and_not_much_further() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"quick": (100.0, 95.0)}, now=100.5)
    pace.widen()
    wide, usual = pace.next_seconds()
    assert 2 * 60.0 < wide - usual < 3 * 60.0
    narrow, usual = pace.next_seconds()
    assert narrow - usual < 60.0, "once is enough"


def test_a_target_that_is_dead_when_it_is_met_first_makes_no_query_wide_for_long() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    for now in range(100, 150, 5):
        met(pace, {"alive": (now - 0.5, now - 5.5), "dead": (10.0, 5.0)}, now=float(now))
    _, usual = pace.next_seconds()
    assert usual <= 20.0


def test_what_is_asked_of_a_target_for_every_series_does_not_look_at_all_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one sample of each in the window no spacing is known, and ten thousand targets would be ten thousand squared."""
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {f"pod-{n}": (100.0, None) for n in range(500)}, now=100.5)
    looked = 0

    def spacing_seconds(rhythm: Rhythm) -> float:
        nonlocal looked
        looked += 1
        return min(rhythm.gaps, default=0.0)

    monkeypatch.setattr(Rhythm, "spacing_seconds", property(spacing_seconds))
    assert {pace.spacing_of(f"pod-{n}") for n in range(500)} == {0.0}
    assert looked == 500
    assert math.isfinite(pace.late_seconds)


def test_the_cadence_is_that_of_the_releases_own_targets_and_of_the_slowest_of_them() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    assert pace.cadence(["quick"], ahead_seconds=0.0) is None
    met(pace, {"quick": (100.0, 95.0), "slow": (40.0, 25.0)}, now=100.5)
    met(pace, {"quick": (105.0, 100.0), "slow": (55.0, 40.0)}, now=115.5)
    quick, both = (pace.cadence(targets, ahead_seconds=-3.0) for targets in (["quick"], ["quick", "slow", "unknown"]))
    assert quick == Cadence(spacing_seconds=5.0, late_seconds=10.5, longest_seconds=300.0, ahead_seconds=-3.0)
    assert both == Cadence(spacing_seconds=15.0, late_seconds=60.5, longest_seconds=300.0, ahead_seconds=-3.0)


@pytest.mark.parametrize("beside", [True, False])
def test_samples_of_which_only_one_can_be_seen_at_a_time_are_known_to_be_so_far_apart_after_the_second_time(
    *, beside: bool
) -> None:
    """Once it may have been an outage. The store shows 30 s, and the target is scraped every 60 s."""
    pace = Pace(tick_seconds=5.0, longest_seconds=30.0)
    known = []
    for now in range(1000, 1185, 5):
        scraped = now - now % 60 + 20.0
        shown = {"slow": (scraped, None)} if 0 <= now - scraped <= 30 else {}
        met(pace, shown | ({"quick": (now - 1.0, now - 6.0)} if beside else {}), now=float(now))
        if not shown and not beside:
            pace.wider()
        if shown:
            cadence = pace.cadence(["slow"], ahead_seconds=0.0)
            known.append(0.0 if cadence is None else cadence.spacing_seconds)
    assert known[0] == known[7] == 0.0
    assert known[-1] == 60.0


def looks(pace: Pace, *, since: float, until: float) -> list[float]:
    """When a source is asked that has nothing new."""
    found = [since]
    while found[-1] < until:
        wait = pace.wait_seconds(now=found[-1])
        assert wait is not None
        found.append(round(found[-1] + wait, 3))
    return found[1:]


def test_the_next_sample_is_looked_for_as_soon_as_it_can_be_there_and_again_soon_and_then_less_and_less_often() -> None:
    """How late it comes is not known yet: seen 12 s after it was taken, it may have been there at once."""
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"p": (100.0, 85.0)}, now=112.0)
    assert looks(pace, since=112.0, until=132.0) == [115.2, 116.2, 117.2, 119.2, 123.2, 128.2, 133.2]


def test_samples_that_are_known_to_come_late_are_not_looked_for_before() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"p": (40.0, 25.0)}, now=100.0)
    met(pace, {"p": (40.0, 25.0)}, now=112.2)
    met(pace, {"p": (55.0, 40.0)}, now=115.0)
    assert looks(pace, since=115.0, until=127.0) == [127.4], "57.2 s after it was taken it was not there yet"


def test_a_target_that_has_just_come_is_taken_to_be_scraped_as_often_as_the_others() -> None:
    pace = Pace(tick_seconds=5.0, longest_seconds=300.0)
    met(pace, {"p": (100.0, 85.0)}, now=100.5)
    met(pace, {"p": (100.0, 85.0), "new": (107.0, None)}, now=108.0)
    assert looks(pace, since=115.5, until=122.0)[-1] == 122.2
