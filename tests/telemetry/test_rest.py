"""One who does not answer is left alone for longer and longer, not for ever, and not at once."""

from daemon.telemetry.rest import Rest
from tests.hand.clock import HandClock


def pauses(rest: Rest, clock: HandClock, *, failures: int, least_seconds: float = 0.0) -> list[float]:
    """How long it is left alone after each of so many failures in a row, to an eighth of a second."""
    found = []
    for _ in range(failures):
        rest.failed("away", first_seconds=2.0, cap_seconds=15.0, least_seconds=least_seconds)
        began = clock.time
        while not rest.over:
            clock.time += 0.125
        found.append(clock.time - began)
    return found


def test_what_is_borne_costs_no_pause_and_after_that_pauses_double_up_to_the_cap() -> None:
    clock = HandClock()
    rest = Rest(clock, borne=2, draw=lambda: 1.0)
    assert rest.over
    assert pauses(rest, clock, failures=7) == [0.0, 0.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert (rest.times, rest.reason) == (7, "away")
    rest.answered()
    assert (rest.times, pauses(rest, clock, failures=1)) == (0, [0.0])


def test_who_asks_to_be_left_alone_is_but_not_beyond_the_cap() -> None:
    clock = HandClock()
    assert pauses(Rest(clock, borne=2), clock, failures=1, least_seconds=7.0) == [7.0]
    assert pauses(Rest(clock, borne=2), clock, failures=1, least_seconds=700.0) == [15.0]
