"""Recordings of a daemon at work: they hold up nothing, and replay to what was decided, also across a kill."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from analyzers.counts import Arm
from daemon import recordings
from daemon.engine import recording, recovery
from daemon.errors import VerdictdError
from daemon.measurements import Reading
from daemon.model import Outcome, Record, Stage
from daemon.offline.replay import replay_file
from daemon.recorder import Recorder
from daemon.recordings import Header
from tests.hand.ports import HandTelemetry, Scene, killed, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, failing, gap, healthy

LONG = msgspec.structs.replace(POLICY, window_seconds=1e6)


def digest(path: Path) -> str:
    chain = ""
    for line in path.read_bytes().splitlines()[1:]:
        chain = recordings.chained(chain, line)
    return chain


async def killed_when_decided(scene: Scene) -> bytes:
    """Kill an engine as soon as its decision is durable, in its fourth tick or later; returns what was kept of the session."""
    scene.telemetry.readings = [healthy()]
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        while engine.views()[0].ticks < 3:
            await asyncio.sleep(0)
        scene.telemetry.readings = [failing()]
        while b'"last_tick":{' not in scene.sessions.data.get(ID, b""):
            await asyncio.sleep(0)
        return scene.sessions.data[ID]


async def nothing_is_written() -> None:
    """Wait for what is being written: the engine is gone, but not, as after a kill, its thread."""
    await asyncio.sleep(0)
    for thread in threading.enumerate():
        if thread.name == "recordings":
            await asyncio.to_thread(thread.join)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_a_recording_made_across_a_kill_replays_to_the_verdict_and_has_its_digest(tmp_path: Path, lost: int) -> None:
    scene = Scene(telemetry=HandTelemetry([gap("no scrape yet"), healthy(), failing(1)]), policies={"default": LONG})
    scene.recorder = Recorder(tmp_path)
    kept: list[bytes] = []
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        while engine.views()[0].ticks < 6:
            await asyncio.sleep(0)
            if scene.sessions.data[ID] not in kept:
                kept.append(scene.sessions.data[ID])
    await nothing_is_written()  # what a kill would have ended has ended
    scene.sessions.data[ID] = kept[-1 - lost]  # the broker was away when it was killed
    scene.recorder = Recorder(tmp_path)
    scene.telemetry.readings = [gap("first reading"), failing()]
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    await nothing_is_written()
    record = msgspec.json.decode(scene.records.data[ID], type=Record)
    replayed = replay_file(tmp_path / f"{ID}.jsonl")
    assert (replayed.verdict, replayed.decided_at_tick) == ("rollback", verdict.ticks)
    assert replayed.reason == verdict.reason
    assert digest(tmp_path / f"{ID}.jsonl") == record.sample_digest


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("written", [False, True])
async def test_the_tick_that_decided_is_in_the_recording_whenever_the_kill_came(tmp_path: Path, written: bool) -> None:
    """It is written beside the revert, so that the decision can be durable before it is."""
    scene = Scene(policies={"default": LONG}, recorder=Recorder(tmp_path))
    kept = await killed_when_decided(scene)
    await nothing_is_written()
    path, decided = tmp_path / f"{ID}.jsonl", msgspec.json.decode(kept)["session"]["digest"]
    lines = path.read_bytes().splitlines(keepends=True)
    before = lines[:-1] if digest(path) == decided else lines
    last = msgspec.json.decode(kept)["session"]["last_tick"]["line"].encode() + b"\n"
    path.write_bytes(b"".join([*before, last] if written else before))
    scene.sessions.data[ID] = kept
    scene.recorder = Recorder(tmp_path)
    async with running(scene) as engine:
        await verdict_of(engine)
    await nothing_is_written()
    assert digest(path) == decided == msgspec.json.decode(scene.records.data[ID], type=Record).sample_digest
    assert replay_file(path).verdict == "rollback"


async def test_a_folder_that_hangs_at_the_start_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(policies={"default": LONG}, recorder=Recorder(tmp_path))
    await killed_when_decided(scene)
    await nothing_is_written()
    hanging = Hanging(tmp_path)
    scene.recorder = hanging
    monkeypatch.setattr(recovery, "PATIENCE_SECONDS", 0.01)
    async with running(scene) as engine:
        await verdict_of(engine)
        await until(lambda: "recording" in [what for what, _ in scene.meter.failures])
    hanging.released.set()


async def test_a_recording_that_lacks_earlier_ticks_says_so_and_has_those_that_come(tmp_path: Path) -> None:
    scene = Scene(policies={"default": LONG})
    await killed_when_decided(scene)
    scene.recorder = Recorder(tmp_path)
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
        await until(lambda: names(tmp_path) == [f"{ID}.jsonl"])
    await nothing_is_written()
    header, samples = recordings.read(tmp_path / f"{ID}.jsonl")
    assert [(hole.lines, hole.ticks) for hole in header.holes] == [(0, verdict.ticks - 1)]
    assert len(list(samples)) == 1


class Broken(Recorder):
    """A disk that is full."""

    def append(self, release_id: str, header: Header, line: bytes, *, before: str, after: str, tick: int) -> None:
        raise VerdictdError("No space left on device")


class Hanging(Recorder):
    """A folder on a server that has gone."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.released = threading.Event()

    def append(self, release_id: str, header: Header, line: bytes, *, before: str, after: str, tick: int) -> None:
        self.released.wait(timeout=60.0)
        super().append(release_id, header, line, before=before, after=after, tick=tick)


@pytest.mark.usefixtures("unhurried")
async def test_who_ends_in_order_has_written_the_tick_that_decided_though_its_release_has_ended_already(tmp_path: Path) -> None:
    slow = Hanging(tmp_path)
    scene = Scene(telemetry=HandTelemetry([failing()]), recorder=slow)
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
        await until(lambda: ID in scene.records.data)
        asyncio.get_running_loop().call_later(0.2, slow.released.set)
    again = replay_file(slow.path(ID))
    assert (again.verdict, again.decided_at_tick) == (verdict.outcome, verdict.ticks)


async def test_a_full_disk_does_not_stop_the_ticks(tmp_path: Path) -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]), recorder=Broken(tmp_path))
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await verdict_of(engine)
        await until(lambda: scene.meter.failures)
    assert scene.router.canary_percent == 0
    assert "recording" in {what for what, _ in scene.meter.failures}


@pytest.mark.parametrize("most_waiting", [3, 1_000])
async def test_a_disk_that_hangs_does_not_stop_the_ticks_and_loses_none_unless_it_hangs_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, most_waiting: int
) -> None:
    monkeypatch.setattr(recording, "MOST_WAITING_TICKS", most_waiting)
    telemetry = HandTelemetry([healthy()])
    telemetry.tick_seconds = 0.05
    hanging = Hanging(tmp_path)
    scene = Scene(telemetry=telemetry, recorder=hanging, policies={"default": LONG})
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        async with asyncio.timeout(40.0):
            while engine.views()[0].ticks < 5:
                await asyncio.sleep(0.01)
            telemetry.readings = [failing(10)]
            while engine.views()[0].stage is not Stage.ENDED:
                await asyncio.sleep(0.01)
        assert not hanging.path(ID).exists()
        hanging.released.set()
    assert scene.router.canary_percent == 0
    assert "recording" in {what for what, _ in scene.meter.failures}
    assert [record.message for record in caplog.records].count("recordings hang") == 1
    kept = msgspec.json.decode(scene.records.data[ID], type=Record)
    again, is_whole = replay_file(hanging.path(ID)), most_waiting == 1_000
    assert (digest(hanging.path(ID)) == kept.sample_digest) is is_whole
    assert ("ends before a decision" in again.reason) is not is_whole


@pytest.mark.usefixtures("unhurried")
async def test_connections_are_promoted_on_their_failures_alone_after_a_kill_too_and_so_says_the_replay(tmp_path: Path) -> None:
    counted = Reading(seconds=1.0, baseline=Arm(requests=900, errors=1), canary=Arm(requests=100))
    scene = Scene(telemetry=HandTelemetry([gap("first reading"), counted]), recorder=Recorder(tmp_path))
    scene.telemetry.tells_latencies = False
    async with killed(scene) as engine:
        await engine.submit(msgspec.structs.replace(RELEASE, protocol="tcp"), release_id=ID)
        while engine.views()[0].ticks < 4:
            await asyncio.sleep(0)
    await nothing_is_written()
    scene.recorder = Recorder(tmp_path)
    async with running(scene) as engine:
        verdict = await verdict_of(engine)
    await nothing_is_written()
    assert verdict.outcome is Outcome.PROMOTE
    assert verdict.reason.endswith("canary connections; no latency is known of TCP: promoted on failed connections alone")
    assert replay_file(tmp_path / f"{ID}.jsonl").reason == verdict.reason
