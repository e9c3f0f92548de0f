"""Whether the engine answers: not before what was under way is known again, nor after its end has begun."""

import asyncio
from contextlib import suppress
from typing import Final

from daemon.errors import Unavailable

_RECOVERY_PATIENCE_SECONDS: Final = 5.0


class Readiness:
    """From recovering to stopping; neither is taken back."""

    def __init__(self) -> None:
        self._recovered = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def is_recovered(self) -> bool:
        """Whether recovery is done."""
        return self._recovered.is_set()

    def recovered(self) -> None:
        """Recovery is done."""
        self._recovered.set()

    def stop(self) -> None:
        """The end begins."""
        self._stopping.set()

    async def stopped(self) -> None:
        """Returns when the end has begun."""
        await self._stopping.wait()

    async def required(self) -> None:
        """Wait a moment for recovery.

        Raises:
            Unavailable: it is still recovering, or stopping.
        """
        if not self.is_recovered:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECOVERY_PATIENCE_SECONDS):
                    await self._recovered.wait()
        if self._stopping.is_set():
            raise Unavailable("the daemon is stopping; try again")
        if not self.is_recovered:
            raise Unavailable("sessions are being read back; try again")
