"""How long a child process of the demo lives: until SIGTERM, or until its standard input closes because the demo is gone."""

import asyncio
import signal
import sys


async def until_told() -> None:
    """Wait for SIGTERM or the end of standard input."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    transport, _ = await loop.connect_read_pipe(lambda: _Input(told), sys.stdin)
    try:
        await told.wait()
    finally:
        transport.close()


class _Input(asyncio.Protocol):
    """Sets an event when the pipe closes."""

    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._told.set()
