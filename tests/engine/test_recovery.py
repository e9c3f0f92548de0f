"""What a store that was killed finds again of releases that have ended: nothing comes of it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.engine.engine import Engine
from daemon.errors import Unavailable
from daemon.measurements import Reading
from daemon.model import Action, Outcome, Record, Stage, Verdict
from daemon.ports.durable import Kept
from tests.hand.ports import HandTelemetry, MemoryStore, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing, gap, healthy


async def ended(scene: Scene) -> tuple[Verdict, bytes]:
    """A release that was watched and promoted; its verdict, and what the store had of it while it was watched."""
    scene.telemetry = HandTelemetry([gap()])
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
        old = scene.sessions.data[ID]
        scene.telemetry.readings = [healthy()]
        verdict = await verdict_of(engine)
        await until(lambda: ID not in scene.sessions.data)
    assert verdict.outcome is Outcome.PROMOTE
    return verdict, old


async def watched_until_killed(scene: Scene) -> dict[str, Any]:
    """What the store has of a release whose daemon dies while it watches."""
    scene.telemetry = HandTelemetry([gap()])
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
    document: dict[str, Any] = json.loads(scene.sessions.data[ID])
    return document


async def test_a_session_that_comes_back_after_its_release_has_ended_is_removed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    verdict, old = await ended(scene)
    record = scene.records.data[ID]
    scene.sessions.data[ID] = old
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        await until(lambda: ID not in scene.sessions.data)
        assert (await engine.view(ID)).stage is Stage.ENDED
        assert list(engine.views()) == []
    assert scene.records.data == {ID: record}
    assert scene.sink.verdicts == [verdict]
    assert scene.router.patches == 0
    [line] = [one for one in caplog.records if one.message.startswith("ended already")]
    assert line.__dict__["release"] == ID


async def test_a_patch_of_which_nothing_could_be_kept_leaves_traffic_and_verdict_to_the_deadline() -> None:
    """Killed beside its patch while the store was away: nothing says that it was ours."""
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
        scene.sessions.failing = Unavailable("away")
        scene.telemetry.readings = [failing()]
        await until(lambda: scene.router.patches)
    assert b'"watching"' in scene.sessions.data[ID]
    scene.sessions.failing = None
    scene.telemetry.readings = [gap()]
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action, verdict.by) == (Outcome.INCONCLUSIVE, Action.NONE, "deadline")
    assert (scene.router.patches, scene.router.canary_percent) == (1, 0)
    assert scene.sink.verdicts == [verdict]


async def test_a_release_whose_record_is_lost_too_keeps_the_verdict_that_was_published(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    verdict, old = await ended(scene)
    scene.sessions.data[ID] = old
    scene.records.data.clear()
    scene.records.revisions.clear()
    scene.telemetry = HandTelemetry([failing()])
    async with running(scene) as engine:
        assert await verdict_of(engine) == verdict
    assert msgspec.json.decode(scene.records.data[ID], type=Record).verdict == verdict
    assert (scene.router.patches, scene.sessions.data) == (0, {})
    assert [one.message for one in caplog.records if one.message.startswith("its verdict is out already")]


async def test_a_published_rollback_that_is_found_again_takes_nothing_back_a_second_time() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
        old = scene.sessions.data[ID]
        scene.telemetry.readings = [failing()]
        verdict = await verdict_of(engine)
    scene.sessions.data[ID] = old
    scene.records.data.clear()
    scene.records.revisions.clear()
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    scene.router.canary_percent, patches = 100.0, scene.router.patches  # by now it is another version that has this name
    async with running(scene) as engine:
        assert await verdict_of(engine) == verdict
    assert verdict.action is Action.REVERT
    assert scene.router.patches == patches


async def test_what_was_located_before_a_restart_is_what_every_step_of_the_revert_goes_by() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in scene.sessions.data.get(ID, b""))
    scene.telemetry.readings = [failing()]
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=2.0)
    async with running(scene) as engine:
        assert (await verdict_of(engine)).action is Action.REVERT
        await until(lambda: ID not in scene.sessions.data)
    assert scene.router.told == {"v2 is bad"}


async def test_a_session_of_a_version_that_kept_no_arms_is_read_and_reverted() -> None:
    scene = Scene()
    document = await watched_until_killed(scene)
    del document["session"]["located"]
    scene.sessions.data[ID] = json.dumps(document).encode()
    scene.telemetry.readings = [failing()]
    async with running(scene) as engine:
        assert (await verdict_of(engine)).action is Action.REVERT
    assert scene.router.told == {""}


@pytest.mark.parametrize(
    ("off_seconds", "age_seconds", "outcome"),
    [
        pytest.param(-7200.0, 3.0, Outcome.PROMOTE, id="the clock was behind when it began"),
        pytest.param(7200.0, 3.0, Outcome.PROMOTE, id="the clock was ahead when it began"),
        pytest.param(-7200.0, 7200.0, Outcome.INCONCLUSIVE, id="nobody went on with it for so long"),
        pytest.param(-7200.0, None, Outcome.INCONCLUSIVE, id="the store does not know"),
    ],
)
async def test_what_a_clock_was_off_when_a_watch_began_is_not_counted_for_watched(
    off_seconds: float, age_seconds: float | None, outcome: Outcome
) -> None:
    scene = Scene()
    document = await watched_until_killed(scene)
    document["session"]["started_at"] += off_seconds
    scene.sessions.data[ID] = json.dumps(document).encode()
    scene.sessions.age_seconds = age_seconds
    scene.telemetry.readings = [healthy()]
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert verdict.outcome is outcome


class LateWrites(MemoryStore):
    """The last write of whoever died arrives when all were read."""

    async def items(self) -> list[tuple[str, Kept]]:
        found = await super().items()
        for key, value in self.data.items():
            await self.put(key, value)
        return found


async def test_what_a_clock_was_off_is_not_counted_for_watched_either_where_a_late_write_comes_between() -> None:
    scene = Scene()
    document = await watched_until_killed(scene)
    document["session"]["started_at"] -= 7200.0
    scene.sessions = LateWrites()
    scene.sessions.data[ID] = json.dumps(document).encode()
    scene.sessions.age_seconds = 3.0
    scene.telemetry.readings = [healthy()]
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert verdict.outcome is Outcome.PROMOTE


def kept_by_0_1(scene: Scene) -> bytes:
    """Put into the stores what 0.1 had there while it guarded a revert, as it wrote it; gives the record."""
    kept = msgspec.json.decode(Path(__file__).with_name("kept_by_0_1.json").read_bytes())
    scene.sessions.data[ID] = msgspec.json.encode(kept["session"])
    scene.records.data[ID] = msgspec.json.encode(kept["record"])
    scene.clock.time = kept["record"]["marks"][-1]["at"]
    return scene.records.data[ID]


@pytest.mark.parametrize("stage", ["guarding", "publishing"])
async def test_a_revert_that_0_1_was_guarding_is_guarded_on_though_it_has_its_record(stage: str) -> None:
    scene = Scene()
    record = kept_by_0_1(scene)
    scene.sessions.data[ID] = scene.sessions.data[ID].replace(b'"guarding"', f'"{stage}"'.encode())
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=60.0)
    async with running(scene):
        await until(lambda: scene.router.patches == 1)
        scene.router.canary_percent = 10.0
        await until(lambda: scene.router.patches == 2)
        await until(lambda: ID not in scene.sessions.data)
    assert scene.records.data[ID] == record, "it is written once"
    assert "record" not in {what for what, _ in scene.meter.failures}


async def test_a_guard_that_0_1_had_ended_is_not_begun_again() -> None:
    scene = Scene()
    record = kept_by_0_1(scene)
    ended = record.replace(b'"marks":[', b'"marks":[{"step":"guard_ended","at":9.0,"detail":""},')
    scene.records.data[ID] = ended
    async with running(scene):
        await until(lambda: ID not in scene.sessions.data)
    assert (scene.router.patches, scene.router.told) == (0, set())


async def test_a_guard_that_a_newer_release_ended_is_not_begun_again_by_what_a_killed_store_finds() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"guarding"' in scene.sessions.data.get(ID, b""))
        old = scene.sessions.data[ID]
        scene.telemetry.readings = [gap()]
        await engine.submit(RELEASE, release_id="web-2")
        await until(lambda: ID not in scene.sessions.data)
    marks = msgspec.json.decode(scene.records.data[ID], type=Record).marks
    assert (marks[-1].step, marks[-1].detail) == ("guard_ended", "not guarded: release web-2 is newer")
    scene.sessions.data = {ID: old}
    scene.router.told.clear()
    async with running(scene):
        await until(lambda: ID not in scene.sessions.data)
    assert scene.router.told == set()


async def test_a_record_that_is_there_already_is_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        scene.records.data[ID] = b"another's"
        scene.telemetry.readings = [healthy()]
        await verdict_of(engine)
    assert scene.records.data[ID] == b"another's"
    assert "record" in {what for what, _ in scene.meter.failures}
    assert "another record is kept already, and stays" in [one.message for one in caplog.records]


async def test_a_start_while_records_cannot_be_read_waits_for_them() -> None:
    scene = Scene()
    _, old = await ended(scene)
    scene.sessions.data[ID] = old
    scene.records.failing = Unavailable("nats is away")
    engine = Engine(scene.ports())
    task = asyncio.ensure_future(engine.run())
    await until(lambda: len(scene.meter.failures) > 3)
    assert not engine.ready
    scene.records.failing = None
    await until(lambda: engine.ready)
    await until(lambda: ID not in scene.sessions.data)
    engine.stop()
    await task


class _SlowRecords(MemoryStore):
    """Fails every question, the first of them at once and the others a little later; counts those that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.waiting = self.most = 0

    async def get(self, key: str) -> Kept | None:
        self.asked += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        for _ in range(0 if self.asked % 40 == 1 else 200):
            await asyncio.sleep(0)
        self.waiting -= 1
        raise Unavailable("nats is away")


async def test_a_store_that_does_not_answer_at_the_start_is_not_asked_by_more_and_more() -> None:
    records = _SlowRecords()
    scene = Scene(records=records)
    scene.sessions.missing = [f"release-{number}" for number in range(40)]
    engine = Engine(scene.ports())
    task = asyncio.ensure_future(engine.run())
    await until(lambda: len(scene.meter.failures) > 5)
    assert records.most <= 32
    engine.stop()
    await task
    assert not engine.ready


async def test_a_revert_is_guarded_while_its_verdict_cannot_be_published() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9)
    scene.sink.answers = [Unavailable("nats is away")] * 1_000_000
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: scene.router.patches)
        scene.router.canary_percent = 10.0  # somebody puts it back
        await until(lambda: scene.router.patches > 1)
        assert engine.views()[0].stage is Stage.PUBLISHING


@pytest.mark.parametrize("canary", [healthy, failing], ids=["promoted", "taken back"])
async def test_a_verdict_that_was_told_is_told_by_the_next_start_at_once_also_while_what_follows_it_cannot_be_done(
    canary: Callable[[], Reading],
) -> None:
    """A gate that has said no must not say that it waits: whoever asks would go on waiting, or go on."""
    scene = Scene(telemetry=HandTelemetry([canary()]))
    scene.sink.answers = [Unavailable("nats is away")] * 1_000_000
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        told = await engine.wait(ID, seconds=60)
        assert told is not None
    scene.promotions.failing = Unavailable("away")
    async with killed(scene) as engine:
        assert await engine.wait(ID, seconds=0) == told
        assert (await engine.view(ID)).verdict == told


async def test_a_running_release_of_which_nothing_is_kept_any_more_is_said_and_one_that_has_ended_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    await ended(scene)
    scene.sessions.missing = [ID, "gone-1"]
    async with running(scene):
        await until(lambda: not scene.sessions.missing)
    said = [one.__dict__["release"] for one in caplog.records if one.message == "a release is lost"]
    assert said == ["gone-1"]
    assert [what for what, _ in scene.meter.failures] == ["recovery"]
