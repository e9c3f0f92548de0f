"""An update as a Deployment makes it: each replica is followed by a new one before it ends, and no watch has a gap worth the name.

The daemons, the broker, the proxy and its traffic are real; the versions differ in the form of what they keep.
"""

import asyncio
import itertools
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from daemon import app, recordings
from daemon.aio import looplag
from daemon.aio.tasks import background
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.bus.store import KvStore
from daemon.demo.backend import Behaviour
from daemon.demo.children import Child, child
from daemon.engine.tenure import HELD
from daemon.model import Action, Outcome, Record
from daemon.offline.replay import replay_file
from tests.live.field import FAILING, UNHURRIED, Field, field_of
from tests.live.versions import FORMS, MORE
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(240)]

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
LONGEST_GAP_TICKS = 3.0
TURNS = 6
"""So many wait for their turn, one after the other, from a tick of the one replica to the next of the other: the one that goes, the
broker, the one that comes, the proxy, and the broker and the one that comes again."""
STOPPED_WITHIN_SECONDS = 30.0


@dataclass(kw_only=True)
class Fleet:
    """The replicas that run now, the oldest first, and how more come."""

    field: Field
    stack: AsyncExitStack
    running: list[tuple[Field, Child]]
    started: int = 0
    latest_seconds: float = 0.0

    def lagged(self, seconds: float) -> None:
        """A turn came so late here. On the same machine as the daemons it is what they wait for, too."""
        self.latest_seconds = max(self.latest_seconds, seconds)

    async def starts(self, version: str, *, count: int) -> tuple[Field, Child]:
        """One more, which is told that it is one of so many."""
        self.started += 1
        (folder := self.field.folder / f"{self.started}-{version}").mkdir()
        (port,) = free_ports(1)
        over = {**self.field.settings_over, "replicas": {"count": count}}
        place = replace(self.field, folder=folder, port=port, settings_over=over)
        argv = [sys.executable, "-m", "tests.live.versions", version, str(place.settings())]
        return place, await self.stack.enter_async_context(child(folder.name, argv, log=folder / "verdictd.log"))

    async def comes(self, version: str, *, count: int = 2) -> None:
        """One more, until it is ready."""
        place, process = await self.starts(version, count=count)
        await place.ready()
        self.running.append((place, process))

    async def oldest_goes(self) -> None:
        """As when its pod is deleted: told to end, and waited for."""
        _, process = self.running.pop(0)
        process.terminate()
        assert await code_of(process) == 0

    async def updated(self, version: str, release_id: str) -> None:
        """Each replica is followed by one of this version, with ``maxSurge: 1`` and ``maxUnavailable: 0``; the watch goes on."""
        for _ in range(len(self.running)):
            await self.comes(version)
            await self.oldest_goes()
            await self.ticks(release_id)

    async def ticks(self, release_id: str, *, more: int = 3) -> None:
        """Wait until the watch has gone on so far; any replica knows."""
        place, _ = self.running[-1]
        wanted = (await place.view(release_id)).ticks + more
        async with asyncio.timeout(60):
            while (await place.view(release_id)).ticks < wanted:
                await asyncio.sleep(0.1)

    async def kept(self, release_id: str) -> dict[str, Any]:
        """The session as it stands in the broker."""
        address = BrokerAddress(servers=(self.field.nats_url,))
        async with connected(address, name="test", connect_timeout_seconds=20.0) as connection:
            found = await KvStore(connection, bucket=subjects.SESSIONS, cluster="field").get(release_id)
        assert found is not None
        document: dict[str, Any] = json.loads(found.value)
        return document


async def code_of(process: Child) -> int:
    """With which code it ends."""
    async with asyncio.timeout(STOPPED_WITHIN_SECONDS):
        return await process.process.wait()


@asynccontextmanager
async def fleet_of(version: str, tmp_path: Path, *, count: int) -> AsyncIterator[Fleet]:
    """So many daemons of a version behind which a canary is fine, with one folder of recordings between them."""
    (broker_folder := tmp_path / "broker").mkdir()
    over = {**UNHURRIED, "recordings": {"directory": str(tmp_path / "recordings")}}
    async with (
        nats_server(broker_folder) as broker,
        field_of(tmp_path, canary=Behaviour(), settings_over=over) as field,
        AsyncExitStack() as stack,
    ):
        field.nats_url, field.tick_seconds = broker.url, TICK_SECONDS
        fleet = Fleet(field=field, stack=stack, running=[])
        await stack.enter_async_context(background(looplag.measured(fleet.lagged)))
        for _ in range(count):
            await fleet.comes(version, count=count)
        yield fleet


@pytest.mark.parametrize(
    "course",
    [("yesterday", "today"), ("today", "tomorrow", "today")],
    ids=["from the form before", "forward and back"],
)
async def test_replicas_are_updated_one_after_the_other_in_the_middle_of_a_watch_that_loses_no_three_ticks_and_ends_once(
    course: Sequence[str], tmp_path: Path
) -> None:
    async with fleet_of(course[0], tmp_path, count=2) as fleet:
        (first, _), _ = fleet.running
        release_id = await first.submit()
        await fleet.ticks(release_id)
        for before, version in itertools.pairwise(course):
            assert (await fleet.kept(release_id))["form"] == FORMS[before]
            await fleet.updated(version, release_id)
        kept = await fleet.kept(release_id)
        assert kept["form"] == FORMS[course[-1]]
        assert (MORE.items() <= kept.items()) == ("tomorrow" in course), "what a newer version kept is carried by an older one"
        await fleet.field.backends["v2"].behave(FAILING)
        place, _ = fleet.running[0]
        record = await place.record(release_id)
        await account(place, record)
    assert len([mark for mark in record.marks if mark.step == HELD]) >= len(course), "each version has had it"
    without_a_gap(tmp_path / "recordings" / f"{release_id}.jsonl", record, late_seconds=TURNS * fleet.latest_seconds)


async def test_one_that_is_alone_gives_way_to_two_in_the_middle_of_a_watch_and_none_that_is_alone_runs_beside_them(
    tmp_path: Path,
) -> None:
    """As where a Deployment of one becomes one of two that is updated without a gap."""
    async with fleet_of("today", tmp_path, count=1) as fleet:
        ((first, alone),) = fleet.running
        release_id = await first.submit()
        await fleet.ticks(release_id)
        fleet.running.clear()
        for _ in range(2):
            await fleet.comes("today")
        assert await code_of(alone) == app.EXIT_UNAVAILABLE
        assert "it has given way to them" in alone.log.read_text()
        await fleet.ticks(release_id)
        _, beside = await fleet.starts("today", count=1)
        assert await code_of(beside) == app.EXIT_USAGE
        assert "replicas.count: 1, and 2 that share the work watch the same cluster through this NATS" in beside.log.read_text()
        await fleet.field.backends["v2"].behave(FAILING)
        place, _ = fleet.running[0]
        record = await place.record(release_id)
        await account(place, record)
    replays(tmp_path / "recordings" / f"{release_id}.jsonl", record)


async def account(place: Field, record: Record) -> None:
    """One verdict, which is the record's, and one revert, after which the canary is asked nothing."""
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
    assert await place.published(place.nats_url) == [record.verdict]
    assert [mark.step for mark in record.marks].count("decided") == 1
    assert await place.canary_is_silent()


def without_a_gap(recording: Path, record: Record, *, late_seconds: float) -> None:
    """All that was judged is one recording, whoever judged it: no two ticks are far apart, and no time was unseen for long.

    ``late_seconds`` is how long the machine may have kept them waiting for their turns, which is not what they took.
    """
    longest = LONGEST_GAP_TICKS + late_seconds / TICK_SECONDS
    ticks = list(recordings.read(recording)[1])
    apart = [(after.t - before.t) / TICK_SECONDS for before, after in itertools.pairwise(ticks)]
    seen = [tick for tick in ticks if tick.gap is None]
    unseen = [(after.t - after.seconds - before.t) / TICK_SECONDS for before, after in itertools.pairwise(seen)]
    told = "of %d ticks: at most %.2f ticks from one to the next, and %.2f unseen, of %.2f"
    logger.info(told, len(ticks), max(apart), max(unseen), longest)
    assert max(apart) <= longest
    assert max(unseen) <= longest
    replays(recording, record)


def replays(recording: Path, record: Record) -> None:
    """What was recorded is what was judged, to the verdict."""
    replayed = replay_file(recording)
    assert (replayed.verdict, replayed.decided_at_tick) == ("rollback", record.verdict.ticks)
