"""What the demo makes of a verdictd that does not do as it should. The server is a stub: a real one does none of this on demand."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from daemon.demo import children
from daemon.demo import watchdog as module
from daemon.demo.acts import ACTS
from daemon.demo.backend import Behaviour
from daemon.demo.backends import Backend
from daemon.demo.children import DemoError, child
from daemon.demo.watchdog import Watchdog, watchdog
from tests.demo.samples import mesh, record
from tests.hand.servers import says, stub

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@asynccontextmanager
async def asking(port: int, folder: Path) -> AsyncIterator[Watchdog]:
    """A watchdog whose API is at this port."""
    async with child("verdictd", SLEEPER, log=folder / "log") as process, aiohttp.ClientSession() as session:
        yield Watchdog(process=process, url=f"http://127.0.0.1:{port}", nats_url="", recordings=folder, session=session)


async def test_what_verdictd_does_not_know_yet_is_nothing(tmp_path: Path) -> None:
    async with stub(says(status=404)) as api, asking(api.port, tmp_path) as dog:
        assert await dog.view("web-1") is None
        assert await dog.record("web-1") is None


async def test_an_error_of_the_api_ends_the_demo_with_its_words(tmp_path: Path) -> None:
    async with stub(says("out of order", status=500)) as api, asking(api.port, tmp_path) as dog:
        with pytest.raises(DemoError, match="answered 500 to GET /v1/releases/web-1: out of order"):
            await dog.view("web-1")


async def test_an_api_that_is_gone_ends_the_demo(tmp_path: Path) -> None:
    async with asking(1, tmp_path) as dog:
        with pytest.raises(DemoError, match="did not answer GET /v1/releases/web-1/record"):
            await dog.record("web-1")


async def test_a_recording_that_cannot_be_read_is_an_error_and_one_that_was_not_needed_is_none(tmp_path: Path) -> None:
    async with asking(1, tmp_path) as dog:
        assert dog.samples(record(ACTS[1], {})) == ()
        with pytest.raises(DemoError, match="recording cannot be read"):
            dog.samples(record(ACTS[1], {"watching": 1.0}))


@pytest.mark.parametrize(
    ("program", "seconds", "words"),
    [
        ("import sys; sys.exit('no such policy')", 60.0, r"ended with code 1 at its start(?s:.*)no such policy"),
        ("import time; time.sleep(60)", 1.0, r"was not ready after 1 s"),
    ],
)
async def test_a_verdictd_that_does_not_get_ready_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, seconds: float, words: str
) -> None:
    monkeypatch.setattr(module, "command_line", lambda _file: [sys.executable, "-c", program])
    monkeypatch.setattr(children, "START_SECONDS", seconds)
    with pytest.raises(DemoError, match=words):
        async with watchdog(mesh=mesh(tmp_path), folder=tmp_path):
            pass


async def test_a_backend_that_does_not_take_a_behaviour_is_reported(tmp_path: Path) -> None:
    async with child("backend v1", SLEEPER, log=tmp_path / "log") as process:
        with pytest.raises(DemoError, match="did not take a new behaviour"):
            await Backend(process=process, version="v1", port=1, control=1).behave(Behaviour())
        async with stub(says(status=400)) as api:
            with pytest.raises(DemoError, match="answered 400 to a new behaviour"):
                await Backend(process=process, version="v1", port=1, control=api.port).behave(Behaviour())
