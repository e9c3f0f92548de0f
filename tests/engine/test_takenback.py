"""What a revert wrote is kept with its release, as it was before the first of its patches, and stands in the record."""

import msgspec
import pytest

from daemon.engine import lifecycle, takenback
from daemon.engine.session import Session
from daemon.engine.takenback import UNDO_NOT_KEPT, joined, noted
from daemon.model import Outcome, Record, Release
from daemon.placement import ObjectName, Undo, ValueChange
from tests.hand.editing import EditingRouter, undo
from tests.hand.ports import HandTelemetry, Scene, running, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, failing


class Meddled(EditingRouter):
    """Somebody gives the canary traffic again, once, after it was seen to have left."""

    looks = 0

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        self.looks += 1
        if self.looks == 2:
            self.canary_percent = 40.0
        return await super().canary_gets_traffic(release, located=located)


@pytest.fixture
def session() -> Session:
    return lifecycle.admitted(
        RELEASE, release_id=ID, policy=POLICY, policy_hash="sha256:x", cluster="test", tick_seconds=1.0, split=False, now=100.0
    )


def test_of_several_patches_what_stood_before_the_first_and_what_stands_since_the_last_is_kept() -> None:
    [one] = joined([undo(before=10.0)], [undo(before=20.0, after=1.0)])
    assert one.values == (ValueChange(path="/weight", before="10", after="1", around="entry"),)


def test_what_a_later_patch_left_alone_is_kept_as_the_earlier_one_wrote_it() -> None:
    [one] = joined([undo(path="/a"), undo(path="/b")], [undo(path="/b", before=5.0)])
    assert [(value.path, value.before) for value in one.values] == [("/a", "10"), ("/b", "10")]


def test_objects_are_told_apart_by_cluster_and_name() -> None:
    other = msgspec.structs.replace(undo(), object=ObjectName(kind="Route", name="other"))
    assert len(joined([undo(), undo(cluster="west")], [other, undo(cluster="west")])) == 3


def test_what_is_too_much_to_be_kept_is_left_out_and_said(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takenback, "_MOST_BYTES", 2_000)
    kept = noted(session, [undo()], now=1.0)
    assert (len(kept.undos), [mark.step for mark in kept.marks]) == (1, ["submitted"])
    much: list[Undo] = [undo(path=f"/{number:0100}") for number in range(30)]
    after = noted(noted(kept, much, now=2.0), [undo()], now=3.0)
    assert (after.undos, [mark.step for mark in after.marks]) == ((), ["submitted", UNDO_NOT_KEPT])
    assert "cannot be undone" in after.marks[-1].detail


def test_intents_that_are_too_much_are_not_kept_beforehand(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert takenback.intended(session, [undo()]).intents == (undo(),)
    monkeypatch.setattr(takenback, "_MOST_BYTES", 10)
    assert takenback.intended(session, [undo()]).intents == ()


async def test_the_record_of_a_revert_says_what_it_takes_to_undo_it() -> None:
    scene = Scene(router=EditingRouter(), telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
    record = msgspec.json.decode(scene.records.data[ID], type=Record)
    assert record.undos == (undo(before=10.0),)


async def test_what_the_guard_takes_back_again_does_not_become_what_was_there_before() -> None:
    router = Meddled()
    scene = Scene(router=router, telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=5.0)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert router.patches == 2
    assert msgspec.json.decode(scene.records.data[ID], type=Record).undos == (undo(before=10.0),)
