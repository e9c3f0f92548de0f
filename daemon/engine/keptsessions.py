"""Sessions as they are kept, and whose each is: read back at the start, and written over one's own last write only.

Every write stands on the one before it (a revision of the store), so that no two processes can both go on with a release: who
finds another's writing in the place of its own leaves the release, and says so. What a newer version kept and this one cannot
read is left in the same way. A process that starts takes over what it finds (``claimed``), since that is mostly a dead one's, whose
last write may still come; one that is alive learns of it with its next write. Else who writes first goes on; where replicas share
the work, who has the service under the larger number.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Sequence

import msgspec

from daemon import stored
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.engine import lifecycle
from daemon.engine.keptforms import Read, Writer, decode, encode, writer_of
from daemon.engine.session import Session
from daemon.errors import Conflict, Elsewhere, TransientError, VerdictdError
from daemon.model import Release
from daemon.ports.durable import Kept, Store
from daemon.ports.service import Meter

log = logging.getLogger(__name__)

CONCURRENT_WRITES = 32
_CLAIMS = 3
_AT_A_STRETCH = 20
"""Sessions that are read before others have their turn."""


class KeptSessions:
    """What the store keeps of releases that have not ended, as far as it is this process's.

    Args:
        store: where sessions are kept.
        records: where those are that have ended.
        clock, meter: the engine's.
        number: under which this process has a release's service; 0: it shares the work with nobody.
    """

    def __init__(
        self, store: Store, *, records: Store, clock: Clock, meter: Meter, number: Callable[[Release], int] = lambda release: 0
    ) -> None:
        self._store = store
        self._records = records
        self._process = uuid.uuid4().hex
        self._number = number
        self._revisions: dict[str, int] = {}
        self._left: dict[str, str] = {}  # at the start only: what is left later is known by its writer
        self._clock = clock
        self._meter = meter

    async def elsewhere(self, release_id: str) -> str | None:
        """Why a release is another verdictd's; null where nothing is kept that is. Raises as the store does."""
        kept = await self._store.get(release_id)
        if kept is None:
            self._left.pop(release_id, None)
            return None
        writer = writer_of(kept.value)
        return self._left.get(release_id) or (_gone_on_with_by(writer) if writer.process not in {"", self._process} else None)

    def leave_alone(self, release_id: str, reason: str) -> None:
        """Note, and say, that a release that was found at the start is another verdictd's."""
        self._left[release_id] = reason
        self.say_left(release_id, reason)

    def say_left(self, release_id: str, reason: str) -> None:
        """Say that a release is another verdictd's."""
        self._meter.failed("checkpoint", Elsewhere(f"release {release_id} is left alone: {reason}"))
        log.warning("a release is left to another verdictd", extra={"release": release_id, "reason": reason})

    async def load(self, mine: Callable[[Release], bool] = lambda release: True) -> list[Session]:
        """The sessions that were kept and can be gone on with, of releases that are ``mine``.

        What cannot be read is reported and left where it is: for the newer version that kept it, or, where it is damaged, until
        its release is announced again.
        """
        sessions = []
        for release_id, kept in await self._store.items():
            try:
                read = decode(kept.value, now=self._clock.now())
                if mine(read.session.release):
                    sessions.append(self._known(read, kept))
            except stored.NewerForm as error:
                self.leave_alone(release_id, str(error))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others must be taken up
                self._revisions[release_id] = kept.revision
                self._say_unreadable(release_id, error)
        return sessions

    async def find(self, release_id: str) -> Session | None:
        """A session as it is kept, whoever has it; null where none is. Raises ``stored.Unreadable``, and as the store does.

        One whose record is there has ended: a broker that was killed may have found again what was removed, and so it lies until
        its service is taken over.
        """
        kept = await self._store.get(release_id)
        if kept is None or await self._records.get(release_id) is not None:
            return None
        return decode(kept.value, now=self._clock.now()).session

    async def all(self) -> list[Session]:
        """All sessions as they are kept, whoever has them, but those that cannot be read. Raises as the store does."""
        found = []
        for count, (_, kept) in enumerate(await self._store.items(), start=1):
            with contextlib.suppress(stored.Unreadable):
                found.append(decode(kept.value, now=self._clock.now()).session)
            if count % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        return found

    async def claimed(self, sessions: Sequence[Session]) -> list[Session]:
        """These sessions, as their newest writing says, with a writing of ours over it: whoever has them besides us leaves them.

        A store that takes no writes now keeps nobody from going on; those that are gone meanwhile are left out.
        """
        places = asyncio.Semaphore(CONCURRENT_WRITES)
        away: list[VerdictdError] = []

        async def one(session: Session) -> Session | None:
            async with places:
                return session if away else await self._claim(session, away)

        async with TaskGroup() as group:
            tasks = [group.create_task(one(session)) for session in sessions]
        return [session for task in tasks if (session := task.result()) is not None]

    async def _claim(self, session: Session, away: list[VerdictdError]) -> Session | None:
        """Null where nothing that can be gone on with is kept any more. Why the store cannot be written goes to ``away``."""
        release_id = session.release_id
        for _ in range(_CLAIMS):
            try:
                over = self._revisions[release_id]
                self._revisions[release_id] = await self._store.put(release_id, self._written(session), over=over)
            except Conflict:
                newest = await self._newest(release_id, away)
                if newest is None:
                    return session if away else None
                session = newest
            except TransientError as error:
                away.append(error)
                return session
            except VerdictdError as error:  # this one is too large, say: told when it is written for its next tick
                self._meter.failed("store", error)
                return session
            else:
                return session
        return session

    async def _newest(self, release_id: str, away: list[VerdictdError]) -> Session | None:
        try:
            kept = await self._store.get(release_id)
            if kept is None:
                return None
            # Written after all were read, so a moment ago: the store says how old a value is only where it reads all of them.
            return self._known(decode(kept.value, now=self._clock.now()), msgspec.structs.replace(kept, age_seconds=0.0))
        except stored.NewerForm as error:
            self.leave_alone(release_id, str(error))
        except stored.Unreadable as error:
            self._say_unreadable(release_id, error)
        except VerdictdError as error:
            away.append(error)
        return None

    def _say_unreadable(self, release_id: str, error: Exception) -> None:
        """Nobody watches it meanwhile."""
        self._meter.failed("checkpoint", VerdictdError(f"session {release_id} cannot be read: {error}"))
        hint = "it gets no verdict unless it is announced again"
        log.error("what is kept of a release cannot be read", extra={"release": release_id, "reason": str(error), "hint": hint})

    def _known(self, read: Read, kept: Kept) -> Session:
        """What was read, as something to go on with."""
        release_id = read.session.release_id
        self._revisions[release_id] = kept.revision
        if read.lost is not None:
            self._meter.failed("checkpoint", VerdictdError(f"evidence of {release_id} is gathered anew: {read.lost}"))
        if read.unread:
            log.warning("a newer version keeps more of a release", extra={"release": release_id, "unread": ", ".join(read.unread)})
        return lifecycle.resumed(read.session, now=self._clock.now(), age_seconds=kept.age_seconds)

    async def put(self, session: Session) -> None:
        """Write, over our last write. One that was not acknowledged may be there all the same. Raises ``Elsewhere``."""
        release_id, value = session.release_id, self._written(session)
        try:
            revision = await self._store.put(release_id, value, over=self._revisions.get(release_id, 0))
        except Conflict:
            over = await self._own_revision(release_id, number=self._number(session.release))
            revision = await self._store.put(release_id, value, over=over)
        self._revisions[release_id] = revision
        self._left.pop(release_id, None)

    async def delete(self, release_id: str) -> None:
        """Remove what is kept of a release that has ended. Raises ``Elsewhere``."""
        await self._own_revision(release_id, ended=True)
        await self._store.delete(release_id)
        self._revisions.pop(release_id, None)

    def _written(self, session: Session) -> bytes:
        return encode(session, writer=str(Writer(process=self._process, number=self._number(session.release))))

    async def _own_revision(self, release_id: str, *, number: int = 0, ended: bool = False) -> int:
        """The newest revision, which a write of ours may stand on; 0 where nothing is kept. Raises ``Elsewhere``.

        What came late from whoever had the service under a smaller ``number`` is written over.
        """
        kept = await self._store.get(release_id)
        if kept is None:
            if not ended and await self._records.get(release_id) is not None:
                raise Elsewhere("another verdictd has ended it: its record is kept already")
            return 0
        writer = writer_of(kept.value)
        # An older one than ours is what a broker that lost its last writes has left.
        is_newer = writer.process != self._process and kept.revision > self._revisions.get(release_id, 0)
        if is_newer and writer.number >= number:
            raise Elsewhere(_gone_on_with_by(writer))
        return kept.revision

    def forget(self, release_id: str) -> None:
        """It is another process's from now on, or nobody's."""
        self._revisions.pop(release_id, None)


def _gone_on_with_by(writer: Writer) -> str:
    return f"another verdictd goes on with it (process {writer.process or 'unknown'})"
