"""Verdicts of the last days over HTTP."""

import pytest

from daemon.errors import Unavailable
from daemon.model import Outcome
from daemon.ports.past import VerdictFilter
from tests.hand.api import Engine, Past, serving, verdict


def engine_after(*release_ids: str, unreadable: int = 0) -> Engine:
    """One that has forgotten these releases, or never had them."""
    return Engine(past=Past(verdicts=[verdict(one) for one in release_ids], unreadable=unreadable))


async def test_verdicts_are_listed_a_page_at_a_time_the_newest_first() -> None:
    async with serving(engine_after("a-1", "b-1", "c-1")) as api:
        status, first = await api.call("GET", "/v1/verdicts?limit=2")
        assert (status, [one["release_id"] for one in first["verdicts"]]) == (200, ["c-1", "b-1"])
        assert "unreadable" not in first
        _, second = await api.call("GET", f"/v1/verdicts?limit=2&cursor={first['next']}")
        assert [one["release_id"] for one in second["verdicts"]] == ["a-1"]
        assert "next" not in second
        assert second["verdicts"][0]["outcome"] == "rollback"


async def test_how_many_could_not_be_read_is_said() -> None:
    async with serving(engine_after("a-1", unreadable=2)) as api:
        assert (await api.call("GET", "/v1/verdicts"))[1]["unreadable"] == 2


async def test_filters_are_passed_on_as_they_were_meant() -> None:
    engine = engine_after()
    async with serving(engine) as api:
        await api.call("GET", "/v1/verdicts")
        await api.call("GET", "/v1/verdicts?namespace=shop&service=web&outcome=promote&since=1787408827.5")
    assert engine.past.asked == [
        VerdictFilter(),
        VerdictFilter(namespace="shop", service="web", outcome=Outcome.PROMOTE, since=1787408827.5),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "outcome=good",
        "since=yesterday",
        "since=-1",
        "since=inf",
        "since=nan",
        "limit=0",
        "cursor=x",
        "cursor=-1",
        "cursor=" + "9" * 19,
    ],
)
async def test_a_question_that_cannot_be_meant_is_refused_with_its_place(query: str) -> None:
    engine = engine_after()
    async with serving(engine) as api:
        status, problem = await api.call("GET", f"/v1/verdicts?{query}")
        assert (status, problem["path"]) == (400, f"?{query.partition('=')[0]}")
        assert problem["fix"]
    assert engine.past.asked == []


async def test_where_the_stream_cannot_be_read_now_that_is_said_and_not_that_there_are_none() -> None:
    engine = Engine(past=Past(failing=Unavailable("the broker is away")))
    async with serving(engine) as api:
        status, problem = await api.call("GET", "/v1/verdicts")
        assert (status, problem["detail"]) == (503, "the broker is away")
