"""The log of the traffic."""

import pytest

from daemon.demo.traffic import NO_ANSWER, Answer, read, write
from tests.demo.samples import steady, traffic


@pytest.mark.parametrize("answer", [Answer(1763870000.1234, 0.02157, 500, "v3"), Answer(1763870000.1234, 5.0, NO_ANSWER, "")])
def test_an_answer_survives_its_line(answer: Answer) -> None:
    assert read(write(answer)) == answer


@pytest.mark.parametrize("line", ["", "1.0 0.1 200", "1.0 0.1 ok v1", "1.0 0.1 200 v1 more"])
def test_a_broken_line_is_not_taken_for_an_answer(line: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        read(line)


def test_server_errors_and_silence_are_failures() -> None:
    failed = [Answer(0.0, 0.1, status, "v1").failed for status in (200, 404, 500, 503, NO_ANSWER)]
    assert failed == [False, False, True, True, True]


def test_answers_are_kept_in_the_order_of_their_ends() -> None:
    log = traffic([Answer(2.0, 0.1, 200, "b"), Answer(1.0, 0.1, 200, "a"), Answer(0.0, 5.0, 200, "c")])
    assert [answer.version for answer in log] == ["a", "b", "c"]
    assert len(log) == 3


def test_a_window_takes_its_beginning_and_leaves_its_end() -> None:
    log = traffic([Answer(float(i), 0.0, 200, str(i)) for i in range(5)])
    assert [answer.version for answer in log.between(1.0, 3.0)] == ["1", "2"]
    assert log.between(9.0, 10.0) == []


def test_many_answers_are_found_by_time() -> None:
    log = traffic(steady("v1", begin=100.0, end=110.0))
    assert len(log.between(101.0, 102.0)) == 100
