"""Things that happen at the same time, in every order that hurts: each release has one life and one verdict."""

import asyncio

import msgspec
import pytest

from daemon.engine.engine import Engine
from daemon.errors import NotFound, Refused, Unavailable
from daemon.interventions import Command
from daemon.model import Outcome, Stage
from tests.hand.ports import HandAnnouncement, HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, arm, failing, gap, healthy

LONG = msgspec.structs.replace(POLICY, window_seconds=1e9)


async def turns(number: int = 50) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_same_id_twice_at_once_is_accepted_only_when_it_is_kept() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        scene.sessions.open.clear()
        first = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        await turns()
        second = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        announcement = HandAnnouncement(ID, RELEASE)
        scene.events.queue.put_nowait(announcement)
        await turns()
        assert not second.done()
        assert announcement.answer == ""
        scene.sessions.open.set()
        assert (await first).id == (await second).id == ID
        await until(lambda: announcement.answer == "accepted")
        assert len(engine.views()) == 1


async def test_the_same_id_twice_in_the_same_instant_has_one_life() -> None:
    scene = Scene()
    located: list[str] = []
    locate = scene.router.locate

    async def counting(release: object) -> object:
        task = asyncio.current_task()
        located.append("" if task is None else task.get_name())
        return await locate(RELEASE)

    scene.router.locate = counting  # type: ignore[method-assign,assignment]  # counts
    async with running(scene) as engine:
        await asyncio.gather(*(engine.submit(RELEASE, release_id=ID) for _ in range(5)))
        await verdict_of(engine)
    assert located.count(f"release {ID}") == 1, "the ticker looks at the route's weight besides"
    assert len(scene.sink.verdicts) == 1


async def test_a_client_that_hangs_up_while_its_release_is_being_kept_leaves_it_watched() -> None:
    scene = Scene()
    async with running(scene) as engine:
        scene.sessions.open.clear()
        submission = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        await turns()
        submission.cancel()
        await asyncio.wait([submission])
        scene.sessions.open.set()
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE


async def test_a_release_that_could_not_be_kept_in_time_leaves_nothing_behind() -> None:
    scene = Scene()
    async with running(scene) as engine:
        scene.sessions.failing = Unavailable("nats is away")
        with pytest.raises(Unavailable, match="try again"):
            await engine.submit(RELEASE, release_id=ID)
        assert not engine.views()
        scene.sessions.failing = None
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE


async def test_a_word_about_a_release_that_is_still_being_kept_does_not_give_it_two_lives() -> None:
    scene = Scene()
    async with running(scene) as engine:
        scene.sessions.open.clear()
        submission = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        await turns()
        with pytest.raises(NotFound):
            await engine.command(ID, Command(command="cancel"))
        scene.sessions.open.set()
        await submission
        await engine.command(ID, Command(command="cancel"))
        verdict = await verdict_of(engine)
    assert verdict.by == "person"
    assert [v.release_id for v in scene.sink.verdicts] == [ID]


async def test_two_releases_of_one_service_kept_at_the_same_time_end_as_one_superseded_and_one_watched() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]), policies={"default": LONG})
    async with running(scene) as engine:
        scene.sessions.open.clear()
        both = [asyncio.ensure_future(engine.submit(RELEASE, release_id=one)) for one in ("web-1", "web-2")]
        await turns()
        scene.sessions.open.set()
        await asyncio.gather(*both)
        await until(lambda: scene.sink.verdicts)
        await turns(500)
        stages = sorted(view.stage for view in engine.views())
        assert stages == [Stage.ENDED, Stage.WATCHING]
        assert [v.by for v in scene.sink.verdicts] == ["superseded"]


async def test_releases_being_kept_count_against_the_limit() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    scene.limits = msgspec.structs.replace(scene.limits, max_releases=1)
    async with running(scene) as engine:
        scene.sessions.open.clear()
        submission = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        await turns()
        with pytest.raises(Refused, match=r"limits\.max_releases"):
            await engine.submit(OTHER, release_id="other-1")
        scene.sessions.open.set()
        await submission


@pytest.mark.parametrize("stage", [Stage.REVERTING, Stage.PUBLISHING])
async def test_a_newer_release_that_comes_before_the_guard_is_not_taken_back_by_it(stage: Stage) -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9, revert_attempts=100)
    away = [Unavailable("away")]
    (scene.router.answers if stage is Stage.REVERTING else scene.sink.answers).extend(away * 60)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is stage)
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        scene.router.on_patch = lambda: None
        verdict = await verdict_of(engine)
        patches = scene.router.patches
        scene.router.canary_percent = 10.0
        await turns(500)
        assert scene.router.patches == patches
    assert verdict.outcome is Outcome.ROLLBACK


async def test_a_newer_release_ends_the_trying_of_a_revert_that_failed() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.answers = [Unavailable("the API server is away")] * 100_000
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.GUARDING)
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        scene.router.answers = []
        await turns(500)
        assert scene.router.patches == 0


async def test_after_a_restart_the_newer_release_of_a_service_still_supersedes_the_older_one() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]), policies={"default": LONG})
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"guarding"' in scene.sessions.data.get(ID, b""))
        guarding = scene.sessions.data[ID]
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        await until(lambda: engine.views()[0].ticks)
        await turns()
    scene.sessions.data[ID] = guarding  # killed before the older one's end was written
    scene.router.canary_percent = 10.0
    async with running(scene) as engine:
        await turns(500)
        assert scene.router.canary_percent == 10.0
        assert (await engine.view("web-2")).stage is Stage.WATCHING


async def test_nobody_reads_a_verdict_before_the_decision_is_kept() -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        waiting = asyncio.ensure_future(engine.wait(ID, seconds=60.0))
        await until(lambda: engine.views()[0].ticks)
        scene.sessions.open.clear()
        await until(lambda: engine.views()[0].stage is Stage.PUBLISHING)
        await turns()
        assert not waiting.done()
        assert (await engine.view(ID)).verdict is None
        assert await engine.wait(ID, seconds=0.0) is None
        scene.sessions.open.set()
        verdict = await waiting
        assert scene.sink.verdicts in ([], [verdict])
        await verdict_of(engine)


async def test_the_api_waits_for_recovery() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 3)
    kept = scene.sessions.data[ID]
    scene.sessions.open.clear()
    engine = Engine(scene.ports())
    before = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
    await turns(5)
    task = asyncio.ensure_future(engine.run())
    asked = [asyncio.ensure_future(one) for one in (engine.view(ID), engine.command(ID, Command(command="cancel")))]
    await turns()
    assert scene.sessions.data[ID] == kept
    scene.sessions.open.set()
    assert (await before).ticks > 3
    await asyncio.wait(asked)
    assert (await verdict_of(engine)).by == "person"
    engine.stop()
    await task


async def test_a_daemon_that_stops_takes_nothing_on() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        engine.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await engine.submit(OTHER, release_id="other-1")
        with pytest.raises(Unavailable, match="stopping"):
            await engine.command(ID, Command(command="rollback"))


async def test_a_submission_under_way_when_the_daemon_stops_is_told_to_come_again() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        scene.sessions.open.clear()
        submission = asyncio.ensure_future(engine.submit(RELEASE, release_id=ID))
        await turns()
        engine.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await submission
        scene.sessions.open.set()


async def test_a_word_about_a_release_long_ended_is_refused_with_its_verdict() -> None:
    scene = Scene()
    scene.limits = msgspec.structs.replace(scene.limits, max_ended=0)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: scene.telemetry.forgotten)
        with pytest.raises(Refused, match="decided already"):
            await engine.command(ID, Command(command="rollback"))
        assert (await engine.view(ID)).stage is Stage.ENDED
        assert await engine.wait(ID, seconds=1.0) == scene.sink.verdicts[0]
    assert scene.router.patches == 0


async def test_the_last_canary_response_seen_while_the_revert_is_guarded_is_in_the_record() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.GUARDING)
        scene.telemetry.readings = [msgspec.structs.replace(healthy(), canary=arm(0))]
        asked = len(scene.telemetry.asked)
        await until(lambda: len(scene.telemetry.asked) > asked + 5)
        provisional = await engine.record(ID)
        await engine.submit(RELEASE, release_id="web-2")
        await verdict_of(engine)
        record = await engine.record(ID)
    assert provisional is not None
    assert record is not None
    assert "canary_silent" in [mark.step for mark in provisional.marks]
    assert "canary_silent" in [mark.step for mark in record.marks]
