"""Killed at any stage and started again: the same verdict, once, and the traffic taken back. Real processes throughout."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from daemon import recordings
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import PING_SECONDS, connected
from daemon.bus.consuming import ACK_WAIT_SECONDS
from daemon.bus.store import KvStore
from daemon.demo.backend import Behaviour
from daemon.demo.children import child
from daemon.model import Action, Outcome, Stage
from daemon.offline.replay import replay_file
from daemon.releaseview import ReleaseView
from tests.live.crashing import POINTS
from tests.live.field import FAILING, POLICY, RELEASE, UNHURRIED, Field, field_of
from tests.servers.nats_server import nats_server

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(180)]

LONG_SECONDS = max(ACK_WAIT_SECONDS, PING_SECONDS) + 2.0
"""Nothing between the daemon and its broker waits for so long."""


async def end_of(place: Field, release_id: str) -> None:
    async with asyncio.timeout(60):
        while (await place.view(release_id)).stage is not Stage.ENDED:
            await asyncio.sleep(0.1)


async def no_longer_ready(place: Field) -> None:
    async with asyncio.timeout(30.0):
        while await place.get("/readyz") is not None:
            await asyncio.sleep(0.1)


def changes_of(component: str, *, log: Path) -> list[str]:
    """What was said of how it stands, in order."""
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [one["event"] for one in said if one["logger"] == "daemon.standing" and one["component"] == component]


async def number_of_cdevents(nats_url: str) -> int:
    """How often a sink was told."""
    async with connected(BrokerAddress(servers=(nats_url,)), name="test", connect_timeout_seconds=20.0) as connection:
        return (await connection.jetstream.stream_info(subjects.CDEVENTS)).state.messages


@pytest.mark.parametrize("point", list(POINTS))
async def test_killed_at_any_stage_the_next_start_gives_the_same_verdict_once(tmp_path: Path, point: str) -> None:
    async with field_of(tmp_path, canary=FAILING) as place:
        async with place.daemon(dies=point) as dying:
            await place.ready()
            submission = asyncio.ensure_future(place.submit())
            async with asyncio.timeout(60):
                code = await dying.process.wait()
            await asyncio.wait([submission])
            if submission.exception() is None:
                assert submission.result().startswith("web-")
        assert code == -signal.SIGKILL
        async with place.daemon():
            await place.ready()
            release_id = await place.submit()  # what a pipeline does whose connection broke: the same key, so the same release
            record = await place.record(release_id)
            await end_of(place, release_id)
            published = await place.published(place.embedded_url())
            cdevents = await number_of_cdevents(place.embedded_url())
            steps = [(mark.step, mark.detail) for mark in (await place.record(release_id)).marks]
        assert (cdevents, steps.count(("delivered", "cdevents"))) == (1, 1)
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert record.verdict.leg == "errors"
        [taken] = record.undos
        assert [(one.before, one.after) for one in taken.values if one.before != one.after] == [("70", "100"), ("30", "0")]
        recording = tmp_path / "recordings" / f"{release_id}.jsonl"
        replayed, digest = replay_file(recording), ""
        for line in recording.read_bytes().splitlines()[1:]:
            digest = recordings.chained(digest, line)
        assert (replayed.verdict, replayed.decided_at_tick) == ("rollback", record.verdict.ticks)
        assert digest == record.sample_digest
        assert [(v.release_id, v.outcome, v.action) for v in published] == [(release_id, Outcome.ROLLBACK, Action.REVERT)]
        assert await place.canary_is_silent()


async def test_a_terminal_that_closes_ends_the_daemon_in_order_and_signals_of_no_meaning_do_nothing(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place, place.daemon() as daemon:
        await place.ready()
        release_id = await place.submit()
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(daemon.pid, number)
        ticks = (await place.view(release_id)).ticks
        while (await place.view(release_id)).ticks < ticks + 4:
            await asyncio.sleep(0.1)
        os.kill(daemon.pid, signal.SIGHUP)
        async with asyncio.timeout(30.0):
            assert await daemon.process.wait() == 0
    log = (tmp_path / "verdictd.log").read_text()
    assert log.count("ignored a signal") == 2
    assert '"event":"stopped"' in log


async def test_a_broker_that_hangs_is_told_by_readiness_and_the_verdict_is_out_soon_after(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        folder = tmp_path / "broker"
        folder.mkdir()
        async with nats_server(folder) as broker:
            place.nats_url = broker.url
            async with place.daemon():
                await place.ready()
                release_id = await place.submit()
                while (await place.view(release_id)).ticks < 4:
                    await asyncio.sleep(0.1)
                broker.process.signal(signal.SIGSTOP)
                await no_longer_ready(place)
                await place.backends["v2"].behave(FAILING)
                assert await place.canary_is_silent()
                while (await place.view(release_id)).stage is not Stage.PUBLISHING:
                    await asyncio.sleep(0.1)
                await asyncio.sleep(5.0)
                broker.process.signal(signal.SIGCONT)
                async with asyncio.timeout(15.0):
                    await place.record(release_id)
                    await place.ready()
            published = await place.published(broker.url)
    assert [(v.release_id, v.action) for v in published] == [(release_id, Action.REVERT)]
    changes = changes_of("nats", log=tmp_path / "verdictd.log")
    # Once for each time that it hung: a machine that is busy may have it hang once more.
    assert changes == ["does not work", "works again"] * (len(changes) // 2)
    assert changes


async def test_a_word_that_a_broker_which_hangs_has_not_taken_is_carried_out_and_its_answer_says_that_it_is_not_kept(
    tmp_path: Path,
) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        folder = tmp_path / "broker"
        folder.mkdir()
        async with nats_server(folder) as broker:
            place.nats_url = broker.url
            async with place.daemon():
                await place.ready()
                release_id = await place.submit()
                while (await place.view(release_id)).ticks < 1:
                    await asyncio.sleep(0.1)
                broker.process.signal(signal.SIGSTOP)
                heard = await place.command(release_id, "cancel")
                assert (heard.kept, heard.stage) == (False, Stage.PUBLISHING)
                broker.process.signal(signal.SIGCONT)
                await end_of(place, release_id)
                assert (await place.record(release_id)).verdict.by == "person"


async def test_a_proxy_that_cannot_be_reached_is_told_while_the_watch_lasts_and_first_in_its_reason(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour()) as place, silent_server() as admin:
        telemetry = json.loads(place.settings().read_text())["telemetry"]["edge"]
        place.settings_over = {
            "telemetry": {"edge": {**telemetry, "endpoints": [admin], "timeout_seconds": 0.2}},
            "policies": {"default": {**POLICY, "window_seconds": 6.0, "promotion": {"min_seconds": 2.0}}},
        }
        async with place.daemon():
            await place.ready()
            release_id = await place.submit()
            while (await place.view(release_id)).ticks < 1:
                await asyncio.sleep(0.1)
            ready = json.loads(await place.until_answered("/readyz"))
            metrics = (await place.until_answered("/metrics")).decode()
            await end_of(place, release_id)
            verdict = (await place.record(release_id)).verdict
    assert ready["ready"]
    assert ready["components"]["telemetry edge"].startswith("degraded: ")
    assert 'verdictd_telemetry_last_success_timestamp_seconds{telemetry="edge"} 0.0' in metrics
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert re.match(r"(\d+) of \1 ticks had no information, the last one: .*did not answer", verdict.reason), verdict.reason
    assert changes_of("telemetry edge", log=tmp_path / "verdictd.log") == ["does not work"]


async def test_sigterm_stops_in_under_five_seconds_and_the_next_start_goes_on_watching(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        async with place.daemon() as daemon:
            await place.ready()
            release_id = await place.submit()
            while (await place.view(release_id)).ticks < 8:
                await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            daemon.terminate()
            async with asyncio.timeout(5.0):
                code = await daemon.process.wait()
            took = asyncio.get_running_loop().time() - began
            assert code == 0
            assert took < 5.0
        await place.backends["v2"].behave(FAILING)
        async with place.daemon():
            await place.ready()
            resumed = await place.view(release_id)
            assert resumed.ticks >= 8
            record = await place.record(release_id)
        assert record.verdict.outcome is Outcome.ROLLBACK
        assert [mark.step for mark in record.marks].count("watching") == 1


async def decision_kept(nats_url: str, release_id: str) -> None:
    """Wait until the broker has the session of a release as reverting: a decision that it never had is not found again."""
    async with connected(BrokerAddress(servers=(nats_url,)), name="onlooker", connect_timeout_seconds=20.0) as connection:
        sessions = KvStore(connection, bucket=subjects.SESSIONS, cluster="field")
        async with asyncio.timeout(20.0):
            while (kept := await sessions.get(release_id)) is None or Stage.REVERTING.value.encode() not in kept.value:
                await asyncio.sleep(0.01)


async def test_sigterm_in_the_middle_of_a_revert_with_nats_gone_stops_in_under_five_seconds(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=FAILING) as place, silent_server() as admin:
        # The patch goes through, but whether the traffic has left cannot be seen: the revert goes on for a while.
        settings = json.loads(place.settings().read_text())
        place.settings_over = {"meshes": {"edge": {**settings["meshes"]["edge"], "admin": admin}}}
        folder = tmp_path / "broker"
        folder.mkdir()
        async with nats_server(folder) as broker:
            place.nats_url = broker.url
            async with place.daemon() as daemon:
                await place.ready()
                release_id = await place.submit()
                await decision_kept(broker.url, release_id)
                broker.process.signal(signal.SIGKILL)
                submission = asyncio.ensure_future(place.submit(key="late"))
                await asyncio.sleep(0.3)
                began = asyncio.get_running_loop().time()
                daemon.terminate()
                async with asyncio.timeout(30.0):
                    code = await daemon.process.wait()
                took = asyncio.get_running_loop().time() - began
                await asyncio.wait([submission])
            assert submission.exception() is not None
            assert (code, took < 5.0) == (0, True), took
        place.settings_over = {}
        async with nats_server(folder, port=int(broker.url.rsplit(":", 1)[1])) as second, place.daemon():
            record = await place.record(release_id)
            await end_of(place, release_id)
            published = await place.published(second.url)
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert [v.release_id for v in published] == [release_id]


async def test_sigterm_while_nats_does_not_answer_at_the_start_ends_at_once(tmp_path: Path) -> None:
    asked = asyncio.Event()
    async with silent_server(asked) as address:
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"nats": {"url": address.replace("http", "nats"), "connect_timeout_seconds": 30.0}}))
        argv = [sys.executable, "-m", "tests.live.crashing", str(path)]
        async with child("verdictd", argv, log=tmp_path / "verdictd.log") as daemon:
            await asked.wait()
            daemon.terminate()
            async with asyncio.timeout(15.0):
                assert await daemon.process.wait() == 0


@asynccontextmanager
async def silent_server(asked: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Takes connections and says nothing; ``asked`` is set at the first."""
    over = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked is not None:
            asked.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
        await asyncio.sleep(0)


async def test_nats_gone_for_longer_than_anything_waits_costs_no_release_and_no_verdict(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        folder = tmp_path / "broker"
        folder.mkdir()
        async with nats_server(folder) as first:
            place.nats_url = first.url
            port = int(first.url.rsplit(":", 1)[1])
            async with place.daemon():
                await place.ready()
                release_id = await place.submit()
                while (await place.view(release_id)).stage is not Stage.WATCHING:
                    await asyncio.sleep(0.1)
                first.process.signal(signal.SIGKILL)
                await no_longer_ready(place)
                await place.backends["v2"].behave(FAILING)
                # Nothing is published, but the traffic is taken back while the broker is away.
                assert await place.canary_is_silent()
                await asyncio.sleep(LONG_SECONDS)
                async with nats_server(folder, port=port) as second:
                    record = await place.record(release_id)
                    await end_of(place, release_id)
                    published = await place.published(second.url)
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert [v.release_id for v in published] == [release_id]


ENDED = 15


async def ended_releases(place: Field) -> dict[str, bytes]:
    """Releases that were watched and have ended, beside one that goes on; their records."""
    await place.submit(msgspec.structs.replace(RELEASE, service="lasting"), key="lasting")
    ids = [await place.submit(msgspec.structs.replace(RELEASE, service=f"web-{n}"), key=f"ended-{n}") for n in range(ENDED)]
    for release_id in ids:
        while (await place.view(release_id)).ticks < 3:
            await asyncio.sleep(0.05)
    for release_id in ids:
        await place.command(release_id, "promote")
    for release_id in ids:
        await end_of(place, release_id)
    await asyncio.sleep(1.0)  # what is removed is removed behind the answers
    return {release_id: await place.until_answered(f"/v1/releases/{release_id}/record") for release_id in ids}


async def seen_to_have_stayed_ended(place: Field, records: dict[str, bytes]) -> None:
    """Whether nothing has become of them: nobody watches them, their records are the same, and each has one verdict."""
    await place.ready()
    await asyncio.sleep(2.0)
    listed = msgspec.json.decode(await place.until_answered("/v1/releases"), type=dict[str, list[ReleaseView]])
    running = [view.release.service for view in listed["releases"] if view.stage is not Stage.ENDED]
    assert running == ["lasting"]
    for release_id, record in records.items():
        assert (await place.view(release_id)).stage is Stage.ENDED
        assert await place.until_answered(f"/v1/releases/{release_id}/record") == record


async def test_killed_together_with_its_broker_no_release_that_has_ended_comes_back(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        async with place.daemon() as daemon:
            await place.ready()
            records = await ended_releases(place)
            [ports] = (tmp_path / "nats").glob("*.ports")
            os.kill(int(ports.stem.rpartition("_")[2]), signal.SIGKILL)
            os.kill(daemon.pid, signal.SIGKILL)
            await daemon.process.wait()
        async with place.daemon():
            await seen_to_have_stayed_ended(place, records)
            published = await place.published(place.embedded_url())
    assert sorted(v.release_id for v in published) == sorted(records)


async def test_after_the_broker_alone_was_killed_no_release_that_has_ended_comes_back_at_the_next_start(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        folder = tmp_path / "broker"
        folder.mkdir()
        async with nats_server(folder) as first:
            place.nats_url = first.url
            async with place.daemon() as daemon:
                await place.ready()
                records = await ended_releases(place)
                first.process.signal(signal.SIGKILL)
                await first.process.child.wait()
                async with nats_server(folder, port=int(first.url.rsplit(":", 1)[1])) as second:
                    await place.ready()
                    daemon.terminate()
                    assert await daemon.process.wait() == 0
                    async with place.daemon():
                        await seen_to_have_stayed_ended(place, records)
                        published = await place.published(second.url)
    assert sorted(v.release_id for v in published) == sorted(records)
