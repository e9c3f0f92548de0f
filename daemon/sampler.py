"""The sampler's process: ``python -m daemon.sampler NUMBER``, with the number of the descriptor that is its end of the line."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from daemon import logs
from daemon.aio import interpreter, process
from daemon.aio.clock import SystemClock
from daemon.aio.parsing import ParserPool
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.apart.answering import answer
from daemon.telemetry.apart.words import Begin, Line
from daemon.telemetry.factory import telemetry_from

ARGV: Final = tuple(process.of_module("daemon.sampler"))
"""Who starts one adds the number."""
log = logging.getLogger("daemon.sampler")  # it runs as __main__


@asynccontextmanager
async def _opening(first: Begin) -> AsyncIterator[Telemetry]:
    logs.set_up(level=first.log_level)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ParserPool(unparsed_bytes=first.unparsed_bytes))
        made = telemetry_from(first.settings, clock=SystemClock(), name=first.name, pool=pool, schemas=schemas())
        interpreter.settle()
        log.info("a sampler has started", extra={"telemetry": first.name})
        yield await stack.enter_async_context(made)


async def _run(end: socket.socket) -> None:
    line = await Line.opened(end)
    try:
        with suppress(ConnectionError):  # whom it answers has gone
            await answer(line, _opening)
    finally:
        line.close()


if __name__ == "__main__":
    asyncio.run(_run(socket.socket(fileno=int(sys.argv[1]))))
