"""``verdictd status`` follows the pages of the list, to a daemon that has pages and to one that has none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from daemon.cli import main
from tests.hand.api import Engine, serving, view
from tests.hand.servers import says, stub


async def command(*argv: str) -> int:
    return await asyncio.to_thread(main, argv)


@asynccontextmanager
async def answering(*answers: object) -> AsyncIterator[str]:
    """A server that says these in turn, the last one for ever."""
    async with stub(*(says(msgspec.to_builtins(answer)) for answer in answers)) as server:
        yield server.url


async def test_all_pages_are_shown_as_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"shop-{n:03}" for n in range(250)]
    async with serving(Engine(releases={name: view(name, submitted_at=float(n)) for n, name in enumerate(names)})) as api:
        assert await command("status", "--json", "--service", "shop", "--server", api.server.address.url) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == names[::-1]


async def test_a_daemon_without_pages_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    async with answering({"releases": [view("shop-1")]}) as server:
        assert await command("status", "--json", "--server", server) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["shop-1"]


async def test_a_page_that_comes_again_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    async with answering({"releases": [view("shop-1")], "next": "1.0,shop-1"}) as server:
        assert await command("status", "--server", server) == 69
    assert "the same page comes again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cursors", "said"), [(["a", "b", "a"], "the same page comes again"), (["a", "b", "c"], "it has more than 3 pages")]
)
async def test_pages_without_end_end_the_command(
    cursors: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.cli.apiclient._MOST_PAGES", 3)
    pages = [{"releases": [view("shop-1")], "next": cursor} for cursor in cursors]
    async with answering(*pages) as server:
        assert await command("status", "--server", server) == 69
    assert said in capsys.readouterr().err
