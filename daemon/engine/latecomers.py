"""A job that asks for a verdict which is there already: it is answered at once from that, and no watch is begun for it.

A pipeline's job often waits for the canary's verdict before the next one asks for it, and a run that is done again asks once more.
Whose verdict is meant is told by what both say is new, or by the run itself where that has been answered before; in doubt it is
nobody's, and the announcement goes the usual way. A release that is still open is met there. What was decided is read from memory
and from what is kept of the service, so that a restart and every replica know the same, as far as it is not inconclusive.

The newest decision counts: who asks for what was promoted is told where the watch after that has taken it back, and waits while
it does.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

import msgspec

from daemon import stored
from daemon.engine import afterwards, artifacts
from daemon.engine.aliases import Aliases
from daemon.engine.keptforms import decode_record
from daemon.engine.promotions import Promotions, Told
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.errors import Unavailable
from daemon.model import Outcome, Outline, Record, Release, Stage, Verdict
from daemon.ports.durable import AnsweringSink

log = logging.getLogger(__name__)

ANSWERED_SECONDS: Final = 86_400.0
"""For so long after it a verdict is what a job means that asks only now."""
_MOST_READ: Final = 10
"""Of a service's latest verdicts."""


class Latecomers:
    """Those of all services.

    Args:
        state: what there is, here and at other replicas.
        promotions: what was decided of each service.
        aliases: by which ids a release is known.
    """

    def __init__(self, state: EngineState, *, promotions: Promotions, aliases: Aliases) -> None:
        self._ports = state.ports
        self._registry = state.registry
        self._kept_sessions = state.checkpoints.kept
        self._tenure = state.tenure
        self._promotions = promotions
        self._aliases = aliases
        self._said: set[str] = set()  # the releases of whose records it was said that they cannot be read

    async def answered(self, said: Release | Outline, *, release_id: str) -> bool:
        """Whether a verdict has answered it, which is durable then, and whose release is known by this id from now on.

        Raises:
            Unavailable: its verdict is being told; or what is kept cannot be read or written now.
        """
        if said.github_rule is None or not any(self._answering(said)):
            return False
        if await self._aliases.meant_by(release_id) is not None or release_id in self._registry:
            return False
        found = await self._decided(said)
        if found is None:
            return False
        release, verdict = found
        await self.answer(said, release_id=release_id, release=release, verdict=verdict)
        await self._aliases.keep(release_id, release_id=verdict.release_id)
        return True

    async def answer(self, said: Release | Outline, *, release_id: str, release: Release, verdict: Verdict) -> None:
        """Have a verdict told to the job that asks, by whoever answers such; returns when that is durable. Raises as they do.

        Args:
            said, release_id: what asks, and as which announcement.
            release, verdict: what it is told of.
        """
        to = msgspec.structs.replace(release, github_rule=said.github_rule)
        # Of itself the watch after a promotion answers nobody; to who asks only now its verdict is that of the canary.
        as_any = msgspec.structs.replace(verdict, after=None)
        for name, sink in self._answering(said):
            if sink.wants(to, as_any):
                await sink.answer(to, verdict, asked_as=release_id)
                log.info("answered by a verdict that was there", extra={"sink": name, "by": verdict.release_id})

    def _answering(self, said: Release | Outline) -> Iterator[tuple[str, AnsweringSink]]:
        for name, sink in self._ports.sinks.items():
            if isinstance(sink.to, AnsweringSink) and sink.to.answers(said):
                yield name, sink.to

    async def standing(self, session: Session) -> tuple[Release, Verdict]:
        """What stands of a release that has its verdict, and that verdict: its own, or that of the watch after its promotion.

        Raises:
            Unavailable: the one after it has not been told yet, or cannot be read; and as the stores do.
        """
        ids = {session.release_id, afterwards.id_of(session)}
        told = [one for one in await self._promotions.of(session.release) if one.release_id in ids]
        sessions = [one for one in await self._sessions(session.release) if one.release_id in ids]
        found = await self._latest(sessions, told, artifact=session.release.artifact, means=lambda _: True)
        if found is None:
            raise Unavailable(f"what became of release {session.release_id} after its promotion cannot be read; try again")
        return found

    async def _decided(self, said: Release | Outline) -> tuple[Release, Verdict] | None:
        """The release that is meant and its verdict, the latest one; null: it is still open, or is not known."""
        sessions = await self._sessions(said)
        if any(one.decision is None and one.after is None for one in sessions):
            return None
        told = await self._promotions.of(said)
        return await self._latest(sessions, told, artifact=said.artifact, means=partial(_means, said))

    async def _sessions(self, said: Release | Outline) -> list[Session]:
        """Those of its service that are in memory, here or at another replica."""
        kept = await self._kept_sessions.all() if self._tenure.is_shared else []
        elsewhere = (one for one in kept if one.release_id not in self._registry and _is_of(one.release, said))
        return [*self._registry.of_service(said), *elsewhere]

    async def _latest(
        self, sessions: Iterable[Session], told: Iterable[Told], *, artifact: str | None, means: Callable[[Release], bool]
    ) -> tuple[Release, Verdict] | None:
        """What was decided last of what is meant; null: nothing, or what took it back, maybe, cannot be read.

        Raises:
            Unavailable: that is being told; and as the records do.
        """
        newest_first = sorted(sessions, key=lambda one: one.age, reverse=True)
        known = {one.release_id for one in newest_first}
        kept = [one for one in told if one.release_id not in known][-_MOST_READ:]
        meant = [one for one in newest_first if means(one.release) and not _left_it(one)]
        both: list[Session | Told] = [*meant, *kept]
        now = self._ports.clock.now()
        for one in sorted(both, key=_decided_at, reverse=True):
            if now - _decided_at(one) > ANSWERED_SECONDS:
                return None
            if isinstance(one, Session):
                return _verdict_of(one)
            record = await self._record(one.release_id)
            if record is not None and means(record.release):
                return record.release, record.verdict
            if record is None and not one.promoted and artifacts.same(one.artifact, artifact) is not False:
                return None
        return None

    async def _record(self, release_id: str) -> Record | None:
        """Null where there is none, or none that can be read, which is said once."""
        kept = await self._ports.records.get(release_id)
        try:
            return None if kept is None else decode_record(kept.value)
        except stored.Unreadable as error:
            if release_id not in self._said:
                self._said.add(release_id)
                self._ports.meter.failed("record", error)
                log.warning("a record cannot be read: no job is answered from it", extra={"of": release_id, "reason": str(error)})
            return None


def _is_of(release: Release, said: Release | Outline) -> bool:
    return (release.namespace, release.service) == (said.namespace, said.service)


def _left_it(session: Session) -> bool:
    """Whether it is a watch after a promotion that leaves the canary where it is: who asked before was let go by the promotion."""
    return session.after is not None and (session.decision is None or session.decision.outcome is Outcome.INCONCLUSIVE)


def _decided_at(one: Session | Told) -> float:
    if isinstance(one, Told):
        return one.at
    assert one.decision is not None  # those that are open mean nothing yet, or are left out
    return one.decision.at


def _verdict_of(session: Session) -> tuple[Release, Verdict]:
    """A release with its verdict. Raises ``Unavailable`` until that is told."""
    if session.verdict is None or session.stage in {Stage.REVERTING, Stage.PUBLISHING}:
        raise Unavailable(f"the verdict of release {session.release_id} is being told; try again")
    return session.release, session.verdict


def _means(said: Release | Outline, release: Release) -> bool:
    """Whether what is said to be new is this release's canary: by its run, the artifact, the commit, or the version."""
    if said.github_rule == release.github_rule:
        return True
    if artifacts.same(said.artifact, release.artifact) is False:
        return False
    ours, theirs = (release.artifact, release.revision), (said.artifact, said.revision)
    if any(artifacts.same(one, other) is True for one in theirs for other in ours):
        return True
    version = said.version if isinstance(said, Outline) else None
    return version is not None and version in {release.canary.version, release.artifact}
