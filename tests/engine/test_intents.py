"""What a revert is about to change is safe before it is changed: neither a crash nor a lost answer loses how to undo it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from daemon.engine.containedrouter import ContainedRouter
from daemon.engine.takenback import UndoLog
from daemon.errors import Forbidden, TimedOut, Unavailable, VerdictdError
from daemon.interventions import Freeze
from daemon.model import Action, Outcome, Record, Release
from daemon.placement import PatchReceipt, PlannedObject, Undo
from tests.hand.editing import EditingRouter, undo
from tests.hand.ports import HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing


class Held(EditingRouter):
    """Stands still before its first patch, or after it; or its answer is lost."""

    def __init__(self, *, dies: str = "", loses: int = 0) -> None:
        super().__init__()
        self.dies, self.loses = dies, loses
        self.reached = asyncio.Event()

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        if self.dies == "before":
            await self._stand_still()
        receipt = await super().revert(release, located=located)
        if self.dies == "after":
            await self._stand_still()
        if self.loses:
            self.loses -= 1
            raise TimedOut("no answer")
        return receipt

    async def _stand_still(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


def kept(scene: Scene) -> tuple[Undo, ...]:
    """The intents that the store has."""
    found = msgspec.json.decode(scene.sessions.data[ID])["session"]["intents"]
    return msgspec.convert(found, tuple[Undo, ...])


def undone(scene: Scene) -> tuple[Undo, ...]:
    """What the record says that it takes to undo the revert."""
    return msgspec.json.decode(scene.records.data[ID], type=Record).undos


async def test_what_a_patch_changes_is_in_the_store_before_it_is_sent() -> None:
    scene, seen = Scene(router=EditingRouter(), telemetry=HandTelemetry([failing()])), list[tuple[Undo, ...]]()
    scene.router.on_patch = lambda: seen.append(kept(scene))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
    assert seen == [(undo(before=10.0),)]
    assert undone(scene) == (undo(before=10.0),)


async def test_what_a_second_patch_changes_is_in_the_store_before_it_too() -> None:
    """Somebody gives the canary traffic again before we look, and nobody asks who would serve before that is taken back."""
    scene, seen = Scene(router=EditingRouter(), telemetry=HandTelemetry([failing()])), list[tuple[Undo, ...]]()

    def put_back() -> None:
        seen.append(kept(scene))
        scene.router.canary_percent = 25.0 if len(seen) == 1 else 0.0

    scene.router.on_patch = put_back
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert seen == [(undo(before=10.0),), (undo(before=25.0),)]
    assert undone(scene) == (undo(before=10.0),)


async def test_what_a_try_after_a_failed_one_changes_is_noted_anew() -> None:
    """Somebody else may have written in between, and the next try then changes something else."""

    class Changed(EditingRouter):
        async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
            if self.canary_percent == 10.0:
                self.canary_percent = 25.0
                raise Unavailable("away")
            return await super().revert(release, located=located)

    scene, seen = Scene(router=Changed(), telemetry=HandTelemetry([failing()])), list[tuple[Undo, ...]]()
    scene.router.on_patch = lambda: seen.append(kept(scene))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert seen == [(undo(before=25.0),)]


@pytest.mark.parametrize("dies", ["before", "after"])
@pytest.mark.parametrize("meanwhile", [None, 25.0])
async def test_after_a_crash_beside_the_patch_the_next_daemon_knows_how_to_undo_it(dies: str, meanwhile: float | None) -> None:
    router = Held(dies=dies)
    scene = Scene(router=router, telemetry=HandTelemetry([failing()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await router.reached.wait()
    assert kept(scene) == (undo(before=10.0),)
    if meanwhile is not None:  # somebody gives the canary more while nobody looks
        router.canary_percent = meanwhile
    router.dies = ""
    async with running(scene) as engine:
        await until(lambda: ID in scene.records.data)
    assert (router.canary_percent, undone(scene)) == (0.0, (undo(before=10.0 if meanwhile is None else meanwhile),))


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_a_freeze_beside_a_crash_holds_a_revert_of_which_nothing_was_done_and_none_that_was(dies: str) -> None:
    """What was about to be written is kept up to a second before it is."""
    router = Held(dies=dies)
    scene = Scene(router=router, telemetry=HandTelemetry([failing()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await router.reached.wait()
        await engine.freeze(Freeze(by="ana", reason="migration", since=0.0))
    assert kept(scene) == (undo(before=10.0),)
    router.dies = ""
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    is_done = dies == "after"
    assert (verdict.action, router.canary_percent) == ((Action.REVERT, 0.0) if is_done else (Action.NONE, 10.0))
    assert is_done or "frozen by ana: migration" in verdict.reason


async def test_a_freeze_holds_up_no_revert_of_which_nobody_sees_whether_it_was_begun() -> None:
    router = Held(dies="before")
    scene = Scene(router=router, telemetry=HandTelemetry([failing()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await router.reached.wait()
        await engine.freeze(Freeze(by="ana", reason="migration", since=0.0))
    router.dies, router.failing = "", Unavailable("away")
    async with running(scene) as engine:
        assert (await verdict_of(engine)).action is Action.REVERT


async def test_a_patch_whose_answer_is_lost_can_be_undone() -> None:
    scene = Scene(router=Held(loses=1), telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.action, undone(scene)) == (Action.REVERT, (undo(before=10.0),))


async def test_what_the_mesh_has_refused_is_nothing_to_undo() -> None:
    router = EditingRouter()
    router.answers = [Forbidden("not yours")] * 1_000
    scene = Scene(router=router, telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, insist_seconds=1.0, guard_seconds=1.0)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
    assert (verdict.action, undone(scene)) == (Action.FAILED, ())


async def test_where_nobody_sees_whether_it_was_done_the_record_says_what_it_would_take() -> None:
    scene = Scene(router=Held(loses=1_000_000), telemetry=HandTelemetry([failing()]))
    scene.limits = msgspec.structs.replace(scene.limits, insist_seconds=1.0, guard_seconds=1.0)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
    assert (verdict.action, undone(scene)) == (Action.FAILED, (undo(before=10.0),))


async def test_a_store_that_does_not_answer_holds_up_no_patch() -> None:
    scene = Scene(router=EditingRouter(), telemetry=HandTelemetry([failing()]))
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: ID in scene.sessions.data)
        scene.sessions.open.clear()
        await until(lambda: scene.router.canary_percent == 0.0)
        scene.sessions.open.set()


async def test_what_is_nowhere_in_force_is_no_undo_and_what_cannot_be_seen_stays_open() -> None:
    told: list[tuple[str, tuple[Undo, ...]]] = []
    log = UndoLog(
        changed=lambda undos: told.append(("changed", undos)),
        settled=lambda intents: told.append(("settled", intents)),
        intents=(undo(),),
    )

    class Looked(EditingRouter):
        found: tuple[PlannedObject, ...] | VerdictdError = ()

        async def plan_restore(self, undos: object) -> tuple[PlannedObject, ...]:
            if isinstance(self.found, VerdictdError):
                raise self.found
            return self.found

    router = Looked()
    router.canary_percent = 0.0
    contained = ContainedRouter(router, log)
    part = PlannedObject(object=undo().object)
    for router.found in (Unavailable("away"), (msgspec.structs.replace(part, failure=TimedOut("slow")),)):
        await contained.revert(RELEASE)
    assert told == []
    router.found = (part,)
    await contained.revert(RELEASE)
    await contained.revert(RELEASE)
    assert told == [("settled", (undo(),))]


async def test_a_plan_that_breaks_or_never_comes_holds_up_no_revert() -> None:
    async def for_ever() -> tuple[PlannedObject, ...]:
        await asyncio.Event().wait()
        return ()

    async def broken() -> tuple[PlannedObject, ...]:
        raise KeyError("spec")

    class Planning(EditingRouter):
        planned: Callable[[], Awaitable[tuple[PlannedObject, ...]]] = staticmethod(for_ever)

        async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
            return await self.planned()

    router = Planning()
    for router.planned in (for_ever, broken):
        assert await ContainedRouter(router).check_baseline(RELEASE) == "3 ready endpoints"
