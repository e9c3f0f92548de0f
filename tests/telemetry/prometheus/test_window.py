"""How far back to look: far at first, then as far as the scrapes are apart, and far again when nothing is met."""

from daemon.telemetry.prometheus.query import Window


def test_it_learns_how_far_apart_samples_are() -> None:
    window = Window(tick_seconds=1.0, longest_seconds=30.0)
    assert window.next_seconds() == 30.0
    assert window.spacing_seconds == 0.0
    window.spaced(1.0)
    window.spaced(0.9)
    assert window.spacing_seconds == 1.0
    assert window.next_seconds() == 3.5
    window.spaced(15.0)
    assert window.next_seconds() == 30.0


def test_it_never_looks_back_less_than_a_tick() -> None:
    window = Window(tick_seconds=10.0, longest_seconds=30.0)
    window.spaced(1.0)
    assert window.next_seconds() == 11.0


def test_it_looks_far_again_when_nothing_was_met_and_now_and_then() -> None:
    window = Window(tick_seconds=1.0, longest_seconds=30.0)
    window.spaced(1.0)
    assert [window.next_seconds() for _ in range(10)] == [3.5] * 9 + [30.0]
    window.widen()
    assert window.next_seconds() == 30.0
