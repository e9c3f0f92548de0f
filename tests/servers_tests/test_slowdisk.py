"""A disk that is slow holds up what a server writes to its store, and nothing else of it."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.servers import run, slowdisk
from tests.servers.slowdisk import SlowDisk

pytestmark = pytest.mark.skipif(slowdisk.obstacle() is not None, reason=f"no slow disk: {slowdisk.obstacle()}")

WRITER = """
import os, sys, time
store = os.open(sys.argv[1] + "/messages", os.O_CREAT | os.O_WRONLY)
os.write(1, b"begun ")
began = time.monotonic()
os.write(store, b"kept")
os.write(1, str(time.monotonic() - began).encode())
time.sleep(600)
"""


async def words(log: Path, number: int) -> list[str]:
    async def said() -> bool:
        return len((await asyncio.to_thread(log.read_text)).split()) >= number

    await run.until(said, 60)
    return (await asyncio.to_thread(log.read_text)).split()


async def test_a_write_to_the_store_takes_so_much_longer_and_what_is_written_elsewhere_does_not(tmp_path: Path) -> None:
    (store := tmp_path / "store").mkdir()
    disk = SlowDisk(store)
    disk.takes(0.3)
    argv = [*disk.prefix, sys.executable, "-c", WRITER, str(store)]

    async def ready() -> bool:
        return "begun" in await asyncio.to_thread((tmp_path / "writer.log").read_text)

    async with run.running("writer", argv, folder=tmp_path, ready=ready):
        begun, seconds = await words(tmp_path / "writer.log", 2)
    assert begun == "begun"
    assert float(seconds) >= 0.3
    assert (store / "messages").read_bytes() == b"kept"


async def test_a_server_that_waits_for_its_disk_can_be_killed_and_has_written_nothing(tmp_path: Path) -> None:
    (store := tmp_path / "store").mkdir()
    disk = SlowDisk(store)
    disk.takes(3_600.0)
    argv = [*disk.prefix, sys.executable, "-c", WRITER, str(store)]

    async def ready() -> bool:
        return "begun" in await asyncio.to_thread((tmp_path / "writer.log").read_text)

    async with run.running("writer", argv, folder=tmp_path, ready=ready) as process:
        process.signal(signal.SIGKILL)
        assert await process.child.wait() == -signal.SIGKILL
    assert (store / "messages").read_bytes() == b""
