"""What is said of releases is done where their service is: here, or at the replica to which it is carried.

Whatever another replica has carried here is done as if it had been said here. A person's word is acted on before it is kept: it
must take traffic back also while the store is away. The answer waits for that a moment, and says whether it is kept.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final, assert_never

import msgspec

from daemon.engine import deciding
from daemon.engine.admission import Admission
from daemon.engine.attempts import Attempts
from daemon.engine.carrying import Carrying, Inquiry, Said, Submission, Word, answered
from daemon.engine.feed import view
from daemon.engine.joining import Newcomer
from daemon.engine.latecomers import Latecomers
from daemon.engine.lookup import Lookup
from daemon.engine.outlines import Outlines
from daemon.engine.readiness import Readiness
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.engine.supervisor import Supervisor
from daemon.errors import NotFound, Refused, Unavailable
from daemon.interventions import Command
from daemon.model import Outline, Release, Stage
from daemon.releaseview import ReleaseView

_SENDER_CHARACTERS: Final = 200
KEPT_SECONDS: Final = 1.0
"""For so long the answer to a person's word waits until that is kept."""


class Dispatcher:
    """Implements what of ``ReleaseService`` does something."""

    def __init__(
        self,
        state: EngineState,
        *,
        lookup: Lookup,
        outlines: Outlines,
        admission: Admission,
        latecomers: Latecomers,
        supervisor: Supervisor,
        readiness: Readiness,
    ) -> None:
        shared, clock = state.ports.shared, state.ports.clock
        self._carrying: Carrying | None = None
        if shared is not None:
            self._carrying = Carrying(shared.carrier, lease_seconds=shared.lease_seconds, clock=clock)
        self._clock = clock
        self._checkpoints = state.checkpoints
        self._attempts = Attempts(state.registry, now=clock.now)
        self._registry = state.registry
        self._lookup = lookup
        self._outlines = outlines
        self._admission = admission
        self._latecomers = latecomers
        self._supervisor = supervisor
        self._tenure = state.tenure
        self._readiness = readiness

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        """Begin watching. Raises ``Unavailable`` while it cannot be made durable."""
        await self._readiness.required()
        if await self._latecomers.answered(release, release_id=release_id):
            return await self._lookup.view(release_id)
        if isinstance(release, Outline):
            with suppress(NotFound):
                return await self._lookup.view(release_id)
            sender = sender[:_SENDER_CHARACTERS]
            return await self._outlines.keep(release, release_id=release_id, sender=sender, announced_at=announced_at)
        said = Submission(release=release, release_id=release_id, sender=sender, announced_at=announced_at)
        if (there := await self._carried(said, of=release)) is not None:
            return there
        if release_id not in self._registry:
            newcomer = Newcomer(
                release=release, release_id=release_id, sender=sender[:_SENDER_CHARACTERS], announced_at=announced_at
            )
            release_id = await self._admission.admit(newcomer)
        return await self._lookup.view(release_id)

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        """The one that is under way."""
        await self._readiness.required()
        said = Inquiry(release=release, release_id=release_id, sender=sender, silence_seconds=silence_seconds)
        if (there := await self._carried(said, of=release)) is not None:
            return there
        async with self._attempts.turn(release):
            if not self._tenure.is_here(release):
                raise Unavailable("its service has gone to another replica meanwhile; try again")
            if (meant := self._attempts.meant(release, silence_seconds=silence_seconds)) is not None:
                return await self._lookup.view(meant)
            return await self.submit(release, release_id=release_id, sender=sender)

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word."""
        await self._readiness.required()
        release_id = await self._lookup.meant_by(release_id)
        waits = await self._lookup.waiting(release_id) is not None
        if waits and (withdrawn := await self._outlines.command(release_id, command)) is not None:
            return withdrawn
        session = self._registry.find_running(release_id)
        if session is None and (kept := await self._lookup.elsewhere(release_id)) is not None:
            said = Word(release_id=release_id, command=command)
            if (there := await self._carried(said, of=kept.release)) is not None:
                return there
            session = self._registry.find_running(release_id)
        if session is None or session.stage not in {Stage.LOCATING, Stage.WATCHING}:
            raise Refused(f"release {release_id} is decided already: {await self._lookup.decision(release_id)}")
        if not self._tenure.is_sure():
            raise Unavailable("this replica is not sure that the release is still its own; try again")
        after = deciding.commanded(session, command, now=self._clock.now())
        self._supervisor.decided(after)
        return msgspec.structs.replace(view(after), kept=await self._is_kept(after))

    async def _is_kept(self, session: Session) -> bool:
        """Whether this state, or a newer one, is kept within a moment. What it is refused with is said by who writes it."""
        kept = asyncio.ensure_future(self._checkpoints.saved(session))
        kept.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([kept], timeout=KEPT_SECONDS)
        return kept.done() and not kept.cancelled() and kept.exception() is None

    async def answer(self, words: bytes) -> bytes:
        """What another replica has carried here. Where it has moved on meanwhile, it is carried there by whoever asks again."""
        return await answered(words, does=self._do)

    async def _do(self, said: Said) -> ReleaseView:
        match said:
            case Submission() | Inquiry() if not self._tenure.is_here(said.release):
                raise Unavailable("its service is not here")
            case Submission():
                return await self.submit(
                    said.release, release_id=said.release_id, sender=said.sender, announced_at=said.announced_at
                )
            case Inquiry():
                return await self.attempt(
                    said.release, release_id=said.release_id, sender=said.sender, silence_seconds=said.silence_seconds
                )
            case Word():
                there = await self._lookup.elsewhere(said.release_id)
                if there is not None and not self._tenure.is_here(there.release):
                    raise Unavailable("its service is not here")
                return await self.command(said.release_id, said.command)
            case _:
                assert_never(said)

    async def _carried(self, said: Said, *, of: Release) -> ReleaseView | None:
        """The answer of the replica that has the release's service; null: it is here."""
        if self._carrying is None:
            return None
        return await self._carrying.carry(said, where=partial(self._tenure.other, of))
