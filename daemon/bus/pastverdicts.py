"""Verdicts read back from their stream, the newest first.

A stream is read forwards only. So it is read in windows that end where the one before began; each is as long as a page, and grows
while they turn out nearly empty, as where other clusters' verdicts lie in between. What one question costs is bounded by the
number of windows and of messages, whatever is on the stream: then the page is short, and its ``next`` leads on.
"""

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field

from nats.aio.msg import Msg
from nats.js import api

from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.publisher import SKEW_SECONDS
from daemon.bus.reading import read_to_end
from daemon.bus.translating import translated
from daemon.errors import InvalidEvent
from daemon.events import cloudevents
from daemon.events.verdicts import read_verdict
from daemon.model import Verdict
from daemon.ports.past import VerdictFilter, VerdictPage

MOST_WINDOWS = 8
MOST_READ = 2_000
"""Messages after which no further window is begun."""
_GROWTH = 4
_AT_ONCE = 4
"""Questions that are answered side by side; the others wait."""
_PAGE_SECONDS = 8.0


@dataclass(slots=True)
class _Found:
    """What a page has so far, each with its place on the stream.

    Attributes:
        verdicts: the newest first.
        read: how many messages were looked at.
        over: whether all that is older was published too early.
    """

    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    read: int = 0
    over: bool = False


class StreamedVerdicts:
    """``PastVerdicts`` on JetStream."""

    def __init__(self, connection: Connection, *, cluster: str) -> None:
        self._connection = connection
        self._cluster = cluster
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def page(self, *, limit: int, before: int | None = None, wanted: VerdictFilter) -> VerdictPage:
        """See ``ports.past.PastVerdicts``."""
        subject = subjects.verdict_subjects(cluster=self._cluster, namespace=wanted.namespace, service=wanted.service)
        with translated("reading back verdicts"):
            async with asyncio.timeout(_PAGE_SECONDS), self._turns:
                return await self._page(subject, limit=limit, before=before, wanted=wanted)

    async def _page(self, subject: str, *, limit: int, before: int | None, wanted: VerdictFilter) -> VerdictPage:
        state = (await self._connection.jetstream.stream_info(subjects.VERDICTS)).state
        first = max(1, state.first_seq)
        end = state.last_seq + 1 if before is None else min(before, state.last_seq + 1)
        found, length = _Found(), limit + 1
        for _ in range(MOST_WINDOWS):
            if len(found.verdicts) > limit or found.read >= MOST_READ or found.over or end <= first:
                break
            begin, read = max(first, end - length), found.read
            await self._window(subject, begin, end, found=found, room=limit + 1 - len(found.verdicts), wanted=wanted)
            end = begin
            if found.read - read < limit:
                length *= _GROWTH
        place: int | None = None
        if len(found.verdicts) > limit:
            place = found.verdicts[limit - 1][0]
        elif end > first and not found.over:
            place = end
        shown = found.verdicts[:limit]
        unreadable = sum(1 for one in found.unreadable if place is None or one >= place)
        return VerdictPage(verdicts=tuple(verdict for _, verdict in shown), next=place, unreadable=unreadable)

    async def _window(self, subject: str, begin: int, end: int, *, found: _Found, room: int, wanted: VerdictFilter) -> None:
        """Add what is wanted of the places from ``begin`` to before ``end``: the newest ones, as many as there is room for."""
        newest: deque[tuple[int, Verdict]] = deque(maxlen=room)
        what = api.ConsumerConfig(filter_subject=subject, deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=begin)
        async with aclosing(read_to_end(self._connection, subjects.VERDICTS, what, before=end)) as batches:
            async for messages in batches:
                for message in messages:
                    at = message.metadata.sequence.stream
                    if at >= end:
                        break
                    found.read += 1
                    if wanted.since is not None and message.metadata.timestamp.timestamp() < wanted.since - SKEW_SECONDS:
                        found.over = True
                    elif (verdict := _verdict_in(message)) is None:
                        found.unreadable.append(at)
                    elif _is_wanted(verdict, wanted):
                        newest.append((at, verdict))
        found.verdicts += reversed(newest)


def _verdict_in(message: Msg) -> Verdict | None:
    """Null: what stands there cannot be read. Nobody is told each time that somebody looks: the answer has their number."""
    try:
        event = cloudevents.read(message.headers or {}, message.data)
        return None if event is None else read_verdict(event)
    except InvalidEvent:
        return None


def _is_wanted(verdict: Verdict, wanted: VerdictFilter) -> bool:
    return wanted.outcome in {None, verdict.outcome} and (wanted.since is None or verdict.decided_at >= wanted.since)
