"""The demo as a newcomer runs it: a process of its own, on real parts, from the first line to the last."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from daemon.offline.plotting.terminal import Canvas
from tests.hand.processes import is_running

pytestmark = [pytest.mark.live, pytest.mark.timeout(150)]

PATIENCE_SECONDS = 30.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@asynccontextmanager
async def demo(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``verdictd demo``, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "demo", *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    """What it writes until a line with this text."""
    assert process.stdout is not None
    said = ""
    while text not in said:
        line = (await process.stdout.readline()).decode()
        if not line:
            _, err = await process.communicate()
            pytest.fail(f"ended before it said {text!r}:\n{said}{err.decode()}")
        said += line
    return said


def below(parent: int) -> dict[int, str]:
    """The processes that this one and its children have started, with their names."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = stat.read_text().rpartition(")")
            pid, _, name = head.partition(" (")
            parents[int(pid)] = (int(rest.split()[1]), name)
    found: dict[int, str] = {}
    wanted = {parent}
    while wanted:
        children = {pid: name for pid, (above, name) in parents.items() if above in wanted}
        found |= children
        wanted = set(children)
    return found


async def gone(processes: dict[int, str], *, seconds: float) -> dict[int, str]:
    """Those that still run after so long; returns as soon as there are none."""
    deadline = time.monotonic() + seconds
    left = processes
    while left and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        left = {pid: name for pid, name in left.items() if is_running(pid)}
    return left


@pytest.mark.usefixtures("measured")
async def test_the_whole_story_ends_well(tmp_path: Path) -> None:
    """Exit code 0, each outcome told and drawn, with nothing left in the temporary folder but the output."""
    async with demo("--out", str(tmp_path / "out"), "--seed", "7") as process:
        out, err = await process.communicate()
    said = out.decode()
    assert process.returncode == 0, said + err.decode()
    assert err.decode() == ""
    for line in ("v2 was promoted and answers everything", "v3 was taken back and", "v4 was taken back and"):
        assert line in said
    for label in ("first bad response", "first sample that showed it", "decision", "patch sent", "last canary response"):
        assert len(re.findall(rf"^  {label} +[+-]\d+\.\d+ s", said, flags=re.MULTILINE)) >= 2
    assert Canvas(columns=1, rows=1).lines(colours=False)[0] in said
    assert "<svg" in (tmp_path / "out" / "demo.html").read_text()
    picture = ET.fromstring((tmp_path / "out" / "demo.svg").read_text())  # noqa: S314 - our own file
    assert len(picture.findall(".//{*}path")) >= 3 * 4
    assert {"verdictd.log", "envoy.log", "verdictd.json"} <= {file.name for file in (tmp_path / "out" / "logs").iterdir()}


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    async with demo("--out", str(tmp_path)) as process:
        await read_until(process, "Act 1")
        started = below(process.pid)
        assert {"envoy", "nats-server"} <= set(started.values())
        process.send_signal(number)
        out, _ = await process.communicate()
        assert process.returncode == 130
        assert "Act 3" not in out.decode(), "it did not go on to its end"
        assert await gone(started, seconds=PATIENCE_SECONDS) == {}


@LINUX
async def test_a_part_that_dies_ends_the_demo_with_its_log_and_a_way_out(tmp_path: Path) -> None:
    async with demo("--out", str(tmp_path)) as process:
        await read_until(process, "Act 1")
        started = below(process.pid)
        (envoy,) = [pid for pid, name in started.items() if name == "envoy"]
        os.kill(envoy, signal.SIGKILL)
        _, err = await process.communicate()
        assert process.returncode == 69
        assert re.search(r"The demo failed: Envoy \(pid \d+\) ended with code -9 while it was needed", err.decode())
        assert "What to do:" in err.decode()
        assert await gone(started, seconds=PATIENCE_SECONDS) == {}
