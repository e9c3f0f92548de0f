"""What was decided, longer than it is in memory: for whoever looks back after a restart, or at another replica.

Apart from ``VerdictLog``, which the engine asks about releases that it knows: here somebody reads who knows none.
"""

from typing import Protocol

import msgspec

from daemon.model import Outcome, Verdict


class VerdictFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which verdicts are wanted: those for which all holds that is not null. ``since``: decided since then (seconds since 1970)."""

    namespace: str | None = None
    service: str | None = None
    outcome: Outcome | None = None
    since: float | None = None


class VerdictPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Verdicts, the newest first by their publication.

    A page may be shorter than it was allowed to be, and even empty: only where ``next`` is null are there no older ones.

    Attributes:
        next: the place before which the next page begins.
        unreadable: how many were passed over, as what stands there cannot be read: a newer version has told it, or it is none.
    """

    verdicts: tuple[Verdict, ...]
    next: int | None = None
    unreadable: int = 0


class PastVerdicts(Protocol):
    """The account of all verdicts of this cluster, read backwards."""

    async def page(self, *, limit: int, before: int | None = None, wanted: VerdictFilter) -> VerdictPage:
        """At most so many, from the newest one or from that place on.

        Raises:
            InvalidInput: a name in the filter can be nobody's.
            TransientError: it cannot be read now.
        """
        ...
