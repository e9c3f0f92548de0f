"""A neighbour who holds more connections than the daemon may have descriptors: the revert is made, and the log stays small."""

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.demo.backend import Behaviour
from daemon.demo.children import child
from daemon.model import Action, Outcome, Stage
from tests.live.field import FAILING, UNHURRIED, Field, field_of

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(180)]

DESCRIPTORS = 256
CONNECTIONS = 1100


@asynccontextmanager
async def limited_daemon(place: Field) -> AsyncIterator[None]:
    """The daemon, with so many descriptors and no more."""
    command = shlex.join([sys.executable, "-m", "tests.live.crashing", str(place.settings())])
    argv = ["/bin/sh", "-c", f"ulimit -n {DESCRIPTORS} && exec {command}"]
    async with child("verdictd", argv, log=place.folder / "verdictd.log"):
        yield


@asynccontextmanager
async def flood(place: Field) -> AsyncIterator[None]:
    """Idle connections, each of which is made anew as soon as it is closed."""

    async def hold() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            try:
                made.release()
                await reader.read()
            except ConnectionError:
                pass
            finally:
                writer.close()
            await asyncio.sleep(3.0)

    made = asyncio.Semaphore(0)
    holders = [asyncio.create_task(hold()) for _ in range(CONNECTIONS)]
    try:
        for _ in range(CONNECTIONS):
            await made.acquire()
        yield
    finally:
        for holder in holders:
            holder.cancel()
        await asyncio.wait(holders)


async def test_a_flood_of_idle_connections_stops_neither_the_revert_nor_its_readers(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place, limited_daemon(place):
        await place.ready()
        release_id = await place.submit()
        while (await place.view(release_id)).stage is not Stage.WATCHING:
            await asyncio.sleep(0.1)
        async with flood(place):
            # The flood is there before the first bad answer, and stays until everything is done, published and recorded.
            await place.backends["v2"].behave(FAILING)
            record = await place.record(release_id)
            await place.until_answered("/healthz")
            assert await place.canary_is_silent()
        # Not from within the flood: it is of this process too, and a broker gives a client two seconds to say who it is.
        published = await place.published(place.embedded_url())
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
    assert [verdict.release_id for verdict in published] == [release_id]
    log = (tmp_path / "verdictd.log").read_text()
    reverted = next(line for line in map(json.loads, log.splitlines()) if line["event"] == "reverted")
    assert (reverted["attempts"], reverted["release"]) == (1, release_id), "the first patch went through"
    assert len(log) < 20_000, log[:2000]
    assert "Traceback" not in log


async def test_a_limit_that_leaves_no_room_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("{}")
    command = shlex.join([sys.executable, "-m", "daemon.cli", "run", "--config", str(settings)])
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f"ulimit -n 100 && exec {command}", stderr=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    _, said = await process.communicate()
    assert process.returncode == 64
    assert b"ulimit -n" in said
    assert b"http.max_connections" in said
