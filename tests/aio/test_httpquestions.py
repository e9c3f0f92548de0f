"""POST, or GET where a server takes nothing else: learnt, kept, bounded, and forgotten when it is no longer so."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.httpquestions import GET_BYTES, POST_BYTES, Questions
from daemon.aio.parsing import ParserPool
from daemon.errors import Forbidden, Refused, Unavailable
from tests.hand.servers import Answer, Stub, says, stub

OK = says("{}")
NO_POST = says("no", status=405)


class Nothing:
    """A reader to which all is well."""

    def feed(self, piece: bytes) -> None:
        pass

    def close(self) -> None:
        pass


@asynccontextmanager
async def asking(*answers: Answer, **settings: Any) -> AsyncIterator[tuple[Stub, HttpClient]]:
    """A server, and a client of it."""
    questions = Questions(setting="telemetry.prom.method", **settings)
    async with ParserPool(unparsed_bytes=1) as pool, stub(*answers) as server:
        made = HttpClient(setting="url", connections=1, timeout_seconds=30.0, max_answer_bytes=1000, pool=pool, questions=questions)
        async with made as client:
            yield server, client


async def ask(server: Stub, client: HttpClient, query: str = "up") -> None:
    await client.read(URL(server.url) / "q", Nothing, form={"query": query})


@pytest.mark.parametrize("status", [405, 501, 403])
async def test_who_refuses_post_is_asked_by_get_and_so_from_then_on(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with asking(says("no", status=status), OK, parameters={"dedup": "true"}) as (server, client):
        assert client.longest_question_bytes == POST_BYTES
        for _ in range(3):
            await ask(server, client, 'x{a="b|c+d"}[5m]')
        assert client.longest_question_bytes == GET_BYTES
        assert [method for method, *_ in server.requests] == ["POST", "GET", "GET", "GET"]
        assert all(asked == {"query": 'x{a="b|c+d"}[5m]', "dedup": "true"} for asked in server.asked)
        assert server.requests[0][1] == "/q?dedup=true", "also beside a form they stand in the address, where proxies look"
    assert [record.getMessage() for record in caplog.records] == ["asked by GET, since POST is refused"]


async def test_who_may_not_read_either_is_told_the_first_reason() -> None:
    async with asking(says("first", status=403), says("second", status=403)) as (server, client):
        for _ in range(2):
            with pytest.raises(Forbidden, match="first" if len(server.requests) == 0 else "second"):
                await ask(server, client)
        assert [method for method, *_ in server.requests][::2] == ["POST", "POST"], "nothing is learnt of it"


async def test_a_fault_beside_the_method_is_no_reason_to_ask_otherwise() -> None:
    for status, error in ((400, Refused), (401, Forbidden), (500, Unavailable)):
        async with asking(says("no", status=status)) as (server, client):
            with pytest.raises(error):
                await ask(server, client)
            assert len(server.requests) == 1


@pytest.mark.parametrize(("method", "other"), [("post", "get"), ("get", "post")])
async def test_a_method_that_is_set_is_kept_and_its_refusal_says_the_setting(method: Any, other: str) -> None:
    async with asking(NO_POST, method=method) as (server, client):
        with pytest.raises(Refused, match=rf"answered 405: no; set telemetry\.prom\.method to {other}, or to auto"):
            await ask(server, client)
        assert [name for name, *_ in server.requests] == [method.upper()]


async def test_a_question_that_fits_into_no_address_is_refused_and_not_cut() -> None:
    async with asking(NO_POST, OK) as (server, client):
        with pytest.raises(Refused, match=r"takes no POST, and a question of \d+ bytes fits into no address"):
            await ask(server, client, "|" * 3000)
        assert client.longest_question_bytes == GET_BYTES, "the next one is shorter"
        await ask(server, client)


async def test_another_server_in_its_place_is_asked_by_post_again() -> None:
    async with asking(NO_POST, OK, says("no", status=405), OK) as (server, client):
        await ask(server, client)
        with pytest.raises(Refused):
            await ask(server, client)
        await ask(server, client)
        assert [method for method, *_ in server.requests] == ["POST", "GET", "GET", "POST"]


async def test_a_get_that_fails_for_a_while_is_told_as_it_is() -> None:
    async with asking(NO_POST, says("down", status=503)) as (server, client):
        with pytest.raises(Unavailable, match="answered 503: down"):
            await ask(server, client)
