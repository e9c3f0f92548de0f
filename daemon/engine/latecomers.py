"""A job that asks for a verdict which is there already: it is answered at once from that, and no watch is begun for it.

A pipeline's job often waits for the canary's verdict before the next one asks for it, and a run that is done again asks once more.
Whose verdict is meant is told by what both say is new, or by the run itself where that has been answered before; in doubt it is
nobody's, and the announcement goes the usual way. A release that is still open is met there. What was decided is read from memory
and from what is kept of the service, so that a restart and every replica know the same, as far as it is not inconclusive.
"""

import logging
from collections.abc import Iterator
from typing import Final

import msgspec

from daemon.engine import artifacts
from daemon.engine.aliases import Aliases
from daemon.engine.keptforms import decode_record
from daemon.engine.promotions import Promotions
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.errors import Unavailable
from daemon.model import Outline, Release, Stage, Verdict
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
        for name, sink in self._answering(said):
            if sink.wants(to, verdict):
                await sink.answer(to, verdict, asked_as=release_id)
                log.info("answered by a verdict that was there", extra={"sink": name, "by": verdict.release_id})

    def _answering(self, said: Release | Outline) -> Iterator[tuple[str, AnsweringSink]]:
        for name, sink in self._ports.sinks.items():
            if isinstance(sink.to, AnsweringSink) and sink.to.answers(said):
                yield name, sink.to

    async def _decided(self, said: Release | Outline) -> tuple[Release, Verdict] | None:
        """The release that is meant and its verdict, the latest one; null: it is still open, or is not known."""
        kept = await self._kept_sessions.all() if self._tenure.is_shared else []
        elsewhere = (one for one in kept if one.release_id not in self._registry and _is_of(one.release, said))
        sessions = [one for one in (*self._registry.of_service(said), *elsewhere) if one.after is None]
        if any(one.decision is None for one in sessions):
            return None
        for session in sorted(sessions, key=lambda one: one.age, reverse=True):
            if _is_fresh(session, now=self._ports.clock.now()) and _means(said, session.release):
                if session.verdict is None or session.stage in {Stage.REVERTING, Stage.PUBLISHING}:
                    raise Unavailable(f"the verdict of release {session.release_id} is being told; try again")
                return session.release, session.verdict
        return await self._kept(said)

    async def _kept(self, said: Release | Outline) -> tuple[Release, Verdict] | None:
        """The same by what is kept of the service. Raises as the stores do."""
        told = await self._promotions.of(said)
        now = self._ports.clock.now()
        for one in list(reversed(told))[:_MOST_READ]:
            kept = await self._ports.records.get(one.release_id) if now - one.at <= ANSWERED_SECONDS else None
            if kept is not None and _means(said, (record := decode_record(kept.value)).release):
                return record.release, record.verdict
        return None


def _is_of(release: Release, said: Release | Outline) -> bool:
    return (release.namespace, release.service) == (said.namespace, said.service)


def _is_fresh(session: Session, *, now: float) -> bool:
    return session.decision is not None and now - session.decision.at <= ANSWERED_SECONDS


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
