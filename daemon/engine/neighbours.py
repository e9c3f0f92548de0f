"""Releases of other replicas in this one's stream of changes: whoever follows any replica sees all of them.

They are read as they are kept, and only while somebody follows. What is kept no more has ended where it had its verdict; else it is
on its way from one replica to another, and is told of again by whoever has it then.
"""

from dataclasses import replace
from typing import Final

from daemon.aio.clock import Clock
from daemon.engine.keptsessions import KeptSessions
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.errors import VerdictdError
from daemon.model import Stage
from daemon.ports.service import Meter

_LOOK_SECONDS: Final = 1.0
_REST_FACTOR: Final = 10.0
"""A look rests so many times as long as it took: thousands of releases are looked at less often."""


class Neighbours:
    """Those that ``registry`` does not have."""

    def __init__(self, kept: KeptSessions, *, registry: Registry, clock: Clock, meter: Meter) -> None:
        self._kept = kept
        self._registry = registry
        self._clock = clock
        self._meter = meter

    async def follow(self) -> None:
        """Look again and again, for ever."""
        while True:
            began = self._clock.monotonic()
            try:
                await self._look()
            except VerdictdError as error:
                self._meter.failed("replicas", error)
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(_LOOK_SECONDS, _REST_FACTOR * took))

    async def _look(self) -> None:
        if not self._registry.changes.is_followed:
            self._registry.show_elsewhere({})
            return
        kept = {one.release_id: one for one in await self._kept.all()}
        before = self._registry.elsewhere
        ended = {one.release_id: _ended(one) for one in before.values() if one.release_id not in kept and one.verdict is not None}
        self._registry.show_elsewhere(kept | ended)


def _ended(session: Session) -> Session:
    return replace(session, stage=Stage.ENDED, settled=True)
