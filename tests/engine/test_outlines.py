"""Announcements without arms in the engine: refused where nobody finds arms, else shown, waited for, cancelled as releases are."""

from __future__ import annotations

import asyncio

import pytest

from daemon.engine.outlines import outlined
from daemon.errors import InvalidInput, NotFound, Refused
from daemon.interventions import Command
from daemon.model import ArmSpec, Outcome, Outline, Stage
from daemon.watcher.awaited import AwaitedCanaries
from tests.hand.ports import HandAnnouncement, MemoryStore, Scene, running, until
from tests.hand.samples import RELEASE

NEW = Outline(service=RELEASE.service, namespace=RELEASE.namespace, artifact="reg/web:2")
ID = "web-0123456789abcdef"


class Finding(Scene):
    """One in which arms are looked for."""

    @property
    def waits(self) -> AwaitedCanaries:
        assert isinstance(self.awaiting, AwaitedCanaries)
        return self.awaiting


def scene(store: MemoryStore | None = None, *, lapsed: MemoryStore | None = None) -> Finding:
    made = Finding()
    made.awaiting = AwaitedCanaries(store or MemoryStore(), lapsed=lapsed or MemoryStore(), clock=made.clock, wait_seconds=60.0)
    return made


async def test_where_nobody_finds_arms_an_announcement_without_them_is_refused_with_both_ways_to_mend_it() -> None:
    there = Scene()
    async with running(there) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(NEW, release_id=ID)
        event = HandAnnouncement(ID, NEW)
        there.events.queue.put_nowait(event)
        await until(lambda: event.answer)
    assert caught.value.fix == event.answer.partition("; ")[2]
    assert "name baseline and canary" in event.answer
    assert "add a source of kind kubernetes" in event.answer


async def test_one_that_waits_is_shown_as_a_release_that_is_being_located_and_its_event_is_answered() -> None:
    there = scene()
    async with running(there) as engine:
        event = HandAnnouncement(ID, NEW)
        there.events.queue.put_nowait(event)
        await until(lambda: event.answer)
        view = await engine.view(ID)
        again = await engine.submit(NEW, release_id=ID)
    assert event.answer == "accepted"
    assert view == again
    assert (view.id, view.stage, view.release) == (ID, Stage.LOCATING, outlined(NEW))
    assert view.waiting_for == f"a canary of {NEW.service} that is reg/web:2 to take traffic"
    assert there.meter.begun == []


async def test_what_it_waits_for_is_said_as_the_routes_say_it() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(NEW, release_id=ID)
        there.waits.says(ID, route="VirtualService shop/web", why="v2 gets nothing yet")
        view = await engine.view(ID)
    assert view.waiting_for.endswith(" to take traffic (VirtualService shop/web: v2 gets nothing yet)")


async def test_who_waits_for_its_verdict_gets_that_of_the_release_that_it_becomes() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(NEW, release_id=ID)
        assert await engine.wait(ID, seconds=0.0) is None
        asked = asyncio.ensure_future(engine.wait(ID, seconds=30.0))
        await engine.submit(RELEASE, release_id=ID, sender="event /ci")
        await there.waits.forget(ID)
        verdict = await asked
    assert verdict is not None
    assert verdict.release_id == ID
    assert verdict.outcome in set(Outcome)


async def test_one_that_came_to_nothing_is_not_found_and_why_is_said() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(NEW, release_id=ID)
        await there.waits.forget(ID, why="no canary of web took traffic")
        with pytest.raises(NotFound, match="no release 'web-0123456789abcdef': no canary of web took traffic"):
            await engine.view(ID)


async def test_it_can_be_cancelled_and_not_be_called_good_or_bad() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(NEW, release_id=ID)
        for word in ("promote", "rollback"):
            with pytest.raises(Refused, match="waits for its canary: it can be cancelled only"):
                await engine.command(ID, Command(command=word, by="ann"))
        await engine.command(ID, Command(command="cancel", by="ann"))
        assert [(one.what, one.by, one.release_id) for one in there.audit.entries.values()] == [("cancel", "ann", ID)]
        with pytest.raises(NotFound, match="cancelled by ann"):
            await engine.view(ID)


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"cluster": "elsewhere"}, "$.cluster"),
        ({"mesh": "none"}, "$.mesh"),
        ({"policy": "strikt"}, "$.policy"),
    ],
)
async def test_what_is_not_here_is_refused_before_anything_waits(said: dict[str, str], path: str) -> None:
    there = scene()
    async with running(there) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(Outline(service="web", version="2", **said), release_id=ID)  # type: ignore[arg-type]  # of text
        assert [one.path for one in caught.value.faults] == [path]
        assert there.waits.find(ID) is None


async def test_an_announcement_whose_release_is_there_already_is_that_release() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(RELEASE, release_id=ID)
        view = await engine.submit(NEW, release_id=ID)
    assert view.release.baseline != ArmSpec()
    assert there.waits.find(ID) is None


async def test_what_waits_is_read_back_at_the_start() -> None:
    store = MemoryStore()
    async with running(scene(store)) as engine:
        await engine.submit(NEW, release_id=ID)
    async with running(scene(store)) as engine:
        assert (await engine.view(ID)).stage is Stage.LOCATING
