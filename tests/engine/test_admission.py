"""What is refused at the door because nothing could be counted of it, or nothing done about it."""

import msgspec
import pytest

from config.policy import LatencyTolerance, Tolerances
from daemon.errors import InvalidInput, Unavailable
from daemon.interventions import Command
from daemon.model import Action, Outcome, Stage
from daemon.ports.durable import Kept
from tests.hand.ports import HandTelemetry, MemoryStore, Scene, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, failing, healthy

REASON = "routes of made-up are not steered by this version: its releases are observed only"


def unsteered(*, mode: str, readings: HandTelemetry) -> Scene:
    scene = Scene(telemetry=readings, observed_only=REASON)
    scene.policies["default"] = msgspec.structs.replace(POLICY, mode=mode)
    return scene


async def test_on_a_mesh_that_is_not_steered_a_policy_that_enforces_is_refused() -> None:
    async with running(unsteered(mode="enforce", readings=HandTelemetry([failing()]))) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(RELEASE, release_id=ID)
    assert str(caught.value) == f"$.mesh: {REASON}; name a policy whose mode is observe"


async def test_on_a_mesh_that_is_not_steered_a_bad_canary_is_told_and_nothing_is_done() -> None:
    async with running(unsteered(mode="observe", readings=HandTelemetry([failing()]))) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)


async def test_a_release_that_is_to_be_observed_only_is_told_and_nothing_is_done_whatever_its_policy_says() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    scene.policies["default"] = msgspec.structs.replace(POLICY, mode="enforce")
    async with running(scene) as engine:
        await engine.submit(msgspec.structs.replace(RELEASE, observe=True), release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)


async def test_a_person_who_takes_back_what_is_not_steered_is_told_why_it_cannot_be() -> None:
    async with running(unsteered(mode="observe", readings=HandTelemetry([healthy()]))) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        await engine.command(ID, Command(command="rollback", by="me", reason="it smells"))
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.BLOCKED)
    assert REASON in verdict.reason


async def test_a_release_of_which_nothing_could_be_counted_is_refused_with_the_reason() -> None:
    scene = Scene()
    scene.telemetry.uncounted = "made-up telemetry has no counters of tcp"
    async with running(scene) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(RELEASE, release_id=ID)
        scene.telemetry.uncounted = None
        await engine.submit(RELEASE, release_id=ID)
    assert str(caught.value) == (
        "$.protocol: made-up telemetry has no counters of tcp; take it back by hand where it goes wrong (verdictd revert)"
    )


async def test_a_policy_that_requires_the_slow_end_is_refused_for_connections_which_have_none() -> None:
    scene = Scene()
    scene.telemetry.tells_latencies = False
    strict = Tolerances(latency=LatencyTolerance(require_slow_end=True))
    scene.policies["strict"] = msgspec.structs.replace(POLICY, tolerances=strict)
    async with running(scene) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(msgspec.structs.replace(RELEASE, policy="strict"), release_id=ID)
    assert str(caught.value) == (
        "$.policy: policy 'strict' cannot be honoured: it requires the slow end of latency to be shown "
        "(tolerances.latency.require_slow_end), and no latency is known of TCP; name a policy that does not require it"
    )


class Ends(MemoryStore):
    """What was promoted; asked about it, another process ends the release meanwhile, and then the records may be away."""

    def __init__(self, scene: Scene, record: bytes, *, away: bool = False) -> None:
        super().__init__()
        self._scene = scene
        self._record = record
        self._away = away

    async def get(self, key: str) -> Kept | None:
        await self._scene.records.put(ID, self._record)
        if self._away:
            self._scene.records.failing = Unavailable("the store is away")
        return await super().get(key)


async def ended_elsewhere() -> tuple[Scene, bytes]:
    """The ports, empty, and the record of a release that another process has ended."""
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
    return Scene(), scene.records.data[ID]


async def test_a_release_that_another_process_ends_between_the_first_look_and_the_first_write_is_not_watched_again() -> None:
    scene, record = await ended_elsewhere()
    scene.promotions = Ends(scene, record)
    async with running(scene) as engine:
        view = await engine.submit(RELEASE, release_id=ID)
        assert (view.stage, view.verdict is not None) == (Stage.ENDED, True)
        assert engine.running() == frozenset()
        await until(lambda: not scene.sessions.data)
    assert scene.sink.verdicts == []
    assert scene.records.data == {ID: record}


async def test_one_of_which_that_cannot_be_asked_is_not_watched_and_nothing_is_kept_of_it() -> None:
    scene, record = await ended_elsewhere()
    scene.promotions = Ends(scene, record, away=True)
    async with running(scene) as engine:
        with pytest.raises(Unavailable):
            await engine.submit(RELEASE, release_id=ID)
        assert engine.running() == frozenset()
        await until(lambda: not scene.sessions.data)
        scene.records.failing = None
