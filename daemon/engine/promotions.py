"""What was promoted of each service, and what was taken back: a canary that was good a few days ago is a return to it.

Who goes back to a version that has served before should not have to prove it again for as long as a new one: no minimum is asked
of its promotion, and gates say yes at once. It is watched and judged as any other. Only the same artifact is the same version:
what cannot be told to be it is not, and what may have been taken back since was. Configuration is no part of an artifact.

Each service has one value, changed before a verdict is told, so that nobody can act on one that is not in it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from config.policy import Policy
from daemon import names
from daemon.engine import artifacts
from daemon.engine.session import Session
from daemon.engine.sharedvalue import SharedValue
from daemon.model import Outcome, Outline, Release, Verdict
from daemon.ports.durable import Store

MOST: Final = 50
"""Verdicts of a service that are kept, the latest ones."""
_DAY_SECONDS: Final = 86_400.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A release whose canary was promoted, or else taken back, at ``at`` (seconds since 1970)."""

    release_id: str
    artifact: str | None
    at: float
    promoted: bool


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    told: tuple[Told, ...]


class Promotions:
    """Those of a cluster, in ``store``, by service."""

    def __init__(self, store: Store) -> None:
        self._kept = SharedValue(
            store,
            empty=_Kept(told=()),
            unreadable="what was promoted cannot be read: nothing was",
            contested="others change what was promoted of this service at the same time",
        )

    async def of(self, release: Release | Outline) -> tuple[Told, ...]:
        """What is known of the release's service, the oldest first. Raises as the store does."""
        return (await self._kept.read(_key(release))).told

    async def keep(self, release: Release, verdict: Verdict) -> None:
        """Put a verdict there, if it says something; twice is once. Raises ``Conflict``, and as the store does."""
        if (new := _told(release, verdict)) is None:
            return

        def changed(kept: _Kept) -> _Kept:
            told = [one for one in kept.told if one.release_id != new.release_id]
            return _Kept(told=tuple(sorted([*told, new], key=lambda one: one.at)[-MOST:]))

        await self._kept.change(_key(release), changed)


def standing(
    release: Release, policy: Policy, *, told: Iterable[Told], sessions: Iterable[Session] = (), now: float
) -> Told | None:
    """The promotion that a release returns to; null: it is no return, for example since it does not name a version for good.

    By the strategy pods it is the mesh that changes, whatever artifact the pods have.

    Args:
        release: as it was announced.
        policy: what it is judged by.
        told: of the release's service.
        sessions: those of the service that are in memory: one that is being taken back is not in ``told`` yet.
        now: in seconds since 1970.
    """
    if not policy.return_days or release.strategy == "pods" or not artifacts.is_lasting(release.artifact):
        return None
    going = [
        Told(release_id=one.release_id, artifact=one.release.artifact, at=one.decision.at, promoted=False)
        for one in sessions
        if one.decision is not None and one.decision.outcome is Outcome.ROLLBACK
    ]
    for one in sorted([*told, *going], key=lambda one: (one.at, not one.promoted), reverse=True):
        same = artifacts.same(one.artifact, release.artifact)
        if not one.promoted and same is not False:
            return None
        if one.promoted and same is True:
            return one if now - one.at <= policy.return_days * _DAY_SECONDS else None
    return None


def words(told: Told) -> str:
    """To what a release returns, for its verdict."""
    day = datetime.fromtimestamp(told.at, UTC).date().isoformat()
    return f"a return to {told.artifact}, which release {told.release_id} promoted on {day}"


def _told(release: Release, verdict: Verdict) -> Told | None:
    """Null of what says nothing of a version: one that was promoted and has no name, or that was not decided."""
    promoted = verdict.outcome is Outcome.PROMOTE
    if verdict.outcome is Outcome.INCONCLUSIVE or (promoted and release.artifact is None) or release.strategy == "pods":
        return None
    return Told(release_id=verdict.release_id, artifact=release.artifact, at=verdict.decided_at, promoted=promoted)


def _key(release: Release | Outline) -> str:
    return names.new_release_id(release.service, origin=f"{release.namespace}/{release.service}")
