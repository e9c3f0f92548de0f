"""A broker that hangs, or whose disk is full, keeps its connections: it is found out all the same, and so is its return."""

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import Nats
from daemon.bus import embedded, pulse
from daemon.bus.opening import Bus, open_bus
from tests.bus.test_publisher import told
from tests.hand.broker import Broker
from tests.hand.samples import verdict
from tests.hand.waiting import until

pytestmark = pytest.mark.live


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of this process may grow: its writes fail as on a full disk."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def child(folder: Path) -> int:
    """The process id of the broker of our own that runs now."""
    [ports] = folder.glob("*.ports")
    return int(ports.stem.rpartition("_")[2])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "daemon.standing"]


async def test_a_broker_that_works_is_found_to_work(bus: Bus) -> None:
    await until(lambda: bus.pulse.standing.last_success_at is not None)
    assert bus.pulse.problem is None
    assert await bus.sessions.items() == []  # the probe is no key


async def test_a_broker_that_hangs_is_known_and_said_within_seconds_and_so_is_its_return(
    nats_server: Broker, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await until(lambda: bus.pulse.standing.last_success_at is not None)
    nats_server.signal(signal.SIGSTOP)
    try:
        await until(lambda: "does not answer" in (bus.pulse.problem or ""))
        assert bus.ready  # the connection knows nothing of it
        publishing = asyncio.create_task(told(bus, verdict()))
        await asyncio.sleep(3.0)
    finally:
        nats_server.signal(signal.SIGCONT)
    await publishing
    await until(lambda: bus.pulse.problem is None)
    assert lines(caplog)[-2:] == ["does not work", "works again"]


async def test_a_broker_whose_disk_is_full_is_known_by_its_writes(nats_server: Broker, bus: Bus) -> None:
    await until(lambda: bus.pulse.standing.last_success_at is not None)
    with full_disk(nats_server.pid):
        await until(lambda: "takes no writes" in (bus.pulse.problem or ""))
        assert await bus.sessions.get("web-1") is None  # it answers
    await nats_server.stop()  # it needs that, once there is room
    await nats_server.start()
    await until(lambda: bus.pulse.problem is None)


async def test_a_broker_of_our_own_that_met_a_full_disk_is_started_anew_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "STUCK_SECONDS", 0.0)
    monkeypatch.setattr(embedded, "ROOM_BYTES", 1 << 62)
    async with open_bus(Nats(data_dir=str(tmp_path)), cluster="prod") as bus:
        await until(lambda: bus.pulse.standing.last_success_at is not None)
        before = child(tmp_path)
        with full_disk(before):
            await until(lambda: bus.pulse.problem is not None)
            await asyncio.sleep(3.0)
            assert bus.ready  # without room it is left as it is
        monkeypatch.undo()
        monkeypatch.setattr(pulse, "STUCK_SECONDS", 0.0)
        await until(lambda: bus.pulse.problem is None)
        await bus.sessions.put("web-1", b"state")
        assert child(tmp_path) != before


async def test_a_lost_connection_is_a_problem_at_once(nats_server: Broker, bus: Bus) -> None:
    await nats_server.kill()
    await until(lambda: not bus.ready)
    assert "not connected to" in (bus.pulse.problem or "")
