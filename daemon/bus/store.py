"""A durable map on a JetStream key-value bucket.

Plain stream operations instead of the library's bucket object: its listing reads through a push consumer one key at a time, and
its delete leaves a marker per key for ever. Ours lists through a pull consumer in batches and removes without a trace.
Keys are kept per cluster (``<cluster>.<key>``), so that several clusters can share one broker.
"""

import contextlib
from contextlib import aclosing

from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from daemon import names
from daemon.bus.connection import WRITE_SECONDS, Connection
from daemon.bus.reading import read_to_end
from daemon.bus.translating import translated
from daemon.errors import Refused

# Left by other tools' deletes; ours leave none.
_MARKERS = ("KV-Operation", "Nats-Marker-Reason")


class KvStore:
    """``Store`` on the bucket ``bucket``, for the keys of ``cluster``."""

    def __init__(self, connection: Connection, *, bucket: str, cluster: str) -> None:
        self._connection = connection
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}.{names.token(cluster, path='cluster')}."

    async def put(self, key: str, value: bytes) -> None:
        """Write; returns when the server has acknowledged it.

        Raises:
            InvalidInput: the key is no release id.
            Refused: the value is larger than the server takes (1 MiB by default).
            Unavailable, TimedOut: it may or may not have been written; write again.
        """
        subject, limit = self._subject(key), self._connection.client.max_payload
        if len(value) > limit:
            raise Refused(f"{key}: {len(value)} bytes are more than NATS takes ({limit}); raise max_payload of the server")
        with translated(f"writing {key}"):
            await self._connection.jetstream.publish(subject, value, timeout=WRITE_SECONDS)

    async def get(self, key: str) -> bytes | None:
        """Read; null when absent. Raises as ``put``."""
        subject = self._subject(key)
        with translated(f"reading {key}"):
            try:
                message = await self._connection.jetstream.get_msg(self._stream, subject=subject, direct=True)
            except NotFoundError:
                return None
        return None if _is_marker(message.headers) else message.data or b""

    async def delete(self, key: str) -> None:
        """Remove, and leave no marker. No error when absent. Raises as ``put``."""
        subject = self._subject(key)
        with translated(f"removing {key}"), contextlib.suppress(NotFoundError):
            await self._connection.jetstream.purge_stream(self._stream, subject=subject)

    async def items(self) -> list[tuple[str, bytes]]:
        """Every key of this cluster with its newest value, in no order. Raises as ``put``; ``TimedOut`` after 60 s."""
        found: dict[str, bytes] = {}
        newest = api.ConsumerConfig(filter_subject=f"{self._prefix}>", deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT)
        async with aclosing(read_to_end(self._connection, self._stream, newest)) as batches:
            async for messages in batches:
                self._take(messages, found)
        return list(found.items())

    def _take(self, messages: list[Msg], found: dict[str, bytes]) -> None:
        for message in messages:
            key = message.subject.removeprefix(self._prefix)
            if _is_marker(message.headers):
                found.pop(key, None)
            else:
                found[key] = message.data

    def _subject(self, key: str) -> str:
        return self._prefix + names.release_id(key, path="key")


def _is_marker(headers: dict[str, str] | None) -> bool:
    return headers is not None and any(marker in headers for marker in _MARKERS)
