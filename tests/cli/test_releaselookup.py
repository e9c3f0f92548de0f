"""``verdictd revert ID``: the daemon says what it is, else the settings' recordings, else the other options."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.errors import ConfigError
from config.policy import Policy
from config.settings import Recordings, Settings
from daemon import recordings
from daemon.cli.parser import build
from daemon.cli.reverting import release_of
from daemon.errors import Forbidden, InvalidInput, NotFound, Unavailable
from daemon.model import ArmSpec, Release
from daemon.recordings import Header
from tests.hand.api import Engine, release, serving, view
from tests.servers.run import free_ports

NAMED = ["--service", "web", "--baseline", "service=v1", "--canary", "service=v2"]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as served:
        yield f"http://127.0.0.1:{served.server.address.port}"


@pytest.fixture
def nobody() -> str:
    [port] = free_ports(1)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def recorded(tmp_path: Path) -> Settings:
    header = Header(release=msgspec.to_builtins(release("recorded")), policy=Policy())
    (tmp_path / "shop-2.jsonl").write_bytes(recordings.header_line(header) + b"\n")
    return Settings(recordings=Recordings(directory=str(tmp_path)))


async def find(*argv: str, settings: Settings | None = None) -> Release:
    options: Any = build().parse_args(["revert", *argv])
    return await asyncio.to_thread(release_of, options, settings=settings)


async def test_the_daemon_says_what_an_id_is(url: str) -> None:
    assert await find("shop-1", "--server", url) == release()


async def test_options_are_stronger_than_what_the_daemon_says(url: str) -> None:
    found = await find("shop-1", "--server", url, "--mesh", "istio", "--canary", "subset=v3")
    assert (found.mesh, found.canary, found.baseline) == ("istio", ArmSpec(subset="v3"), ArmSpec(subset="v1"))


async def test_what_the_daemon_does_not_know_any_more_is_in_a_recording(
    url: str, recorded: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await find("shop-2", "--server", url, settings=recorded)).service == "recorded"
    assert "the release is taken from" in capsys.readouterr().err


async def test_while_the_daemon_is_away_recordings_say_it(nobody: str, recorded: Settings) -> None:
    assert (await find("shop-2", "--server", nobody, settings=recorded)).service == "recorded"


async def test_what_nobody_knows_is_said_with_where_it_was_looked_for(url: str, nobody: str, recorded: Settings) -> None:
    with pytest.raises(NotFound, match=r"shop-9 cannot be found: no release 'shop-9'; no recording of it is in .*; name it by"):
        await find("shop-9", "--server", url, settings=recorded)
    with pytest.raises(Unavailable, match=r"no folder of recordings is in the settings \(--config\); name it by"):
        await find("shop-9", "--server", nobody)


async def test_while_the_daemon_is_away_the_other_options_are_enough(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (await find("shop-9", "--server", nobody, *NAMED)).service == "web"
    assert "shop-9 cannot be found" in capsys.readouterr().err
    with pytest.raises(Unavailable):
        await find("shop-9", "--server", nobody, *NAMED[:-2])


async def test_what_the_daemon_refuses_is_no_reason_to_look_elsewhere(recorded: Settings) -> None:
    engine = Engine(releases={"shop-2": view("shop-2")}, broken=Forbidden("not with this token"))
    async with serving(engine) as served:
        with pytest.raises(Forbidden):
            await find("shop-2", "--server", f"http://127.0.0.1:{served.server.address.port}", settings=recorded)


@pytest.mark.parametrize("name", ["../shop-2", "SHOP", "a" * 97])
async def test_what_is_no_id_is_refused(nobody: str, recorded: Settings, name: str) -> None:
    with pytest.raises((InvalidInput, ConfigError)):
        await find(name, "--server", nobody, settings=recorded)
