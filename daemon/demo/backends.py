"""The versions of the service as the demo sees them: a process each, whose behaviour can be changed while it serves."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from daemon.aio.process import of_module
from daemon.demo.backend import Behaviour
from daemon.demo.children import START_SECONDS, Child, DemoError, child

_CONTROL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Backend:
    """A running version of the service.

    Attributes:
        port: where it serves, on loopback.
        control: where it takes a new behaviour.
    """

    process: Child
    version: str
    port: int
    control: int

    async def behave(self, behaviour: Behaviour) -> None:
        """Change what it does from the next request on. Raises ``DemoError`` when it does not take it."""
        timeout = aiohttp.ClientTimeout(total=_CONTROL_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.put(f"http://127.0.0.1:{self.control}/", data=msgspec.json.encode(behaviour)) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self.process.failed(f"did not take a new behaviour: {error}") from error
        if status != 204:
            raise self.process.failed(f"answered {status} to a new behaviour")


@asynccontextmanager
async def backends(behaviours: Mapping[str, Behaviour], *, folder: Path, seed: int) -> AsyncIterator[dict[str, Backend]]:
    """Run a process for each version for the length of a ``with`` block. They start side by side."""
    async with AsyncExitStack() as stack:
        started = {}
        for version, behaviour in behaviours.items():
            argv = [
                *of_module("daemon.demo.backend", "--version", version, "--seed", f"{seed}-{version}"),
                *("--behaviour", msgspec.json.encode(behaviour).decode()),
            ]
            log = folder / f"backend-{version}.log"
            started[version] = await stack.enter_async_context(child(f"backend {version}", argv, log=log, stdout=True))
        yield {version: await _listening(version, process) for version, process in started.items()}


async def _listening(version: str, process: Child) -> Backend:
    line = await process.first_line(seconds=START_SECONDS)
    try:
        ports = json.loads(line)
        return Backend(process=process, version=version, port=ports["port"], control=ports["control"])
    except (ValueError, KeyError) as error:
        raise DemoError(f"backend {version} said {line!r}", fix="run the demo again") from error
