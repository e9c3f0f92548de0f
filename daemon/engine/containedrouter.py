"""A mesh's router as the engine calls it: its defects are errors, and what its reverts are about to change is noted before.

A defect is an error that is retried and told, as any other of the mesh. Who plugs a mesh in may get it wrong, and a revert must not
depend on that: the next attempt may go well, and other clusters' and other releases' tasks go on.

What a patch will change is worked out and noted beside the question who would serve, which stands before the first patch anyway;
where nobody has asked it since the last try (a try that failed, a second patch), before the patch itself. Either way the patch
waits for it no longer than a moment. What of it no receipt has answered, since an answer was lost or the daemon died, is
looked for in the routes when the next patch finds nothing left to do there.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from daemon.aio.tasks import background
from daemon.engine.takenback import UndoLog, intents_of
from daemon.errors import Blocked, Defect, PermanentError, VerdictdError
from daemon.model import Release
from daemon.packages import defects_of
from daemon.placement import ObjectName, PatchReceipt, Placement, Undo
from daemon.ports.routing import Claim, Owner, QuickPlanner, RouteEditor, TrafficRouter

log = logging.getLogger(__name__)

T = TypeVar("T")

NOTED_WITHIN_SECONDS: Final = 0.05
"""How long a patch waits, once it is known who would serve, for what it will change to be safe: a store that is slow costs harm."""

ASKED_AGAIN_SECONDS: Final = 1.0
"""How long a patch that had to wait does so for another answer to who would serve."""


@dataclass(frozen=True, slots=True)
class AllowedOwner:
    """Implements ``Owner``: it is told nothing before that is allowed."""

    owner: Owner
    allowed: Callable[[], Awaitable[bool]]

    @property
    def name(self) -> str:
        """See ``Owner``."""
        return self.owner.name

    async def claims(self, release: Release) -> Claim | None:
        """See ``Owner``."""
        return await self.owner.claims(release)

    async def abort(self, release: Release, claim: Claim) -> str:
        """See ``Owner``."""
        await self.allowed()
        return await self.owner.abort(release, claim)


@dataclass(frozen=True, slots=True)
class ContainedRouter:
    """Implements ``TrafficRouter``. Each defect is logged once with its trace. ``undo_log`` is told what reverts change."""

    router: TrafficRouter
    undo_log: UndoLog = field(default_factory=UndoLog)
    said: set[str] = field(default_factory=set)
    intents: dict[tuple[str, ObjectName], Undo] = field(default_factory=dict)
    noted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while what the next patch changes has been noted, as far as that was possible in time."""

    def __post_init__(self) -> None:
        """Begin with what an earlier process was about to change."""
        self._intend(self.undo_log.intents)

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter``."""
        return await self._tried(lambda: self.router.locate(release))

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter``."""
        async with self._noting(release, located):
            return await self._tried(lambda: self.router.check_baseline(release, located=located))

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter``."""
        if not self.noted.is_set():
            async with self._noting(release, located):
                pass
        self.noted.clear()
        if await self.undo_log.allowed():
            await self._ask_again(release, located)
        try:
            receipt = await self._tried(lambda: self.router.revert(release, located=located))
        except PermanentError:
            await self._settle(tuple(self.intents.values()))
            raise
        if undos := tuple(part.undo for part in receipt.parts if part.undo is not None):
            self.undo_log.changed(undos)
        for undo in undos:
            self.intents.pop(_which(undo), None)
        # Of what failed and will be tried again it is seen then.
        again = {part.object for part in receipt.failed if not isinstance(part.failure, PermanentError)}
        await self._settle(tuple(one for one in self.intents.values() if one.object not in again))
        return receipt

    async def _ask_again(self, release: Release, located: str) -> None:
        """Who would serve now. Raises ``Blocked``, and nothing else: an unknown answer never holds a patch up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASKED_AGAIN_SECONDS):
                try:
                    await self._tried(lambda: self.router.check_baseline(release, located=located))
                except Blocked:
                    raise
                except VerdictdError as error:
                    log.info("who would serve could not be asked again", extra={"reason": str(error)})

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter``."""
        return await self._tried(lambda: self.router.canary_gets_traffic(release, located=located))

    @asynccontextmanager
    async def _noting(self, release: Release, located: str) -> AsyncIterator[None]:
        """Note what a patch will change beside what is done in the block, and a moment longer where that is not enough."""
        is_over = asyncio.Event()
        async with background(self._note_plan(release, located, is_over)):
            try:
                yield
            finally:
                if is_over.is_set():  # also where the block was given up
                    self.noted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NOTED_WITHIN_SECONDS):
                    await is_over.wait()
        self.noted.set()

    async def _note_plan(self, release: Release, located: str, is_over: asyncio.Event) -> None:
        """What cannot be worked out, or kept, is no reason not to revert: the revert itself says what is wrong."""
        router = self.router
        try:
            with defects_of("the mesh's adapter, or of what keeps what it would change"):
                if not isinstance(router, RouteEditor):
                    return
                plan = router.plan_known if isinstance(router, QuickPlanner) else router.plan
                if intents := intents_of(await plan(release, located=located)):
                    self._intend(intents)
                    await self.undo_log.intends(intents)
        except VerdictdError as error:
            log.info("what is about to be changed could not be noted", extra={"reason": str(error)})
        finally:
            is_over.set()

    async def _settle(self, unanswered: tuple[Undo, ...]) -> None:
        """Nothing is left to try in these objects: what was intended is in force, or was not done. What is not seen stays open."""
        router = self.router
        if not unanswered or not isinstance(router, RouteEditor):
            return
        try:
            with defects_of("the mesh's adapter"):
                found = await router.plan_restore(unanswered)
        except VerdictdError as error:
            log.info("whether it was changed could not be seen", extra={"reason": str(error)})
            return
        looked = list(zip(unanswered, found, strict=True))
        # Without a value to put back it is as it was before.
        if in_force := tuple(undo for undo, one in looked if one.failure is None and one.values):
            self.undo_log.changed(in_force)
        if over := tuple(undo for undo, one in looked if one.failure is None or isinstance(one.failure, PermanentError)):
            self.undo_log.settled(over)
        for undo in over:
            self.intents.pop(_which(undo), None)

    def _intend(self, intents: tuple[Undo, ...]) -> None:
        self.intents.update({_which(one): one for one in intents})

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            with defects_of("the mesh's adapter"):
                return await call()
        except Defect as defect:
            if str(defect) not in self.said:
                self.said.add(str(defect))
                log.error("a mesh failed by a defect of its adapter", exc_info=defect.__cause__)  # noqa: TRY400 - the cause's trace
            raise


def _which(undo: Undo) -> tuple[str, ObjectName]:
    return undo.resource, undo.object
