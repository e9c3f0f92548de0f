"""The daemon's own procedures against a server: as patient with it as a busy machine asks for."""

from collections.abc import Sequence
from typing import Any

from config.settings import Limits
from daemon.aio.clock import SystemClock
from daemon.engine.guarding import Guarding
from daemon.engine.reverting import Reverting
from daemon.model import Release, TimedStep
from daemon.ports.routing import Owner, TrafficRouter

_PATIENCE_SECONDS = 20.0
_GUARD_SECONDS = 60.0


def reverting(**limits: Any) -> Reverting:
    """A revert under these limits. What is asked before the patch is waited for: what is said of it depends on no load."""
    return Reverting(
        clock=SystemClock(),
        limits=Limits(**limits),
        random=lambda: 0.5,
        baseline_seconds=_PATIENCE_SECONDS,
        owner_seconds=_PATIENCE_SECONDS,
        owner_told_seconds=_PATIENCE_SECONDS,
    )


async def guarded(
    router: TrafficRouter, release: Release, *, located: str = "", owners: Sequence[Owner] = (), times: int = 1
) -> tuple[TimedStep, ...]:
    """Stand guard over a revert until it was undone, and done again, so often: however late that comes."""
    found: list[TimedStep] = []
    return await Guarding(reverting=reverting(guard_seconds=_GUARD_SECONDS)).reassert(
        router, release, located=located, owners=owners, until=lambda: len(found) >= times, undone=found.append
    )
