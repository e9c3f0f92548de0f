"""Announcements whose arms nobody has said: they are kept until the arms are seen in the cluster."""

from typing import Protocol

import msgspec

from daemon.model import Outline


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

    def why(self, release_id: str) -> str:
        """Why it waits, or why it does no more; empty: that is not known."""
        ...

    async def answered(self, release_id: str, *, seconds: float) -> None:
        """Returns when it waits no more, after so many seconds at the latest."""
        ...

    async def forget(self, release_id: str, *, why: str = "") -> None:
        """It waits no more: it has become a release, or why not. No error where it did not wait. Raises ``TransientError``."""
        ...
