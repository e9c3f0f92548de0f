"""The streams: made, mended, left alone, and refused with a reason where they cannot be what they must."""

import asyncio
import logging
import re
from contextlib import aclosing
from pathlib import Path

import pytest
from nats.js import api
from nats.js.errors import ServerError

from config.settings import Keep, KeepStream, Nats
from daemon.bus import streams, subjects, upkeep
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import Connection, connected
from daemon.bus.looking import as_they_are, look
from daemon.bus.opening import Bus, open_bus
from daemon.bus.streams import PLANS, ensure_streams, set_right
from daemon.bus.upkeep import Righting
from daemon.errors import InvalidInput, Unavailable
from tests.bus.test_publisher import told
from tests.hand.broker import Broker, broker
from tests.hand.samples import verdict
from tests.hand.waiting import until
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, free_ports, running

pytestmark = pytest.mark.live

ELSEWHERE = api.SubjectTransform(src=">", dest="elsewhere.>")


def plain(server: Broker) -> BrokerAddress:
    return BrokerAddress(servers=(server.url,))


async def configs(connection: Connection) -> dict[str, api.StreamConfig]:
    return {plan.name: (await connection.jetstream.stream_info(plan.name)).config for plan in PLANS}


async def test_all_streams_are_there_after_the_first_start_and_the_same_after_the_second(bus: Bus) -> None:
    first = await configs(bus.connection)
    await ensure_streams(bus.connection.jetstream, replicas=1, patience_seconds=20.0)
    assert await configs(bus.connection) == first
    assert first[subjects.VERDICTS].subjects == ["verdictd.verdict.>"]
    assert first[subjects.VERDICTS].duplicate_window == streams.DUPLICATE_WINDOW_SECONDS
    assert first["KV_verdictd_sessions"].max_msgs_per_subject == 1
    assert {config.storage for config in first.values()} == {api.StorageType.FILE}


async def test_the_buckets_are_buckets_to_other_tools(bus: Bus) -> None:
    await bus.records.put("web-1", b"record")
    bucket = await bus.connection.jetstream.key_value("verdictd_records")
    assert (await bucket.get("prod.web-1")).value == b"record"


async def test_what_correctness_needs_is_mended_and_what_the_operator_set_is_kept(nats_server: Broker) -> None:
    async with connected(plain(nats_server), name="t", connect_timeout_seconds=20.0) as connection:
        await connection.jetstream.add_stream(
            name=subjects.VERDICTS, subjects=["verdictd.verdict.old"], max_age=7200.0, duplicate_window=10.0
        )
        for stream, subject in ((subjects.RELEASES, "verdictd.release.>"), (subjects.COMMANDS, "verdictd.command.*")):
            old = api.StreamConfig(name=stream, subjects=[subject], max_bytes=9_000_000, discard=api.DiscardPolicy.OLD)
            await connection.jetstream.add_stream(old)  # as an older version made it
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0)
        config = (await connection.jetstream.stream_info(subjects.VERDICTS)).config
        events = [(await connection.jetstream.stream_info(name)).config for name in (subjects.RELEASES, subjects.COMMANDS)]
    assert config.subjects == ["verdictd.verdict.>"]
    assert config.duplicate_window == streams.DUPLICATE_WINDOW_SECONDS
    assert config.max_age == 7200.0
    assert {(one.discard, one.max_bytes) for one in events} == {(api.DiscardPolicy.NEW, 9_000_000)}


async def test_streams_that_are_there_are_brought_to_what_the_settings_keep(nats_server: Broker) -> None:
    keep = Keep(records=KeepStream(days=7, bytes=20_000_000), verdicts=KeepStream(days=400))
    async with connected(plain(nats_server), name="t", connect_timeout_seconds=20.0) as connection:
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0)
        before = await configs(connection)
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0, keep=keep)
        kept = await configs(connection)
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0)
        after = await configs(connection)
    records, verdicts = kept.pop("KV_verdictd_records"), kept.pop(subjects.VERDICTS)
    assert (records.max_age, records.max_bytes, records.discard) == (7 * 86_400.0, 20_000_000, api.DiscardPolicy.OLD)
    assert (verdicts.max_age, verdicts.max_bytes) == (400 * 86_400.0, before[subjects.VERDICTS].max_bytes)
    assert kept == {name: config for name, config in before.items() if name in kept}
    # What is no longer said is left as it is, but for what becomes of a bucket that is full.
    assert after["KV_verdictd_records"] == records.evolve(discard=api.DiscardPolicy.NEW)
    assert after[subjects.VERDICTS] == verdicts


@pytest.mark.parametrize(
    ("stream", "changed"),
    [
        (subjects.VERDICTS, {"no_ack": True}),
        (f"KV_{subjects.SESSIONS}", {"no_ack": True}),
        (f"KV_{subjects.SESSIONS}", {"discard_new_per_subject": True}),
        (f"KV_{subjects.RECORDS}", {"discard_new_per_subject": True}),
        (f"KV_{subjects.SESSIONS}", {"subject_transform": ELSEWHERE}),
        (subjects.VERDICTS, {"subject_transform": ELSEWHERE}),
    ],
)
async def test_a_stream_that_somebody_keeps_from_taking_writes_as_they_are_meant_does_so_after_the_next_start(
    nats_server: Broker, stream: str, changed: dict[str, object]
) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await bus.sessions.put("web-1", b"one")
        await bus.records.put("web-1", b"one")
        config = (await bus.connection.jetstream.stream_info(stream)).config
        await bus.connection.jetstream.update_stream(config.evolve(**changed))
    async with asyncio.timeout(20), open_bus(nats_server.settings, cluster="prod") as bus:
        await bus.verdicts.publish(verdict())
        await bus.sessions.put("web-1", b"two")
        await bus.records.put("web-1", b"two")
        assert (await bus.connection.jetstream.stream_info(stream)).config == config


@pytest.mark.parametrize(
    ("stream", "changed"),
    [
        (subjects.VERDICTS, {"discard": api.DiscardPolicy.NEW}),
        (subjects.RELEASES, {"discard": api.DiscardPolicy.OLD}),
        (subjects.VERDICTS, {"no_ack": True}),
        (subjects.VERDICTS, {"max_msgs_per_subject": 1}),
        (subjects.VERDICTS, {"subject_transform": ELSEWHERE}),
        (subjects.VERDICTS, {"retention": api.RetentionPolicy.INTEREST}),
        (subjects.AUDIT, {"duplicate_window": 1.0}),
        (f"KV_{subjects.SESSIONS}", {"discard_new_per_subject": True}),
    ],
)
async def test_a_stream_that_is_set_by_hand_is_set_right_while_we_run(
    bus: Bus, stream: str, changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    jetstream = bus.connection.jetstream
    config = (await jetstream.stream_info(stream)).config
    await jetstream.update_stream(config.evolve(**changed))
    async with asyncio.timeout(20):
        while (await jetstream.stream_info(stream)).config != config:
            await asyncio.sleep(0.02)
        await until(lambda: lines(caplog) != [])
    [line] = lines(caplog)
    assert line.__dict__["stream"] == stream
    assert line.__dict__["was"].startswith(f"{next(iter(changed))}=")


async def test_subjects_that_were_taken_from_a_stream_by_hand_are_given_back_and_others_stay(bus: Bus) -> None:
    jetstream = bus.connection.jetstream
    config = (await jetstream.stream_info(subjects.VERDICTS)).config
    await jetstream.update_stream(config.evolve(subjects=["a.later.version"]))
    async with asyncio.timeout(20):
        await told(bus, verdict())
    assert (await jetstream.stream_info(subjects.VERDICTS)).config.subjects == ["a.later.version", "verdictd.verdict.>"]


async def test_what_the_settings_of_another_daemon_say_of_a_stream_and_limits_of_the_operator_are_left(nats_server: Broker) -> None:
    keep = Keep(records=KeepStream(days=7, bytes=20_000_000), verdicts=KeepStream(days=400))
    async with connected(plain(nats_server), name="t", connect_timeout_seconds=20.0) as connection:
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0, keep=keep)
        await connection.jetstream.update_stream(PLANS[0].config(replicas=1).evolve(max_bytes=9_000_000, max_age=7_200.0))
        there = await as_they_are(connection)
    for plan in PLANS:
        config = there[plan.name]
        assert config is not None
        assert set_right(config, plan) == config
        assert set_right(config.evolve(num_replicas=3), plan).num_replicas == 3


async def test_a_stream_that_is_set_again_and_again_is_set_right_once_a_minute(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    righting = Righting(bus.connection, monotonic=lambda: now[0])
    jetstream = bus.connection.jetstream
    strayed = (await jetstream.stream_info(subjects.VERDICTS)).config.evolve(discard=api.DiscardPolicy.NEW)
    there = {plan.name: None for plan in PLANS} | {subjects.VERDICTS: strayed}
    for at, times in ((0.0, 1), (59.0, 1), (60.0, 2)):
        now[0] = at
        await righting.of(there)
        assert len(lines(caplog)) == times


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "set by hand" in record.message]


async def test_a_longer_duplicate_window_of_the_operator_is_kept(nats_server: Broker) -> None:
    async with connected(plain(nats_server), name="t", connect_timeout_seconds=20.0) as connection:
        await connection.jetstream.add_stream(name=subjects.VERDICTS, subjects=["x"], duplicate_window=9000.0)
        await ensure_streams(connection.jetstream, replicas=1, patience_seconds=20.0)
        assert (await connection.jetstream.stream_info(subjects.VERDICTS)).config.duplicate_window == 9000.0


async def refused(server: Broker, config: api.StreamConfig) -> str:
    async with connected(plain(server), name="t", connect_timeout_seconds=20.0) as connection:
        await connection.jetstream.add_stream(config)
    with pytest.raises(InvalidInput) as caught:
        async with open_bus(server.settings, cluster="prod"):
            pass
    return str(caught.value)


async def test_a_stream_in_memory_cannot_be_mended_and_is_refused(nats_server: Broker) -> None:
    config = api.StreamConfig(name=subjects.VERDICTS, subjects=["verdictd.verdict.>"], storage=api.StorageType.MEMORY)
    assert re.search(
        "VERDICTD_VERDICTS exists and cannot be made .*nats stream rm VERDICTD_VERDICTS", await refused(nats_server, config)
    )


async def test_a_stream_that_is_sealed_cannot_be_mended_and_is_refused(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        config = (await bus.connection.jetstream.stream_info(subjects.VERDICTS)).config
        await bus.connection.jetstream.update_stream(config.evolve(sealed=True))
    assert (await look(nats_server.settings, name="t"))[subjects.VERDICTS] == "unlike"
    with pytest.raises(InvalidInput, match=r"VERDICTD_VERDICTS exists .* it is sealed.*nats stream rm VERDICTD_VERDICTS"):
        async with open_bus(nats_server.settings, cluster="prod"):
            pass


async def test_a_stream_of_somebody_else_in_the_way_is_refused(nats_server: Broker) -> None:
    config = api.StreamConfig(name="THEIRS", subjects=["verdictd.>"])
    assert "another stream listens on verdictd.release.>" in await refused(nats_server, config)


async def test_more_replicas_than_servers_are_refused(nats_server: Broker) -> None:
    with pytest.raises(InvalidInput, match=r"nats\.replicas: this NATS cannot keep 3 replicas"):
        async with open_bus(Nats(url=nats_server.url, replicas=3), cluster="prod"):
            pass


async def test_a_disk_that_is_too_small_for_what_the_streams_are_promised_is_told_with_how_large_it_is_to_be(
    tmp_path: Path,
) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("jetstream { max_file_store: 300MB }")
    async with (
        broker(tmp_path / "nats", flags=("--config", str(config))) as server,
        connected(plain(server), name="t", connect_timeout_seconds=20.0) as connection,
    ):
        with pytest.raises(Unavailable, match=r"no room for VERDICTD_VERDICTS .* 784 MiB together.*nats\.data_dir"):
            await ensure_streams(connection.jetstream, replicas=1, patience_seconds=5.0)


async def test_without_jetstream_there_is_no_start(tmp_path: Path) -> None:
    [port] = free_ports(1)
    log = tmp_path / "nats-server.log"

    async def ready() -> bool:
        return "Server is ready" in log.read_text()

    argv = (require("nats-server"), "--addr", LOOPBACK, "--port", str(port))
    async with running("nats-server", argv, folder=tmp_path, ready=ready):
        address = BrokerAddress(servers=(f"nats://{LOOPBACK}:{port}",))
        async with connected(address, name="t", connect_timeout_seconds=20.0) as connection:
            with pytest.raises((InvalidInput, Unavailable), match=r"JetStream is not (enabled|usable)"):
                await ensure_streams(connection.jetstream, replicas=1, patience_seconds=1.0)


def test_an_account_without_jetstream_is_told_how_to_get_it() -> None:
    error = ServerError(code=503, err_code=10039, description="jetstream not enabled for account")
    assert "enable JetStream for the account" in str(streams._refusal(error, PLANS[0], 1))


async def test_a_stream_that_somebody_deletes_while_the_others_stay_comes_back(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs it: a verdict that nobody takes is told again and again, and is out once it is there."""
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.02)
    async with asyncio.timeout(40):
        for plan in PLANS:
            await bus.connection.jetstream.delete_stream(plan.name)
            await told(bus, verdict())
            while None in (await as_they_are(bus.connection)).values():
                await asyncio.sleep(0.02)


async def test_a_stream_that_somebody_deletes_while_we_run_comes_back(bus: Bus) -> None:
    async def await_two() -> None:
        async with aclosing(bus.events.announcements()) as announcements:
            await anext(announcements)
            first.set()
            await anext(announcements)

    first = asyncio.Event()
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        group.create_task(await_two())
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        await first.wait()
        for plan in PLANS:
            await bus.connection.jetstream.delete_stream(plan.name)
        await told(bus, verdict())
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
