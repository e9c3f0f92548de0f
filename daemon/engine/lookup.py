"""What is known of a release by its id, wherever it is: under way here or at another replica, waiting for its arms, or ended.

What other replicas have is read from what these keep after every tick: whoever asks any replica is answered.
Where there is no other one, nothing is read for it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from daemon import stored
from daemon.engine.aliases import Aliases
from daemon.engine.feed import view, whole_view
from daemon.engine.keptforms import decode_record, record_of
from daemon.engine.outlines import Outlines
from daemon.engine.readiness import Readiness
from daemon.engine.session import Session, owner_of
from daemon.engine.state import EngineState
from daemon.errors import CameToNothing, Elsewhere, NotFound
from daemon.model import Record, Stage, Verdict
from daemon.releaseview import ReleaseView

_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether another replica's release has its verdict, for each that waits."""
_OUTLINE_SECONDS: Final = 1.0
"""How often it is looked whether another replica has made a release of an announcement that waits, for each that asks."""


class Lookup:
    """Implements ``Verdicts``, and what of ``ReleaseService`` only reads.

    Args:
        aliases: further ids of releases.
        outlines: announcements that wait for their arms.
    """

    def __init__(
        self,
        state: EngineState,
        *,
        aliases: Aliases,
        outlines: Outlines,
        readiness: Readiness,
    ) -> None:
        self._registry = state.registry
        self._kept = state.checkpoints.kept
        self._records = state.ports.records
        self._aliases = aliases
        self._outlines = outlines
        self._tenure = state.tenure
        self._readiness = readiness

    def views(self) -> Sequence[ReleaseView]:
        """See ``ports.service.ReleaseService``."""
        return self._registry.views()

    async def all_views(self) -> Sequence[ReleaseView]:
        """See ``ports.service.ReleaseService``."""
        if not self._tenure.is_shared:
            return self.views()
        elsewhere = [view(one) for one in await self._kept.all() if one.release_id not in self._registry]
        if not elsewhere:
            return self.views()
        return sorted([*elsewhere, *self.views()], key=lambda one: (one.submitted_at, one.id), reverse=True)

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended."""
        await self._readiness.required()
        release_id = await self.meant_by(release_id)
        if release_id in self._registry:
            return whole_view(self._registry.get(release_id))
        if (waiting := await self.waiting(release_id)) is not None:
            return waiting
        if (there := await self.elsewhere(release_id)) is not None:
            return whole_view(there)
        return _ended(release_id, await self._record(release_id))

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict, waiting for it at most so long."""
        await self._readiness.required()
        release_id = await self.meant_by(release_id)
        until, left = asyncio.get_running_loop().time() + seconds, seconds
        while await self.waiting(release_id) is not None:
            if left <= 0.0:
                return None
            await self._outlines.answered(release_id, seconds=min(left, _OUTLINE_SECONDS) if self._tenure.is_shared else left)
            left = max(0.0, until - asyncio.get_running_loop().time())
        if left < seconds:
            release_id = await self.meant_by(release_id)
        return await self._verdict(release_id, seconds=left)

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null while there is no verdict. It may grow while the revert is guarded, and never after."""
        await self._readiness.required()
        release_id = await self.meant_by(release_id)
        session = self._registry.find_running(release_id) or await self.elsewhere(release_id)
        if session is not None:
            return record_of(session) if session.stage is Stage.GUARDING else None
        with suppress(NotFound):
            return await self._record(release_id)
        # A broker that has lost everything has lost it too; who has ended it knows it still, for a while.
        session = self._registry.get(release_id)
        return None if session.verdict is None or session.stage is not Stage.ENDED else record_of(session)

    async def meant_by(self, release_id: str) -> str:
        """The release that is known by this id: its own, or that of an announcement which joined it."""
        if release_id in self._registry:
            return release_id
        return await self._aliases.meant_by(release_id) or release_id

    async def waiting(self, release_id: str) -> ReleaseView | None:
        """An announcement that waits for its arms; null where it is a release by now, also one of another replica's."""
        waiting = self._outlines.find(release_id)
        if waiting is None or not self._tenure.is_shared:
            return waiting
        if release_id in self._registry or await self.elsewhere(release_id) is not None:
            return None
        return None if await self._records.get(release_id) is not None else waiting

    async def elsewhere(self, release_id: str) -> Session | None:
        """A release that is running at another replica; null: none of this id is. Raises as the store does."""
        if not self._tenure.is_shared or release_id in self._registry:
            return None
        try:
            return await self._kept.find(release_id)
        except stored.Unreadable as error:
            raise Elsewhere(f"release {release_id}: what is kept of it cannot be read: {error}") from error

    async def decision(self, release_id: str) -> str:
        """Why a release is not open to a person's word any more. Raises ``NotFound``."""
        if release_id not in self._registry:
            return (await self._record(release_id)).verdict.reason
        session = self._registry.get(release_id)
        return session.decision.reason if session.decision else session.stage

    async def _verdict(self, release_id: str, *, seconds: float) -> Verdict | None:
        """Waiting for it at most so long, wherever the release is meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            left = max(0.0, end - loop.time())
            try:
                if release_id in self._registry:
                    return await self._registry.wait(release_id, seconds=left)
            except Elsewhere:
                if not self._tenure.is_shared:
                    raise
            session = await self.elsewhere(release_id)
            if session is None and release_id not in self._registry:
                return (await self._record(release_id)).verdict
            if session is not None and (session.settled or not left):
                return session.verdict
            await asyncio.sleep(min(left, _LOOK_SECONDS))

    async def _record(self, release_id: str) -> Record:
        kept = await self._records.get(release_id)
        if kept is None:
            if (why := await self._kept.elsewhere(release_id)) is not None:
                raise Elsewhere(f"release {release_id}: {why}")
            if (over := await self._outlines.over(release_id)) is not None:
                raise CameToNothing(f"no release {release_id!r}", why=over.why, since=over.since, at=over.at)
            raise NotFound(f"no release {release_id!r}")
        try:
            return decode_record(kept.value)
        except stored.NewerForm as error:
            raise Elsewhere(f"release {release_id}: its record was {error}") from error
        except stored.Unreadable as error:
            raise stored.Unreadable(f"the record of release {release_id} cannot be read: {error}") from error


def _ended(release_id: str, record: Record) -> ReleaseView:
    return ReleaseView(
        id=release_id,
        release=record.release,
        stage=Stage.ENDED,
        submitted_at=record.marks[0].at,
        ticks=record.verdict.ticks,
        seconds=record.seconds or 0.0,
        owner=owner_of(record.marks),
        steps=record.marks,
        canary_requests=record.canary_requests or 0,
        baseline_requests=record.baseline_requests or 0,
        gaps=record.gaps or 0,
        evidence=record.verdict.evidence,
        boundary=record.verdict.boundary,
        after=record.verdict.after,
        verdict=record.verdict,
    )
