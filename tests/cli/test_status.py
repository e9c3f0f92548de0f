"""What ``verdictd status`` shows beside the releases."""

import asyncio
import time

import msgspec
import pytest

from daemon.cli import main
from daemon.errors import Unavailable
from daemon.http.api import GROUPS
from daemon.model import Outcome, Stage
from daemon.ports.past import VerdictFilter
from daemon.questions import Questions
from tests.hand.api import Engine, Past, serving, verdict, view
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


def engine_with_one_in_memory() -> Engine:
    """Of two verdicts that are kept, the newer one's release is in memory."""
    known = msgspec.structs.replace(view("cart-1", service="cart", stage=Stage.ENDED), verdict=verdict("cart-1"))
    return Engine(releases={"cart-1": known}, past=Past(verdicts=[verdict("mail-1"), verdict("cart-1")]))


async def test_chosen_by_outcome_verdicts_that_are_not_in_memory_any_more_are_shown_too_and_none_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = engine_with_one_in_memory()
    async with serving(engine) as api:
        assert await status("--outcome", "rollback", "--namespace", "web", server=api.server.address.url) == 0
    told = capsys.readouterr().out
    assert told.count("cart-1") == 1
    assert told.splitlines()[-2:] == [
        "not in memory any more:",
        "1970-01-01 00:16:40 UTC  mail-1  web/shop  rollback (revert)  errors: 5 % against 0.1 %",
    ]
    assert engine.past.asked == [VerdictFilter(namespace="web", outcome=Outcome.ROLLBACK)]


async def test_chosen_by_time_they_are_asked_for_since_then(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(past=Past(verdicts=[verdict(f"web-{number}") for number in range(1003)]))
    before = time.time()
    async with serving(engine) as api:
        assert await status("--since", "2h", server=api.server.address.url) == 0
    [asked] = engine.past.asked
    assert asked.since is not None
    assert before - 7_201.0 <= asked.since <= time.time() - 7_199.0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], len(lines)) == ("not in memory any more:", 1002)
    assert lines[-1] == "older than the newest 1000 are not shown; narrow it with --since"


async def test_without_either_or_by_stage_memory_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    engine = engine_with_one_in_memory()
    async with serving(engine) as api:
        for words in ((), ("--stage", "ended", "--outcome", "rollback")):
            assert await status(*words, server=api.server.address.url) == 0
    assert engine.past.asked == []
    assert "mail-1" not in capsys.readouterr().out


async def test_while_the_kept_verdicts_cannot_be_read_memory_is_shown_and_that_it_is_not_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = engine_with_one_in_memory()
    engine.past.failing = Unavailable("the broker is away")
    async with serving(engine) as api:
        assert await status("--outcome", "rollback", server=api.server.address.url) == 0
    told = capsys.readouterr().out
    assert "cart-1" in told
    assert "only what is in memory; the verdicts of the last days are not known now" in told


async def test_of_a_daemon_that_lists_no_verdicts_memory_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    engine = engine_with_one_in_memory()
    async with serving(engine, groups=[one for one in GROUPS if one.name != "verdicts"]) as api:
        assert await status("--outcome", "rollback", server=api.server.address.url) == 0
    assert "not in memory" not in capsys.readouterr().out
