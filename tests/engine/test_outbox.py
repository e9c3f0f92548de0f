"""Sinks: each hears of a verdict by itself, once, and none of them holds up another, the guard, or the end for ever."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from daemon.engine.dependencies import Sink
from daemon.errors import Forbidden, Unavailable
from daemon.model import Outcome, Record, Release, Stage, Verdict
from daemon.placement import ObjectName
from tests.hand.ports import HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing, healthy


class HandSink:
    """Implements ``VerdictSink``; fails on demand."""

    def __init__(self, *, failing: BaseException | None = None) -> None:
        self.told: list[tuple[Release, Verdict]] = []
        self.failing = failing
        self.attempts = 0
        self.wanted = True

    def wants(self, _release: Release, _verdict: Verdict) -> bool:
        return self.wanted

    async def publish(self, release: Release, verdict: Verdict) -> None:
        self.attempts += 1
        if self.failing is not None:
            raise self.failing
        self.told.append((release, verdict))


class HangingSink(HandSink):
    """Takes a verdict and never says that it did."""

    async def publish(self, release: Release, verdict: Verdict) -> None:
        self.attempts += 1
        await asyncio.Event().wait()


def scene_with(**sinks: HandSink | Sink) -> Scene:
    rows = {name: sink if isinstance(sink, Sink) else Sink(to=sink) for name, sink in sinks.items()}
    return Scene(telemetry=HandTelemetry([failing()]), sinks=rows)


def steps(scene: Scene, release_id: str = ID) -> list[tuple[str, str]]:
    """What the record says of publications."""
    record = msgspec.json.decode(scene.records.data[release_id], type=Record)
    telling = {"published", "delivered", "not_delivered"}
    return sorted((mark.step, mark.detail) for mark in record.marks if mark.step in telling)


async def test_every_sink_hears_of_the_verdict_once_and_the_record_tells_which() -> None:
    first, second, other = HandSink(), HandSink(), HandSink()
    other.wanted = False
    scene = scene_with(first=first, second=second, other=other)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        release = (await engine.view(ID)).release
    assert (first.told, second.told, other.told) == ([(release, verdict)], [(release, verdict)], [])
    assert steps(scene) == [("delivered", "first"), ("delivered", "second"), ("published", "")]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("is away"), "is away"),
        (Forbidden("not you"), "not you"),
        (ZeroDivisionError("a defect"), "a defect of sink bad: ZeroDivisionError: a defect"),
        (SystemExit(0), "a defect of sink bad: RuntimeError: it wanted to end the process, with 0"),
        (asyncio.CancelledError(), "a defect of sink bad: RuntimeError: it was cancelled, and not by us"),
    ],
    ids=["away", "forbidden", "defect", "exit", "cancelled"],
)
async def test_a_sink_that_fails_for_ever_holds_up_neither_the_others_nor_the_end_beyond_its_patience(
    error: BaseException, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = HandSink(failing=error), HandSink()
    scene = scene_with(bad=Sink(to=bad, patience_seconds=60.0), good=good)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert [told for _, told in good.told] == [verdict]
    assert scene.sink.verdicts == [verdict]
    assert steps(scene) == [("delivered", "good"), ("not_delivered", f"bad: {said}"), ("published", "")]
    record = msgspec.json.decode(scene.records.data[ID], type=Record)
    at = {mark.step: mark.at for mark in record.marks}
    assert 60.0 <= at["not_delivered"] - at["published"] <= 60.0 + 6.0 + 1.0
    assert {what for what, _ in scene.meter.failures} == {"sink"}
    assert len(scene.meter.failures) == bad.attempts
    assert scene.meter.ends == [verdict]
    assert len([record for record in caplog.records if record.message == "a sink has not taken the verdict yet"]) == 1


@pytest.mark.parametrize("says_itself", [False, True])
async def test_a_sink_that_hangs_is_given_up_too_and_said_for_it_does_not_know(
    caplog: pytest.LogCaptureFixture, says_itself: bool
) -> None:
    hanging = HangingSink()
    scene = scene_with(hanging=Sink(to=hanging, attempt_seconds=0.001, patience_seconds=3.0, says_itself=says_itself))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert steps(scene) == [("not_delivered", "hanging: no acknowledgement within 0.001 s"), ("published", "")]
    assert "a sink does not get the verdict" in caplog.text


async def test_while_a_sink_fails_the_verdict_is_known_and_the_revert_is_guarded() -> None:
    scene = scene_with(bad=Sink(to=HandSink(failing=Unavailable("is away")), patience_seconds=1e12))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=1e12)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await engine.wait(ID, seconds=30.0)
        assert verdict is not None
        assert verdict.outcome is Outcome.ROLLBACK
        await until(lambda: engine.views()[0].stage is Stage.GUARDING)
        scene.router.canary_percent = 10.0
        await until(lambda: scene.router.canary_percent == 0.0)


async def test_a_log_that_fails_keeps_no_sink_from_being_told_and_the_release_from_ending() -> None:
    good = HandSink()
    scene = scene_with(good=good)
    scene.sink.answers = [Unavailable("nats is away")] * 500
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: good.told)
        assert scene.sink.verdicts == []
        verdict = await verdict_of(engine)
    assert (scene.sink.verdicts, [told for _, told in good.told]) == ([verdict], [verdict])


async def test_a_sink_is_not_given_up_before_the_verdict_is_published() -> None:
    """They may have one reason: the broker that both are on is away."""
    late = HandSink(failing=Unavailable("nats is away"))
    scene = scene_with(late=Sink(to=late, patience_seconds=1.0))
    scene.sink.answers = [Unavailable("nats is away")] * 1_000_000
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: late.attempts > 50)
        late.failing, scene.sink.answers = None, []
        await verdict_of(engine)
    assert steps(scene) == [("delivered", "late"), ("published", "")]


async def test_no_sink_is_told_before_the_decision_is_durable() -> None:
    sink = HandSink()
    scene = scene_with(sink=sink)
    scene.telemetry.readings = [healthy()]
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        scene.sessions.open.clear()
        scene.telemetry.readings = [failing()]
        await until(lambda: engine.views()[0].stage is Stage.PUBLISHING)
        for _ in range(200):
            await asyncio.sleep(0)
        assert (sink.attempts, scene.sink.verdicts) == (0, [])
        scene.sessions.open.set()
        await verdict_of(engine)
    assert len(sink.told) == 1


@pytest.mark.parametrize("guard_seconds", [0.0, 1e12])
async def test_killed_while_one_sink_is_away_the_next_start_tells_that_one_only(guard_seconds: float) -> None:
    good, away = HandSink(), HandSink(failing=Unavailable("is away"))
    scene = scene_with(good=good, away=Sink(to=away, patience_seconds=1e12))
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=guard_seconds)
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b'"delivered"' in scene.sessions.data.get(ID, b"") and b'"published"' in scene.sessions.data[ID])
    away.failing = None
    scene.limits = msgspec.structs.replace(scene.limits, guard_seconds=0.0)
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    assert ([told for _, told in good.told], [told for _, told in away.told]) == ([verdict], [verdict])
    assert set(scene.sink.verdicts) == {verdict}
    assert steps(scene) == [("delivered", "away"), ("delivered", "good"), ("published", "")]
    assert scene.sessions.data == {}


async def test_a_stop_while_a_sink_is_away_is_quick() -> None:
    scene = scene_with(away=Sink(to=HandSink(failing=Unavailable("is away")), patience_seconds=1e12))
    async with asyncio.timeout(40.0), running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: len(scene.meter.failures) > 3)
    assert list(scene.sessions.data) == [ID]


async def test_an_end_that_waits_for_a_sink_says_so_and_asks_telemetry_no_more() -> None:
    scene = scene_with(away=Sink(to=HandSink(failing=Unavailable("is away")), patience_seconds=1e12))
    scene.telemetry.readings = [healthy()]
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: scene.sink.verdicts)
        await until(lambda: engine.views()[0].waiting_for == "telling the verdict to away")
        asked = len(scene.telemetry.asked)
        await until(lambda: len(scene.meter.failures) > 20)
        assert len([one for one in scene.telemetry.asked[asked:] if one]) <= 1


async def test_a_sink_that_cannot_say_what_it_wants_is_told() -> None:
    class Broken(HandSink):
        def wants(self, _release: Release, _verdict: Verdict) -> bool:
            raise ZeroDivisionError

    sink = Broken()
    scene = scene_with(sink=sink)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert len(sink.told) == 1


async def test_a_newer_release_has_the_older_one_s_sinks_told_once_all_the_same() -> None:
    away, good = HandSink(failing=Unavailable("is away")), HandSink()
    scene = scene_with(good=good, away=Sink(to=away, patience_seconds=1e12))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: good.told and away.attempts > 3)
        await engine.submit(msgspec.structs.replace(RELEASE, artifact="another"), release_id="web-2")
        away.failing = None
        await verdict_of(engine)
    assert [verdict.release_id for _, verdict in good.told].count(ID) == 1
    assert [verdict.release_id for _, verdict in away.told].count(ID) == 1


class Placing(HandSink):
    """Implements ``PlacedSink``."""

    def __init__(self, *, failing: BaseException | None = None) -> None:
        super().__init__(failing=failing)
        self.places: list[tuple[list[str], str]] = []

    async def publish_at(self, release: Release, verdict: Verdict, *, routes: Sequence[ObjectName], workload: str) -> None:
        self.places.append(([one.name for one in routes], workload))
        await self.publish(release, verdict)


async def test_a_sink_that_asks_for_it_is_told_where_the_release_is() -> None:
    sink = Placing()
    scene = scene_with(placing=sink)
    release = msgspec.structs.replace(RELEASE, canary=msgspec.structs.replace(RELEASE.canary, workload="web-v2"))
    async with running(scene) as engine:
        await engine.submit(release, release_id=ID)
        await verdict_of(engine)
    assert sink.places == [([f"route of {RELEASE.service}"], "web-v2")]
    assert len(sink.told) == 1


@pytest.mark.parametrize(("failing", "logged"), [(Forbidden("not yours"), False), (ZeroDivisionError("division by zero"), True)])
async def test_a_sink_that_says_itself_what_is_wrong_is_not_said_by_others_but_for_a_defect(
    caplog: pytest.LogCaptureFixture, failing: BaseException, logged: bool
) -> None:
    scene = scene_with(aside=Sink(to=Placing(failing=failing), patience_seconds=1.0, says_itself=True))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
    assert [step for step, _ in steps(scene)] == ["not_delivered", "published"]
    assert ("a sink" in caplog.text) is logged
