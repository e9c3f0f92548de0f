"""The ticks: all releases together, no drift, no queue of missed ticks."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from analyzers.counts import Signal
from daemon.engine import deciding, lifecycle, ticker
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.judging import Due, JudgedTick, judge
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.ticker import Ticker
from daemon.interventions import Command
from daemon.measurements import Reading, Watch
from daemon.model import Stage
from daemon.offline.replay import replay_file
from daemon.placement import Placement
from daemon.recorder import Recorder
from tests.hand.ports import HandTelemetry, Scene, until
from tests.hand.samples import POLICY, RELEASE, failing, gap, healthy


class Workshop:
    """A ticker with what it needs, and what it decided."""

    def __init__(self, telemetry: HandTelemetry, *, recorder: Recorder | None = None) -> None:
        self.scene = Scene(telemetry=telemetry)
        self.registry = Registry(max_ended=10)
        self.checkpoints = Checkpoints(
            self.scene.sessions,
            records=self.scene.records,
            clock=self.scene.clock,
            meter=self.scene.meter,
            leave=lambda release_id: None,
        )
        self.decided: list[Session] = []
        self.ticker = Ticker(
            "hand",
            telemetry,
            meshes=frozenset({"edge"}),
            registry=self.registry,
            checkpoints=self.checkpoints,
            clock=self.scene.clock,
            meter=self.scene.meter,
            decided=self.decided.append,
            recorder=recorder,
        )

    def telemetry_fails(self, reason: str | None) -> None:
        self.scene.telemetry.failure = reason

    def watch(self, release_id: str, *, mesh: str = "edge", namespace: str = RELEASE.namespace) -> None:
        session = lifecycle.admitted(
            msgspec.structs.replace(RELEASE, mesh=mesh, namespace=namespace),
            release_id=release_id,
            policy=POLICY,
            policy_hash="sha256:x",
            cluster="test",
            tick_seconds=1.0,
            split=False,
            now=self.scene.clock.now(),
        )
        self.registry.put(lifecycle.located(session, Placement(routes=(), canary_percent=10.0), now=self.scene.clock.now()))


async def test_all_releases_of_a_source_are_read_in_one_call_and_others_not() -> None:
    shop = Workshop(HandTelemetry([healthy()]))
    for n in range(40):
        shop.watch(f"web-{n}")
    shop.watch("other", mesh="elsewhere")
    await shop.ticker.tick()
    assert shop.scene.telemetry.asked == [[f"web-{n}" for n in range(40)]]
    assert {shop.registry.get(f"web-{n}").ticks for n in range(40)} == {1}
    assert shop.registry.get("other").ticks == 0


async def test_nothing_is_read_when_nothing_is_watched() -> None:
    shop = Workshop(HandTelemetry([healthy()]))
    await shop.ticker.tick()
    assert shop.scene.telemetry.asked == []
    assert shop.scene.meter.rounds == 0
    assert shop.scene.meter.pauses == 1


async def test_a_decision_is_handed_on_in_the_same_tick() -> None:
    shop = Workshop(HandTelemetry([failing(60)]))
    shop.watch("web-1")
    for _ in range(3):
        await shop.ticker.tick()
        shop.scene.clock.time += 1
    assert [s.stage for s in shop.decided] == [Stage.REVERTING]


async def test_where_many_are_decided_at_once_the_first_have_the_loop_before_the_last_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticker, "_HANDED_OVER", 10)
    shop = Workshop(HandTelemetry([failing(60)]))
    began: list[str] = []
    begun_at_the_last: list[int] = []

    def decided(session: Session) -> None:
        shop.decided.append(session)
        asyncio.get_running_loop().call_soon(began.append, session.release_id)
        begun_at_the_last[:] = [len(began)]

    shop.ticker._decided = decided
    for n in range(40):
        shop.watch(f"web-{n}")
    while not shop.decided:
        await shop.ticker.tick()
        shop.scene.clock.time += 1
    assert (len(shop.decided), begun_at_the_last) == (40, [30])


async def test_of_those_that_are_decided_at_once_neighbours_are_handed_on_together() -> None:
    shop = Workshop(HandTelemetry([failing(60)]))
    for number, namespace in enumerate(("shop", "bank", "shop", "bank", "shop")):
        shop.watch(f"web-{number}", namespace=namespace)
    while not shop.decided:
        await shop.ticker.tick()
        shop.scene.clock.time += 1
    assert [one.release_id for one in shop.decided] == ["web-0", "web-2", "web-4", "web-1", "web-3"]


async def test_a_word_spoken_while_the_judge_was_busy_stands() -> None:
    shop = Workshop(HandTelemetry([failing(60)]))
    shop.watch("web-1")

    class Interrupting(HandTelemetry):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            session = shop.registry.get("web-1")
            shop.registry.put(deciding.commanded(session, Command(command="cancel", by="ada"), now=0.0))
            return {"web-1": failing(60)}

    shop.ticker._telemetry = Interrupting()
    await shop.ticker.tick()
    verdict = shop.registry.get("web-1").verdict
    assert verdict is not None
    assert verdict.by == "person"
    assert shop.decided == []


async def test_a_word_spoken_in_the_middle_of_the_judging_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(HandTelemetry([failing(60)]))
    shop.watch("web-1")

    def interrupted(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
        session = shop.registry.get("web-1")
        shop.registry.put(deciding.commanded(session, Command(command="cancel", by="ada"), now=0.0))
        return judge(batch, now=now)

    monkeypatch.setattr(ticker, "judge", interrupted)
    await shop.ticker.tick()
    assert shop.registry.get("web-1").stage is Stage.PUBLISHING
    assert shop.registry.get("web-1").ticks == 0
    assert shop.decided == []


async def test_of_one_that_ends_while_it_is_judged_no_tick_is_measured_but_an_error_of_the_judge_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, defect = Workshop(HandTelemetry([healthy()])), ValueError("a defect")

    def failed(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
        judged = judge(batch, now=now)
        shop.registry.leave("web-1")
        return [replace(one, error=defect) if one.due.session.release_id == "web-1" else one for one in judged]

    monkeypatch.setattr(ticker, "judge", failed)
    for number in range(3):
        shop.watch(f"web-{number}")
    await shop.ticker.tick()
    assert len(shop.scene.meter.ticks) == 2
    assert shop.scene.meter.failures == [("judge", defect)]


async def test_what_is_decided_is_handed_on_before_the_next_releases_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(HandTelemetry([healthy(), failing(200)]))
    monkeypatch.setattr(ticker, "_A_PART", 2)
    decided_before: list[int] = []
    judged = judge

    def watched(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
        decided_before.append(len(shop.decided))
        return judged(batch, now=now)

    monkeypatch.setattr(ticker, "judge", watched)
    for number in range(5):
        shop.watch(f"web-{number}")
    while not shop.decided:
        decided_before.clear()
        shop.scene.clock.time += 1
        await shop.ticker.tick()
    assert decided_before == [0, 2, 4]
    assert [one.release_id for one in shop.decided] == [f"web-{number}" for number in range(5)]


async def test_a_word_spoken_while_others_were_judged_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(HandTelemetry([healthy()]))
    monkeypatch.setattr(ticker, "_A_PART", 1)
    judged: list[str] = []

    def commanding(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
        judged.extend(due.session.release_id for due in batch)
        session = shop.registry.get("web-1")
        if session.decision is None:
            shop.registry.put(deciding.commanded(session, Command(command="cancel", by="ada"), now=now()))
        return judge(batch, now=now)

    monkeypatch.setattr(ticker, "judge", commanding)
    for number in range(3):
        shop.watch(f"web-{number}")
    await shop.ticker.tick()
    assert judged == ["web-0", "web-2"]
    assert (shop.registry.get("web-1").ticks, shop.registry.get("web-1").stage) == (0, Stage.PUBLISHING)


async def test_what_is_in_place_is_recorded_also_where_it_is_stopped_before_all_are_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path)
    shop = Workshop(HandTelemetry([healthy()]), recorder=recorder)
    monkeypatch.setattr(ticker, "_A_PART", 1)

    def stopped(batch: Sequence[Due], *, now: Callable[[], float]) -> list[JudgedTick]:
        if batch[0].session.release_id == "web-1":
            raise asyncio.CancelledError
        return judge(batch, now=now)

    monkeypatch.setattr(ticker, "judge", stopped)
    for number in range(2):
        shop.watch(f"web-{number}")
    with pytest.raises(asyncio.CancelledError):
        await shop.ticker.tick()
    await shop.ticker.written(seconds=60.0)
    assert shop.registry.get("web-0").ticks == 1
    assert len(recorder.path("web-0").read_text().splitlines()) == 2


async def test_a_clock_that_is_set_before_the_first_tick_ends_no_watch() -> None:
    shop = Workshop(HandTelemetry([healthy()]))
    shop.watch("web-1")
    shop.scene.clock.time += 7200.0
    await shop.ticker.tick()
    assert shop.decided == []
    assert shop.registry.get("web-1").t == 1.0


async def test_missed_ticks_are_skipped_and_the_ticks_do_not_drift() -> None:
    shop = Workshop(HandTelemetry([gap()]))
    shop.watch("web-1")
    clock = shop.scene.clock
    began = clock.time
    ticks: list[float] = []

    class Slow(HandTelemetry):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            ticks.append(clock.time - began)
            clock.time += 2.5 if len(ticks) == 2 else 0.25
            return {"web-1": gap()}

    shop.ticker._telemetry = Slow()
    task = asyncio.ensure_future(shop.ticker.run())
    await until(lambda: len(ticks) >= 5)
    task.cancel()
    await asyncio.wait([task])
    assert ticks[:5] == [0.0, 1.0, 3.5, 4.0, 5.0]


@pytest.mark.usefixtures("unhurried")
async def test_what_was_judged_is_recorded_and_replays_to_the_same_ruling(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    unknown_bounds = msgspec.structs.replace(gap(), gap="no scrape yet")
    shop = Workshop(HandTelemetry([unknown_bounds, healthy(), healthy(), failing(20)]), recorder=recorder)
    shop.watch("web-1")
    while not shop.decided:
        shop.scene.clock.time += 1
        await shop.ticker.tick()
    lines = recorder.path("web-1").read_text().splitlines()
    assert json.loads(lines[0])["bounds_ms"] == [10.0, 25.0, 50.0, 100.0, 250.0]
    assert json.loads(lines[1])["gap"] == "no scrape yet"
    [decided] = shop.decided
    replayed = replay_file(recorder.path("web-1"))
    assert decided.decision is not None
    assert (replayed.verdict, replayed.decided_at_tick, replayed.reason) == ("rollback", decided.ticks, decided.decision.reason)
    assert replayed.findings == decided.decision.findings


async def test_a_source_that_does_not_answer_is_said_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shop = Workshop(HandTelemetry([gap("connection refused")]))
    shop.watch("web-1")
    shop.telemetry_fails("connection refused")
    for _ in range(20):
        await shop.ticker.tick()
    assert shop.ticker.standing.problem == "connection refused"
    assert shop.scene.meter.answers == 0
    shop.telemetry_fails(None)
    await shop.ticker.tick()
    await shop.ticker.tick()
    assert shop.ticker.standing.problem is None
    assert shop.scene.meter.answers == 2
    said = [(r.message, r.__dict__["component"]) for r in caplog.records if r.name == "daemon.standing"]
    assert said == [("does not work", "telemetry hand"), ("works again", "telemetry hand")]


async def test_of_a_source_that_nobody_asks_any_more_nothing_is_claimed() -> None:
    shop = Workshop(HandTelemetry([gap()]))
    shop.watch("web-1")
    shop.telemetry_fails("connection refused")
    await shop.ticker.tick()
    shop.registry.put(lifecycle.ended(shop.registry.get("web-1")))
    await shop.ticker.tick()
    assert shop.ticker.standing.problem is None


async def test_a_source_with_nothing_new_is_not_read_but_a_new_release_does_not_wait_for_it() -> None:
    telemetry = HandTelemetry([gap()])
    telemetry.wait_seconds = 30.0
    shop = Workshop(telemetry)
    shop.watch("web-1")
    clock = shop.scene.clock
    await shop.ticker.tick()
    began = clock.monotonic()
    await shop.ticker._rest(30.0)
    assert clock.monotonic() - began == 30.0
    shop.watch("web-2")
    resting = asyncio.create_task(shop.ticker._rest(30.0))
    await asyncio.sleep(0)
    shop.watch("web-3")
    began = clock.monotonic()
    await resting
    assert clock.monotonic() - began <= 2.0


@pytest.mark.usefixtures("unhurried")
async def test_what_stands_beside_the_counts_puts_a_ruling_off_and_a_replay_of_the_recording_sees_it_too(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    held = Signal(kind="crash_loop", about="canary", effect="holds", words="pods of the canary (web-v2-0) crash in a loop")
    calm = HandTelemetry([msgspec.structs.replace(healthy(), signals=(held,))])
    shop = Workshop(calm, recorder=recorder)
    shop.watch("web-1")
    while not shop.decided:
        await shop.ticker.tick()
        await shop.scene.clock.sleep(1.0)
    [ended] = shop.decided
    assert ended.verdict is not None
    assert (ended.verdict.outcome, ended.verdict.by, ended.verdict.signals) == ("inconclusive", "deadline", (held,))
    assert "everything asked for promotion is shown, but pods of the canary (web-v2-0) crash in a loop" in ended.verdict.reason
    again = replay_file(recorder.path("web-1"))
    assert (again.verdict, again.decided_at_tick) == ("inconclusive", ended.verdict.ticks)
    assert again.reason == ended.verdict.reason
