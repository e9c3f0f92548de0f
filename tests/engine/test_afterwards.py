"""After a promotion the canary is watched on, as a release of its own: what begins it, what it does, and what ends it."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from analyzers.counts import Signal
from config.policy import Policy
from config.settings import Limits
from daemon.engine.afterwards import id_of
from daemon.engine.engine import Engine
from daemon.engine.keptforms import decode, decode_record
from daemon.engine.session import Session
from daemon.errors import Refused, Unavailable
from daemon.interventions import Command
from daemon.measurements import Reading, Watch
from daemon.model import Action, ArmSpec, Outcome, Stage, Verdict
from daemon.ports.routing import says_ready
from tests.hand.ports import HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, failing, gap, healthy

AFTER = msgspec.structs.replace(POLICY, after="40s")


class Later(HandTelemetry):
    """All is well until the promotion; then the readings that are given, the last one for ever."""

    def __init__(self, *readings: Reading) -> None:
        super().__init__([healthy()])
        self.later = list(readings)
        self.alone: set[str] = set()

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        found = dict(await super().read([one for one in watches if not one.alone]))
        for watch in watches:
            if watch.alone:
                self.alone.add(watch.release_id)
                found[watch.release_id] = self.later.pop(0) if len(self.later) > 1 else self.later[0]
        return found


def scene(*readings: Reading, policy: Policy = AFTER, limits: Limits | None = None) -> Scene:
    found = Scene(telemetry=Later(*readings), policies={"default": policy})
    if limits is not None:
        found.limits = limits
    return found


async def promoted(engine: Engine) -> tuple[Verdict, str]:
    """The first verdict, and the id of the watch after it."""
    await engine.submit(RELEASE, release_id=ID)
    first = await verdict_of(engine)
    assert first.outcome is Outcome.PROMOTE
    steps = (await engine.view(ID)).steps
    [after_id] = [one.detail for one in steps if one.step == "watched_on"]
    return first, after_id


async def test_a_canary_that_goes_bad_five_ticks_after_its_promotion_is_taken_back() -> None:
    world = scene(*[healthy()] * 5, failing())
    async with running(world) as engine:
        first, after_id = await promoted(engine)
        watched = await engine.view(after_id)
        assert (watched.after, watched.release, watched.window_seconds) == (ID, RELEASE_AS_KEPT, 40.0)
        verdict = await verdict_of(engine, after_id)
    assert (first.action, first.after) == (Action.NONE, None)
    assert (verdict.outcome, verdict.action, verdict.by) == (Outcome.ROLLBACK, Action.REVERT, "judge")
    assert (verdict.after, verdict.leg) == (ID, "errors")
    assert 5 < verdict.ticks <= 12
    assert world.router.canary_percent == 0.0
    assert [one.release_id for one in world.sink.verdicts] == [ID, after_id]
    assert decode_record(world.records.data[after_id]).verdict == verdict


RELEASE_AS_KEPT = msgspec.structs.replace(RELEASE, cluster="test")


async def test_one_that_stays_good_is_called_so_at_the_end_and_nothing_is_done() -> None:
    world = scene(healthy())
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        verdict = await verdict_of(engine, after_id)
    assert (verdict.outcome, verdict.meaning, verdict.action) == (Outcome.PROMOTE, "promote", Action.NONE)
    assert world.router.patches == 0
    assert "after the promotion" in verdict.reason


async def test_without_after_in_its_policy_nothing_follows_a_promotion() -> None:
    world = scene(healthy(), policy=POLICY)
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
        assert [one.id for one in engine.views()] == [ID]
    assert not any(mark.step.endswith("watched_on") for mark in decode_record(world.records.data[ID]).marks)


async def test_a_rollback_is_not_watched_on() -> None:
    world = Scene(telemetry=HandTelemetry([failing()]), policies={"default": AFTER})
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.ROLLBACK
        assert [one.id for one in engine.views()] == [ID]


@pytest.mark.parametrize("ready", [0, None], ids=["surely nobody", "not known"])
async def test_where_the_baseline_is_not_seen_to_be_ready_nothing_is_taken_back_and_the_verdict_says_what_to_do(
    ready: int | None,
) -> None:
    world = scene(failing())
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        world.router.ready = ready
        verdict = await verdict_of(engine, after_id)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)
    assert f"verdictd revert {after_id}" in verdict.reason
    assert "ready" in verdict.reason
    assert world.router.patches == 0


async def test_before_the_promotion_a_baseline_of_which_nothing_is_known_holds_no_revert_up() -> None:
    world = Scene(telemetry=HandTelemetry([failing()]), policies={"default": AFTER})
    world.router.ready = None
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).action is Action.REVERT


async def test_a_policy_that_observes_takes_nothing_back_after_the_promotion_either() -> None:
    world = scene(failing(), policy=msgspec.structs.replace(AFTER, mode="observe"))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        verdict = await verdict_of(engine, after_id)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)
    assert world.router.patches == 0


async def test_without_traffic_it_is_inconclusive_and_means_hold_whatever_the_policy_says_of_a_release() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, on_inconclusive="rollback"))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        verdict = await verdict_of(engine, after_id)
    assert (verdict.outcome, verdict.meaning, verdict.by) == (Outcome.INCONCLUSIVE, "hold", "deadline")
    assert "any request to the canary after its promotion" in verdict.reason
    assert "prometheus does not answer" in verdict.reason


async def test_a_newer_release_of_the_service_ends_it_by_name() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        newer = msgspec.structs.replace(RELEASE, canary=ArmSpec(service="web-v3"))
        await engine.submit(newer, release_id="web-2")
        verdict = await verdict_of(engine, after_id)
        assert (await engine.view(ID)).verdict is not None
    assert (verdict.outcome, verdict.by, verdict.meaning) == (Outcome.INCONCLUSIVE, "superseded", "hold")
    assert verdict.reason == "superseded by release web-2 of the same service"


async def test_a_release_that_was_announced_before_the_promotion_ends_it_too() -> None:
    """It is newer than the one that was promoted, and that is what counts."""
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        began = (await engine.view(ID)).submitted_at
        newer = msgspec.structs.replace(RELEASE, canary=ArmSpec(service="web-v3"))
        await engine.submit(newer, release_id="web-2", announced_at=began + 0.01)
        assert (await verdict_of(engine, after_id)).by == "superseded"
        assert engine.running() == frozenset({"web-2"})


async def test_whoever_announces_the_promoted_canary_late_joins_the_release_and_not_the_watch_after_it() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    said = msgspec.structs.replace(RELEASE, artifact="web:v2")
    async with running(world) as engine:
        await engine.submit(said, release_id=ID, sender="hook")
        await verdict_of(engine)
        view = await engine.submit(said, release_id="web-9", sender="gate")
        assert view.id == ID
        assert len(engine.running() or ()) == 1, "the watch goes on"


async def test_a_person_may_end_it() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        await engine.command(after_id, Command(command="rollback", by="ana"))
        verdict = await verdict_of(engine, after_id)
    assert (verdict.action, verdict.by) == (Action.REVERT, "person")


async def test_a_promotion_by_a_person_is_watched_on_and_one_before_the_routes_were_found_is_not() -> None:
    world = Scene(telemetry=Later(gap()), policies={"default": msgspec.structs.replace(AFTER, after="24h")})
    assert isinstance(world.telemetry, Later)
    world.telemetry.readings = [gap()]
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: any(one.stage is Stage.WATCHING for one in engine.views()))
        await engine.command(ID, Command(command="promote", by="ana"))
        await verdict_of(engine)
        assert engine.running() == frozenset({id_of(_session(engine))})
        other = msgspec.structs.replace(RELEASE, service="other")
        world.router.missing = Unavailable("not yet")
        await engine.submit(other, release_id="other-1")
        await engine.command("other-1", Command(command="promote", by="ana"))
        await verdict_of(engine, "other-1")
    [why] = [mark.detail for mark in decode_record(world.records.data["other-1"]).marks if mark.step == "not_watched_on"]
    assert why == "it was promoted before its canary and its routes were found"


def _session(engine: Engine) -> Session:
    return engine._registry.get(ID)


def at_most(releases: int) -> Limits:
    return Limits(guard_seconds=0.0, locate_seconds=5.0, max_releases=releases)


async def test_the_release_that_ends_does_not_count_against_the_watch_after_it() -> None:
    world = scene(healthy(), limits=at_most(1))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        assert (await verdict_of(engine, after_id)).outcome is Outcome.PROMOTE


async def test_nor_does_another_that_ends_at_the_same_time() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"), limits=at_most(2))
    world.records.refused = {ID: Unavailable("no answer"), "other-1": Unavailable("no answer")}
    async with killed(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.submit(OTHER, release_id="other-1")
        await until(lambda: len(engine.running() or ()) == 4)


async def test_where_no_more_may_be_watched_it_is_said_and_the_promotion_stands() -> None:
    """As after a restart with a smaller limit."""
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"), limits=at_most(2))
    assert isinstance(world.telemetry, Later)
    world.telemetry.readings = [gap()]
    async with killed(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await engine.submit(OTHER, release_id="other-1")
        await until(lambda: all(one.stage is Stage.WATCHING for one in engine.views()) and len(world.sessions.data) == 2)
    world.limits = at_most(1)
    async with running(world) as engine:
        await engine.command(ID, Command(command="promote", by="ana"))
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
    [why] = [mark.detail for mark in decode_record(world.records.data[ID]).marks if mark.step == "not_watched_on"]
    assert why == "as many releases as may be are being watched already: 1 beside it (limits.max_releases)"


async def test_one_that_cannot_be_kept_is_said_and_the_promotion_stands() -> None:
    world = scene(healthy())
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        world.sessions.refused[id_of(_session(engine))] = Refused("too large")
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
        assert engine.running() == frozenset()
    [why] = [mark.detail for mark in decode_record(world.records.data[ID]).marks if mark.step == "not_watched_on"]
    assert why == "it cannot be kept: too large"


async def test_a_daemon_that_is_killed_goes_on_with_it_and_begins_it_once() -> None:
    world = scene(*[healthy()] * 5, gap())
    async with killed(world) as engine:
        _, after_id = await promoted(engine)
        await until(lambda: decode(world.sessions.data[after_id], now=0.0).session.ticks >= 5)
    assert isinstance(world.telemetry, Later)
    world.telemetry.later = [failing()]
    async with running(world) as engine:
        verdict = await verdict_of(engine, after_id)
        assert [one.id for one in engine.views()] == [after_id]
    assert verdict.action is Action.REVERT
    assert verdict.ticks > 5
    assert [one.release_id for one in world.sink.verdicts] == [ID, after_id]


async def test_a_daemon_that_is_killed_between_the_verdict_and_the_watch_after_it_begins_it_then() -> None:
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    async with killed(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        after_id = id_of(_session(engine))
        world.sessions.refused[after_id] = Unavailable("no answer")
        await until(lambda: world.sink.verdicts)
        assert await engine.wait(ID, seconds=0) is not None, "who waits for the verdict waits for nothing else"
    world.sessions.refused.clear()
    async with running(world) as engine:
        await verdict_of(engine)
        assert engine.running() == frozenset({after_id})
    assert {one.release_id for one in world.sink.verdicts} == {ID}


async def test_one_that_has_ended_before_the_first_is_forgotten_is_not_begun_again() -> None:
    world = scene(healthy())
    async with running(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        world.records.data[id_of(_session(engine))] = b"{}"
        await verdict_of(engine)
        assert engine.running() == frozenset()


async def test_both_are_taken_up_after_a_restart_and_neither_supersedes_the_other() -> None:
    """The first one is still being told to a sink that does not answer."""
    world = scene(gap(), policy=msgspec.structs.replace(AFTER, after="24h"))
    world.records.refused[ID] = Unavailable("no answer")
    async with killed(world) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(engine.running() or ()) == 2)
    world.records.refused.clear()
    async with running(world) as engine:
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
        assert engine.running() == frozenset({id_of(_session(engine))})
        assert _session(engine).superseded_by is None


async def test_what_becomes_of_the_baseline_is_no_sign_of_anything() -> None:
    gone = Signal(kind="not_ready", about="baseline", effect="excuses", words="no pod of the baseline is ready")
    world = scene(msgspec.structs.replace(failing(), signals=(gone,)))
    async with running(world) as engine:
        _, after_id = await promoted(engine)
        verdict = await verdict_of(engine, after_id)
    assert verdict.outcome is Outcome.ROLLBACK
    assert verdict.signals == ()


@pytest.mark.parametrize(
    ("line", "ready"),
    [
        ("3 ready endpoints (the canary has 2)", True),
        ("1 ready instances", True),
        ("group web: 2 healthy allocations (the canary has 0)", True),
        ("group web: 0 healthy allocations (the canary has 0)", False),
        ("how many endpoints the baseline has is not known: forbidden", False),
        ("the baseline's endpoints were not known within 1 s", False),
        ("0 ready instances; failover to dc2 serves", False),
        ("None ready endpoints", False),
    ],
)
def test_what_says_that_somebody_is_ready(line: str, ready: bool) -> None:
    assert says_ready(line) is ready
