"""A durable map on a JetStream key-value bucket.

Plain stream operations instead of the library's bucket object: its listing reads through a push consumer one key at a time, and
its delete leaves a marker per key for ever. Ours lists through a pull consumer in batches and removes without a trace.
Keys are kept per cluster (``<cluster>.<key>``), so that several clusters can share one broker.

A server that is killed takes back what a purge removed, by one step: of the values that a key has had it finds again all but
the last. So a key is overwritten with a marker twice before it is purged, and what may come back is a marker, which is nothing.
"""

import asyncio
import contextlib
import itertools
from contextlib import aclosing
from datetime import datetime

from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from daemon import names
from daemon.bus.connection import Connection
from daemon.bus.reading import read_to_end
from daemon.bus.translating import translated
from daemon.errors import Conflict, NotFound, Refused, Unavailable, VerdictdError
from daemon.ports.durable import Kept

EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
OPERATION = "KV-Operation"
# Ours are gone at once, unless the server is killed; those of other tools' deletes stay.
_MARKERS = (OPERATION, "Nats-Marker-Reason")
_MARKS_BEFORE_A_PURGE = 2
_SWEPT_AT_A_TIME = 16
NO_MESSAGE = 10037


class KvStore:
    """A map on the bucket ``bucket``, for the keys of ``cluster``; with a ``section``, apart from the others there."""

    def __init__(self, connection: Connection, *, bucket: str, cluster: str, section: str | None = None) -> None:
        self._connection = connection
        self._stream = f"KV_{bucket}"
        # No cluster's name begins as a section does.
        apart = "" if section is None else f"_{section}."
        self._prefix = f"$KV.{bucket}.{apart}{names.token(cluster, path='cluster')}."
        # Not under the prefix, so that it is no key.
        self._probe = f"$KV.{bucket}._probe.{cluster}"

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; returns the value's revision when the server has acknowledged it.

        Args:
            over: write only where this revision is the newest; 0: only where there is nothing.

        Raises:
            InvalidInput: the key is no release id.
            Refused: the value is larger than the server takes (1 MiB by default).
            Conflict: another revision than ``over`` is the newest; nothing was written.
            Unavailable, TimedOut: it may or may not have been written; write again.
        """
        subject, limit = self._subject(key), self._connection.client.max_payload
        if len(value) > limit:
            raise Refused(f"{key}: {len(value)} bytes are more than NATS takes ({limit}); raise max_payload of the server")
        try:
            return await self._write(key, value, {} if over is None else {EXPECTED_LAST: str(over)})
        except Conflict:
            found = await self._newest(subject)
            if over != 0 or found is None or not _is_marker(found.headers):
                raise
        return await self._write(key, value, {EXPECTED_LAST: str(found.seq)})

    async def get(self, key: str) -> Kept | None:
        """Read, with the revision; null when absent. Raises as ``put``."""
        try:
            message = await self._newest(self._subject(key))
        except NotFound as error:
            raise Unavailable(str(error)) from error
        if message is None or _is_marker(message.headers):
            return None
        return Kept(value=message.data or b"", revision=message.seq or 0)

    async def delete(self, key: str) -> None:
        """Remove, and leave no marker. No error when absent. Raises as ``put``."""
        subject = self._subject(key)
        with contextlib.suppress(NotFound):
            if await self._newest(subject) is None:
                return
            for _ in range(_MARKS_BEFORE_A_PURGE):
                await self._write(key, b"", {OPERATION: "DEL"})
            with translated(f"removing {key}"):
                await self._connection.jetstream.purge_stream(self._stream, subject=subject)

    async def items(self) -> list[tuple[str, Kept]]:
        """Every key of this cluster with its newest value and its age, in no order. Raises as ``put``; ``TimedOut`` after 60 s.

        Markers that a killed server found again are removed meanwhile.
        """
        found: dict[str, Kept] = {}
        marked: set[str] = set()
        began: list[datetime] = []
        newest = api.ConsumerConfig(filter_subject=f"{self._prefix}>", deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT)
        async with aclosing(read_to_end(self._connection, self._stream, newest, began=began.append)) as batches:
            async for messages in batches:
                self._take(messages, found, marked, now=began[0])
        await self._sweep(marked)
        return list(found.items())

    async def probe(self) -> None:
        """Write a few bytes beside the keys, each time in the place of the last ones. Raises as ``put``."""
        with translated("trying a write"):
            await self._connection.write(self._probe, b"")

    async def answers(self) -> None:
        """Read, whatever is there. Raises as ``get``."""
        await self._newest(self._probe)

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        with translated(f"writing {key}"):
            answer = await self._connection.write(self._subject(key), value, headers=headers)
        return answer.seq

    async def _newest(self, subject: str) -> api.RawStreamMsg | None:
        """As the stream's leader has it: a copy may lag behind. Raises ``NotFound`` when the whole bucket is gone."""
        with translated(f"reading {subject}"):
            try:
                return await self._connection.jetstream.get_msg(self._stream, subject=subject)
            except NotFoundError as error:
                if error.err_code != NO_MESSAGE:
                    raise
                return None

    async def _sweep(self, keys: set[str]) -> None:
        left = iter(sorted(keys))
        while some := list(itertools.islice(left, _SWEPT_AT_A_TIME)):
            await asyncio.gather(*(self._sweep_one(key) for key in some))

    async def _sweep_one(self, key: str) -> None:
        """What cannot be removed now is nothing still."""
        with contextlib.suppress(VerdictdError):
            await self.delete(key)

    def _take(self, messages: list[Msg], found: dict[str, Kept], marked: set[str], *, now: datetime) -> None:
        for message in messages:
            key = message.subject.removeprefix(self._prefix)
            if _is_marker(message.headers):
                found.pop(key, None)
                marked.add(key)
            else:
                written = message.metadata
                age = max(0.0, (now - written.timestamp).total_seconds())
                found[key] = Kept(value=message.data, revision=written.sequence.stream, age_seconds=age)
                marked.discard(key)

    def _subject(self, key: str) -> str:
        return self._prefix + names.release_id(key, path="key")


def _is_marker(headers: dict[str, str] | None) -> bool:
    return headers is not None and any(marker in headers for marker in _MARKERS)


class RolledStore:
    """``Store`` on ``store``, with its keys on ``roll`` as well, so that what somebody else has removed is missed.

    A key is on the roll once its first value is written, and off it before its value goes. So wherever a process dies in between,
    a value is there and will be taken up, or it is not and nobody was told that it is: neither is missed.
    """

    def __init__(self, store: KvStore, *, roll: KvStore) -> None:
        self._store = store
        self._roll = roll
        self._enrolled: set[str] = set()

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; see ``KvStore.put``. Where it raises, the value may be there all the same."""
        revision = await self._store.put(key, value, over=over)
        if key not in self._enrolled:
            await self._roll.put(key, b"")
            self._enrolled.add(key)
        return revision

    async def get(self, key: str) -> Kept | None:
        """Read; see ``KvStore.get``."""
        return await self._store.get(key)

    async def delete(self, key: str) -> None:
        """Remove; see ``KvStore.delete``. Where it is interrupted the value is there or gone: call it again to be sure."""
        self._enrolled.discard(key)
        await self._roll.delete(key)
        await self._store.delete(key)

    async def items(self) -> list[tuple[str, Kept]]:
        """Everything; see ``KvStore.items``."""
        return await self._store.items()

    async def lost(self) -> list[str]:
        """Keys that were written and not deleted, and are not there, in order. Raises as ``items``."""
        enrolled = {key for key, _ in await self._roll.items()}  # first: what another process begins meanwhile is not missed
        return sorted(enrolled - {key for key, _ in await self._store.items()})
