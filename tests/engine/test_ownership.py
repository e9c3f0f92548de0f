"""A release of a newer version, or of another process over the same store, is left alone, and that is said."""

import asyncio
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, suppress

import msgspec
import pytest

from daemon.engine.engine import Engine
from daemon.errors import Elsewhere, NotFound, TimedOut, VerdictdError
from daemon.interventions import Command
from daemon.model import Outcome, Stage, Verdict
from daemon.ports.durable import Kept
from daemon.stored import FORM
from tests.hand.ports import HandAnnouncement, HandTelemetry, MemorySink, MemoryStore, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, failing, gap, healthy

# The clock of these tests runs with whoever sleeps: no watch may end for its window.
PATIENT = msgspec.structs.replace(POLICY, window_seconds=86_400.0)


def beside(first: Scene) -> Scene:
    """Another process over the same stores and the same stream of verdicts."""
    return Scene(sessions=first.sessions, records=first.records, sink=first.sink, telemetry=HandTelemetry([gap()]))


async def watched(scene: Scene) -> bytes:
    """What is kept of a release that is being watched, by a daemon that was then killed."""
    scene.policies = {"default": PATIENT}
    scene.telemetry = HandTelemetry([healthy(), gap()])
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"ticks":3' in scene.sessions.data.get(ID, b""))
    return scene.sessions.data[ID]


async def told(engine: Engine) -> str:
    """Why the release is not this engine's; empty as long as it is."""
    with suppress(NotFound):
        try:
            await engine.view(ID)
        except Elsewhere as error:
            return str(error)
    return ""


async def test_of_two_engines_over_one_store_one_goes_on_with_a_release_and_the_other_leaves_it_and_says_so() -> None:
    first = Scene(telemetry=HandTelemetry([gap()]))
    second = beside(first)
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(running(first))]
        await engines[0].submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in first.sessions.data[ID])
        engines.append(await stack.enter_async_context(running(second)))
        said = ["", ""]
        for _ in range(1000):
            await asyncio.sleep(0)
            said = [await told(engine) for engine in engines]
            if any(said):
                break
        assert sorted(map(bool, said)) == [False, True]
        assert "another verdictd goes on with it (process " in "".join(said)
        first.telemetry.readings = second.telemetry.readings = [failing()]
        own = engines[said.index("")]
        verdict = await verdict_of(own)
        await until(lambda: not first.sessions.data)
        assert first.router.patches + second.router.patches == 1
        for engine in engines:
            assert await engine.wait(ID, seconds=0) == verdict, "once it has ended, its record answers for it"
    assert first.sink.verdicts == [verdict]
    assert len(first.records.data) == 1


async def test_a_release_that_another_process_watches_is_not_begun_again_by_its_event_and_the_event_is_accepted() -> None:
    first = Scene(telemetry=HandTelemetry([gap()]))
    second = beside(first)
    async with running(second) as late, running(first) as engine:
        await engine.submit(RELEASE, release_id=ID)
        with pytest.raises(Elsewhere, match="another verdictd goes on with it"):
            await late.submit(RELEASE, release_id=ID)
        with pytest.raises(Elsewhere):
            await late.command(ID, Command(command="rollback"))
        again = HandAnnouncement(ID, RELEASE)
        second.events.queue.put_nowait(again)
        await until(lambda: again.answer)
        assert again.answer == "accepted"
        assert list(late.views()) == []
        assert (await engine.view(ID)).stage is Stage.WATCHING


class _LateWrite(MemoryStore):
    """The last write of a process that was killed lands after its successor has read what is kept."""

    late: bytes = b""

    async def items(self) -> list[tuple[str, Kept]]:
        found = await super().items()
        if self.late:
            await self.put(ID, self.late)
            self.late = b""
        return found


async def test_a_killed_processs_last_write_that_comes_late_leaves_no_release_with_nobody() -> None:
    scene = Scene(sessions=_LateWrite())
    kept = await watched(scene)
    assert isinstance(scene.sessions, _LateWrite)
    scene.sessions.late = kept.replace(b'"waiting_for":"', b'"waiting_for":"later: ')
    scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        await until(lambda: b'"ticks":9' in scene.sessions.data[ID])
        assert (await engine.view(ID)).stage is Stage.WATCHING
        scene.telemetry.readings = [failing()]
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
    assert len(scene.sink.verdicts) == 1


async def test_of_two_processes_the_one_that_starts_takes_over_so_that_the_other_can_end() -> None:
    first = Scene(telemetry=HandTelemetry([gap()]))
    second = beside(first)
    async with AsyncExitStack() as after:
        async with running(first) as old:
            await old.submit(RELEASE, release_id=ID)
            await until(lambda: b'"watching"' in first.sessions.data[ID])
            new = await after.enter_async_context(running(second))
            await until(new.views)
            await until(lambda: not old.views())
        second.telemetry.readings = [failing()]
        assert (await verdict_of(new)).outcome is Outcome.ROLLBACK
    assert len(first.sink.verdicts) == 1


async def test_a_store_that_takes_no_writes_at_the_start_keeps_nobody_from_going_on() -> None:
    scene = Scene()
    await watched(scene)
    scene.sessions.refused[ID] = TimedOut("the disk is full")
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        await until(lambda: scene.router.patches)
        scene.sessions.refused.clear()
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK


async def test_a_decision_that_another_process_was_quicker_with_is_not_published() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data[ID])
        waiting = asyncio.ensure_future(engine.wait(ID, seconds=60.0))
        theirs = scene.sessions.data[ID].replace(b'"writer":"', b'"writer":"theirs')
        await scene.sessions.put(ID, theirs)
        scene.telemetry.readings = [failing()]
        with pytest.raises(Elsewhere, match="another verdictd's by now"):
            await waiting
        await until(lambda: ID in scene.telemetry.forgotten)
        assert list(engine.views()) == []
    assert scene.sessions.data[ID] == theirs
    assert (scene.sink.verdicts, scene.records.data) == ([], {})


async def test_a_release_that_another_process_has_ended_meanwhile_is_not_begun_anew() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data[ID])
        scene.records.data[ID] = b"{}"
        await scene.sessions.delete(ID)
        await until(lambda: not engine.views())
    assert (scene.sessions.data, scene.sink.verdicts) == ({}, [])


class _Forgetful(MemoryStore):
    """Writes, and loses every third acknowledgement."""

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        revision = await super().put(key, value, over=over)
        if self.puts % 3 == 0:
            raise TimedOut("no answer from nats")
        return revision


async def test_a_write_that_was_not_acknowledged_is_known_as_ones_own() -> None:
    scene = Scene(sessions=_Forgetful(), telemetry=HandTelemetry([*[gap()] * 20, failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
    assert {str(error) for what, error in scene.meter.failures if what == "checkpoint"} == set()
    assert len(scene.sink.verdicts) == 1


async def test_a_store_that_lost_its_last_writes_is_written_on() -> None:
    scene = Scene()
    kept = await watched(scene)
    scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        await until(lambda: b'"ticks":9' in scene.sessions.data[ID])
        scene.sessions.data[ID], scene.sessions.revisions[ID] = kept, 1
        scene.telemetry.readings = [failing()]
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK


@pytest.mark.parametrize(
    ("words", "instead"),
    [(b'"stage":"watching"', b'"stage":"pausing"'), (b'"mode":"enforce"', b'"mode":"advise"')],
)
async def test_what_a_newer_version_keeps_and_this_one_does_not_understand_is_left_for_it_and_told(
    words: bytes, instead: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    kept = await watched(scene)
    newer = kept.replace(f'"form":{FORM}'.encode(), f'"form":{FORM + 1}'.encode()).replace(words, instead)
    scene.sessions.data[ID] = newer
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        again = HandAnnouncement(ID, RELEASE)
        scene.events.queue.put_nowait(again)
        await engine.submit(OTHER, release_id="other-1")
        assert (await verdict_of(engine, "other-1")).outcome is Outcome.ROLLBACK, "the others go on"
        await until(lambda: again.answer)
        assert again.answer == "accepted"
        questions = (engine.view(ID), engine.wait(ID, seconds=0), engine.record(ID), engine.command(ID, Command(command="cancel")))
        for question in questions:
            with pytest.raises(Elsewhere, match=r"^release web-1: .*newer version of verdictd|goes on with it"):
                await question
    assert scene.sessions.data == {ID: newer}
    assert [one.release_id for one in scene.sink.verdicts] == ["other-1"]
    assert "a release is left to another verdictd" in [one.message for one in caplog.records]


async def test_more_fields_of_a_newer_version_are_no_hindrance_and_are_kept_in_session_and_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    document = json.loads(await watched(scene)) | {"form": FORM + 1, "lease": {"until": 9}}
    document["session"]["policy"]["budget"] = 5
    document["session"]["gate"] = "approval"
    scene.sessions.data[ID] = msgspec.json.encode(document)
    scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        await until(lambda: b'"ticks":9' in scene.sessions.data[ID])
        now = json.loads(scene.sessions.data[ID])
        scene.telemetry.readings = [failing()]
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
    assert (now["lease"], now["session"]["policy"]["budget"], now["session"]["gate"]) == ({"until": 9}, 5, "approval")
    assert json.loads(scene.records.data[ID])["policy"]["budget"] == 5
    [said] = [one.__dict__["unread"] for one in caplog.records if one.message == "a newer version keeps more of a release"]
    assert sorted(said.split(", ")) == ["lease", "session.gate", "session.policy.budget"]


async def test_a_damaged_session_is_left_until_its_release_is_announced_again() -> None:
    scene = Scene()
    await watched(scene)
    scene.sessions.data[ID] = b'{"session": '
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        assert await told(engine) == ""
        assert scene.sessions.data[ID] == b'{"session": '
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK


async def test_a_record_that_a_newer_version_keeps_is_told_as_such() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
        await until(lambda: not scene.sessions.data)
    newer = scene.records.data[ID].replace(f'"form":{FORM}'.encode(), f'"form":{FORM + 1}'.encode())
    scene.records.data[ID] = newer.replace(b'"action":"revert"', b'"action":"shift"')
    async with running(scene) as engine:
        with pytest.raises(Elsewhere, match="its record was kept by a newer version of verdictd"):
            await engine.view(ID)
        await engine.submit(OTHER, release_id="other-1")
        with pytest.raises(Elsewhere):
            await engine.submit(RELEASE, release_id=ID)
        scene.records.data[ID] = b"{"
        with pytest.raises(VerdictdError, match="the record of release web-1 cannot be read"):
            await engine.view(ID)


class _NewerSink(MemorySink):
    """Where a newer version has told a verdict in words of its own."""

    async def published(self, release_ids: AbstractSet[str], *, since: float) -> Mapping[str, Verdict | None]:
        return dict.fromkeys(release_ids)


async def test_a_release_whose_verdict_a_newer_version_has_told_is_not_judged_again() -> None:
    scene = Scene()
    kept = await watched(scene)
    scene.sink = _NewerSink()
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        assert await told(engine) == f"release {ID}: its verdict is out, in words of a newer version of verdictd"
        await engine.submit(OTHER, release_id="other-1")
        await verdict_of(engine, "other-1")
    assert scene.sessions.data == {ID: kept}
    assert scene.router.patches == 1, "of the other release"


async def test_a_verdict_says_that_evidence_of_another_version_could_not_be_counted() -> None:
    scene = Scene()
    document = json.loads(await watched(scene))
    document["judge"] = "dmRqMQ=="
    scene.sessions.data[ID] = msgspec.json.encode(document)
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
        record = await engine.record(ID)
    assert verdict.outcome is Outcome.ROLLBACK
    since = document["session"]["t"]
    assert verdict.reason.endswith(f"; evidence counts from {since:g} s on: what another version gathered before could not be read")
    assert record is not None
    assert "evidence_lost" in [mark.step for mark in record.marks]


async def test_an_ended_release_shows_the_seconds_and_requests_that_its_record_knows() -> None:
    scene = Scene(telemetry=HandTelemetry([gap(), healthy(), failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
        await until(lambda: engine.views()[0].stage is Stage.ENDED and not scene.sessions.data)
        before = await engine.view(ID)
    async with running(scene) as engine:
        after = await engine.view(ID)
    assert after.canary_requests > 0
    assert msgspec.structs.replace(after, boundary=before.boundary, window_seconds=before.window_seconds) == before


async def test_what_is_remembered_of_releases_that_were_left_does_not_grow_with_them() -> None:
    first = Scene(telemetry=HandTelemetry([gap()]))
    second = beside(first)
    first.policies = second.policies = {"default": PATIENT}
    ids = [f"web-{number}" for number in range(20)]
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running(first))
        for number, release_id in enumerate(ids):
            await engine.submit(msgspec.structs.replace(RELEASE, service=f"service-{number}"), release_id=release_id)
        late = await stack.enter_async_context(running(second))
        await until(lambda: not engine.views() or not late.views())
        loser, winner = (engine, late) if not engine.views() else (late, engine)
        for release_id in ids:
            with pytest.raises(Elsewhere, match="another verdictd goes on with it"):
                await loser.view(release_id)
        for release_id in ids:
            await winner.command(release_id, Command(command="cancel"))
        await until(lambda: not first.sessions.data)
        for release_id in ids:
            assert (await loser.view(release_id)).stage is Stage.ENDED
        remembered = {name: value for name, value in vars(loser._checkpoints).items() if isinstance(value, dict)}
        assert {name: value for name, value in remembered.items() if value} == {}
