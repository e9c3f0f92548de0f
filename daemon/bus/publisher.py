"""Verdicts out: on the stream exactly once, whatever crashes.

Every attempt carries the same message id, and within the stream's duplicate window (an hour) the server itself tells attempts
apart, over restarts too. It is the event's source and id, as in CloudEvents: one event that daemons of several clusters hear on
one broker gives a release of the same id in each. A window ends, though, and a verdict decided before a long outage is published
after it. So once a verdict is older than half the window, the subject is searched for it first, and the publication is made
conditional on the subject not having moved since: nobody can have published it in between. The fast way costs one round trip, the
slow one a reading. Where replicas share the work every publication is conditional: one of them may be stopped on its way for longer
than any window. A key-value note "published" would do neither better: between the publication and the note there is always room
for a crash.

One call is one attempt. Trying again is left to the caller, who does so with everything at a release's end, and counts it.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from daemon import names
from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.reading import read_to_end
from daemon.bus.streams import DUPLICATE_WINDOW_SECONDS
from daemon.bus.translating import translated
from daemon.errors import InvalidEvent
from daemon.events import cloudevents
from daemon.events.audit import audit_event
from daemon.events.cdevents import rolledback
from daemon.events.cloudevents import CloudEvent, to_structured
from daemon.events.verdicts import VERDICT_TYPE, read_verdict, verdict_event
from daemon.interventions import AuditEntry
from daemon.model import Release, Verdict

logger = logging.getLogger(__name__)

NUMBER = "holdernumber"
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
# Clocks of replicas and server may differ; neither half an hour nor the hour before the decision is a tight margin.
FRESH_SECONDS = DUPLICATE_WINDOW_SECONDS / 2
SKEW_SECONDS = 3_600.0


class _Once:
    """Publishes events once, as the module's docstring says."""

    def __init__(self, connection: Connection, *, shared: bool) -> None:
        self._connection = connection
        self._shared = shared

    async def publish(self, stream: str, subject: str, event: CloudEvent, *, since: float) -> None:
        """Publish an event that may be there already, if it was published since then. Raises what ``VerdictLog.publish`` does."""
        headers, body = to_structured(event)
        message_id = f"{event.source} {event.id}"
        headers[MESSAGE_ID] = message_id
        is_old = abs(time.time() - since) > FRESH_SECONDS
        if is_old or self._shared:
            last = await self._last_sequence(stream, subject)
            if is_old and await self._is_there(stream, subject, {message_id, event.id}, since=since):
                return
            headers[EXPECTED_LAST] = str(last)
        with translated(f"publishing {event.id} on {stream}"):
            acknowledged = await self._connection.write(subject, body, stream=stream, headers=headers)
        logger.debug("published", extra={"event": event.id, "sequence": acknowledged.seq, "again": bool(acknowledged.duplicate)})

    async def _last_sequence(self, stream: str, subject: str) -> int:
        """Of the subject, as the stream's leader sees it; 0 when it has no message."""
        with translated(f"reading {subject}"):
            try:
                return (await self._connection.jetstream.get_msg(stream, subject=subject)).seq or 0
            except NotFoundError:
                return 0

    async def _is_there(self, stream: str, subject: str, message_ids: AbstractSet[str], *, since: float) -> bool:
        async with aclosing(self.read_since(stream, subject, since, headers_only=True)) as batches:
            async for messages in batches:
                if any((message.headers or {}).get(MESSAGE_ID) in message_ids for message in messages):
                    return True
        return False

    def read_since(self, stream: str, subject: str, since: float, *, headers_only: bool = False) -> AsyncGenerator[list[Msg], None]:
        """The messages of a subject since then, in batches."""
        after = api.ConsumerConfig(
            filter_subject=subject,
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=datetime.fromtimestamp(since - SKEW_SECONDS, UTC),
            headers_only=headers_only,
        )
        return read_to_end(self._connection, stream, after)


class Publisher:
    """``VerdictLog`` on JetStream: CloudEvents in structured mode, so that whoever prints the body sees the whole event.

    ``number``: where replicas share the work, under which one this replica has the verdict's service; it stands in the event.
    """

    def __init__(self, connection: Connection, *, cluster: str, number: Callable[[Verdict], int] | None = None) -> None:
        self._once = _Once(connection, shared=number is not None)
        self._number = number
        self._own = f"verdictd.verdict.{names.token(cluster, path='cluster')}.>"

    async def publish(self, verdict: Verdict) -> None:
        """Publish the verdict; returns when it is acknowledged.

        One attempt. When it has published and fails all the same, it adds nothing when it is called again.

        Raises:
            InvalidInput: cluster, namespace or service cannot be a token of a subject.
            TransientError: it was not acknowledged, and may be there or not; call again.
            PermanentError: the server refuses it.
        """
        subject = subjects.verdict_subject(cluster=verdict.cluster, namespace=verdict.namespace, service=verdict.service)
        event = verdict_event(verdict)
        if self._number is not None:
            event = msgspec.structs.replace(event, extensions={**event.extensions, NUMBER: str(self._number(verdict))})
        await self._once.publish(subjects.VERDICTS, subject, event, since=verdict.decided_at)

    async def published(self, release_ids: AbstractSet[str], *, since: float) -> Mapping[str, Verdict | None]:
        """The verdicts of these releases of this cluster that are on the stream, and were published since then.

        One reading for all of them. One that cannot be read is null, and said.

        Raises:
            TransientError: the stream could not be read to its end; call again.
        """
        found: dict[str, Verdict | None] = {}
        async with aclosing(self._once.read_since(subjects.VERDICTS, self._own, since)) as batches:
            async for messages in batches:
                for message in messages:
                    release_id, verdict = _verdict_of(message)
                    if release_id in release_ids:
                        found.setdefault(release_id, verdict)
        return found


class CDEvents:
    """``VerdictSink`` on JetStream: the CDEvent that tells that traffic was taken back.

    ``shared``: whether other replicas may publish the same.
    """

    def __init__(self, connection: Connection, *, shared: bool = False) -> None:
        self._once = _Once(connection, shared=shared)

    def wants(self, _release: Release, verdict: Verdict) -> bool:
        """Only verdicts that took traffic back."""
        return rolledback(verdict) is not None

    async def publish(self, _release: Release, verdict: Verdict) -> None:
        """Publish it; as ``Publisher.publish``."""
        event = rolledback(verdict)
        if event is not None:
            subject = subjects.cdevent_subject(cluster=verdict.cluster, namespace=verdict.namespace, service=verdict.service)
            await self._once.publish(subjects.CDEVENTS, subject, event, since=verdict.decided_at)


class Audit:
    """``AuditLog`` on JetStream. ``shared`` as of ``CDEvents``."""

    def __init__(self, connection: Connection, *, shared: bool = False) -> None:
        self._once = _Once(connection, shared=shared)

    async def publish(self, entry: AuditEntry) -> None:
        """Publish it; as ``Publisher.publish``."""
        subject = subjects.audit_subject(cluster=entry.cluster, namespace=entry.namespace, service=entry.service)
        await self._once.publish(subjects.AUDIT, subject, audit_event(entry), since=entry.at)


def _verdict_of(message: Msg) -> tuple[str, Verdict | None]:
    """Whose verdict it is, and the verdict where it can be read; of what is no verdict at all, nobody's."""
    release_id = ""
    try:
        event = cloudevents.read(message.headers or {}, message.data)
        if event is None:
            return "", None
        release_id = event.extensions.get("releaseid", "") if event.type == VERDICT_TYPE else ""
        verdict = read_verdict(event)
    except InvalidEvent as error:
        logger.warning("a published verdict cannot be read", extra={"subject": message.subject, "reason": str(error)})
        return release_id, None
    return verdict.release_id, verdict
