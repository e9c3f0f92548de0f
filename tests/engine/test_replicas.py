"""Several replicas over the same stores: each release is watched by one, and whatever becomes of that one it has one verdict."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from config.settings import Limits
from daemon import recordings
from daemon.engine import tenure
from daemon.engine.engine import Engine
from daemon.engine.tenure import HELD
from daemon.errors import Conflict, Elsewhere, InvalidInput, NotFound, Refused, TimedOut, Unavailable, VerdictdError
from daemon.interventions import Command, Freeze
from daemon.model import Action, Outcome, Outline, Record, Stage
from daemon.offline.replay import replay_file
from daemon.offline.replay.joining import joined
from daemon.recorder import Recorder
from daemon.stored import FORM
from daemon.watcher.awaited import AwaitedCanaries
from tests.hand.ports import HandAnnouncement, MemoryStore, Scene, running, until, verdict_of
from tests.hand.replicas import Replicas
from tests.hand.samples import ID, OTHER, POLICY, RELEASE, failing, gap, healthy

# The clock of these tests runs with whoever sleeps: no watch may end for its window.
PATIENT = msgspec.structs.replace(POLICY, window_seconds=86_400.0)
UNHURRIED = msgspec.structs.replace(
    POLICY, window_seconds=1e9, promotion=msgspec.structs.replace(POLICY.promotion, min_seconds=1e9 - 1.0)
)
"""Nor is a canary promoted in it that is fine, however far the clock runs while a thread writes."""
GUARDED = Limits(guard_seconds=86_400.0, locate_seconds=86_400.0)


class Both:
    """Two replicas at work; ``a`` has the service that is released, ``b`` the other one."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.replicas = Replicas("a", "b")
        self.replicas.give(RELEASE, "a")
        self.replicas.give(OTHER, "b")
        for scene in self.scenes:
            scene.policies = {"default": PATIENT}
            scene.telemetry.readings = [gap()]

    @property
    def scenes(self) -> list[Scene]:
        return list(self.replicas.scenes.values())

    async def start(self) -> tuple[Engine, Engine]:
        a, b = [await self.stack.enter_async_context(running(scene)) for scene in self.scenes]
        await until(lambda: len(self.replicas.carrier.answers) == 2)
        return a, b

    async def watching(self) -> tuple[Engine, Engine]:
        """Both, and the first has a release that is watched."""
        first, second = await self.start()
        await first.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in self.kept)
        return first, second

    def fail(self) -> None:
        """From now on the canary fails, whoever looks."""
        for scene in self.scenes:
            scene.telemetry.readings = [failing()]

    @property
    def kept(self) -> bytes:
        return self.scenes[0].sessions.data.get(ID, b"")

    @property
    def patches(self) -> int:
        return self.scenes[0].router.patches

    @property
    def published(self) -> int:
        return len(self.scenes[0].sink.verdicts)


def ticks(kept: bytes) -> int:
    """How many a session has that is kept."""
    return int(msgspec.json.decode(kept)["session"]["ticks"])


def held(steps: object) -> list[str]:
    return [step.detail for step in steps if step.step == HELD]  # type: ignore[attr-defined]


async def test_a_release_is_carried_to_whoever_has_its_service_and_every_replica_answers_for_it() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()
        view = await b.submit(RELEASE, release_id=ID, sender="ci")
        assert view.id == ID
        assert [one.id for one in a.views()] == [ID]
        assert list(b.views()) == []
        assert [one.id for one in await b.all_views()] == [ID]
        await until(lambda: b'"watching"' in both.kept)
        seen = await b.view(ID)
        assert seen.stage is Stage.WATCHING
        assert held(seen.steps) == ["replica a, number 1"]
        assert await b.wait(ID, seconds=0) is None
        assert await b.record(ID) is None
        waiting = asyncio.ensure_future(b.wait(ID, seconds=60))
        both.fail()
        verdict = await verdict_of(a)
        assert await waiting == verdict
        record = await b.record(ID)
        assert record is not None
        assert record.verdict == verdict
        assert (both.patches, both.published) == (1, 1)


async def test_who_names_no_attempt_is_told_of_the_same_one_by_every_replica_also_once_it_has_ended() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()

        async def asked(of: Engine, *, release_id: str) -> str:
            asking = of.attempt(RELEASE, release_id=release_id, sender="gate prometheus", silence_seconds=1e9)
            return (await asking).id

        assert await asked(b, release_id=ID) == ID
        assert await asked(a, release_id="web-2") == ID
        await until(lambda: b'"watching"' in both.kept)
        both.fail()
        await verdict_of(a)
        assert await asked(b, release_id="web-3") == ID


async def test_who_follows_one_replica_is_told_of_the_others_releases_to_their_ends() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()
        with b.subscribe(limit=100, after=0) as changes:
            await a.submit(RELEASE, release_id=ID)
            seen = []
            async with asyncio.timeout(40):
                async for change in changes:
                    seen.append(change.release)
                    if change.release.stage is Stage.WATCHING:
                        both.fail()
                    if change.release.stage is Stage.ENDED:
                        break
        assert {one.id for one in seen} == {ID}
        assert Stage.WATCHING in {one.stage for one in seen}
        verdict = seen[-1].verdict
        assert verdict is not None
        assert verdict == await verdict_of(a)
        assert [one.id for one in b.views()] == []


async def test_what_is_wrong_is_told_by_whoever_has_the_service_as_if_it_had_been_said_there() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        _, b = await both.start()
        with pytest.raises(InvalidInput) as caught:
            await b.submit(msgspec.structs.replace(RELEASE, policy="nobody's"), release_id=ID)
        assert caught.value.path == "$.policy"
        both.scenes[0].limits = Limits(max_releases=1)
        await b.submit(RELEASE, release_id=ID)
        with pytest.raises(NotFound):
            await b.command("web-nobodys", Command(command="cancel"))


async def test_a_persons_word_is_carried_and_refused_where_it_comes_too_late() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()
        await a.submit(RELEASE, release_id=ID)
        assert (await b.command(ID, Command(command="rollback", by="ana"))).id == ID
        verdict = await verdict_of(a)
        assert (verdict.by, verdict.action) == ("person", Action.REVERT)
        with pytest.raises(Refused, match="decided already"):
            await b.command(ID, Command(command="promote"))


async def test_an_event_for_another_replicas_service_is_accepted_once_that_one_has_it_and_postponed_where_nobody_answers() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        event = HandAnnouncement(ID, RELEASE)
        both.scenes[1].events.queue.put_nowait(event)
        await until(lambda: event.answer)
        assert event.answer == "accepted"
        assert [one.id for one in a.views()] == [ID]
        answer = both.replicas.carrier.answers.pop("a")
        late = HandAnnouncement("web-2", RELEASE)
        both.scenes[1].events.queue.put_nowait(late)
        await until(lambda: late.answer)
        assert late.answer == "postponed"
        both.replicas.carrier.answers["a"] = answer


async def test_a_service_that_is_handed_over_is_gone_on_with_and_nobody_hears_of_a_verdict_meanwhile() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"ticks":3' in both.kept)
        waiting = asyncio.ensure_future(a.wait(ID, seconds=60))
        await asyncio.sleep(0)
        await both.replicas.hand_over(RELEASE, "a", to="b")
        await until(b.views)
        assert list(a.views()) == []
        assert both.published == 0
        assert held((await a.view(ID)).steps) == ["replica a, number 1", "replica b, number 2"]
        both.fail()
        verdict = await verdict_of(b)
        assert await waiting == verdict, "whoever waits at the one hears of the other's"
        assert (both.patches, both.published) == (1, 1)


async def test_what_a_newer_replica_kept_in_words_of_its_own_is_left_alone_by_an_older_one_until_a_newer_has_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As while replicas are updated one after the other. That it knows the words again stands for the newer one."""
    async with AsyncExitStack() as stack:
        both = Both(stack)
        _, b = await both.watching()
        sharing = both.replicas.sharing["a"]
        assert sharing.moves is not None
        await sharing.moves.give_up({sharing.slot_of(RELEASE)})
        kept = both.kept
        newer = kept.replace(f'"form":{FORM}'.encode(), f'"form":{FORM + 1}'.encode())
        both.scenes[0].sessions.data[ID] = newer.replace(b'"stage":"watching"', b'"stage":"pausing"')
        both.fail()
        both.replicas.give(RELEASE, "b")
        await until(lambda: "a release is left to another verdictd" in caplog.messages)
        with pytest.raises(Elsewhere, match="kept by a newer version of verdictd"):
            await b.view(ID)
        assert (both.patches, both.published, b'"pausing"' in both.kept) == (0, 0, True)
        both.scenes[0].sessions.data[ID] = newer
        await both.replicas.hand_over(RELEASE, "b", to="a")
        await until(lambda: both.published)
        assert (both.patches, both.published) == (1, 1)


def until_stage(both: Both, stage: str) -> Callable[[], bool]:
    return lambda: f'"stage":"{stage}"'.encode() in both.kept


@pytest.mark.parametrize("stage", ["locating", "watching", "reverting", "publishing", "guarding"])
async def test_a_replica_that_is_away_for_longer_than_its_lease_in_any_stage_does_nothing_more(stage: str) -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        for scene in both.scenes:
            scene.limits = GUARDED
        a, b = await both.start()
        lasting = both.replicas.sharing["a"].lasting
        sink, router = both.scenes[0].sink, both.scenes[0].router
        if stage == "locating":
            router.missing = NotFound("no route yet")
        await a.submit(RELEASE, release_id=ID)
        await until(until_stage(both, "locating" if stage == "locating" else "watching"))
        if stage == "reverting":
            lasting.clear()
        if stage == "publishing":
            sink.answers = [TimedOut("no answer")] * 1_000_000
        if stage not in {"locating", "watching"}:
            both.scenes[0].telemetry.readings = [failing()]
            await until(until_stage(both, stage))
        lasting.clear()
        both.replicas.give(RELEASE, "b")
        sink.answers.clear()
        router.missing = None
        both.fail()
        await until(lambda: both.published)
        published, patches = both.published, both.patches
        assert (await b.view(ID)).verdict == sink.verdicts[0]
        for _ in range(200):
            await asyncio.sleep(0)
        assert list(a.views()) == [] or (await a.view(ID)).stage is not Stage.ENDED
        both.replicas.lose(RELEASE, "a")
        lasting.set()
        for _ in range(500):
            await asyncio.sleep(0)
        assert list(a.views()) == []
        assert (both.patches, both.published) == (patches, published)
        assert patches == 1
        assert {verdict.outcome for verdict in sink.verdicts} == {Outcome.ROLLBACK}
        assert not both.scenes[0].records.data, "it is guarded still"


async def test_nothing_is_patched_published_or_recorded_while_the_lease_is_not_sure_and_all_of_it_when_it_is_again() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        lasting = both.replicas.sharing["a"].lasting
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in both.kept)
        lasting.clear()
        both.fail()
        await until(lambda: b'"reverting"' in both.kept)
        await asyncio.sleep(0.1)
        assert (both.patches, both.published, both.scenes[0].records.data) == (0, 0, {})
        lasting.set()
        await verdict_of(a)
        assert (both.patches, both.published) == (1, 1)


async def test_a_lease_that_ends_after_the_decision_holds_the_next_patch_and_one_that_ends_after_that_the_verdict() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        lasting, router = both.replicas.sharing["a"].lasting, both.scenes[0].router
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in both.kept)

        class Conflicting(list[BaseException]):
            def pop(self, _: object = -1) -> BaseException:
                lasting.clear()
                return super().pop()

        router.answers = Conflicting([Conflict("somebody has written it meanwhile")])
        both.fail()
        await until(lambda: not lasting.is_set())
        await asyncio.sleep(0.1)
        assert both.patches == 0
        router.on_patch = lasting.clear
        lasting.set()
        await until(lambda: both.patches)
        await asyncio.sleep(0.1)
        assert both.published == 0
        router.on_patch = lambda: None
        lasting.set()
        await verdict_of(a)
        assert (both.patches, both.published) == (1, 1)


async def test_a_decision_is_kept_before_the_first_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenure, "DECISION_KEPT_WITHIN_SECONDS", 60.0)
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        sessions, kept_then = both.scenes[0].sessions, list[bytes]()
        both.scenes[0].router.on_patch = lambda: kept_then.append(both.kept)
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in both.kept)
        sessions.open.clear()
        both.fail()
        await until(lambda: a.views()[0].stage is Stage.REVERTING)
        for _ in range(200):
            await asyncio.sleep(0)
        assert both.patches == 0
        sessions.open.set()
        await verdict_of(a)
        assert b'"reverting"' in kept_then[0]


async def test_a_broker_that_is_away_does_not_hold_up_who_is_sure() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        sessions = both.scenes[0].sessions
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in both.kept)
        sessions.open.clear()
        both.fail()
        await until(lambda: both.patches)
        assert both.published == 0
        sessions.open.set()
        await verdict_of(a)


async def test_a_verdict_that_was_not_acknowledged_is_not_told_again_by_who_is_not_sure_any_more() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        lasting = both.replicas.sharing["a"].lasting

        class Ending(list[VerdictdError]):
            def pop(self, _: object = -1) -> VerdictdError:
                lasting.clear()
                return super().pop()

        both.scenes[0].sink.answers = Ending([TimedOut("no answer")])
        await a.submit(RELEASE, release_id=ID)
        both.fail()
        await until(lambda: not lasting.is_set())
        for _ in range(500):
            await asyncio.sleep(0)
        assert both.published == 0
        lasting.set()
        await verdict_of(a)
        assert both.published == 1


async def test_a_freeze_that_was_said_to_one_holds_back_the_others_revert() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.watching()
        await b.freeze(Freeze(by="ana", since=1.0))
        both.fail()
        assert (await verdict_of(a)).action is Action.NONE
        assert both.patches == 0
        await until(lambda: a.freezes)


async def test_a_release_whose_service_goes_while_it_is_admitted_is_said_to_be_unavailable_and_taken_up_by_the_next() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.start()
        both.scenes[0].sessions.open.clear()
        submitted = asyncio.ensure_future(a.submit(RELEASE, release_id=ID))
        for _ in range(50):
            await asyncio.sleep(0)
        both.replicas.lose(RELEASE, "a")
        both.scenes[0].sessions.open.set()
        with pytest.raises(Unavailable, match="gone to another replica"):
            await submitted
        assert list(a.views()) == []
        both.replicas.give(RELEASE, "b")
        await until(b.views)
        assert (await a.submit(RELEASE, release_id=ID)).id == ID


async def test_what_comes_late_from_whoever_had_the_service_before_is_written_over_and_what_has_a_larger_number_stays() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        _, b = await both.watching()
        late = both.kept
        both.replicas.lose(RELEASE, "a")
        both.replicas.give(RELEASE, "b")
        await until(lambda: b"#2" in both.kept)
        await both.scenes[0].sessions.put(ID, late)
        await until(lambda: b"#2" in both.kept)
        assert [one.id for one in b.views()] == [ID]
        await both.scenes[0].sessions.put(ID, both.kept.replace(b"#2", b"x#3"))
        await until(lambda: not b.views())
        assert b"x#3" in both.kept


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("how", ["handed over", "lost"])
async def test_who_takes_a_release_over_goes_on_with_its_recording_and_the_parts_together_replay_to_the_verdict(
    tmp_path: Path, how: str
) -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        for name, scene in both.replicas.scenes.items():
            scene.recorder = Recorder(tmp_path / name)
            scene.telemetry.readings = [healthy()]
            scene.policies = {"default": UNHURRIED}
        await both.watching()
        for one, other in (("a", "b"), ("b", "a"), ("a", "b")):
            least = ticks(both.kept) + 3
            await until(lambda least=least: ticks(both.kept) >= least)  # type: ignore[misc]
            if how == "handed over":
                await both.replicas.hand_over(RELEASE, one, to=other)
            else:
                both.replicas.give(RELEASE, other)
                both.replicas.lose(RELEASE, one)
        both.fail()
        await until(lambda: ID in both.scenes[0].records.data)
        record = msgspec.json.decode(both.scenes[0].records.data[ID], type=Record)
        parts = [tmp_path / name / f"{ID}.jsonl" for name in ("a", "b")]
        await until(lambda: all(part.exists() for part in parts))
    assert [len(recordings.read(part)[0].holes) for part in parts] == [1, 2]
    again = replay_file(joined(parts, whole=tmp_path / "whole.jsonl", digest=record.sample_digest))
    assert (again.verdict, again.decided_at_tick, again.notes) == (record.verdict.outcome, record.verdict.ticks, ())
    assert again.reason == record.verdict.reason


async def test_a_release_that_has_its_record_has_ended_for_every_replica_though_the_store_finds_its_session_again() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.watching()
        old = both.kept
        both.fail()
        verdict = await verdict_of(a)
        await until(lambda: ID not in both.scenes[0].sessions.data)
        both.scenes[0].sessions.data[ID] = old
        both.scenes[0].sessions.revisions[ID] = 1
        for one in (a, b):
            record = await one.record(ID)
            assert record is not None
            assert record.verdict == verdict
            assert await one.wait(ID, seconds=0) == verdict
            assert (await one.view(ID)).stage is Stage.ENDED


async def test_who_ends_in_order_says_so_when_nothing_is_under_way_any_more() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        await both.start()
    assert [sharing.has_left for sharing in both.replicas.sharing.values()] == [True, True]


async def test_readiness_says_that_a_replica_cannot_be_sure_of_its_part() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.start()
        assert a.problems["replicas"] is None
        both.replicas.sharing["a"].problem = "no connection to NATS"
        assert a.problems["replicas"] == "no connection to NATS"


async def test_a_word_to_a_replica_that_is_not_sure_is_not_carried_out_there_and_said_so() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.watching()
        both.replicas.sharing["a"].lasting.clear()
        with pytest.raises(Unavailable, match="not sure"):
            await a.command(ID, Command(command="promote"))
        assert a.views()[0].stage is Stage.WATCHING
        both.replicas.sharing["a"].lasting.set()
        await a.command(ID, Command(command="promote"))
        assert (await verdict_of(a)).by == "person"


async def test_a_revert_that_may_not_be_done_fails_in_bounded_time_and_is_not_gone_on_with_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenure, "SURE_WITHIN_SECONDS", 0.001)
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, _ = await both.watching()
        both.replicas.sharing["a"].lasting.clear()
        both.fail()
        await until(lambda: a.views()[0].stage is Stage.PUBLISHING)
        assert both.patches == 0
        both.replicas.sharing["a"].lasting.set()
        verdict = await verdict_of(a)
        assert verdict.action is Action.FAILED
        assert "not sure" in verdict.reason


@pytest.mark.parametrize("happens", ["freeze", "gone"])
async def test_a_revert_that_had_to_wait_asks_again_for_freezes_and_who_would_serve(happens: str) -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        a, b = await both.watching()
        both.replicas.sharing["a"].lasting.clear()
        both.fail()
        await until(lambda: b'"reverting"' in both.kept)
        await asyncio.sleep(0.1)
        if happens == "freeze":
            await b.freeze(Freeze(by="ana", since=1.0))
        else:
            both.scenes[0].router.ready = 0
        both.replicas.sharing["a"].lasting.set()
        verdict = await verdict_of(a)
        assert (verdict.action, both.patches) == (Action.BLOCKED, 0)


async def test_a_service_that_is_lost_and_gained_again_while_the_store_is_away_is_taken_up_once() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        _, b = await both.watching()
        begun = list[str]()
        both.scenes[1].meter.admitted = lambda release_id, release: begun.append(release_id)  # type: ignore[method-assign]
        loads, items = asyncio.Event(), both.scenes[0].sessions.items

        async def late() -> object:
            await loads.wait()
            return await items()

        both.scenes[0].sessions.items = late  # type: ignore[method-assign,assignment]
        both.replicas.lose(RELEASE, "a")
        both.replicas.give(RELEASE, "b")
        await asyncio.sleep(0.01)
        both.replicas.lose(RELEASE, "b")
        both.replicas.give(RELEASE, "b")
        loads.set()
        await until(b.views)
        await asyncio.sleep(0.1)
        assert begun == [ID]


async def test_an_announcement_that_another_replica_made_a_release_of_is_that_release_for_whoever_remembers_it_waiting() -> None:
    async with AsyncExitStack() as stack:
        both = Both(stack)
        both.scenes[1].awaiting = waits = AwaitedCanaries(
            MemoryStore(), lapsed=MemoryStore(), clock=both.scenes[1].clock, wait_seconds=86_400.0
        )
        a, b = await both.start()
        waiting = await b.submit(Outline(service=RELEASE.service, namespace=RELEASE.namespace, artifact="reg/web:2"), release_id=ID)
        assert waiting.waiting_for
        asked = asyncio.ensure_future(b.wait(ID, seconds=60))
        await asyncio.sleep(0)
        await a.submit(RELEASE, release_id=ID)
        await until(lambda: b'"watching"' in both.kept)
        assert (await b.view(ID)).stage is Stage.WATCHING
        assert (await b.command(ID, Command(command="rollback", by="ana"))).id == ID
        verdict = await verdict_of(a)
        assert (verdict.by, verdict.action) == ("person", Action.REVERT)
        assert await asked == verdict
        with pytest.raises(Refused, match="decided already"):
            await b.command(ID, Command(command="cancel"))
        assert waits.find(ID) is not None, "this replica has not heard of it yet"
