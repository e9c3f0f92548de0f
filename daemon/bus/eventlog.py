"""Events from elsewhere onto the stream of events, so that whatever way one came, the rest of its way is the same.

The server tells an event that is sent again by its message id, for as long as the stream's duplicate window; after that the
release's id, which is made of the same origin, says that it is one.
"""

from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.publisher import MESSAGE_ID
from daemon.bus.translating import translated
from daemon.errors import InvalidInput
from daemon.ports.events import IncomingEvent

# The server closes a connection on which headers and data together are over its limit; headers are small, this is smaller.
HEADROOM_BYTES = 16 * 1024


class NatsEventLog:
    """``EventLog`` on JetStream."""

    def __init__(self, connection: Connection, *, cluster: str) -> None:
        self._connection = connection
        self._cluster = cluster

    async def keep(self, event: IncomingEvent) -> bool:
        """Publish it; see ``ports.events.EventLog``."""
        release = event.release
        subject = subjects.release_subject(
            cluster=release.cluster or self._cluster, namespace=release.namespace, service=release.service
        )
        limit = self._connection.client.max_payload - HEADROOM_BYTES
        if len(event.body) > limit:
            raise InvalidInput(f"{len(event.body)} bytes are more than NATS takes", fix=f"send at most {limit} bytes")
        with translated("keeping an event"):
            headers = {**event.headers, MESSAGE_ID: event.key}
            kept = await self._connection.write(subject, event.body, stream=subjects.RELEASES, headers=headers)
        return not kept.duplicate
