"""Which routes must be looked at: now, or later, and none before its last look has ended."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock
from daemon.aio.tasks import cancel_all
from daemon.watcher.kept import RouteKey


@dataclass(slots=True)
class Due:
    """The routes. Whoever takes one frees it when its look has ended.

    Attributes:
        again_seconds: after how long one is looked at again whose look could not be finished: the first time, and at most.
        random: gives numbers in [0, 1).
    """

    clock: Clock
    again_seconds: tuple[float, float]
    random: Callable[[], float]
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _now: set[RouteKey] = field(default_factory=set)
    _later: dict[RouteKey, float] = field(default_factory=dict)
    _busy: set[RouteKey] = field(default_factory=set)
    _failures: dict[RouteKey, int] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether no route must be looked at, or is being looked at."""
        return not self._now and not self._later and not self._busy

    def soon(self, keys: Iterable[RouteKey]) -> None:
        """These must be looked at now."""
        self._now.update(keys)
        self._wake.set()

    def after(self, key: RouteKey, seconds: float) -> None:
        """This one must be looked at in so many seconds at the latest."""
        at = self.clock.monotonic() + seconds
        self._later[key] = min(at, self._later.get(key, at))
        self._wake.set()

    def free(self, key: RouteKey) -> None:
        """Its look has ended."""
        self._busy.discard(key)
        self._wake.set()

    def done(self, key: RouteKey) -> None:
        """Its look has ended as it should."""
        self._failures.pop(key, None)
        self.free(key)

    def put_off(self, key: RouteKey) -> None:
        """Its look could not be finished: it is looked at again, later each time."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        first, cap = self.again_seconds
        self.after(key, doubled(failures, first_seconds=first, cap_seconds=cap, random=self.random))
        self.free(key)

    def take(self) -> list[RouteKey]:
        """Those whose time has come; they are busy until they are freed."""
        now = self.clock.monotonic()
        ripe = {key for key, at in self._later.items() if at <= now}
        taken = sorted((self._now | ripe) - self._busy)
        self._now.difference_update(taken)
        for key in taken:
            self._later.pop(key, None)
        self._busy.update(taken)
        return taken

    async def wait(self) -> None:
        """Until there may be something to take."""
        pending = [at for key, at in self._later.items() if key not in self._busy]
        waits: list[asyncio.Task[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if pending:
            waits.append(asyncio.ensure_future(self.clock.sleep(max(0.0, min(pending) - self.clock.monotonic()))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all(waits)
        self._wake.clear()
