"""Sources of events side by side: what is wrong with one, or with one event, holds up nothing else."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest

from daemon.engine.eventconsumer import EVENTS_UNDER_WAY, REFUSALS_UNDER_WAY, STEADY_SECONDS
from daemon.errors import InvalidEvent, NotFound, Unavailable
from daemon.interventions import Command
from daemon.model import Release, Stage
from tests.hand.ports import HandAnnouncement, HandEvents, HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, gap


class Hanging(HandAnnouncement):
    """Its answers are never heard."""

    async def accept(self) -> None:
        self.answer = "hangs"
        await asyncio.Event().wait()

    reject = accept  # type: ignore[assignment]  # no reason is heard either


class Failing(HandEvents):
    """Breaks when it is told to, in the middle of everything."""

    def __init__(self, defect: BaseException | None = None) -> None:
        super().__init__()
        self.begun = 0
        self.breaks = asyncio.Event()
        self.defect = defect or ZeroDivisionError()

    async def announcements(self) -> AsyncGenerator[HandAnnouncement, None]:
        self.begun += 1
        if self.begun == 1:
            yield await self.queue.get()
            await self.breaks.wait()
            raise self.defect
        while True:
            yield await self.queue.get()


def event(number: int, *, service: str = "", kind: type[HandAnnouncement] = HandAnnouncement) -> HandAnnouncement:
    return kind(f"web-{number}", msgspec.structs.replace(RELEASE, service=service or f"service-{number}"))


def two_sources(first: HandEvents | None = None) -> tuple[Scene, HandEvents, HandEvents]:
    first, second = first or HandEvents(), HandEvents()
    return Scene(more_events={"first": first, "second": second}), first, second


async def test_a_source_whose_answers_hang_delays_no_other() -> None:
    scene, slow, other = two_sources()
    for number in range(EVENTS_UNDER_WAY + 5):
        slow.queue.put_nowait(event(number, kind=Hanging))
    async with running(scene):
        await until(lambda: slow.queue.qsize() == 5)
        good = event(100)
        other.queue.put_nowait(good)
        await until(lambda: good.answer)
        assert good.answer == "accepted"
        assert slow.queue.qsize() == 5, "no more are taken than may be under way"


async def test_a_source_that_never_says_anything_delays_no_other() -> None:
    class Silent(HandEvents):
        async def announcements(self) -> AsyncGenerator[HandAnnouncement, None]:
            await asyncio.Event().wait()
            yield event(0)

    scene, _, other = two_sources(Silent())
    async with running(scene):
        good = event(1)
        other.queue.put_nowait(good)
        await until(lambda: good.answer)
    assert good.answer == "accepted"


async def test_what_a_source_says_of_itself_is_told_of_it_while_it_goes_on() -> None:
    class Examined(HandEvents):
        said: str | None = "it may not watch"

        @property
        def problem(self) -> str | None:
            return self.said

    scene, source, _ = two_sources(Examined())
    async with running(scene) as engine:
        await until(lambda: engine.handicaps.get("source first"))
        assert engine.handicaps["source first"] == "it may not watch"
        good = event(1)
        source.queue.put_nowait(good)
        await until(lambda: good.answer)
        Examined.said = None
        assert engine.handicaps["source first"] is None


@pytest.mark.parametrize("defect", [ZeroDivisionError(), SystemExit(0), asyncio.CancelledError()], ids=repr)
async def test_a_source_that_breaks_is_begun_anew_and_what_it_had_under_way_is_answered(
    defect: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Failing(defect)
    scene, _, _ = two_sources(broken)
    async with running(scene) as engine:
        scene.sessions.open.clear()
        first, second = event(1), event(2)
        broken.queue.put_nowait(first)
        await until(lambda: not broken.queue.qsize())
        broken.breaks.set()
        await until(lambda: broken.begun == 2)
        assert first.answer == ""
        scene.sessions.open.set()
        broken.queue.put_nowait(second)
        await until(lambda: first.answer and second.answer)
        assert (first.answer, second.answer) == ("accepted", "accepted")
        assert engine.ready
    assert [what for what, _ in scene.meter.failures] == ["source"]
    assert [record.__dict__["source"] for record in caplog.records if record.message == "a source failed"] == ["source first"]


async def test_an_event_that_only_has_to_be_rejected_does_not_wait_for_one_whose_store_hangs() -> None:
    scene, source, _ = two_sources()
    async with running(scene):
        scene.sessions.open.clear()
        slow, bad = event(1), HandAnnouncement(None, InvalidEvent("is no release"))
        source.queue.put_nowait(slow)
        source.queue.put_nowait(bad)
        await until(lambda: bad.answer)
        assert (slow.answer, "is no release" in bad.answer) == ("", True)
        scene.sessions.open.set()
        await until(lambda: slow.answer)


async def test_events_that_are_rejected_are_not_counted_among_those_under_way_and_have_a_bound_of_their_own() -> None:
    class Refused(HandAnnouncement):
        def __init__(self) -> None:
            super().__init__(None, InvalidEvent("is no release"))

        async def reject(self, reason: str) -> None:
            self.answer = reason
            await asyncio.Event().wait()

    scene, source, _ = two_sources()
    async with running(scene):
        refused = [Refused() for _ in range(REFUSALS_UNDER_WAY - 1)]
        for one in refused:
            source.queue.put_nowait(one)
        await until(lambda: all("is no release" in one.answer for one in refused))
        good = event(1)
        source.queue.put_nowait(good)
        await until(lambda: good.answer)
        assert good.answer == "accepted"
        for _ in range(3):
            source.queue.put_nowait(Refused())
        await until(lambda: source.queue.qsize() == 2)
        await asyncio.sleep(0)
        assert source.queue.qsize() == 2, "no more are taken than may be under way"


async def test_events_of_one_service_keep_their_order_whatever_the_first_waits_for() -> None:
    scene, source, _ = two_sources()
    asked: list[str] = []
    held = asyncio.Event()
    get = scene.records.get

    async def watched(key: str) -> object:
        asked.append(key)
        if key == "web-1":
            await held.wait()
        return await get(key)

    scene.records.get = watched  # type: ignore[assignment,method-assign]  # to hold up the older one
    async with running(scene) as engine:
        older, newer, other = event(1, service="web"), event(2, service="web"), event(3, service="other")
        for one in (older, newer, other):
            source.queue.put_nowait(one)
        await until(lambda: other.answer)
        assert list(dict.fromkeys(asked)) == ["web-1", "web-3"]
        held.set()
        await until(lambda: newer.answer)
        older_view, newer_view = await engine.view("web-1"), await engine.view("web-2")
        assert older_view.verdict is not None or older_view.stage is Stage.PUBLISHING
        assert newer_view.stage in {Stage.LOCATING, Stage.WATCHING}


async def test_an_answer_that_fails_leaves_the_event_to_its_source_and_the_next_is_taken() -> None:
    class Broken(HandAnnouncement):
        async def accept(self) -> None:
            raise ZeroDivisionError

        async def put_back(self) -> None:
            self.answer = "tried"
            raise ZeroDivisionError

    scene, source, _ = two_sources()
    async with running(scene):
        bad, good = event(1, kind=Broken), event(2)
        source.queue.put_nowait(bad)
        source.queue.put_nowait(good)
        await until(lambda: bad.answer and good.answer)
    assert (bad.answer, good.answer) == ("tried", "accepted")


async def test_a_command_that_is_refused_or_breaks_keeps_no_other_from_being_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        given: list[str] = []
        command = engine.command

        async def watched(release_id: str, word: Command) -> object:
            given.append(release_id)
            match release_id:
                case "none":
                    raise NotFound("no release")
                case "broken":
                    raise ZeroDivisionError
                case _:
                    return await command(release_id, word)

        monkeypatch.setattr(engine, "command", watched)
        for release_id in ("none", "broken", ID):
            scene.events.words.put_nowait((release_id, Command(command="cancel")))
        await until(lambda: engine.views()[0].stage is Stage.ENDED)
    assert given == ["none", "broken", ID]
    assert [what for what, _ in scene.meter.failures] == ["command"]


async def test_a_command_that_cannot_be_carried_out_now_is_its_sources_again_and_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        command, given = engine.command, list[str]()

        async def watched(release_id: str, word: Command) -> object:
            given.append(release_id)
            if release_id == "away":
                raise Unavailable("the replica that has this service does not answer")
            return await command(release_id, word)

        monkeypatch.setattr(engine, "command", watched)
        for release_id in ("away", ID):
            scene.events.words.put_nowait((release_id, Command(command="cancel")))
        await until(lambda: engine.views()[0].stage is Stage.ENDED)
    assert given == ["away", ID]
    assert [release_id for release_id, _ in scene.events.postponed] == ["away"]
    assert [what for what, _ in scene.meter.failures] == ["command"]


class Ending(HandAnnouncement):
    """That a release is over."""

    def __init__(self, release_id: str) -> None:
        super().__init__(release_id, InvalidEvent("it is over"))
        self.command = Command(command="cancel", by="Rollout shop/web", reason="it has given this version up")


async def test_a_source_that_says_that_a_release_is_over_ends_its_watch_once_and_what_is_not_there_is_over_too() -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        endings = [Ending(ID), Ending("web-unknown")]
        for one in endings:
            scene.events.queue.put_nowait(one)
        await until(lambda: all(one.answer for one in endings) and engine.views()[0].stage is Stage.ENDED)
        again = Ending(ID)
        scene.events.queue.put_nowait(again)
        await until(lambda: again.answer)
        (view,) = engine.views()
    assert {one.answer for one in (*endings, again)} == {"accepted"}
    assert view.verdict is not None
    assert (view.verdict.outcome, view.verdict.action, view.verdict.meaning) == ("inconclusive", "none", "hold")
    assert view.verdict.reason == "cancelled by Rollout shop/web: it has given this version up"


async def test_at_the_end_nothing_of_a_source_is_left_open() -> None:
    closed: list[str] = []

    class Watched(HandEvents):
        async def announcements(self) -> AsyncGenerator[HandAnnouncement, None]:
            try:
                while True:
                    yield await self.queue.get()
            finally:
                closed.append("closed")

    source = Watched()
    scene, _, _ = two_sources(source)
    for number in range(EVENTS_UNDER_WAY):
        source.queue.put_nowait(event(number, kind=Hanging))
    async with running(scene):
        await until(lambda: not source.queue.qsize())
    assert closed == ["closed"]


class Defective(HandAnnouncement):
    """A reader of somebody else's that does not keep to our errors."""

    defect: BaseException = KeyError("subject")

    def release(self) -> Release:
        raise self.defect


@pytest.mark.parametrize("defect", [KeyError("subject"), SystemExit(0), asyncio.CancelledError()], ids=repr)
async def test_an_event_that_its_source_cannot_read_by_a_defect_is_put_back_and_the_source_goes_on(
    defect: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Defective, "defect", defect)
    source = Failing()
    scene = Scene(more_events={"first": source})
    bad, good = event(1, kind=Defective), event(2)
    source.queue.put_nowait(bad)
    async with running(scene):
        await until(lambda: bad.answer)
        assert (bad.answer, source.begun) == ("put back", 1)
        source.breaks.set()
        source.queue.put_nowait(good)
        await until(lambda: good.answer)


async def test_a_source_that_fails_is_told_as_a_handicap_until_it_brings_something_or_goes_on_for_a_while() -> None:
    broken = Failing(Unavailable("its queue is away"))
    scene, _, _ = two_sources(broken)
    async with running(scene) as engine:
        await until(lambda: broken.begun == 1)
        assert {name: why for name, why in engine.handicaps.items() if why} == {}
        assert {"source first", "source second", "source hand", "commands"} <= engine.handicaps.keys()
        broken.queue.put_nowait(event(1))
        broken.breaks.set()
        await until(lambda: broken.begun == 2)
        assert engine.handicaps["source first"] == "its queue is away"
        assert engine.handicaps["source second"] is None
        scene.clock.time += STEADY_SECONDS
        assert engine.handicaps["source first"] is None


async def test_a_source_that_ends_has_failed_and_works_again_with_what_comes(caplog: pytest.LogCaptureFixture) -> None:
    class Ending(HandEvents):
        begun = 0

        async def announcements(self) -> AsyncGenerator[HandAnnouncement, None]:
            self.begun += 1
            while self.begun > 3:
                yield await self.queue.get()

    source = Ending()
    scene, _, _ = two_sources(source)
    async with running(scene) as engine:
        await until(lambda: source.begun == 4)
        assert engine.handicaps["source first"] == "a defect of source first: it has ended"
        good = event(1)
        source.queue.put_nowait(good)
        await until(lambda: good.answer)
        assert engine.handicaps["source first"] is None
    assert [record.message for record in caplog.records].count("a source failed") == 1, "once for each reason"
    assert [what for what, _ in scene.meter.failures] == ["source"] * 3


async def test_an_older_event_that_was_postponed_does_not_supersede_what_was_admitted_meanwhile() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        older, newer = event(1, service="web"), event(2, service="web")
        older.announced_at, newer.announced_at = scene.clock.time - 20.0, scene.clock.time - 10.0
        scene.records.failing = Unavailable("the store is away")
        scene.events.queue.put_nowait(older)
        await until(lambda: older.answer)
        assert older.answer == "postponed"
        scene.records.failing = None
        for one in (newer, older):
            scene.events.queue.put_nowait(one)
        await until(lambda: older.answer == newer.answer == "accepted")
        told = await verdict_of(engine, "web-1")
        assert told.reason == "superseded by release web-2 of the same service"
        assert (await engine.view("web-2")).stage in {Stage.LOCATING, Stage.WATCHING}
        last = event(3, service="web")
        last.announced_at = scene.clock.time
        scene.events.queue.put_nowait(last)
        assert (await verdict_of(engine, "web-2")).reason == "superseded by release web-3 of the same service"


async def test_which_release_is_newer_is_known_after_a_restart() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    newer = msgspec.structs.replace(RELEASE, service="web")
    async with running(scene) as engine:
        await engine.submit(newer, release_id="web-2", announced_at=scene.clock.time - 10.0)
    async with running(scene) as engine:
        await engine.submit(newer, release_id="web-1", announced_at=scene.clock.time - 20.0)
        await engine.submit(newer, release_id="web-3", announced_at=scene.clock.time - 5.0)
        assert "web-2" in (await verdict_of(engine, "web-1")).reason
        assert "web-3" in (await verdict_of(engine, "web-2")).reason
        assert (await engine.view("web-3")).verdict is None
