"""A manual gate: what the judge finds good waits for a person, is watched meanwhile, and is promoted by nobody else."""

from pathlib import Path

import msgspec
import pytest

from daemon.engine.dependencies import Sink
from daemon.engine.engine import Engine
from daemon.errors import Refused, Unavailable
from daemon.interventions import Command
from daemon.model import Action, Outcome, Release, Stage
from daemon.offline.replay import lockstep
from daemon.offline.replay.sources import recordings_in
from daemon.ports.notices import PersonWanted
from daemon.recorder import Recorder
from daemon.releaseview import ReleaseView
from tests.engine.test_outbox import HandSink
from tests.hand.ports import HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, failing, gap, healthy

WAITS = msgspec.structs.replace(POLICY, on_promote="wait", approval_seconds=3000.0)


def scene_of(**changes: float) -> Scene:
    return Scene(policies={"default": msgspec.structs.replace(WAITS, **changes)})


async def waiting(engine: Engine) -> ReleaseView:
    """The release, once a person is waited for."""
    view = await engine.view(ID)
    while view.waits_until is None:
        assert view.stage is not Stage.ENDED, view.verdict
        await engine.wait(ID, seconds=0.01)
        view = await engine.view(ID)
    return view


async def test_a_canary_that_is_found_good_waits_past_the_window_and_says_until_when_and_how_to_answer() -> None:
    scene = scene_of()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        view = await waiting(engine)
        began = next(mark.at for mark in view.steps if mark.step == "watching")
        await until(lambda: scene.clock.time > began + POLICY.window_seconds + 30.0)
        view = await engine.view(ID)
        assert (view.stage, view.verdict, view.on_promote) == (Stage.WATCHING, None, "wait")
        assert view.waiting_for.startswith("a person's word until 1970-01-12 ")
        assert f"(verdictd promote {ID} --reason TEXT, or rollback): found good after " in view.waiting_for
        [found] = [mark for mark in view.steps if mark.step == "found_good"]
        assert view.waits_until == pytest.approx(found.at + 3000.0, abs=2.0)
    assert scene.sink.verdicts == []


async def test_until_when_a_person_is_waited_for_is_a_time_to_come_though_the_clock_was_behind_when_the_watch_began() -> None:
    scene, chat = scene_of(), Channel()
    scene.sinks = {"chat": Sink(to=chat)}
    scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
        scene.clock.time += 7200.0
        scene.clock.booted += 7200.0
        scene.telemetry.readings = [healthy()]
        view = await waiting(engine)
        [found] = [mark for mark in view.steps if mark.step == "found_good"]
        assert view.waits_until == pytest.approx(found.at + 3000.0, abs=2.0)
        await until(lambda: chat.asked)
    assert chat.asked[0].until == view.waits_until


@pytest.mark.parametrize(
    ("word", "outcome", "action"),
    [
        ("promote", Outcome.PROMOTE, Action.NONE),
        ("rollback", Outcome.ROLLBACK, Action.REVERT),
        ("cancel", Outcome.INCONCLUSIVE, Action.NONE),
    ],
)
async def test_a_persons_word_is_the_verdict_also_after_a_restart(word: str, outcome: Outcome, action: Action) -> None:
    scene = scene_of()
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        before = await waiting(engine)
        await until(lambda: b"found_good" in scene.sessions.data[ID])
    async with running(scene) as engine:
        again = await waiting(engine)
        assert again.waits_until == pytest.approx(before.waits_until)
        await engine.command(ID, Command(command=word, by="ann", reason="seen"))  # type: ignore[arg-type]  # one of the words
        verdict = await verdict_of(engine)
        with pytest.raises(Refused, match="decided already"):
            await engine.command(ID, Command(command="promote", by="bob"))
    assert (verdict.outcome, verdict.action, verdict.by) == (outcome, action, "person")
    assert "by ann: seen; it was found good after " in verdict.reason
    assert scene.sink.verdicts == [verdict]


async def test_a_canary_that_turns_bad_while_it_waits_is_taken_back_and_its_recording_says_the_same(tmp_path: Path) -> None:
    scene = scene_of()
    scene.recorder = Recorder(tmp_path)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await waiting(engine)
        scene.telemetry.readings = [failing()]
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action, verdict.by, verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "judge", "errors")
    assert scene.router.canary_percent == 0
    [again] = lockstep.judge(recordings_in([str(tmp_path)]))
    told = lockstep.replayed(again)
    assert (told.verdict, told.decided_at_tick, told.reason) == ("rollback", verdict.ticks, verdict.reason)


@pytest.mark.parametrize("away", [False, True])
async def test_nobody_s_word_in_time_is_inconclusive_and_never_a_promotion(away: bool) -> None:
    """Also where the daemon was away over the end of the time, and where its telemetry says nothing by then."""
    scene = scene_of(approval_seconds=120.0)
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await waiting(engine)
        await until(lambda: b"found_good" in scene.sessions.data[ID])
    if away:
        scene.clock.time += 5_000.0
        scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.meaning, verdict.action, verdict.by) == (Outcome.INCONCLUSIVE, "hold", Action.NONE, "deadline")
    assert ", and no person has said within 120 s that it be promoted; " in verdict.reason


async def test_what_observes_waits_too_and_a_word_before_it_is_found_good_needs_no_waiting() -> None:
    scene = Scene(policies={"default": msgspec.structs.replace(WAITS, mode="observe")}, telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.command(ID, Command(command="promote", by="ann"))
        assert (await verdict_of(engine)).reason == "promoted by ann"
        await engine.submit(RELEASE, release_id="web-2")
        scene.telemetry.readings = [healthy()]
        while (await engine.view("web-2")).waits_until is None:
            await engine.wait("web-2", seconds=0.01)


class Channel(HandSink):
    """Implements ``AskingSink``; ``away`` attempts fail first."""

    def __init__(self, *, away: int = 0, concerned: bool = True) -> None:
        super().__init__()
        self.away = away
        self.concerned = concerned
        self.asked: list[PersonWanted] = []

    def asks(self, _release: Release) -> bool:
        return self.concerned

    async def ask(self, wanted: PersonWanted) -> None:
        self.away -= 1
        if self.away >= 0:
            raise Unavailable("is away")
        self.asked.append(wanted)


async def test_who_can_tell_it_is_told_once_that_a_person_is_waited_for_also_over_a_restart_and_then_the_verdict() -> None:
    scene, chat, other, deaf = scene_of(), Channel(away=2), Channel(concerned=False), HandSink()
    scene.sinks = {name: Sink(to=to) for name, to in {"chat": chat, "other": other, "deaf": deaf}.items()}
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        view = await waiting(engine)
        await until(lambda: b"person_asked" in scene.sessions.data[ID])
    async with running(scene) as engine:
        await waiting(engine)
        await engine.command(ID, Command(command="promote", by="ann"))
        verdict = await verdict_of(engine)
        await until(lambda: all(sink.told for sink in (chat, other, deaf)))
    [wanted] = chat.asked
    assert (wanted.id, wanted.release, wanted.cluster) == (f"{ID}.person", view.release, "test")
    assert wanted.until == view.waits_until
    assert wanted.reason.startswith("found good after ")
    assert other.asked == []
    assert [one for _, one in deaf.told] == [verdict]


async def test_a_channel_that_is_away_is_asked_no_more_once_there_is_a_verdict_and_holds_nothing_up() -> None:
    scene, chat = scene_of(), Channel(away=10**9)
    scene.sinks = {"chat": Sink(to=chat)}
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await waiting(engine)
        await until(lambda: chat.away < 10**9 - 2)
        await engine.command(ID, Command(command="promote", by="ann"))
        await verdict_of(engine)
        left = chat.away
        await until(lambda: not scene.sessions.data)
    assert (chat.asked, chat.away) == ([], left)
