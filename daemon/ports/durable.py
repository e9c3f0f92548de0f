"""What must be safe before the engine goes on: stores, and those who are told of verdicts.

Every call returns when the other side has acknowledged, and raises when it has not. What then may have been done, or not, is done
again: each call is made so that twice is once.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol, runtime_checkable

import msgspec

from daemon.interventions import AuditEntry
from daemon.model import Outline, Release, Verdict
from daemon.placement import ObjectName
from daemon.ports.notices import PersonWanted, Sequel


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A value as a store has it, and the number of the write that put it there (1 or more; later writes have larger ones).

    ``age_seconds`` is how long ago that was by the store's own clock; null where it was not asked.
    """

    value: bytes
    revision: int
    age_seconds: float | None = None


class Store(Protocol):
    """A durable map from a key (a release id) to bytes."""

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; returns the value's revision when it is durable.

        With ``over`` only where that revision is the newest one, 0 where there is none; else raises ``Conflict``.
        """
        ...

    async def get(self, key: str) -> Kept | None:
        """Read; null when absent."""
        ...

    async def delete(self, key: str) -> None:
        """Remove; no error when absent."""
        ...

    async def items(self) -> list[tuple[str, Kept]]:
        """Everything with its age, for recovery."""
        ...


class SessionStore(Store, Protocol):
    """A store that knows what should be in it."""

    async def lost(self) -> list[str]:
        """Keys that were written and not deleted, and are not there: somebody else has removed them."""
        ...


class VerdictLog(Protocol):
    """The one account of all verdicts: what stands there was told, and stands, whatever else is known."""

    async def publish(self, verdict: Verdict) -> None:
        """Publish once, however often it is called; returns only when the publication is acknowledged.

        Raises when it is not: to be called again, with the same verdict.
        """
        ...

    async def published(self, release_ids: AbstractSet[str], *, since: float) -> Mapping[str, Verdict | None]:
        """Which of these releases have a verdict that was published since then (seconds since 1970), by release id.

        Null is a verdict that is out and cannot be read here: a newer version has told it.
        """
        ...


class AuditLog(Protocol):
    """The account of who said what, and of what was done."""

    async def publish(self, entry: AuditEntry) -> None:
        """Publish once, however often it is called; as ``VerdictLog.publish``."""
        ...


class VerdictSink(Protocol):
    """A further place that is told of verdicts: one of several, each tried by itself. It learns only what is decided for good."""

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """Whether this verdict is for it. Pure, and the same for the same verdict."""
        ...

    async def publish(self, release: Release, verdict: Verdict) -> None:
        """Tell it once, however often it is called, over restarts too; returns only when that is acknowledged.

        Raises when it is not: to be called again, with the same verdict.
        """
        ...


@runtime_checkable
class AskingSink(VerdictSink, Protocol):
    """One that can tell that a person is waited for, too: before there is a verdict, which takes its place there."""

    def asks(self, release: Release) -> bool:
        """Whether it is to be told so of this release. Pure."""
        ...

    async def ask(self, wanted: PersonWanted) -> None:
        """Tell it once, as ``publish`` does."""
        ...


@runtime_checkable
class FollowingSink(VerdictSink, Protocol):
    """One that can tell what came after the verdict, too; it is asked only once it has the verdict."""

    def follows(self, sequel: Sequel) -> bool:
        """Whether it is to be told this. Pure."""
        ...

    async def follow(self, sequel: Sequel) -> None:
        """Tell it once, as ``publish`` does."""
        ...


@runtime_checkable
class AnsweringSink(VerdictSink, Protocol):
    """One that answers somebody who waits, and may be asked to again: by a verdict that others have been told."""

    def answers(self, said: Release | Outline) -> bool:
        """Whether somebody of this announcement waits there. Pure."""
        ...

    async def answer(self, release: Release, verdict: Verdict, *, asked_as: str) -> None:
        """Tell it once to whom the release names, as ``publish`` does. ``asked_as``: what tells who asks from others."""
        ...


@runtime_checkable
class PlacedSink(VerdictSink, Protocol):
    """One that tells it where the release is. ``publish`` is not called then."""

    async def publish_at(self, release: Release, verdict: Verdict, *, routes: Sequence[ObjectName], workload: str) -> None:
        """See ``VerdictSink.publish``.

        Args:
            release, verdict: as there.
            routes: the objects whose routes named the canary, and that owned those, in the cluster where it was judged.
            workload: the canary's, by name; empty where it is not known.
        """
        ...
