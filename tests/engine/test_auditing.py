"""The audit has every word that was accepted and every revert, each once, whoever dies in between."""

from dataclasses import replace

import msgspec

from daemon.engine import auditing, lifecycle
from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK
from daemon.errors import Unavailable
from daemon.interventions import Command
from daemon.model import Action, TimedStep
from daemon.placement import ObjectName, Undo, ValueChange
from tests.hand.ports import HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing, gap


def told(scene: Scene) -> list[tuple[str, str, str]]:
    return [(one.what, one.result, one.by) for one in scene.audit.entries.values()]


async def test_a_persons_word_and_the_revert_that_came_of_it_are_told_with_the_person() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.command(ID, Command(command="rollback", by="ana", reason="looks bad"))
        await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
    assert told(scene) == [("rollback", "accepted", "ana"), ("revert", "done", "ana")]
    word = scene.audit.entries[f"{ID}.word"]
    assert (word.reason, word.namespace, word.service) == ("rolled back by ana: looks bad", RELEASE.namespace, RELEASE.service)


async def test_a_revert_by_the_judge_is_told_as_the_judges_and_a_promotion_by_it_not_at_all() -> None:
    bad, good = Scene(telemetry=HandTelemetry([failing()])), Scene()
    for scene in (bad, good):
        async with running(scene) as engine:
            await engine.submit(RELEASE, release_id=ID)
            await verdict_of(engine)
            await until(lambda scene=scene: ID in scene.records.data)  # type: ignore[misc]
    assert told(bad) == [("revert", "done", "judge")]
    assert told(good) == []


async def test_what_the_log_did_not_take_before_a_crash_is_told_by_the_next_daemon_before_the_record_is_written() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    scene.audit.error = Unavailable("no broker")
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.command(ID, Command(command="promote", by="ben"))
        await until(lambda: scene.sink.verdicts)
        await until(lambda: scene.audit.attempts > 1)
    assert ID not in scene.records.data
    scene.audit.error = None
    async with running(scene):
        await until(lambda: ID in scene.records.data)
    assert told(scene) == [("promote", "accepted", "ben")]


async def test_each_time_that_a_revert_was_undone_is_an_entry_with_what_was_found_and_the_values_before_and_after() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
        session = engine._registry.get(ID)
    change = ValueChange(path="/spec/http/0/route/1/weight", before="10", after="0")
    undo = Undo(object=ObjectName(kind="VirtualService", namespace="shop", name="web"), values=(change,))
    step, end = (
        TimedStep(step=PUT_BACK, at=7.0, detail="web, by carl"),
        TimedStep(step=GUARD_ENDED, at=9.0, detail="put back 1 times"),
    )
    session = lifecycle.ended(replace(session, undos=(undo,), marks=(step,)), (step, end))
    assert session.marks == (step, end)  # what was kept at once is not kept twice
    entries = list(auditing.entries_of(session))
    assert [(one.id, one.result, one.at) for one in entries[1:]] == [
        (f"{ID}.reverted-again-7000", "again", 7.0),
        (f"{ID}.guarded", "ended", 9.0),
    ]
    assert (entries[1].reason, entries[1].changes, entries[2].changes) == ("web, by carl", (undo,), ())
    assert session.verdict is not None
    for action, result in {Action.FAILED: "failed", Action.BLOCKED: "blocked"}.items():
        other = replace(session, verdict=msgspec.structs.replace(session.verdict, action=action))
        assert next(auditing.entries_of(other)).result == result
