"""Who locates releases waits in a line for each mesh, and no longer than is said: what hangs holds up no other, nor for ever.

A mesh has an API server of its own as far as anybody here knows; what a router asks of a namespace is asked once for all who ask in
the same company (``daemon.aio.companies``). Routers may be plugged in, so that none is trusted to come back by itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.aio.companies import Companies
from daemon.errors import TimedOut
from daemon.model import Release


class MeshLines:
    """The lines for all meshes."""

    def __init__(self) -> None:
        self._companies: defaultdict[str, Companies] = defaultdict(Companies)

    @asynccontextmanager
    async def joined(self, release: Release, *, seconds: float) -> AsyncIterator[None]:
        """Wait in the line of its mesh; the body runs together with those of its neighbours.

        Raises:
            TimedOut: the body took longer than that. The wait in the line does not count.
        """
        mesh, namespace = place_of(release)
        async with self._companies[mesh].joined(namespace), in_time(seconds=seconds):
            yield


@asynccontextmanager
async def in_time(*, seconds: float) -> AsyncIterator[None]:
    """Raise ``TimedOut`` where the body takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TimedOut(f"its routes were not found within {seconds:g} s") from None


def place_of(release: Release) -> tuple[str, str]:
    """Its mesh and its namespace: who has the same asks much the same."""
    return release.mesh or "", release.namespace
