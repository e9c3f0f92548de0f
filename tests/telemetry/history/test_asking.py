"""How a server is asked for its past: one query at a time, less where it is too much, again where that can help."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import ParserPool
from daemon.errors import Forbidden, Refused, Unavailable
from daemon.telemetry.history.asking import NARROWEST_SECONDS, WIDEST_SECONDS, Asking, TooMuch
from tests.hand.servers import Answer, Stub, says, stub

NOTHING = {"status": "success", "data": {"resultType": "matrix", "result": []}}
SERIES = {"metric": {"__name__": "up"}, "values": [[1.0, "1"]]}
ONE = {"status": "success", "data": {"resultType": "matrix", "result": [SERIES]}}
TOO_MANY = {
    "status": "error",
    "errorType": "execution",
    "error": "query processing would load too many samples into memory in query execution",
}


@asynccontextmanager
async def asking(*answers: Answer, pause_seconds: float = 0.0) -> AsyncIterator[tuple[Asking, Stub, list[float]]]:
    """Somebody who asks, the server, and how long was waited."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with (
        stub(*answers) as server,
        ParserPool(unparsed_bytes=8_000_000) as pool,
        HttpClient(setting="url", connections=1, timeout_seconds=10.0, max_answer_bytes=1_000_000, pool=pool) as client,
    ):
        yield Asking(client, url=URL(server.url), pause_seconds=pause_seconds, sleep=sleep), server, waited


async def test_a_query_says_its_time_and_is_followed_by_a_pause() -> None:
    async with asking(says(ONE), pause_seconds=0.5) as (one, server, waited):
        (item,) = await one.raw("up[5m]", at=1000.0)
        assert item.values == [(1.0, "1")]
        assert server.asked == [{"query": "up[5m]", "time": "1000.000"}]
        assert waited == [0.5]


async def test_steps_are_asked_for_by_their_range() -> None:
    async with asking(says(NOTHING)) as (one, server, _):
        assert await one.steps("up", begin=0.0, end=120.0, step_seconds=60.0) == []
        assert server.asked == [{"query": "up", "start": "0.000", "end": "120.000", "step": "60"}]


async def test_a_server_that_asks_for_patience_gets_it_and_one_that_is_away_is_asked_again() -> None:
    async with asking(says(status=429, Retry_After="30"), says(status=502), says(ONE)) as (one, server, waited):
        assert len(await one.raw("up[5m]", at=1.0)) == 1
        assert len(server.asked) == 3
        assert waited[0] == 30.0
        assert 1.0 < waited[1] < 3.0


async def test_a_server_that_stays_away_is_given_up_in_the_end() -> None:
    async with asking(says("down", status=502)) as (one, server, _):
        with pytest.raises(Unavailable, match="down"):
            await one.raw("up[5m]", at=1.0)
        assert len(server.asked) == 5


async def test_whom_it_does_not_know_it_is_not_asked_twice() -> None:
    async with asking(says(status=401)) as (one, server, _):
        with pytest.raises(Forbidden):
            await one.raw("up[5m]", at=1.0)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (TOO_MANY, 422),
        ({"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}, 503),
        ("the query time range exceeds the limit", 400),
        ({"status": "success", "data": {"resultType": "matrix", "result": [{**SERIES, "values": [[1.0, "1"]] * 60_000}]}}, 200),
        ({"status": "success", "data": {"resultType": "matrix", "result": [SERIES] * 25_000}}, 200),
    ],
)
async def test_what_is_too_much_is_known_by_its_words(body: object, status: int) -> None:
    async with asking(says(body, status=status)) as (one, server, _):
        with pytest.raises(TooMuch):
            await one.raw("up[5m]", at=1.0)
        assert len(server.asked) == 1, "asking for the same again cannot help"


async def test_less_is_asked_for_each_time_and_in_the_end_it_is_said_what_to_raise() -> None:
    async with asking(says(NOTHING)) as (one, _, _):
        widths = [WIDEST_SECONDS]
        while one.width_seconds > NARROWEST_SECONDS:
            one.narrow(TooMuch("too many samples"))
            widths.append(one.width_seconds)
        assert widths == [300.0, 150.0, 75.0, 37.5, 18.75, 15.0]
        with pytest.raises(Refused, match=r"even 15 s at once are too much: too many samples; raise its limit"):
            one.narrow(TooMuch("too many samples"))
