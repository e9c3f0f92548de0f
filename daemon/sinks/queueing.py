"""Verdicts into a channel's queue: to the engine that is a sink, which has the verdict when the queue has."""

from collections.abc import Callable

from daemon.model import Release, Verdict
from daemon.ports.notices import Notice, NoticeQueue


class QueueingSink:
    """Implements ``VerdictSink``.

    Args:
        queue: the channel's.
        wanted: whether a notice is for the channel. Pure.
    """

    def __init__(self, queue: NoticeQueue, *, wanted: Callable[[Notice], bool]) -> None:
        self._queue = queue
        self._wanted = wanted

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """See ``VerdictSink.wants``."""
        return self._wanted(Notice(release=release, verdict=verdict))

    async def publish(self, release: Release, verdict: Verdict) -> None:
        """See ``VerdictSink.publish``."""
        await self._queue.put(Notice(release=release, verdict=verdict))
