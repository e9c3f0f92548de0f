"""Which clusters have a daemon, as far as the broker knows.

Each daemon reads events through a durable consumer of its own, named after its cluster. So a cluster is served when that
consumer is there: no registry that could disagree with it, and nothing to keep alive. The consumer outlives its daemon, as it
must (events wait for it); whoever takes a cluster out of service removes it.
"""

import time
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from config.errors import nearest
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.translating import translated
from daemon.errors import InvalidEvent, VerdictdError

_PREFIX = "verdictd-"
# How long an answer "served" is believed: an event for a neighbour costs no question of its own.
REMEMBERED_SECONDS = 60.0
_SHOWN = 10
# JetStream's number for it. A stream that is gone is "not found" as well, and says nothing of clusters.
_NO_SUCH_CONSUMER = 10014
_PAGE = 256


def durable_of(cluster: str) -> str:
    """The name of the consumers of this cluster's daemon."""
    return f"{_PREFIX}{cluster}"


async def daemons(jetstream: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    """How far the daemon of each cluster has come in a stream: all pages of its consumers, those of other tools left out."""
    found: list[ConsumerInfo] = []
    while True:
        page = await jetstream.consumers_info(stream, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return [info for info in found if info.name.startswith(_PREFIX)]


class Served:
    """Asks who is there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, float] = {}

    async def check(self, cluster: str, *, path: str) -> None:
        """Do nothing when somebody serves ``cluster``.

        Raises:
            InvalidEvent: nobody does; names those that are there, and the nearest of them.
            VerdictdError: it could not be told.
        """
        if self._known.get(cluster, 0.0) > time.monotonic():
            return
        with translated(f"looking for the cluster {cluster}"):
            try:
                await self._connection.jetstream.consumer_info(subjects.RELEASES, durable_of(cluster))
            except NotFoundError as error:
                if error.err_code != _NO_SUCH_CONSUMER:
                    raise
            else:
                self._known[cluster] = time.monotonic() + REMEMBERED_SECONDS
                return
        raise _unserved(cluster, await self._clusters(), path=path)

    async def _clusters(self) -> list[str]:
        """Those that are there, in alphabetical order; empty when they cannot be listed now, for they are only told."""
        try:
            with translated("listing clusters"):
                found = await daemons(self._connection.jetstream, subjects.RELEASES)
        except VerdictdError:
            return []
        return sorted(info.name.removeprefix(_PREFIX) for info in found)


_FIX: Final = "correct the name, say under mapping what it is called here, or start that cluster's daemon and send the event again"


def _unserved(cluster: str, known: list[str], *, path: str) -> InvalidEvent:
    there = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    guess = nearest(cluster, known)
    return InvalidEvent(
        f"no daemon serves the cluster {cluster!r}" + (f"; there are {there}" if known else ""),
        path=path,
        fix=f"did you mean {guess}?" if guess else _FIX,
    )
