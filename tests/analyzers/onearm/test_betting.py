"""A bet on a share: fair under every null that is tolerated, whatever the ticks hold, and it pays where there is harm."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzers.arrays import Array
from analyzers.onearm import betting
from analyzers.onearm.betting import EVENTS, OF, RECENT_EVENTS, RECENT_OF, SINCE


def _folded(shares: list[float], *, limit: float, of: float = 100.0, cap: float = 3.0, later: float = 0.1) -> Array:
    memory = betting.begun(1)
    for tick, share in enumerate(shares):
        betting.fold(
            memory,
            events=np.array([share * of]),
            of=np.array([of]),
            limit=np.array([limit]),
            cap=np.array([cap]),
            later=np.array([later]),
            began=np.array([float(tick)]),
        )
    return memory


def _usual(tick: int, number: int = 1) -> dict[str, Array]:
    """Of a watch of 300 ticks of a second."""
    return {"cap": np.full(number, 3.0), "later": np.full(number, 1 / 300), "began": np.full(number, float(tick))}


def _worth(shares: list[float], *, limit: float, cap: float = 3.0, later: float = 0.1) -> float:
    return math.exp(betting.log_e(_folded(shares, limit=limit, cap=cap, later=later))[0])


def _found(shares: list[float], *, limit: float) -> int:
    """The tick at which it is worth a thousand."""
    memory = betting.begun(1)
    for tick, share in enumerate(shares):
        events, of = np.array([share * 100.0]), np.array([100.0])
        betting.fold(memory, events=events, of=of, limit=np.array([limit]), **_usual(tick))
        if betting.log_e(memory)[0] > math.log(1000.0):
            return tick
    raise AssertionError("never")


@settings(max_examples=40)
@given(
    limit=st.floats(0.001, 0.9),
    shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=4),
    chances=st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    ticks=st.integers(1, 3),
)
def test_what_a_bet_is_worth_is_at_most_one_on_average_for_every_share_that_is_tolerated(
    limit: float, shares: list[float], chances: list[float], ticks: int
) -> None:
    """Any distribution of a tick's share whose mean is within the limit, and every way that some ticks can go."""
    weights = np.array(chances[: len(shares)]) / sum(chances[: len(shares)])
    mean = float(weights @ shares)
    scale = min(1.0, limit / mean) if mean > 0.0 else 1.0
    tolerated = [share * scale for share in shares]
    ways = itertools.product(range(len(shares)), repeat=ticks)
    worth = sum(math.prod(weights[at] for at in way) * _worth([tolerated[at] for at in way], limit=limit) for way in ways)
    # What begins later is paid for as time goes on: the part that has not begun yet is worth what it was given.
    assert worth <= 0.8 + 0.2 * 0.1 * ticks + 1e-9


def test_it_pays_by_hand() -> None:
    """Twice the limit: each part is worth 1 + f after the first tick, begun before it or at it."""
    wins = float(np.mean(1.0 + betting.PARTS))
    assert _worth([0.2], limit=0.1) == pytest.approx(0.8 * wins + 0.2 * 0.1 * wins)


def test_no_tick_multiplies_it_by_more_than_the_cap_however_many_fail() -> None:
    assert _worth([1.0], limit=0.0005, cap=1.0) <= math.e
    assert _worth([1.0], limit=0.0, cap=1.0) == pytest.approx(math.e * (0.8 + 0.02))


def test_where_nothing_is_tolerated_a_tick_without_a_failure_only_costs() -> None:
    assert 0.0 < _worth([0.0], limit=0.0) < 1.0


def test_a_tick_without_requests_says_nothing() -> None:
    memory, was = _folded([0.3], limit=0.1), _folded([0.3], limit=0.1)
    nothing = np.array([0.0])
    betting.fold(memory, events=nothing, of=nothing, limit=np.array([0.1]), **_usual(1))
    assert np.array_equal(memory, was)


def test_what_begins_late_is_found_nearly_as_soon_and_told_from_when_it_began() -> None:
    early, late = [0.2] * 20, [0.0] * 200 + [0.2] * 20
    found = [_found(shares, limit=0.01) for shares in (early, late)]
    assert found[0] + 200 <= found[1] <= found[0] + 204
    [bet] = _folded(late, limit=0.01, later=1 / 300)
    assert betting.is_recent(bet)
    assert bet[SINCE] == 200.0
    assert (bet[RECENT_EVENTS], bet[RECENT_OF]) == (400.0, 2000.0)
    assert (bet[EVENTS], bet[OF]) == (400.0, 22000.0)
    assert not betting.is_recent(_folded(early, limit=0.01)[0])


def test_certainty_has_an_upper_end() -> None:
    assert math.isfinite(_worth([1.0] * 600, limit=0.001))


@pytest.mark.parametrize("clump", [1, 5, 50])
def test_streams_at_the_limit_cross_a_boundary_no_oftener_than_they_may(clump: int) -> None:
    """Five hundred watches of 200 ticks, with failures alone and in clumps of many: independence is not asked for."""
    rng, limit, alpha = np.random.default_rng(20260), 0.01, 0.05
    memory, most = betting.begun(500), np.full(500, -np.inf)
    for tick in range(200):
        events = clump * rng.binomial(500 // clump, limit, 500).astype(np.float64)
        of = np.full(500, 500.0)
        betting.fold(memory, events=events, of=of, limit=np.full(500, limit), **_usual(tick, 500))
        most = np.maximum(most, betting.log_e(memory))
    assert np.mean(most >= math.log(1.0 / alpha)) <= alpha
