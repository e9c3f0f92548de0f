"""One call for all who want it at the same time, and never one that began before they asked.

A thousand releases that are located after a restart, or guarded after a bad deployment, want the same listing of the
cluster. Those who come in one turn of the event loop share a call; whoever comes while it is under way waits for the next one, and
shares that: what everybody gets is as live as a call of their own. All of them go on in the same turn, so that what they want next
is one call again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from daemon.errors import VerdictdError

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """A call without arguments whose result nobody changes. Its errors are shared as well."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._under_way: asyncio.Event | None = None
        self._begun = 0
        self._waiting = 0
        self._newest: tuple[int, T | VerdictdError] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits."""
        return self._waiting > 0

    async def __call__(self) -> T:
        """The result of a call that began after this moment. Raises what that call raised."""
        begun_before = self._begun
        self._waiting += 1
        try:
            await asyncio.sleep(0)
            while self._newest is None or self._newest[0] <= begun_before:
                await self._fly()
            _, result = self._newest
        finally:
            self._waiting -= 1
            if not self._waiting:
                # A listing of a large cluster is not kept for nobody.
                self._newest = None
        if isinstance(result, VerdictdError):
            raise result
        return result

    async def _fly(self) -> None:
        """Make the call; where one is under way, wait until that has ended, whether it brought something or was given up."""
        if self._under_way is not None:
            await self._under_way.wait()
            return
        self._under_way = landed = asyncio.Event()
        try:
            self._newest = await self._called()
        finally:
            self._under_way = None
            landed.set()

    async def _called(self) -> tuple[int, T | VerdictdError]:
        self._begun += 1
        begun = self._begun
        try:
            return begun, await self._call()
        except VerdictdError as error:
            return begun, error
