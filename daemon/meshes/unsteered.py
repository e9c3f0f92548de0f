"""The router of a mesh that is only observed: its telemetry is read, and nothing of it is ever changed.

It has no routes to look at, so it says none, and claims nothing of who gets traffic. What would change traffic is blocked with the
reason; a release whose policy enforces is refused before it comes to that (``daemon.engine.admission``).
"""

from daemon.errors import Blocked
from daemon.model import Release
from daemon.placement import PatchReceipt, Placement


class UnsteeredRouter:
    """Implements ``Router``. ``kind``: of the mesh, for whoever is told."""

    def __init__(self, *, kind: str) -> None:
        self._reason = f"{unsteered(kind)}; take the traffic back by the mesh's own means"

    async def locate(self, release: Release) -> Placement:
        """Nothing is looked for: the watch begins at once."""
        del release
        return Placement(routes=(), canary_percent=0.0, baseline=f"not looked for: {self._reason}")

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """Always ``Blocked``."""
        raise Blocked(self._reason)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """Always ``Blocked``."""
        raise Blocked(self._reason)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """Always ``Blocked``: it is not known."""
        raise Blocked(self._reason)

    async def close(self) -> None:
        """There is no connection."""


def unsteered(kind: str) -> str:
    """The reason, for a person."""
    return f"routes of {kind} are not steered by this version: its releases are observed only"
