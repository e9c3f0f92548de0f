"""Verdicts on their way to channels: kept until each was told, or given up with the reason.

A notice is kept when its verdict is durable, and goes when it was acknowledged. Between the two it comes again, after a restart
too, and always under the same id: whoever is told twice can know it.
"""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from daemon.model import Release, Verdict


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel tells: one verdict, and the release it is of."""

    release: Release
    verdict: Verdict

    @property
    def id(self) -> str:
        """The same in every attempt, and that of the verdict's CloudEvent."""
        return f"{self.verdict.release_id}.verdict"

    @property
    def release_id(self) -> str:
        """Of which release it is."""
        return self.verdict.release_id


class PersonWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel tells before there is a verdict: the canary was found good, and a person is to say whether it is promoted.

    Attributes:
        release, release_id, cluster: which it is.
        until: how long it waits, in seconds since 1970.
        reason: what was found.
    """

    release: Release
    release_id: str
    cluster: str
    until: float
    reason: str

    @property
    def id(self) -> str:
        """The same in every attempt."""
        return f"{self.release_id}.person"


SequelKind = Literal["traffic_left", "reverted_again", "reverted_late", "revert_given_up"]
"""What may come after a verdict: the canary gets no more requests; somebody undid the revert, and it was done again; it had failed,
and was done at last, or is not tried any more."""


class Sequel(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel tells after the verdict: something has become of its revert. The verdict stands as it was told.

    Attributes:
        release: which it is.
        of: the verdict that it comes after.
        kind: what it is.
        at: when it was seen, in seconds since 1970.
        detail: what was seen, in a sentence; may quote strangers.
        times: how often it has happened by now.
    """

    release: Release
    of: Verdict
    kind: SequelKind
    at: float
    detail: str = ""
    times: int = 1

    @property
    def name(self) -> str:
        """What tells it from the others of its release."""
        return self.kind if self.times == 1 else f"{self.kind}.{self.times}"

    @property
    def id(self) -> str:
        """The same in every attempt, and that of its CloudEvent."""
        return f"{self.release_id}.{self.name}"

    @property
    def release_id(self) -> str:
        """Of which release it is."""
        return self.of.release_id


News = Notice | PersonWanted | Sequel
"""What a channel may be told."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """How many notices wait, those in work included, and since when the oldest does (seconds since 1970; null: none waits)."""

    waiting: int
    oldest_at: float | None


class QueuedNotice(Protocol):
    """A notice that was handed out and wants one of three answers."""

    @property
    def attempt(self) -> int:
        """How often it was handed out, this time included; counted over restarts."""
        ...

    @property
    def queued_at(self) -> float:
        """When it was kept, in seconds since 1970."""
        ...

    def notice(self) -> News:
        """What it is; raises ``InvalidEvent`` where it cannot be read."""
        ...

    async def done(self) -> None:
        """It was told."""
        ...

    async def later(self, *, seconds: float) -> None:
        """It shall come again after so long."""
        ...

    async def give_up(self, reason: str) -> None:
        """It goes to the dead letters with the reason; where they cannot take it now, it comes again."""
        ...


class NoticeQueue(Protocol):
    """The notices of one channel."""

    async def put(self, notice: News, *, asked_as: str = "") -> None:
        """Keep it; returns when that is durable. One that is kept twice is there once.

        Args:
            notice: what is told.
            asked_as: what tells who has asked for it from others to whom the same is told; empty: nobody has.

        Raises:
            InvalidInput: it is too large.
            TransientError: it may be kept or not; call again.
        """
        ...

    def notices(self) -> AsyncGenerator[QueuedNotice, None]:
        """As they come, for ever."""
        ...

    async def backlog(self) -> Backlog:
        """How many wait. Raises ``VerdictdError``."""
        ...


class NoticeMeter(Protocol):
    """Where the measurements of channels go, by the channel's name."""

    def told(self, channel: str) -> None:
        """A notice was acknowledged."""
        ...

    def failed(self, channel: str, error: Exception) -> None:
        """An attempt failed."""
        ...

    def gave_up(self, channel: str) -> None:
        """A notice went to the dead letters."""
        ...

    def waits(self, channel: str, backlog: Backlog) -> None:
        """How many wait."""
        ...
