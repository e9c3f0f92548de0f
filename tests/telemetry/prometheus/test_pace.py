"""How far apart and how late samples are, learnt from their times."""

import math

import pytest

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
