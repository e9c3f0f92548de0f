"""Two real daemons on one real broker: one verdict and one revert, whichever of them is killed, or stopped for a while."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.backend import Behaviour
from daemon.demo.children import Child
from daemon.engine.tenure import HELD
from daemon.model import Action, Outcome, Stage
from tests.live.field import FAILING, UNHURRIED, Field, field_of
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(180)]

SHARED: dict[str, Any] = {"replicas": {"count": 2}}
LEASE_SECONDS = 3.0


@asynccontextmanager
async def two(
    tmp_path: Path, *, canary: Behaviour, stops: str | None = None, settings_over: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Field, Field, Child]]:
    """Two daemons, and the second one's process. The second has the service, since the first has handed it over."""
    (broker_folder := tmp_path / "broker").mkdir()
    (second_folder := tmp_path / "second").mkdir()
    over = {**SHARED, **(settings_over or {})}
    async with nats_server(broker_folder) as broker, field_of(tmp_path, canary=canary, settings_over=over) as first:
        first.nats_url = broker.url
        (port,) = free_ports(1)
        second = replace(first, folder=second_folder, port=port)
        async with first.daemon():
            await first.ready()
            async with second.daemon(stops=stops) as process:
                await second.ready()
                await said(tmp_path / "verdictd.log", "handed over to other replicas")
                yield first, second, process


async def said(log: Path, event: str) -> None:
    """Wait until a log says it."""
    async with asyncio.timeout(60):
        while f'"event":"{event}"' not in log.read_text():  # noqa: ASYNC240 - a test's own file
            await asyncio.sleep(0.05)


async def holders(place: Field, release_id: str) -> list[str]:
    """Which replicas have had a release, in order."""
    return [mark.detail for mark in (await place.view(release_id)).steps if mark.step == HELD]


async def ended(place: Field, release_id: str) -> None:
    async with asyncio.timeout(60):
        while (await place.view(release_id)).stage is not Stage.ENDED:
            await asyncio.sleep(0.1)


async def account(first: Field, release_id: str) -> None:
    """One verdict, one record that says the same, one revert."""
    record = await first.record(release_id)
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
    assert await first.published(first.nats_url) == [record.verdict]
    assert await first.canary_is_silent()


async def test_a_release_said_to_one_is_watched_by_the_other_and_both_answer_for_it(tmp_path: Path) -> None:
    async with two(tmp_path, canary=FAILING) as (first, second, _):
        release_id = await first.submit()
        assert len(await holders(first, release_id)) == 1
        assert '"event":"submitted"' in (tmp_path / "second" / "verdictd.log").read_text()
        assert await second.submit() == release_id
        record = await second.record(release_id)
        await account(first, release_id)
        assert record.verdict == (await first.record(release_id)).verdict
        assert [undo.object for undo in record.undos] != []


async def test_a_persons_word_to_either_is_carried_to_whoever_watches(tmp_path: Path) -> None:
    async with two(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as (first, second, _):
        release_id = await first.submit()
        await first.command(release_id, "rollback")
        assert (await second.record(release_id)).verdict.by == "person"
        await account(first, release_id)


async def test_when_the_one_that_watches_is_killed_the_other_takes_over(tmp_path: Path) -> None:
    async with two(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as (first, second, process):
        release_id = await first.submit()
        while (await second.view(release_id)).ticks < 4:
            await asyncio.sleep(0.1)
        ticks = (await first.view(release_id)).ticks
        loop = asyncio.get_running_loop()
        os.kill(process.pid, signal.SIGKILL)
        killed_at = loop.time()
        async with asyncio.timeout(30):
            while len(await holders(first, release_id)) < 2:
                await asyncio.sleep(0.05)
        taken_over_after = loop.time() - killed_at
        assert taken_over_after < 30.0, "promised are 5 s, on a machine that has time for it"
        async with asyncio.timeout(30):
            while (await first.view(release_id)).ticks <= ticks + 4:
                await asyncio.sleep(0.1)
        await first.command(release_id, "rollback")
        await ended(first, release_id)
        await account(first, release_id)


@pytest.mark.parametrize("point", ["while watching", "before the patch", "before publishing"])
async def test_one_that_is_stopped_for_longer_than_its_lease_does_nothing_more_when_it_comes_back(
    tmp_path: Path, point: str
) -> None:
    async with two(tmp_path, canary=FAILING, stops=point) as (first, second, process):
        submission = asyncio.ensure_future(first.submit())
        await until_stopped(process.pid)
        release_id = await submission
        async with asyncio.timeout(60):
            while len(await holders(first, release_id)) < 2:
                await asyncio.sleep(0.05)
        await first.record(release_id)
        os.kill(process.pid, signal.SIGCONT)
        await said(tmp_path / "second" / "verdictd.log", "this replica was taken for dead, and joins anew")
        await ended(first, release_id)
        await second.ready()
        record = await first.record(release_id)
        await account(first, release_id)
        assert await first.record(release_id) == record
        assert '"event":"verdict"' not in (tmp_path / "second" / "verdictd.log").read_text()


async def until_stopped(pid: int) -> None:
    """Wait until a process is stopped (state T)."""
    async with asyncio.timeout(60):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC240 - as above
            await asyncio.sleep(0.02)
