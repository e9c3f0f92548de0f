"""A mesh's router as the engine calls it: a defect of it is an error that is retried and told, as any other of the mesh.

Who plugs a mesh in may get it wrong, and a revert must not depend on that: the next attempt may go well, and other clusters' and
other releases' tasks go on.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from daemon.errors import Defect
from daemon.model import Release
from daemon.packages import defects_of
from daemon.placement import PatchReceipt, Placement, Undo
from daemon.ports.routing import TrafficRouter

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ContainedRouter:
    """Implements ``TrafficRouter``. Each defect is logged once with its trace.

    ``noted`` is told of each revert what it takes to undo it.
    """

    router: TrafficRouter
    noted: Callable[[tuple[Undo, ...]], None] = lambda undos: None
    said: set[str] = field(default_factory=set)

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter``."""
        return await self._tried(lambda: self.router.locate(release))

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter``."""
        return await self._tried(lambda: self.router.check_baseline(release, located=located))

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter``."""
        receipt = await self._tried(lambda: self.router.revert(release, located=located))
        if undos := tuple(part.undo for part in receipt.parts if part.undo is not None):
            self.noted(undos)
        return receipt

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter``."""
        return await self._tried(lambda: self.router.canary_gets_traffic(release, located=located))

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            with defects_of("the mesh's adapter"):
                return await call()
        except Defect as defect:
            if str(defect) not in self.said:
                self.said.add(str(defect))
                log.error("a mesh failed by a defect of its adapter", exc_info=defect.__cause__)  # noqa: TRY400 - the cause's trace
            raise
