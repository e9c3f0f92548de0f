"""Those whom somebody waits for go first; the others wait for the lull, but not for long.

To let a release in takes next to nothing, and somebody waits for the answer. To find it asks the API server half a dozen questions,
which many can ask together. So the canaries of a flood of announcements are looked for when it ebbs, or after a moment in any case:
then in companies (``daemon.aio.companies``), and each for a fraction of what it costs alone. What follows a patch waits so for the
patches of others (``daemon.engine.turns``).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

MOMENT_SECONDS: Final = 0.5
"""However many announcements keep coming; one that comes alone is answered within a few ms."""


class Lull:
    """Whether anybody is at what goes first."""

    def __init__(self) -> None:
        self._busy = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Somebody is."""
        self._busy += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._calm.set()

    async def wait(self, *, seconds: float = MOMENT_SECONDS) -> None:
        """Until nobody is, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._busy:  # the next one may come in the same moment
                    await self._calm.wait()
