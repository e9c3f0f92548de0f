"""What goes wrong in one release, in the store or in our own code, stays where it is: ticks, reverts and verdicts go on."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from daemon.engine.engine import Engine
from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, Unavailable
from daemon.interventions import Command
from daemon.measurements import Reading, Watch
from daemon.model import Action, Outcome, Stage
from tests.hand.ports import HandAnnouncement, HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import BOUNDS, ID, OTHER, RELEASE, arm, failing, gap, healthy


class Mixed(HandTelemetry):
    """Answers each release by its id; an exception is raised, what is missing is left out."""

    def __init__(self, answers: dict[str, Reading | Exception]) -> None:
        super().__init__()
        self.answers = answers

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self.asked.append([w.release_id for w in watches])
        readings = {}
        for watch in watches:
            answer = self.answers.get(watch.release_id)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                readings[watch.release_id] = answer
        return readings


def broken() -> Reading:
    """A reading that no judge can fold."""
    odd = replace(arm(100), requests="many")
    return Reading(seconds=1.0, baseline=odd, canary=odd, bounds_ms=BOUNDS)


async def test_one_release_that_cannot_be_judged_ends_inconclusive_and_the_others_go_on() -> None:
    scene = Scene(telemetry=Mixed({ID: broken(), "other-1": healthy()}))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.submit(OTHER, release_id="other-1")
        bad, good = await verdict_of(engine), await verdict_of(engine, "other-1")
    assert (bad.outcome, bad.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    assert "could not be judged" in bad.reason
    assert good.outcome is Outcome.PROMOTE
    assert "judge" in {what for what, _ in scene.meter.failures}


async def test_a_telemetry_source_that_fails_in_our_own_code_is_a_gap_and_never_a_rollback() -> None:
    scene = Scene(telemetry=Mixed({ID: ZeroDivisionError("a defect of ours")}))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, scene.router.patches) == (Outcome.INCONCLUSIVE, 0)
    assert "a defect of ours" in verdict.reason


async def test_a_release_that_telemetry_leaves_out_has_a_gap() -> None:
    scene = Scene(telemetry=Mixed({"other-1": healthy()}))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.submit(OTHER, release_id="other-1")
        assert (await verdict_of(engine, "other-1")).outcome is Outcome.PROMOTE
        assert (await verdict_of(engine)).outcome is Outcome.INCONCLUSIVE


async def test_a_meter_that_fails_does_not_stop_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))

    def burst(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect of ours")

    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
        monkeypatch.setattr(scene.meter, "round", burst)
        ticks = engine.views()[0].ticks
        await until(lambda: engine.views()[0].ticks > ticks + 3)
    assert "tick" in {what for what, _ in scene.meter.failures}


async def test_a_checkpoint_that_the_store_refuses_is_reported_and_the_others_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.submit(OTHER, release_id="other-1")
        scene.sessions.refused[ID] = Refused("too large")
        await until(lambda: sum(isinstance(error, Refused) for _, error in scene.meter.failures) > 3)
        puts = scene.sessions.puts
        await until(lambda: scene.sessions.puts > puts + 3)
    assert [one.__dict__["reason"] for one in caplog.records if one.message == "a release's state cannot be kept"] == ["too large"]


async def test_a_verdict_whose_checkpoint_is_refused_for_good_is_published_all_the_same() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
        scene.sessions.refused[ID] = Refused("too large")
        scene.telemetry.readings = [failing()]
        verdict = await verdict_of(engine)
    assert scene.sink.verdicts == [verdict]


async def test_a_record_that_the_store_refuses_for_good_is_reported_and_the_release_ends() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.records.refused[ID] = Refused("too large")
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert scene.sink.verdicts == [verdict]
    assert "record" in {what for what, _ in scene.meter.failures}


async def test_a_verdict_that_the_broker_refuses_is_reported_and_tried_again_until_it_takes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Somebody may give the permission, or make room; until then nobody has been told, and the release has not ended."""
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.sink.answers = [Forbidden("not on this subject")] * 3
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: scene.meter.failures)
        assert (engine.views()[0].stage, scene.records.data, scene.meter.ends) == (Stage.PUBLISHING, {}, [])
        verdict = await verdict_of(engine)
    assert scene.sink.verdicts == [verdict]
    assert [(what, type(error)) for what, error in scene.meter.failures] == [("publish", Forbidden)] * 3
    lines = [record for record in caplog.records if record.message == "not done yet"]
    assert [(line.__dict__["step"], line.__dict__["error"]) for line in lines] == [("publish", "not on this subject")]


async def test_a_stop_while_the_broker_is_away_is_quick_and_the_next_start_publishes_once() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.sink.answers = [Unavailable("nats is away")] * 1_000_000
    async with asyncio.timeout(40.0), running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(scene.meter.failures) > 3)
    scene.sink.answers = []
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert scene.sink.verdicts == [verdict]
    assert {what for what, _ in scene.meter.failures} == {"publish"}


async def test_a_watch_whose_telemetry_was_changed_to_another_kind_over_a_restart_claims_nothing() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 2)
    scene.telemetry = HandTelemetry([failing()])
    scene.telemetry.split = True
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert (verdict.outcome, scene.router.patches) == (Outcome.INCONCLUSIVE, 0)
    assert "of another kind" in verdict.reason


async def test_a_start_while_the_store_is_away_waits_for_it() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 2)
    scene.sessions.failing = Unavailable("nats is away")
    engine = Engine(scene.ports())
    task = asyncio.ensure_future(engine.run())
    await until(lambda: len(scene.meter.failures) > 3)
    assert not engine.ready
    scene.sessions.failing = None
    await until(lambda: engine.ready)
    assert (await engine.view(ID)).ticks > 2
    engine.stop()
    await task


async def test_a_release_that_cannot_be_kept_is_refused_at_the_door() -> None:
    scene = Scene()
    scene.sessions.refused[ID] = Refused("ID: 2000000 bytes are more than NATS takes")
    async with running(scene) as engine:
        with pytest.raises(InvalidInput, match="2000000 bytes"):
            await engine.submit(RELEASE, release_id=ID)
        assert not engine.views()


@pytest.mark.parametrize("defect", [ZeroDivisionError(), SystemExit(0), asyncio.CancelledError()], ids=repr)
async def test_a_revert_that_fails_by_a_defect_of_its_mesh_is_tried_again_and_the_defect_told_once(
    defect: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.answers = [defect] * 3
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert verdict.action is Action.REVERT
    assert scene.router.canary_percent == 0
    assert scene.meter.failures == []
    assert [record.message for record in caplog.records].count("a mesh failed by a defect of its adapter") == 1


async def test_a_route_that_cannot_be_patched_for_minutes_is_taken_back_when_it_can_be() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    back_at = scene.clock.time + 600.0
    revert = scene.router.revert

    async def away(release: object, *, located: str) -> object:
        if scene.clock.time < back_at:
            raise Unavailable("the API server is away")
        return await revert(RELEASE, located=located)

    scene.router.revert = away  # type: ignore[method-assign,assignment]  # a fault on demand
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        record = await engine.record(ID)
    assert verdict.action is Action.FAILED
    assert scene.sink.verdicts == [verdict]
    assert scene.router.canary_percent == 0
    assert record is not None
    assert "patch_acknowledged" in [mark.step for mark in record.marks]


async def test_a_failed_revert_is_still_tried_after_a_restart() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.answers = [Unavailable("the API server is away")] * 100_000
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"guarding"' in scene.sessions.data.get(ID, b""))
    scene.router.answers = []
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert (verdict.action, scene.router.canary_percent) == (Action.FAILED, 0)
    assert len(scene.sink.verdicts) == 1


async def test_a_failed_revert_whose_route_is_gone_ends() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.answers = [NotFound("the route is gone")] * 2
    scene.router.canary_percent = 0.0
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).action is Action.FAILED


async def test_an_event_that_fails_by_a_defect_of_ours_is_left_and_the_next_one_is_taken() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    scene.records.data["odd-1"] = b"no record"
    odd, good = HandAnnouncement("odd-1", RELEASE), HandAnnouncement(ID, RELEASE)
    async with running(scene) as engine:
        scene.events.queue.put_nowait(odd)
        scene.events.queue.put_nowait(good)
        await until(lambda: good.answer)
        assert [view.id for view in engine.views()] == [ID]
    assert odd.answer == "put back"


async def test_an_event_whose_release_cannot_be_kept_now_is_postponed() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    scene.records.failing = Unavailable("nats is away")
    announcement = HandAnnouncement(ID, RELEASE)
    async with running(scene):
        scene.events.queue.put_nowait(announcement)
        await until(lambda: announcement.answer)
    assert announcement.answer == "postponed"


async def test_a_command_that_fails_by_a_defect_of_ours_does_not_stop_the_next_one() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        scene.records.data["odd-1"] = b"no record"
        scene.events.words.put_nowait(("odd-1", Command(command="cancel")))
        scene.events.words.put_nowait(("nobody", Command(command="cancel")))
        scene.events.words.put_nowait((ID, Command(command="cancel")))
        assert (await verdict_of(engine)).by == "person"


async def test_a_checkpoint_with_damaged_inside_does_not_keep_the_daemon_from_starting() -> None:
    scene = Scene()
    scene.sessions.data["odd-1"] = b"[]"
    scene.sessions.data["odd-2"] = b"\xff\xfe"
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert [what for what, _ in scene.meter.failures] == ["checkpoint"] * 2


async def test_a_clock_that_is_set_neither_lengthens_nor_ends_the_watch() -> None:
    for jump in (-3600.0, 3600.0):
        scene = Scene(telemetry=HandTelemetry([gap()]))
        offset = 0.0

        def now(scene: Scene = scene) -> float:
            return scene.clock.time + offset  # noqa: B023 - read while the loop's turn runs

        scene.clock.now = now  # type: ignore[method-assign]  # the wall's clock, which can be set
        async with running(scene) as engine:
            await engine.submit(RELEASE, release_id=ID)
            await until(lambda: engine.views()[0].ticks > 3)
            offset = jump
            await until(lambda: engine.views()[0].ticks > 10)
            view = engine.views()[0]
            assert view.stage is Stage.WATCHING
            assert 9.0 <= view.seconds <= 13.0
            verdict = await verdict_of(engine)
            assert 59 <= verdict.ticks <= 63


async def test_stopping_while_sessions_are_being_read_back_does_not_wait_for_them() -> None:
    scene = Scene()
    scene.sessions.open.clear()
    engine = Engine(scene.ports())
    task = asyncio.ensure_future(engine.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    engine.stop()
    async with asyncio.timeout(40.0):
        await task
    assert not engine.ready


async def test_a_watch_without_any_telemetry_ends_with_the_cause_at_the_beginning_of_its_reason() -> None:
    scene = Scene(telemetry=HandTelemetry([gap("10.0.0.7:15090: connection refused")]))
    scene.telemetry.failure = "10.0.0.7:15090: connection refused"
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
        degraded = {name: why for name, why in engine.handicaps.items() if why is not None}
        assert degraded == {"telemetry hand": "10.0.0.7:15090: connection refused"}
        assert not any(engine.problems.values())
        verdict = await verdict_of(engine)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    ticks = verdict.ticks
    assert verdict.reason.startswith(f"{ticks} of {ticks} ticks had no information, the last one: 10.0.0.7:15090: connection")


async def test_a_store_that_does_not_take_checkpoints_is_a_problem_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
        scene.sessions.failing = Unavailable("no room")
        await until(lambda: len(scene.meter.failures) > 5)
        assert engine.problems["store"] == "no room"
        scene.sessions.failing = None
        await until(lambda: engine.problems["store"] is None)
    said = [(r.message, r.__dict__["component"]) for r in caplog.records if r.name == "daemon.standing"]
    assert said == [("does not work", "store"), ("works again", "store")]


async def test_however_long_the_broker_was_away_the_next_attempt_to_publish_is_near() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.sink.answers = [Unavailable("nats is away")] * 200
    slept: list[float] = []
    sleep = scene.clock.sleep

    async def watched(seconds: float, /) -> None:
        slept.append(seconds)
        await sleep(seconds)

    scene.clock.sleep = watched  # type: ignore[method-assign]  # to see the pauses
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert max(slept) <= 1.2


async def test_an_end_that_is_begun_anew_is_counted_once() -> None:
    """The verdict is out, its record cannot be written, and a newer release begins the old one's end anew."""
    scene = Scene(telemetry=HandTelemetry([healthy()]))
    scene.records.refused[ID] = Unavailable("nats is away")
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(scene.sink.verdicts) == 1)
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        await until(lambda: len(scene.sink.verdicts) == 2)
        del scene.records.refused[ID]
        await until(lambda: ID in scene.records.data)
    assert [verdict.release_id for verdict in scene.meter.ends] == [ID]
