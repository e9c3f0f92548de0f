"""What comes after a verdict is told to whoever has the verdict: as it comes, once it is durable, under ids that stay the same."""

import asyncio

import msgspec
import pytest

from daemon.engine.dependencies import Sink
from daemon.engine.engine import Engine
from daemon.errors import Forbidden, NotFound, Unavailable
from daemon.model import Action, Record, Stage
from daemon.ports.notices import Sequel
from tests.engine.test_outbox import HandSink, scene_with
from tests.hand.ports import Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, arm, healthy

SILENT = msgspec.structs.replace(healthy(), canary=arm(0))


class Following(HandSink):
    """Implements ``FollowingSink``; fails on demand, and remembers whether it had the verdict first."""

    def __init__(self, *, away: bool = False, concerned: bool = True) -> None:
        super().__init__()
        self.away = away
        self.concerned = concerned
        self.sequels: list[Sequel] = []

    def follows(self, _sequel: Sequel) -> bool:
        return self.concerned

    async def follow(self, sequel: Sequel) -> None:
        assert [verdict for _, verdict in self.told] == [sequel.of]
        self.attempts += 1
        if self.away:
            raise Unavailable("is away")
        self.sequels.append(sequel)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.sequels]


def guarded(**sinks: HandSink | Sink) -> Scene:
    scene = scene_with(**sinks)
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e9, insist_seconds=1e9)
    return scene


async def until_guarded(engine: Engine, sink: HandSink) -> None:
    await engine.submit(RELEASE, release_id=ID)
    await until(lambda: sink.told and engine.views()[0].stage is Stage.GUARDING)


async def until_over(engine: Engine) -> None:
    """The guard ends when a newer release of the service comes."""
    await engine.submit(msgspec.structs.replace(RELEASE, artifact="another"), release_id="web-2")
    await verdict_of(engine)


async def test_traffic_that_left_and_a_revert_that_was_done_again_are_told_as_they_come() -> None:
    chat, deaf, unconcerned = Following(), HandSink(), Following(concerned=False)
    scene = guarded(chat=chat, deaf=deaf, unconcerned=unconcerned)
    async with running(scene) as engine:
        await until_guarded(engine, chat)
        for often in (1, 2):
            scene.router.canary_percent = 10.0
            await until(lambda: len(chat.sequels) == often)  # noqa: B023 - it is awaited within the turn
        scene.telemetry.readings = [SILENT]
        await until(lambda: len(chat.sequels) == 3)
        await until_over(engine)
    assert chat.names == ["reverted_again", "reverted_again.2", "traffic_left"]
    assert [one.id for one in chat.sequels] == [f"{ID}.{name}" for name in chat.names]
    assert chat.sequels[0].detail == "the route"
    assert unconcerned.sequels == []
    record = msgspec.json.decode(scene.records.data[ID], type=Record)
    told = [mark.detail for mark in record.marks if mark.step == "sequel_told"]
    assert told == [f"chat: {name}" for name in chat.names]


async def test_a_revert_that_had_failed_is_told_when_it_was_done_at_last_and_so_is_that_its_traffic_left() -> None:
    chat = Following()
    scene = guarded(chat=chat)
    scene.router.answers = [Forbidden("not yours")] * 5
    scene.telemetry.readings[-1:] = [scene.telemetry.readings[-1]]
    async with running(scene) as engine:
        await until_guarded(engine, chat)
        assert chat.told[0][1].action is Action.FAILED
        await until(lambda: chat.sequels)
        scene.telemetry.readings = [SILENT]
        await until(lambda: len(chat.sequels) == 2)
        await until_over(engine)
    assert chat.names == ["reverted_late", "traffic_left"]
    assert scene.router.canary_percent == 0.0
    assert "canary 10 -> 0" in chat.sequels[0].detail


async def test_a_revert_that_had_failed_and_is_not_tried_any_more_is_told_before_the_release_ends() -> None:
    chat = Following()
    scene = guarded(chat=chat)
    scene.limits = msgspec.structs.replace(scene.limits, insist_seconds=5.0, guard_seconds=0.0)
    scene.router.answers = [Forbidden("not yours")] * 1_000
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert [(one.name, one.detail) for one in chat.sequels] == [("revert_given_up", "not yours")]


async def test_what_was_told_before_a_kill_is_not_told_again_and_what_was_not_is_told_by_the_next_start() -> None:
    good, away = Following(), Following(away=True)
    scene = guarded(good=good, away=Sink(to=away, patience_seconds=1e12))
    async with killed(scene) as engine:
        await until_guarded(engine, away)
        scene.router.canary_percent = 10.0
        await until(lambda: good.sequels and away.attempts > 3)
        await until(lambda: b"sequel_told" in scene.sessions.data[ID])
    away.away = False
    async with running(scene) as engine:
        await until(lambda: away.sequels)
        await until_over(engine)
    assert (good.names, away.names) == (["reverted_again"], ["reverted_again"])


@pytest.mark.parametrize("why", ["nothing found", "unread"])
async def test_a_failed_revert_is_told_as_done_only_where_the_traffic_is_seen_to_have_left(why: str) -> None:
    chat = Following()
    scene = guarded(chat=chat)
    insist_seconds = 1e9 if why == "unread" else 5.0
    scene.limits = msgspec.structs.replace(scene.limits, insist_seconds=insist_seconds, guard_seconds=0.0)
    scene.router.answers = [Forbidden("not yours")]
    if why == "unread":
        scene.router.unread = ("parts/cart: 403",)
    else:
        scene.router.answers += [NotFound("the baseline is no subset")] * 100_000
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert chat.names == ([] if why == "unread" else ["revert_given_up"])


async def test_what_became_of_a_failed_revert_is_told_once_whoever_goes_on_with_the_release() -> None:
    chat = Following()
    scene = guarded(chat=chat)
    scene.router.answers = [Forbidden("not yours")] * 5
    async with killed(scene) as engine:
        await until_guarded(engine, chat)
        await until(lambda: b"sequel_told" in scene.sessions.data.get(ID, b""))
    async with running(scene) as engine:
        scene.router.canary_percent = 10.0
        await until(lambda: len(chat.sequels) == 2)
        await until_over(engine)
    assert chat.names == ["reverted_late", "reverted_again"]


async def test_a_revert_that_was_given_up_is_not_insisted_on_anew_by_whoever_goes_on_with_the_release() -> None:
    chat = Following()
    scene = guarded(chat=chat)
    scene.limits = msgspec.structs.replace(scene.limits, insist_seconds=5.0)
    scene.router.answers = [Forbidden("not yours")] * 100_000
    async with killed(scene) as engine:
        await until_guarded(engine, chat)
        await until(lambda: b"sequel_told" in scene.sessions.data.get(ID, b""))
    async with running(scene) as engine:
        since = scene.clock.time
        await until(lambda: scene.clock.time > since + 60.0)
        await until_over(engine)
    assert chat.names == ["revert_given_up"]


async def test_nothing_is_told_before_it_is_durable_nor_before_the_verdict() -> None:
    chat, late = Following(), Following()
    late.failing = Unavailable("is away")
    scene = guarded(chat=chat, late=Sink(to=late, patience_seconds=1e12))
    async with running(scene) as engine:
        await until_guarded(engine, chat)
        scene.sessions.open.clear()
        scene.router.canary_percent = 10.0
        await until(lambda: any(mark.step == "put_back" for mark in engine._registry.get(ID).marks))
        for _ in range(200):
            await asyncio.sleep(0)
        assert (chat.sequels, scene.router.canary_percent) == ([], 0.0)
        scene.sessions.open.set()
        await until(lambda: chat.sequels)
        assert late.sequels == []
        late.failing = None
        await until(lambda: late.sequels)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_sink_that_does_not_take_it_is_given_up_and_said_and_holds_up_neither_another_nor_the_end(
    caplog: pytest.LogCaptureFixture, hangs: bool
) -> None:
    class Hanging(Following):
        async def follow(self, sequel: Sequel) -> None:
            await (asyncio.Event().wait() if hangs else super().follow(sequel))

    good, bad = Following(), Hanging(away=True)
    scene = guarded(good=good, bad=Sink(to=bad, attempt_seconds=0.001, patience_seconds=3.0))
    async with running(scene) as engine:
        await until_guarded(engine, good)
        scene.router.canary_percent = 10.0
        await until(lambda: good.sequels)
        await until_over(engine)
    assert (good.names, bad.sequels) == (["reverted_again"], [])
    assert "a sink does not get what came after the verdict" in caplog.text


async def test_a_sink_that_cannot_say_whether_it_follows_is_not_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Following):
        def follows(self, _sequel: Sequel) -> bool:
            raise ZeroDivisionError

    good, broken = Following(), Broken()
    scene = guarded(good=good, broken=broken)
    async with running(scene) as engine:
        await until_guarded(engine, good)
        scene.router.canary_percent = 10.0
        await until(lambda: good.sequels)
        await until_over(engine)
    assert broken.sequels == []
    assert "a sink failed by a defect" in caplog.text
