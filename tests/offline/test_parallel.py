"""Work over processes: in order, errors at their place, and no process is left behind."""

import multiprocessing
import os
import time

import pytest

from daemon.errors import InvalidInput, Unavailable
from daemon.offline.parallel import available_processes, spread


def _twice(number: int) -> int:
    return 2 * number


def _pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def _refuse(number: int) -> int:
    if number == 3:
        raise InvalidInput("three is no number", path="$.three", fix="write four")
    return number


def _dawdle(number: int) -> int:
    if number:
        time.sleep(600)
    return number


def _die(number: int) -> int:
    if number == 2:
        os._exit(9)
    return number


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_results_come_in_the_order_of_the_pieces(processes: int) -> None:
    assert list(spread(_twice, range(20), processes=processes)) == list(range(0, 40, 2))


def test_one_process_is_this_one_and_several_are_others() -> None:
    assert set(spread(_pid, range(3), processes=1)) == {os.getpid()}
    assert os.getpid() not in set(spread(_pid, range(6), processes=2))
    assert available_processes() >= 1


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_is_raised_at_its_place_as_it_was(processes: int) -> None:
    results = spread(_refuse, range(6), processes=processes)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InvalidInput) as caught:
        next(results)
    assert (caught.value.path, caught.value.fix) == ("$.three", "write four")


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(Unavailable, match="--processes 1"):
        list(spread(_die, range(6), processes=2))


def test_who_stops_in_the_middle_waits_for_nobody_and_leaves_nothing_behind() -> None:
    results = spread(_dawdle, range(6), processes=2)
    assert next(results) == 0
    results.close()  # a piece would take longer than a test may
    assert multiprocessing.active_children() == []


def test_no_pieces_are_no_work() -> None:
    assert list(spread(_twice, [], processes=4)) == []
