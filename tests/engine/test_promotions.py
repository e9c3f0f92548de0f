"""A canary that was promoted a few days ago and not taken back since is a return to the good version."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from config.identity import policy_hash
from config.policy import Policy, Promotion
from daemon.engine import lifecycle, promotions
from daemon.engine.promotions import MOST, Promotions, Told, standing
from daemon.engine.session import Decision, Session
from daemon.errors import Conflict, Refused, Unavailable
from daemon.model import Action, Outcome, Release, Stage
from daemon.placement import Placement
from tests.hand.ports import HandRouter, HandTelemetry, MemoryStore, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, failing, gap, healthy, verdict

DAY = 86_400.0
GOOD, BAD = "example.com/web:v1", "example.com/web:v2"
THOROUGH = msgspec.structs.replace(POLICY, promotion=Promotion(min_requests=10**6, min_seconds=50.0))
"""Under which nothing is promoted within the window but a return."""


def of(artifact: str | None, release: Release = RELEASE) -> Release:
    return msgspec.structs.replace(release, artifact=artifact)


class SlowRouter(HandRouter):
    """Finds nothing."""

    async def locate(self, release: Release) -> Placement:
        await asyncio.Event().wait()
        raise AssertionError


def told(artifact: str | None, at: float, *, promoted: bool = True, release_id: str = ID) -> Told:
    return Told(release_id=release_id, artifact=artifact, at=at, promoted=promoted)


def found(
    known: Sequence[Told], artifact: str | None = GOOD, *, days: float = 7.0, now: float = DAY, sessions: Sequence[Session] = ()
) -> Told | None:
    return standing(of(artifact), Policy(return_days=days), told=known, sessions=sessions, now=now)


def test_what_was_promoted_within_the_days_is_returned_to_and_no_longer() -> None:
    promoted = told(GOOD, 0.0)
    assert found([promoted], now=7 * DAY) is promoted
    assert found([promoted], now=7 * DAY + 1) is None
    assert found([promoted], days=0.0, now=0.0) is None


def test_the_newest_promotion_counts_and_what_another_version_was_does_not() -> None:
    newest = told(GOOD, 5 * DAY, release_id="web-2")
    known = [told(GOOD, 0.0), newest, told(BAD, 6 * DAY, release_id="web-3")]
    assert found(known, now=10 * DAY) is newest
    assert found([told(BAD, 0.0)]) is None


@pytest.mark.parametrize("artifact", [GOOD, "f95f852", None])
def test_what_may_have_been_taken_back_since_was(artifact: str | None) -> None:
    assert found([told(GOOD, 0.0), told(artifact, 1.0, promoted=False, release_id="web-2")]) is None


def test_another_version_that_was_taken_back_since_is_why_one_returns() -> None:
    promoted = told(GOOD, 0.0)
    assert found([promoted, told(BAD, 1.0, promoted=False, release_id="web-2")]) is promoted


def test_what_was_promoted_again_after_it_was_taken_back_is_good_again() -> None:
    again = told(GOOD, 2.0, release_id="web-3")
    assert found([told(GOOD, 0.0), told(GOOD, 1.0, promoted=False, release_id="web-2"), again]) is again


@pytest.mark.parametrize("artifact", ["example.com/web:latest", "example.com/web", "stable", None])
def test_a_name_that_means_another_artifact_every_day_is_no_return(artifact: str | None) -> None:
    assert found([told(artifact, 0.0)], artifact) is None


def test_a_change_of_the_mesh_is_no_return_whatever_its_pods_run() -> None:
    release = msgspec.structs.replace(of(GOOD), strategy="pods", weight=None)
    assert standing(release, Policy(), told=[told(GOOD, 0.0)], now=1.0) is None


def test_one_that_is_being_taken_back_at_this_moment_is() -> None:
    decision = Decision(outcome=Outcome.ROLLBACK, by="judge", reason="worse", at=1.0)
    reverting = replace(a_session(GOOD), stage=Stage.REVERTING, decision=decision)
    assert found([told(GOOD, 0.0)], sessions=[reverting]) is None
    assert found([told(GOOD, 0.0)], sessions=[replace(reverting, release=of(BAD))]) is not None
    assert found([told(GOOD, 0.0)], sessions=[replace(reverting, decision=None)]) is not None


async def test_a_verdict_is_kept_once_and_only_one_that_says_something_of_a_version() -> None:
    kept = Promotions(MemoryStore())
    inconclusive, promoted = (verdict(outcome=outcome, decided_at=1.0) for outcome in (Outcome.INCONCLUSIVE, Outcome.PROMOTE))
    for one in (inconclusive, promoted, promoted):
        await kept.keep(of(GOOD), one)
    await kept.keep(of(None), promoted)
    await kept.keep(of(GOOD, msgspec.structs.replace(RELEASE, strategy="pods")), verdict("web-9", decided_at=2.0))
    await kept.keep(of(None), verdict("web-2", decided_at=2.0))
    assert await kept.of(RELEASE) == (told(GOOD, 1.0), told(None, 2.0, promoted=False, release_id="web-2"))
    for other in ({"service": "other"}, {"namespace": "other"}):
        assert await kept.of(msgspec.structs.replace(RELEASE, **other)) == ()


async def test_the_oldest_give_way_however_late_one_is_kept() -> None:
    kept = Promotions(MemoryStore())
    for number in reversed(range(MOST + 5)):
        await kept.keep(of(GOOD), verdict(f"web-{number}", outcome=Outcome.PROMOTE, decided_at=float(number)))
    assert [one.at for one in await kept.of(RELEASE)] == [float(number) for number in range(5, MOST + 5)]


async def test_a_write_that_came_between_is_read_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    kept, other, between, put = Promotions(store), Promotions(store), [1], store.put

    async def slow(key: str, value: bytes, *, over: int | None = None) -> int:
        if between:
            number = between.pop()
            monkeypatch.setattr(store, "put", put)
            await other.keep(of(BAD), verdict(f"other-{number}", outcome=Outcome.PROMOTE, decided_at=float(number)))
            monkeypatch.setattr(store, "put", slow)
        return await put(key, value, over=over)

    monkeypatch.setattr(store, "put", slow)
    await kept.keep(of(GOOD), verdict(decided_at=0.0))
    assert {one.release_id for one in await kept.of(RELEASE)} == {ID, "other-1"}
    between += range(100)
    with pytest.raises(Conflict):
        await kept.keep(of(GOOD), verdict("late", decided_at=1.0))


async def test_what_cannot_be_read_is_no_promotion_and_is_written_over() -> None:
    store = MemoryStore()
    kept = Promotions(store)
    await kept.keep(of(GOOD), verdict(outcome=Outcome.PROMOTE))
    [key] = store.data
    store.data[key] = b"{"
    assert await kept.of(RELEASE) == ()
    await kept.keep(of(GOOD), verdict(outcome=Outcome.PROMOTE, decided_at=3.0))
    assert await kept.of(RELEASE) == (told(GOOD, 3.0),)


def a_session(artifact: str | None, policy: Policy = THOROUGH) -> Session:
    return lifecycle.admitted(
        of(artifact),
        release_id=ID,
        policy=policy,
        policy_hash=policy_hash(policy),
        cluster="test",
        tick_seconds=1.0,
        split=False,
        now=1.0,
    )


def test_a_return_is_judged_by_its_policy_without_the_minima_and_says_which_policy_that_is() -> None:
    session = lifecycle.returning(a_session(GOOD), "a return", now=1.0)
    assert session.policy == msgspec.structs.replace(THOROUGH, promotion=Promotion(min_requests=0, min_seconds=0.0))
    assert session.policy_hash == policy_hash(session.policy)
    assert (session.terms.min_requests, session.terms.min_seconds) == (0.0, 0.0)
    assert session.returns == "a return"


def test_one_that_is_told_later_to_be_a_return_keeps_its_evidence() -> None:
    session = replace(a_session(None), evidence=4.0, t=9.0)
    as_new = lifecycle.returning(a_session(GOOD), "a return", now=1.0)
    after = lifecycle.added(session, as_new=as_new, sender="ci", now=2.0)
    assert (after.returns, after.evidence, after.evidence_from, after.policy) == ("a return", 4.0, 0.0, as_new.policy)
    assert [mark.step for mark in after.marks] == ["submitted", "return"]
    observed = a_session(None, msgspec.structs.replace(THOROUGH, mode="observe"))
    steps = [mark.step for mark in lifecycle.added(observed, as_new=as_new, sender="ci", now=2.0).marks]
    assert steps == ["submitted", "return", "mode_taken"]
    stricter = a_session(None, msgspec.structs.replace(THOROUGH, alpha=0.001))
    steps = [mark.step for mark in lifecycle.added(stricter, as_new=as_new, sender="ci", now=2.0).marks]
    assert steps == ["submitted", "return", "policy_taken"]


async def test_a_version_that_was_promoted_is_promoted_again_without_a_minimum_over_a_restart_and_its_verdict_says_so() -> None:
    scene = Scene(policies={"default": POLICY, "thorough": THOROUGH})
    async with running(scene) as engine:
        await engine.submit(of(GOOD), release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
    async with running(scene) as engine:
        release = msgspec.structs.replace(of(GOOD), policy="thorough")
        began = await engine.submit(release, release_id="web-2")
        assert began.returns == f"a return to {GOOD}, which release {ID} promoted on 1970-01-12"
        again = await verdict_of(engine, "web-2")
        new = msgspec.structs.replace(of(BAD), policy="thorough")
        assert (await engine.submit(new, release_id="web-3")).returns == ""
        assert (await verdict_of(engine, "web-3")).outcome is Outcome.INCONCLUSIVE
    assert again.outcome is Outcome.PROMOTE
    assert again.reason.endswith(f"; {began.returns}: no minimum was asked of its promotion")
    assert again.ticks < 50


async def test_a_return_that_fails_is_taken_back_and_is_none_from_then_on() -> None:
    scene = Scene()
    async with running(scene) as engine:
        await engine.submit(of(GOOD), release_id=ID)
        await verdict_of(engine)
        scene.telemetry.readings = [failing()]
        await engine.submit(of(GOOD), release_id="web-2")
        worse = await verdict_of(engine, "web-2")
        assert (worse.outcome, worse.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert "a return to" in worse.reason
        assert (await engine.submit(of(GOOD), release_id="web-3")).returns == ""


async def test_what_was_promoted_is_kept_before_anybody_can_read_the_verdict() -> None:
    scene = Scene()
    scene.promotions.failing = Unavailable("away")
    async with running(scene) as engine:
        scene.promotions.failing = None
        await engine.submit(of(GOOD), release_id=ID)
        scene.promotions.failing = Unavailable("away")
        await until(lambda: ("promotions", "away") in [(what, str(error)) for what, error in scene.meter.failures])
        assert await engine.wait(ID, seconds=0) is None
        assert scene.sink.verdicts == []
        scene.promotions.failing = None
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE


async def test_who_joins_while_a_promotion_is_noted_is_not_written_over() -> None:
    scene, written = Scene(), list[bytes]()
    put = scene.sessions.put

    async def seen(key: str, value: bytes, *, over: int | None = None) -> int:
        written.append(value)
        return await put(key, value, over=over)

    scene.sessions.put = seen  # type: ignore[method-assign]  # to read along
    async with running(scene) as engine:
        await engine.submit(of(GOOD), release_id=ID, sender="watch")
        scene.promotions.failing = Unavailable("away")
        await until(lambda: ("promotions", "away") in [(what, str(error)) for what, error in scene.meter.failures])
        scene.promotions.failing, scene.promotions.open = None, asyncio.Event()  # read, and not written
        joined = await engine.submit(of(GOOD), release_id="web-2", sender="ci")
        assert joined.id == ID
        scene.promotions.open.set()
        await verdict_of(engine)
    since = next(at for at, value in enumerate(written) if b"web-2 by ci" in value)
    assert all(b"web-2 by ci" in value for value in written[since:])


async def test_what_the_store_refuses_for_good_keeps_no_verdict_from_being_told() -> None:
    scene = Scene()
    scene.promotions.refused = {promotions._key(RELEASE): Refused("too large")}
    async with running(scene) as engine:
        await engine.submit(of(GOOD), release_id=ID)
        assert (await verdict_of(engine)).outcome is Outcome.PROMOTE
        assert (await engine.submit(of(GOOD), release_id="web-2")).returns == ""


async def test_an_artifact_that_only_a_second_sender_names_makes_it_a_return_too() -> None:
    scene = Scene(telemetry=HandTelemetry([healthy()]))
    async with running(scene) as engine:
        await engine.submit(of(GOOD), release_id=ID)
        await verdict_of(engine)
    scene.telemetry.readings, scene.router = [gap()], SlowRouter()
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id="web-2", sender="watch")
        joined = await engine.submit(of(GOOD), release_id="web-3", sender="ci")
        assert joined.id == "web-2"
        assert joined.returns.startswith(f"a return to {GOOD}")
