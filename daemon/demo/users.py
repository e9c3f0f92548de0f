"""The users of the service, as the demo sees them: the load generator's process and the log of what it saw."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.aio.tasks import background
from daemon.demo.children import Child, child
from daemon.demo.traffic import Traffic, read

# Longer than the generator's patience with one answer.
_END_SECONDS = 7.0


@dataclass(frozen=True, slots=True)
class Users:
    """Running users. ``traffic`` grows with every answer, some 50 ms behind."""

    process: Child
    traffic: Traffic


@asynccontextmanager
async def users(*, url: str, rate: float, seed: int, folder: Path) -> AsyncIterator[Users]:
    """Send requests for the length of a ``with`` block. At its end the answers under way are waited for and counted."""
    argv = [sys.executable, "-m", "daemon.demo.load", "--url", url, "--rate", f"{rate:g}", "--seed", str(seed)]
    traffic, complete = Traffic(), asyncio.Event()
    async with (
        child("load generator", argv, log=folder / "load.log", stdout=True) as process,
        background(_collect(process, traffic, complete)),
    ):
        try:
            yield Users(process=process, traffic=traffic)
        finally:
            process.terminate()
            async with asyncio.timeout(_END_SECONDS):
                await complete.wait()


async def _collect(process: Child, traffic: Traffic, complete: asyncio.Event) -> None:
    """Take the answers until the generator closes its end."""
    stdout = process.process.stdout
    try:
        while stdout is not None and (line := await stdout.readline()):
            traffic.add(read(line.decode()))
    except ValueError as error:
        raise process.failed(f"wrote something that is not an answer: {error}") from error
    finally:
        complete.set()
