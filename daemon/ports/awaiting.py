"""Announcements whose arms nobody has said: they are kept until the arms are seen in the cluster."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from daemon.model import Outline

HOW_TO_ANSWER: Final = "annotate the route with verdictd.io/canary, or announce the release with baseline and canary"
"""To whoever can say which arms are meant."""


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """One of them.

    Attributes:
        release_id, sender: of the announcement.
        outline: what it says.
        since, until: when it was announced, and when it lapses, in seconds since 1970.
    """

    release_id: str
    sender: str
    outline: Outline
    since: float
    until: float


class RouteSays(msgspec.Struct, frozen=True, kw_only=True):
    """Why an announcement waits on at a route. ``missing``: the fields that somebody must say, where time alone does not tell."""

    route: str
    why: str
    missing: tuple[str, ...] = ()


class WaitingAnnouncement(msgspec.Struct, frozen=True, kw_only=True):
    """One that waits, as it is shown.

    Attributes:
        id: under which its release will be known.
        service, namespace: of what.
        waits_for: for a sentence: ``canary of web that is registry.example/web:1.5.0``.
        sender: who has announced it, or asks at which gate.
        since, until: when it was announced, and when it lapses, in seconds since 1970.
        routes: what each route says of it, as far as this daemon watches them.
    """

    id: str
    service: str
    namespace: str
    waits_for: str
    sender: str
    since: float
    until: float
    routes: tuple[RouteSays, ...] = ()


def shown(awaiting: "Awaiting") -> tuple[WaitingAnnouncement, ...]:
    """All that wait, the oldest first."""
    return tuple(
        WaitingAnnouncement(
            id=one.release_id,
            service=one.outline.service,
            namespace=one.outline.namespace,
            waits_for=one.outline.named,
            sender=one.sender,
            since=one.since,
            until=one.until,
            routes=tuple(awaiting.said(one.release_id)),
        )
        for one in awaiting.all()
    )


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """An announcement that came to nothing: why, when it was announced, and when that was; in seconds since 1970."""

    why: str
    since: float
    at: float


class Awaiting(Protocol):
    """Where they wait. Whoever finds the arms announces the release under the announcement's own id."""

    async def load(self) -> None:
        """Read them back. Raises ``TransientError``."""
        ...

    async def keep(self, outline: Outline, *, release_id: str, sender: str, since: float) -> Awaited:
        """Have it wait; returns when that is durable. One that waits already goes on as it is.

        Raises:
            InvalidInput: nobody looks where it says that the service runs.
            Refused: too many wait.
            TransientError: it may be kept or not.
        """
        ...

    def find(self, release_id: str) -> Awaited | None:
        """One that waits."""
        ...

    def all(self) -> Sequence[Awaited]:
        """Those that wait, in the order in which they came."""
        ...

    def said(self, release_id: str) -> Sequence[RouteSays]:
        """What each route says of one that waits."""
        ...

    async def over(self, release_id: str) -> Over | None:
        """Why one has come to nothing, at whichever replica, as long as that is kept. Raises ``TransientError``."""
        ...

    async def answered(self, release_id: str, *, seconds: float) -> None:
        """Returns when it waits no more, after so many seconds at the latest."""
        ...

    async def forget(self, release_id: str, *, why: str = "") -> None:
        """It waits no more: it has become a release, or why not. No error where it did not wait. Raises ``TransientError``."""
        ...
