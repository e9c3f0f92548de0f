"""Whether a deed is this replica's to do: asked before a revert, a publication and a record, none of which can be taken back.

A single replica has everything, and nobody is asked. Of several, the one that holds a service decides for it. Its decision is kept
before the first patch, so that whoever takes over finds it and goes on with it; and it does nothing any more once others may have
taken it for dead. A patch that was on its way all the same is refused by the object's version, which was read after the decision.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Set as AbstractSet
from typing import Final

from daemon.aio.clock import Clock
from daemon.engine.session import Session
from daemon.errors import Unavailable
from daemon.ports.sharing import Of, Sharing

HELD: Final = "held"
"""The step from which on a replica has had it; the detail says which, and under which number."""
DECISION_KEPT_WITHIN_SECONDS: Final = 0.05
"""How long a revert waits for its decision to be kept."""
SURE_WITHIN_SECONDS: Final = 2.0
"""How long one try of a revert waits until it may be done."""
_PLACE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05


class Tenure:
    """What this replica may do. ``sharing`` is null where it is the only one."""

    def __init__(self, sharing: Sharing | None, *, clock: Clock) -> None:
        self._sharing = sharing
        self._clock = clock
        self._taken_up: frozenset[int] = frozenset()

    @property
    def is_shared(self) -> bool:
        """Whether there are other replicas."""
        return self._sharing is not None

    def number(self, of: Of) -> int:
        """Under which it has the service: what was written under a smaller one may be written over. 0: it is the only one."""
        return 0 if self._sharing is None else self._sharing.number_of(of)

    def marked(self, session: Session, *, now: float) -> Session:
        """The session with the step that this replica has it, and under which number, where there are several."""
        if self._sharing is None:
            return session
        detail = f"replica {self._sharing.me}, number {self.number(session.release)}"
        last = next((mark.detail for mark in reversed(session.marks) if mark.step == HELD), "")
        return session if last == detail else session.marked(HELD, at=now, detail=detail)

    def is_sure(self) -> bool:
        """Whether what this replica holds is surely its own now."""
        return self._sharing is None or self._sharing.is_sure()

    async def soon_sure(self) -> None:
        """Wait a moment until it is: for what must not be done on answers that have become old meanwhile.

        Raises:
            Unavailable: it is not.
        """
        try:
            async with asyncio.timeout(SURE_WITHIN_SECONDS):
                await self.sure()
        except TimeoutError as error:
            raise Unavailable("this replica is not sure that the release is still its own") from error

    async def sure(self) -> None:
        """Wait until what this replica holds is surely its own; whoever waits is cancelled when it is lost."""
        if self._sharing is not None:
            await self._sharing.sure()

    async def decided(self, kept: Awaitable[None]) -> None:
        """Wait a moment for a decision to be kept, before it is acted on. Without that, only a lease that lasts lets it be."""
        if self._sharing is None:
            return
        keeping = asyncio.ensure_future(kept)
        keeping.add_done_callback(_heard)
        await asyncio.wait([keeping], timeout=DECISION_KEPT_WITHIN_SECONDS)

    def takes_up(self, slots: AbstractSet[int]) -> None:
        """What was kept of these is known again: they can be asked for."""
        self._taken_up |= slots

    def leaves(self, slots: AbstractSet[int]) -> None:
        """These cannot be asked for any more."""
        self._taken_up -= slots

    def is_here(self, of: Of) -> bool:
        """Whether this replica has the service, and knows all of it."""
        return self._sharing is None or self._sharing.slot_of(of) in self._taken_up

    async def other(self, of: Of) -> str | None:
        """Which other replica has the service; null: it is here.

        Raises:
            Unavailable: nobody has it now; it is on its way from one to another.
        """
        if self._sharing is None:
            return None
        end = self._clock.monotonic() + _PLACE_SECONDS
        while not self.is_here(of):
            holder = self._sharing.holder_of(of)
            if holder is not None and holder != self._sharing.me:
                return holder
            if self._clock.monotonic() >= end:
                raise Unavailable("its service is being taken over by this replica; try again")
            await self._clock.sleep(_LOOK_SECONDS)
        return None


def _heard(keeping: asyncio.Future[None]) -> None:
    """Why it could not be kept is said by the store's own standing, and again when the verdict is told."""
    if not keeping.cancelled():
        keeping.exception()
