"""Pauses between attempts."""

from itertools import islice

import pytest

from daemon.aio.backoff import doubled, pauses


def test_pauses_grow_to_the_last_step_and_stay_there_each_off_by_a_fifth_at_most() -> None:
    for step, pause in zip((1.0, 2.0, 4.0, 4.0, 4.0), islice(pauses((1.0, 2.0, 4.0)), 5), strict=True):
        assert pause == pytest.approx(step, rel=0.2)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (5, 8.0), (6, 10.0), (10_000, 10.0)])
def test_a_pause_doubles_with_each_failure_up_to_the_cap(failures: int, seconds: float) -> None:
    def pause(draw: float) -> float:
        return doubled(failures, first_seconds=0.5, cap_seconds=10.0, random=lambda: draw)

    assert pause(0.0) == seconds / 2
    assert pause(0.999999) == pytest.approx(seconds, rel=1e-5)
