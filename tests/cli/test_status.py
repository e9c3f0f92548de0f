"""What ``verdictd status`` shows beside the releases."""

import asyncio

import pytest

from daemon.cli import main
from daemon.errors import Unavailable
from daemon.questions import Questions
from tests.hand.api import Engine, serving
from tests.hand.ports import MemoryStore
from tests.http.test_questions import question, waiting


async def status(*words: str, server: str) -> int:
    return await asyncio.to_thread(main, ["status", "--server", server, *words])


async def test_questions_are_shown_with_how_to_answer_them_those_of_another_namespace_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = Engine()
    await engine.questions.ask(question("web"))
    await engine.questions.ask(question("cart", namespace="ti\x1bll"))
    async with serving(engine) as api:
        assert await status("--namespace", "shop", server=api.server.address.url) == 0
        assert capsys.readouterr().out.splitlines() == [
            "QUESTION since 1970-01-01 00:00:01 UTC about VirtualService shop/web: which of blue and green is the new one?",
            "  annotate the route",
            "no releases",
        ]
        assert await status(server=api.server.address.url) == 0
        assert "VirtualService ti?ll/cart" in capsys.readouterr().out


async def test_what_waits_for_its_canary_is_shown_with_what_each_route_says_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(awaiting=await waiting())
    async with serving(engine) as api:
        assert await status("--namespace", "shop", server=api.server.address.url) == 0
        first, *rest = capsys.readouterr().out.splitlines()
        assert first.startswith("WAITING since 1970-01-01 00:00:05 UTC until 1970-01-12 ")
        assert first.endswith(" in shop: a canary of web that is reg/web:2 to take traffic, announced by event /ci (web-1)")
        assert rest == [
            "  VirtualService shop/web: ?[1mv2 gets nothing yet",
            "no releases",
        ]


async def test_where_questions_are_not_known_now_releases_are_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    store.failing = Unavailable("the broker is away")
    async with serving(Engine(questions=Questions(store))) as api:
        assert await status(server=api.server.address.url) == 0
    told = capsys.readouterr().out
    assert "what is asked is not known now" in told
    assert "no releases" in told
