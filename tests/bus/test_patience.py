"""How long a write is waited for."""

import asyncio
from collections.abc import Callable, Coroutine

import nats.errors
import nats.js.errors
import pytest

from daemon.bus.patience import MOST_SECONDS, Patience
from tests.hand.waiting import until

LONG_SECONDS = 600.0

Answer = asyncio.Future[str]


def by(answer: Answer) -> Callable[[float], Coroutine[None, None, str]]:
    """A write that is answered when this is."""

    async def ask(_seconds: float) -> str:
        return await answer

    return ask


async def missed(patience: Patience) -> Answer:
    """A write that is not answered in time, and may be so later."""
    answer = Answer()
    with pytest.raises(TimeoutError):
        await patience.answer(by(answer))
    return answer


async def answered(patience: Patience) -> str:
    """A write that is answered at once."""
    answer = Answer()
    answer.set_result("kept")
    return await patience.answer(by(answer))


async def test_silence_however_often_makes_nothing_wait_longer() -> None:
    patience = Patience(least_seconds=0.01)
    answers = [await missed(patience) for _ in range(3)]
    assert patience.seconds == 0.01
    patience.lost()
    await until(lambda: all(answer.cancelled() for answer in answers) and not patience._late)
    assert patience.seconds == 0.01, "nor does that nobody listens any more"


@pytest.mark.parametrize("error", [None, nats.js.errors.APIError(code=400, err_code=10071)], ids=["kept", "conflict"])
async def test_where_an_answer_comes_after_its_sender_gave_up_the_next_are_waited_for_twice_as_long_as_it_took(
    error: Exception | None,
) -> None:
    patience = Patience(least_seconds=0.01)
    late = await missed(patience)
    await asyncio.sleep(0.05)
    if error is None:
        late.set_result("kept")
    else:
        late.set_exception(error)
    await until(lambda: patience.seconds > 0.01)
    assert patience.seconds >= 0.1


async def test_what_is_waited_for_meanwhile_has_the_longer_time_as_well() -> None:
    patience = Patience(least_seconds=0.2)
    late, next_one = await missed(patience), Answer()
    waiting = asyncio.ensure_future(patience.answer(by(next_one)))
    await asyncio.sleep(0.1)
    late.set_result("kept")
    await asyncio.sleep(0.2)
    next_one.set_result("kept too")
    assert await waiting == "kept too"


@pytest.mark.parametrize(
    "error", [nats.errors.TimeoutError(), nats.errors.NoRespondersError(), nats.errors.ConnectionClosedError()]
)
async def test_what_is_no_answer_of_the_stream_makes_nothing_wait_longer_however_late(error: Exception) -> None:
    patience = Patience(least_seconds=0.01)
    late = await missed(patience)
    late.set_exception(error)
    await until(lambda: not patience._late)
    assert patience.seconds == 0.01


async def test_an_answer_is_listened_for_as_long_as_anything_is_ever_waited_for() -> None:
    listens: list[float] = []

    async def ask(seconds: float) -> str:
        listens.append(seconds)
        return "kept"

    await Patience().answer(ask)
    await Patience(least_seconds=LONG_SECONDS).answer(ask)
    assert listens == [MOST_SECONDS, LONG_SECONDS]


async def test_nothing_is_waited_for_longer_than_the_most() -> None:
    patience = Patience(least_seconds=1.0)
    patience.seconds = 4 * MOST_SECONDS
    await answered(patience)
    assert patience.seconds == MOST_SECONDS


async def test_where_writes_are_fast_again_they_are_waited_for_as_at_first() -> None:
    patience = Patience(least_seconds=1.0)
    patience.seconds = 8.0
    found = []
    for _ in range(4):
        assert await answered(patience) == "kept"
        found.append(patience.seconds)
    assert found == [4.0, 2.0, 1.0, 1.0]


async def test_an_error_that_is_an_answer_in_time_changes_nothing() -> None:
    patience = Patience(least_seconds=1.0)
    patience.seconds = 8.0
    answer = Answer()
    answer.set_exception(ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        await patience.answer(by(answer))
    assert patience.seconds == 8.0


async def test_when_the_connection_is_lost_nothing_is_waited_for_longer_than_at_first_and_no_late_answer_is_listened_for() -> None:
    patience = Patience(least_seconds=0.01)
    late = await missed(patience)
    patience.seconds = LONG_SECONDS
    answer = Answer()
    waiting = asyncio.ensure_future(patience.answer(by(answer)))
    await asyncio.sleep(0.02)
    patience.lost()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10.0):
            await waiting
    await until(lambda: late.cancelled() and answer.cancelled())
    assert patience.seconds == LONG_SECONDS, "it says nothing of how long writes take"


async def test_who_is_cancelled_listens_no_more() -> None:
    patience, answer = Patience(), Answer()
    waiting = asyncio.ensure_future(patience.answer(by(answer)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    await until(answer.cancelled)
