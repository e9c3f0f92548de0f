"""How long our own child processes live: until SIGTERM, which the demo sends, or the kernel when the demo is gone."""

import asyncio
import signal


async def until_told() -> None:
    """Wait for SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()
