"""The engine on ports played by hand: what a release's life looks like from outside, and what survives."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from config.policy import Failures
from daemon.aio.companies import Companies
from daemon.engine import dispatcher, meshlines
from daemon.engine.admission import admitted
from daemon.engine.dependencies import Mesh, MeshCluster, Ports
from daemon.engine.keptforms import decode_record
from daemon.engine.supervisor import LOCATED_WITHIN_SECONDS
from daemon.errors import Conflict, InvalidEvent, InvalidInput, NotFound, Refused, Unauthenticated, Unavailable, VerdictdError
from daemon.events.verdicts import verdict_event
from daemon.interventions import Command
from daemon.measurements import Reading, Watch
from daemon.model import Action, Outcome, Record, Release, Stage, Verdict
from daemon.placement import Placement
from tests.engine.test_gitsources import SOURCE, HandGit, Marked
from tests.hand.clock import LoopTime
from tests.hand.ports import HandAnnouncement, HandTelemetry, MuteRouter, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, failing, gap, healthy


async def test_a_healthy_canary_is_promoted_published_once_and_kept() -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        record = await engine.record(ID)
        await until(lambda: not scene.sessions.data)
    assert verdict.outcome is Outcome.PROMOTE
    assert verdict.action is Action.NONE
    assert scene.sink.verdicts == [verdict]
    assert scene.router.patches == 0
    assert scene.telemetry.forgotten == [ID]
    assert record is not None
    assert record.verdict == verdict
    assert [mark.step for mark in record.marks] == ["submitted", "located", "watching", "decided", "published"]


async def test_a_failing_canary_is_taken_back_before_anybody_is_told() -> None:
    scene = Scene(telemetry=HandTelemetry([healthy(), failing()]))
    published_when_patched: list[int] = []
    scene.router.on_patch = lambda: published_when_patched.append(len(scene.sink.verdicts))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert verdict.outcome is Outcome.ROLLBACK
    assert verdict.action is Action.REVERT
    assert verdict.leg == "errors"
    assert verdict.evidence >= verdict.boundary
    assert scene.router.canary_percent == 0
    assert published_when_patched == [0]
    assert scene.sink.verdicts == [verdict]


async def test_a_policy_that_observes_changes_no_traffic() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.policies["default"] = msgspec.structs.replace(POLICY, mode="observe")
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)
    assert scene.router.patches == 0


async def test_what_a_revert_could_not_read_is_in_the_verdict_though_it_succeeded() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.unread = ("parts/cart: 403",)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
    assert verdict.reason.endswith("; could not be read: parts/cart: 403")


async def test_a_baseline_without_ready_endpoints_blocks_the_revert_loudly() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.ready = 0
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.BLOCKED)
    assert "no ready endpoints" in verdict.reason
    assert scene.router.patches == 0


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no route names web-v2"),
        NotFound("the baseline is not there"),
        InvalidInput("baseline and canary are the same pods", path="$.canary"),
        Unavailable("the API server is away"),
    ],
)
async def test_arms_that_cannot_be_found_are_inconclusive_and_nothing_is_patched(error: VerdictdError) -> None:
    scene = Scene()
    scene.router.missing = error
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    assert str(error) in verdict.reason
    assert scene.router.patches == 0


@pytest.mark.parametrize(
    "error", [NotFound("no subset v1"), InvalidInput("the same pods", path="$.canary"), Unauthenticated("a token that is renewed")]
)
async def test_arms_that_come_after_their_event_are_waited_for(error: VerdictdError) -> None:
    """A controller writes the canary's subset, or applies the rule, a moment after the pipeline has announced it."""
    scene = Scene(telemetry=HandTelemetry([failing()]))
    locate = scene.router.locate

    async def not_yet(_release: Release) -> Placement:
        scene.router.locate = locate  # type: ignore[method-assign]  # the next one finds it
        raise error

    scene.router.locate = not_yet  # type: ignore[method-assign,assignment]  # fails once
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        record = await engine.record(ID)
    assert verdict.action is Action.REVERT
    assert record is not None
    [located] = [mark.detail for mark in record.marks if mark.step == "located"]
    assert located == "route of web: 10 % of the traffic; baseline: 3 ready endpoints"


async def test_missing_telemetry_never_rolls_back_and_says_why_at_the_deadline() -> None:
    scene = Scene(telemetry=HandTelemetry([gap("prometheus does not answer")]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.meaning) == (Outcome.INCONCLUSIVE, "hold")
    assert "prometheus does not answer" in verdict.reason
    assert scene.router.patches == 0


async def test_conflicts_while_reverting_are_retried_at_once() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.router.answers = [Conflict("changed"), Conflict("changed")]
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert verdict.action is Action.REVERT
    assert scene.router.canary_percent == 0


async def test_the_same_event_twice_is_one_release_even_after_its_end() -> None:
    scene = Scene()
    async with running(scene) as engine:
        for _ in range(2):
            scene.events.queue.put_nowait(HandAnnouncement(ID, RELEASE))
        await verdict_of(engine)
        late = HandAnnouncement(ID, RELEASE)
        scene.events.queue.put_nowait(late)
        await until(lambda: late.answer)
        assert len(engine.views()) == 1
    async with running(scene) as engine:
        again = HandAnnouncement(ID, RELEASE)
        scene.events.queue.put_nowait(again)
        await until(lambda: again.answer)
        assert not engine.views()
        assert (await engine.view(ID)).stage is Stage.ENDED
        assert await engine.wait(ID, seconds=0) is not None
    assert (late.answer, again.answer) == ("accepted", "accepted")
    assert len(scene.sink.verdicts) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (InvalidEvent("not JSON", path="$", fix="send JSON"), "not JSON"),
        (msgspec.structs.replace(RELEASE, policy="absent"), "no policy 'absent'"),
        (msgspec.structs.replace(RELEASE, mesh="absent"), "'absent' is not configured"),
        (msgspec.structs.replace(RELEASE, cluster="elsewhere"), "not 'elsewhere'"),
    ],
)
async def test_an_event_that_cannot_be_used_is_rejected_with_the_reason_and_the_next_one_is_taken(
    content: Release | InvalidEvent, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    bad, good = HandAnnouncement("bad-1", content), HandAnnouncement(ID, RELEASE)
    async with running(scene) as engine:
        scene.events.queue.put_nowait(bad)
        scene.events.queue.put_nowait(good)
        await until(lambda: good.answer)
        assert [view.id for view in engine.views()] == [ID]
    assert says in bad.answer
    assert good.answer == "accepted"
    assert [what for what, _ in scene.meter.failures] == ["event"]
    assert [record.message for record in caplog.records].count("event rejected") == 1


async def test_a_policy_that_counts_what_the_telemetry_never_tells_is_refused_with_what_to_do() -> None:
    policy = msgspec.structs.replace(POLICY, failures=Failures(mirrored="excused"))
    async with running(Scene(policies={"default": policy})) as engine:
        with pytest.raises(
            InvalidInput, match=r"policy 'default' cannot be honoured: failures.mirrored: this one cannot"
        ) as refused:
            await engine.submit(RELEASE, release_id=ID)
        assert (refused.value.path, refused.value.fix) == ("$.policy", "leave it out")
        assert not engine.views()


async def test_telemetry_is_told_what_each_releases_policy_counts_as_failed() -> None:
    failures = Failures(status=("4xx", "5xx"))
    scene = Scene(policies={"default": msgspec.structs.replace(POLICY, failures=failures)})
    asked: list[Failures] = []

    class Listening(HandTelemetry):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            asked.extend(watch.failures for watch in watches)
            return await super().read(watches)

    scene.telemetry = Listening(scene.telemetry.readings)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: asked)
    assert set(asked) == {failures}


async def test_an_event_is_not_accepted_before_the_release_is_kept_safe() -> None:
    scene = Scene()
    announcement = HandAnnouncement(ID, RELEASE)
    async with running(scene) as engine:
        scene.sessions.failing = Unavailable("nats is away")
        scene.events.queue.put_nowait(announcement)
        await until(lambda: scene.meter.failures)
        assert announcement.answer == ""
        scene.sessions.failing = None
        await until(lambda: announcement.answer == "accepted")
        assert engine.views()[0].id == ID


async def test_more_releases_than_allowed_are_refused_not_dropped() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    scene.limits = msgspec.structs.replace(scene.limits, max_releases=1)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        with pytest.raises(Refused, match=r"limits\.max_releases"):
            await engine.submit(OTHER, release_id="other-1")


async def test_a_newer_release_of_the_same_service_ends_the_older_one_without_a_patch() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
        await engine.submit(RELEASE, release_id="web-2")
        verdict = await verdict_of(engine)
        assert (await engine.view("web-2")).stage is not Stage.ENDED
    assert (verdict.outcome, verdict.by) == (Outcome.INCONCLUSIVE, "superseded")
    assert "web-2" in verdict.reason
    assert scene.router.patches == 0


async def test_a_newer_release_ends_the_guard_of_the_older_ones_revert() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.GUARDING)
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        await verdict_of(engine)
        patches = scene.router.patches
        scene.router.canary_percent = 10.0
        await until(lambda: len(scene.telemetry.asked) > 50)
        assert scene.router.patches == patches


async def test_that_somebody_undoes_a_revert_is_measured_and_logged_while_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.GUARDING)
        assert scene.meter.undos == 0
        scene.router.canary_percent = 10.0
        await until(lambda: scene.meter.undos > 0)
        assert engine.views()[0].stage is Stage.GUARDING
    [said] = [record for record in caplog.records if "undid the revert" in record.message]
    assert vars(said)["found"] == "the route"


@pytest.mark.parametrize(
    ("word", "outcome", "action"),
    [
        ("rollback", Outcome.ROLLBACK, Action.REVERT),
        ("promote", Outcome.PROMOTE, Action.NONE),
        ("cancel", Outcome.INCONCLUSIVE, Action.NONE),
    ],
)
async def test_a_persons_word_ends_the_watch(word: str, outcome: Outcome, action: Action) -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        scene.events.words.put_nowait((ID, msgspec.convert({"command": word, "by": "ada", "reason": "pager"}, Command)))
        verdict = await verdict_of(engine)
        with pytest.raises(Refused, match="decided already"):
            await engine.command(ID, Command(command="cancel"))
    assert (verdict.outcome, verdict.action, verdict.by) == (outcome, action, "person")
    assert "ada: pager" in verdict.reason


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_persons_word_is_acted_on_at_once_and_its_answer_says_whether_it_is_kept(
    is_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "KEPT_SECONDS", 0.05 if is_away else 60.0)
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        if is_away:
            scene.sessions.open.clear()
        heard = await engine.command(ID, Command(command="rollback", by="ada"))
        assert (heard.stage, heard.kept) == (Stage.REVERTING, not is_away)
        await until(lambda: scene.router.patches)
        scene.sessions.open.set()
        assert (await verdict_of(engine)).action is Action.REVERT


async def test_the_record_of_a_release_is_there_while_its_daemon_remembers_it_though_the_broker_has_lost_everything() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        await engine.command(ID, Command(command="cancel", by="ada"))
        await until(lambda: engine.views()[0].stage is Stage.ENDED)
        kept = await engine.record(ID)
        scene.records.data.clear()
        scene.sessions.data.clear()
        assert kept is not None
        assert await engine.record(ID) == kept


async def test_a_verdict_is_published_when_the_broker_comes_back() -> None:
    scene = Scene()
    scene.sink.answers = [Unavailable("nats is away")] * 5
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert scene.sink.verdicts == [verdict]
    assert [what for what, _ in scene.meter.failures] == ["publish"] * 5


async def test_the_watch_goes_on_while_the_store_is_away() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 2)
        scene.sessions.failing = Unavailable("nats is away")
        ticks = engine.views()[0].ticks
        await until(lambda: engine.views()[0].ticks > ticks + 5)
        scene.sessions.failing = None
        puts = scene.sessions.puts
        await until(lambda: scene.sessions.puts > puts)


@pytest.mark.parametrize("stage", [Stage.LOCATING, Stage.WATCHING, Stage.REVERTING, Stage.PUBLISHING, Stage.GUARDING])
async def test_killed_at_any_stage_and_started_again_the_verdict_is_the_same_and_published_once(stage: Stage) -> None:
    scene = Scene(telemetry=HandTelemetry([failing(3)]))
    scene.policies["default"] = msgspec.structs.replace(POLICY, window_seconds=1e9)
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e3, locate_seconds=1e9, revert_attempts=100)
    match stage:
        case Stage.LOCATING:
            scene.router.missing = NotFound("not yet")
        case Stage.WATCHING:
            scene.telemetry.readings = [gap()]
        case Stage.REVERTING:
            scene.router.answers = [Unavailable("away")] * 99
        case Stage.PUBLISHING:
            scene.sink.answers = [Unavailable("away")] * 10_000
        case _:
            pass
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is stage and f'"{stage.value}"'.encode() in scene.sessions.data.get(ID, b""))
    scene.router.missing = None
    scene.router.answers = []
    scene.sink.answers = []
    scene.telemetry.readings = [failing(3)]
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action, verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert {v.release_id for v in scene.sink.verdicts} == {ID}
    assert len({(v.outcome, v.action, v.reason, v.decided_at) for v in scene.sink.verdicts}) == 1
    assert scene.router.canary_percent == 0
    assert scene.sessions.data == {}
    kept = msgspec.json.decode(scene.records.data[ID], type=Record)
    assert kept.verdict == verdict


async def test_stopping_keeps_a_watch_and_the_next_start_goes_on_with_it() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks > 3)
        ticks = engine.views()[0].ticks
    async with running(scene) as engine:
        assert engine.views()[0].ticks >= ticks
        scene.telemetry.readings = [failing()]
        verdict = await verdict_of(engine)
    assert verdict.outcome is Outcome.ROLLBACK


async def test_unknown_releases_are_not_found() -> None:
    async with running(Scene()) as engine:
        for ask in (engine.view("nobody"), engine.record("nobody"), engine.wait("nobody", seconds=0)):
            with pytest.raises(NotFound):
                await ask


async def test_a_release_without_a_mesh_gets_the_only_one() -> None:
    async with running(Scene(telemetry=HandTelemetry([gap()]))) as engine:
        view = await engine.submit(msgspec.structs.replace(RELEASE, mesh=None), release_id=ID)
    assert view.release.mesh == "edge"


@dataclass
class TwoMeshes(Scene):
    """A second mesh, whose API server never answers."""

    mute: MuteRouter = field(default_factory=MuteRouter)

    def ports(self) -> Ports:
        ports = super().ports()
        mute = Mesh(clusters={"mute": MeshCluster(router=self.mute)}, telemetry="hand")
        return replace(ports, meshes={**ports.meshes, "mute": mute})


async def test_a_mesh_whose_api_server_hangs_holds_up_no_release_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshlines, "Companies", lambda: Companies(at_once=1, least=1, place_seconds=3_600.0))
    scene = TwoMeshes(telemetry=HandTelemetry([gap()]))
    async with killed(scene) as engine:
        await engine.submit(msgspec.structs.replace(OTHER, mesh="mute"), release_id="mute-1")
        await until(lambda: scene.mute.asked)
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: any(view.id == ID and view.stage is Stage.WATCHING for view in engine.views()), within_seconds=5.0)


async def test_a_canary_that_is_looked_for_in_vain_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a router that was plugged in, and waits for ever."""
    time, scene = LoopTime(monkeypatch), TwoMeshes(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(msgspec.structs.replace(RELEASE, mesh="mute"), release_id=ID)
        await until(lambda: scene.mute.asked)
        scene.clock.time += scene.limits.locate_seconds
        time.passes(LOCATED_WITHIN_SECONDS)
        verdict = await verdict_of(engine, ID)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "its routes were not found within 120 s" in verdict.reason


async def test_where_there_are_several_meshes_a_release_must_name_its_own() -> None:
    scene = Scene()
    world = scene.ports()
    two = replace(world, meshes={**world.meshes, "mesh": world.meshes["edge"]})
    with pytest.raises(InvalidInput, match="use one of: edge, mesh"):
        admitted(two, msgspec.structs.replace(RELEASE, mesh=None), release_id=ID, running=0)


async def test_terms_that_no_judge_can_work_with_are_refused_at_the_door() -> None:
    scene = Scene()
    scene.telemetry.tick_seconds = math.nan
    with pytest.raises(InvalidInput, match="change the policy"):
        admitted(scene.ports(), RELEASE, release_id=ID, running=0)


async def test_a_wait_ends_with_nothing_when_the_verdict_has_not_come() -> None:
    async with running(Scene(telemetry=HandTelemetry([gap()]))) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert await engine.record(ID) is None
        assert await engine.wait(ID, seconds=0.001) is None


async def test_one_release_that_fails_in_our_own_code_does_not_take_the_others_with_it() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))

    async def burst(verdict: Verdict) -> None:
        raise ZeroDivisionError("a defect of ours")

    scene.sink.publish = burst  # type: ignore[method-assign]  # as the log of verdicts would not
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        await engine.command(ID, Command(command="rollback"))
        await until(lambda: scene.meter.failures)
        await engine.submit(OTHER, release_id="other-1")
        await until(lambda: any(v.id == "other-1" and v.ticks for v in engine.views()))
    assert scene.meter.failures[0][0] == "release"
    assert ID in scene.sessions.data


async def test_a_release_of_a_mesh_that_is_gone_from_the_settings_is_said_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].ticks)
    scene.sessions.data[ID] = scene.sessions.data[ID].replace(b'"mesh":"edge"', b'"mesh":"gone"')
    async with running(scene) as engine:
        assert not engine.views()
    assert "not configured any more" in str(scene.meter.failures[-1][1])
    [line] = [one.__dict__ for one in caplog.records if one.message == "a release is not watched any more"]
    assert (line["release"], line["reason"]) == (ID, "it is on mesh 'gone', which is not configured any more")
    assert ID in scene.sessions.data


async def test_a_checkpoint_that_cannot_be_read_is_said_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.sessions.data["odd-1"] = b"{}"
    async with running(scene) as engine:
        assert not engine.views()
    assert scene.meter.failures[0][0] == "checkpoint"
    [line] = [one for one in caplog.records if one.message == "what is kept of a release cannot be read"]
    assert line.__dict__["release"] == "odd-1"
    assert "odd-1" in scene.sessions.data


async def test_a_deadline_of_no_ticks_is_refused_with_the_fix() -> None:
    async with running(Scene()) as engine:
        with pytest.raises(InvalidInput, match="deadline"):
            await engine.submit(msgspec.structs.replace(RELEASE, deadline=0.001), release_id=ID)


@pytest.mark.parametrize(
    ("said", "revision", "initiated_by"),
    [
        ({}, "main@sha1:4f2a", "ana"),
        ({"revision": "v2.4.1"}, "v2.4.1", "ana"),
        ({"revision": "v2.4.1", "initiated_by": "ben"}, "v2.4.1", "ben"),
    ],
)
async def test_verdict_and_record_say_the_revision_and_who_initiated_it_as_announced_else_as_gits_tools_have_it(
    said: dict[str, str], revision: str, initiated_by: str
) -> None:
    scene = Scene(router=Marked(), git=HandGit(msgspec.structs.replace(SOURCE, initiated_by="ana")))
    async with running(scene) as engine:
        await engine.submit(msgspec.structs.replace(RELEASE, **said), release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.revision, verdict.initiated_by) == (revision, initiated_by)
    record = decode_record(scene.records.data[ID])
    assert (record.release.revision, record.release.initiated_by) == (revision, initiated_by)
    told = json.loads(verdict_event(scene.sink.verdicts[0]).data)
    assert (told["revision"], told["initiated_by"]) == (revision, initiated_by)


async def test_what_is_not_known_is_absent_and_a_revision_that_is_too_long_is_not_cut() -> None:
    scene = Scene(router=Marked(), git=HandGit(msgspec.structs.replace(SOURCE, revision="x" * 1025, initiated_by="ana")))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.revision, verdict.initiated_by) == (None, "ana")
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.revision, verdict.initiated_by) == (None, None)
