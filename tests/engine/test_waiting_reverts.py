"""What is said to a release whose revert waits for its turn, which another has: seconds, where thousands fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from daemon.aio.tasks import cancel_all
from daemon.engine import keptforms
from daemon.engine.engine import Engine
from daemon.engine.turns import Turns
from daemon.interventions import Command, Freeze
from daemon.model import Action, Outcome, Stage
from daemon.placement import Undo
from tests.hand.editing import EditingRouter, undo
from tests.hand.ports import HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing, gap

_NEVER_SECONDS = 600.0


@asynccontextmanager
async def another_has_the_turn(scene: Scene) -> AsyncIterator[None]:
    """As long as the block lasts."""
    over = asyncio.Event()

    async def other() -> None:
        async with scene.turns.turn():
            await over.wait()

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    try:
        yield
        over.set()
        await task
    finally:
        await cancel_all([task])


async def waits(engine: Engine) -> None:
    """Until the release is to be reverted, and has come as far as it can."""
    await until(lambda: bool(engine.views()) and engine.views()[0].stage is Stage.REVERTING)
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def scene() -> Scene:
    turns = Turns(places=1, longest_seconds=_NEVER_SECONDS)
    return Scene(router=EditingRouter(), telemetry=HandTelemetry([failing()]), turns=turns)


def intended(scene: Scene) -> tuple[Undo, ...]:
    """What the store has of what is about to be changed, which is worked out ahead of the turn."""
    return keptforms.decode(scene.sessions.data[ID], now=0.0).session.intents


async def test_a_freeze_holds_it_though_it_was_decided_before(scene: Scene) -> None:
    async with running(scene) as engine:
        async with another_has_the_turn(scene):
            await engine.submit(RELEASE, release_id=ID)
            await waits(engine)
            assert (scene.router.patches, intended(scene)) == (0, (undo(before=10.0),))
            await engine.freeze(Freeze(by="ana", reason="migration", since=0.0))
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action, scene.router.patches) == (Outcome.ROLLBACK, Action.NONE, 0)
    assert "migration" in verdict.reason


async def test_a_newer_release_keeps_its_traffic_which_may_be_behind_the_same_names(scene: Scene) -> None:
    async with running(scene) as engine:
        async with another_has_the_turn(scene):
            await engine.submit(RELEASE, release_id=ID)
            await waits(engine)
            assert intended(scene)
            scene.telemetry.readings = [gap()]
            await engine.submit(msgspec.structs.replace(RELEASE, artifact="registry.example/web:3"), release_id="web-3")
            await until(lambda: "web-3" in {view.id for view in engine.views()})
        verdict = await verdict_of(engine)
        assert (verdict.outcome, verdict.action, scene.router.patches) == (Outcome.ROLLBACK, Action.NONE, 0)
        assert "release web-3 is newer" in verdict.reason


async def test_a_persons_word_is_kept_at_once(scene: Scene) -> None:
    scene.telemetry.readings = [gap()]
    async with running(scene) as engine, another_has_the_turn(scene):
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        await engine.command(ID, Command(command="rollback", by="ana", reason="bad"))
        await waits(engine)
        kept = keptforms.decode(scene.sessions.data[ID], now=0.0).session
        assert kept.decision is not None
        assert (kept.stage, kept.decision.by) == (Stage.REVERTING, "person")
