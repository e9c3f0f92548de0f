"""How the versions behave."""

import math
from statistics import median

import pytest

from daemon.demo.backend import Behaviour, Dice


def draws(behaviour: Behaviour, *, count: int = 20_000, seed: str = "1") -> tuple[list[float], int]:
    dice = Dice(seed)
    answers = [dice.draw(behaviour) for _ in range(count)]
    return sorted(seconds for seconds, _ in answers), sum(failed for _, failed in answers)


def test_service_times_have_the_median_and_the_tail_that_were_asked_for() -> None:
    times, _ = draws(Behaviour(median_ms=20.0, p99_ms=80.0))
    assert math.isclose(median(times), 0.020, rel_tol=0.02)
    assert math.isclose(times[int(0.99 * len(times))], 0.080, rel_tol=0.06)


def test_failures_come_at_the_rate_that_was_asked_for() -> None:
    _, failures = draws(Behaviour().failing(0.05))
    assert math.isclose(failures, 1000, rel_tol=0.1)


def test_a_slower_version_is_slower_in_every_quantile() -> None:
    fast, slow = Behaviour(), Behaviour().slower(1.3)
    assert (slow.median_ms, slow.p99_ms) == (1.3 * fast.median_ms, 1.3 * fast.p99_ms)
    assert math.isclose(slow.sigma, fast.sigma)


def test_the_same_seed_gives_the_same_answers() -> None:
    assert draws(Behaviour(), count=50) == draws(Behaviour(), count=50)
    assert draws(Behaviour(), count=50) != draws(Behaviour(), count=50, seed="2")


@pytest.mark.parametrize("wrong", [{"median_ms": 0.0}, {"median_ms": 90.0}, {"error_rate": 1.5}, {"error_rate": -0.1}])
def test_what_no_service_can_do_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        Behaviour(**wrong)
