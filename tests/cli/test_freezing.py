"""``verdictd freeze`` and ``thaw``."""

import asyncio
import json
from typing import Any

import pytest

from daemon.cli import main
from daemon.interventions import Freeze
from tests.hand.api import NOW, Engine, serving


async def done(*words: str) -> int:
    """The command, in a thread: it waits for the API, which is served here."""
    return await asyncio.to_thread(main, list(words))


async def test_a_namespace_is_frozen_shown_and_thawed(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine()
    async with serving(engine) as api:
        server = ("--server", api.server.address.url)
        assert await done("freeze", "shop", "--for", "2h", "--reason", "migration", "--by", "ana", *server) == 0
        told = "FROZEN until 2027-01-15 10:00:00 UTC: nothing is taken back in namespace shop (by ana: migration)\n"
        assert capsys.readouterr().out == told
        assert engine.freezes == [Freeze(namespace="shop", by="ana", reason="migration", since=NOW, until=NOW + 7200.0)]
        assert await done("status", *server) == 0
        assert capsys.readouterr().out == told + "no releases\n"
        assert await done("thaw", "shop", "--by", "ben", *server) == 0
        assert capsys.readouterr().out == "thawed: namespace shop\n"
        assert engine.freezes == []
        assert await done("thaw", "shop", *server) == 66


async def test_everything_is_frozen_until_it_is_thawed(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine()
    async with serving(engine) as api:
        server = ("--server", api.server.address.url)
        assert await done("freeze", "--by", "ana\x1b[2J", *server) == 0
        assert "FROZEN until it is thawed: nothing is taken back (by ana?[2J)" in capsys.readouterr().out
        assert await done("thaw", "--by", "ana", "--json", *server) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert told["since"] == NOW
        assert await done("freeze", "--for", "0", *server) == 64
