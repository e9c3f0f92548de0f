"""All that verdictd has of NATS, in one piece: what the composition root asks for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from config.settings import Keep, Nats
from config.urls import EMBEDDED
from daemon.aio.tasks import background
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress, address_of
from daemon.bus.carrier import NatsCarrier
from daemon.bus.connection import Connection, connected
from daemon.bus.consuming import Consumer
from daemon.bus.deadletters import NatsDeadLetters
from daemon.bus.embedded import embedded_server
from daemon.bus.eventlog import NatsEventLog
from daemon.bus.eventsource import NatsCommandSource, NatsEventSource
from daemon.bus.lag import Lag
from daemon.bus.noticequeue import NatsNoticeQueue
from daemon.bus.pastverdicts import StreamedVerdicts
from daemon.bus.publisher import Audit, CDEvents, Publisher
from daemon.bus.pulse import Pulse
from daemon.bus.room import Room
from daemon.bus.store import KvStore, RolledStore
from daemon.bus.streams import KEPT_AS_MADE, ensure_streams
from daemon.bus.upkeep import keep_streams
from daemon.events.hearing import Hearing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """The ports that NATS implements, and how it stands. ``where`` is the servers' addresses, without secrets, for logs."""

    connection: Connection
    cluster: str
    events: NatsEventSource
    commands: NatsCommandSource
    event_log: NatsEventLog
    dead_letters: NatsDeadLetters
    verdicts: Publisher
    past: StreamedVerdicts
    cdevents: CDEvents
    audit: Audit
    sessions: RolledStore
    records: KvStore
    aliases: KvStore
    freezes: KvStore
    promotions: KvStore
    routes: KvStore
    updates: KvStore
    serving: KvStore
    questions: KvStore
    awaited: KvStore
    lapsed: KvStore
    replicas: KvStore
    carrier: NatsCarrier
    pulse: Pulse
    lag: Lag
    where: str

    @property
    def ready(self) -> bool:
        """Whether requests are being sent now."""
        return self.connection.state == "connected"

    @property
    def lost(self) -> int:
        """How many events and commands were gone from their streams before they could be read, since the start."""
        return sum(consumer.gaps.lost for consumer in (self.events.consumer, self.commands.consumer))

    @asynccontextmanager
    async def notices(self, channel: str) -> AsyncIterator[NatsNoticeQueue]:
        """The notices of this channel; those that are unanswered at the end are put back."""
        queue = NatsNoticeQueue(self.connection, cluster=self.cluster, channel=channel, letters=self.dead_letters)
        async with background(queue.consumer.keep()):
            try:
                yield queue
            finally:
                await queue.consumer.release()


@asynccontextmanager
async def open_bus(
    settings: Nats, *, cluster: str, keep: Keep = KEPT_AS_MADE, hearing: Hearing | None = None, shared: bool = False
) -> AsyncIterator[Bus]:
    """Connect, starting a server of our own where the settings say ``embedded``, and make the streams, which ``keep`` so much.

    ``shared``: whether other daemons watch the same cluster.

    At the end unanswered events are put back, the connection is drained and the server ended; some 2 s at the worst.

    Raises:
        InvalidInput: a setting cannot be honoured; says which, and the fix.
        Forbidden: NATS does not let us in.
        Unavailable: nobody answers.
    """
    async with AsyncExitStack() as stack:
        address, renew = await _broker(settings, stack)
        connection = await stack.enter_async_context(
            connected(address, name=f"verdictd-{cluster}", connect_timeout_seconds=settings.connect_timeout_seconds)
        )

        async def make_streams() -> None:
            patience = settings.connect_timeout_seconds
            await ensure_streams(connection.jetstream, replicas=settings.replicas, patience_seconds=patience, keep=keep)

        await make_streams()
        letters = NatsDeadLetters(connection)
        events = NatsEventSource(connection, cluster=cluster, letters=letters, hearing=hearing)
        commands = NatsCommandSource(connection, cluster=cluster, letters=letters)
        consumers = (events.consumer, commands.consumer)
        stack.push_async_callback(_release, consumers)
        sessions = KvStore(connection, bucket=subjects.SESSIONS, cluster=cluster)
        roll = KvStore(connection, bucket=subjects.RECORDS, cluster=cluster, section="running")
        pulse = Pulse(connection, sessions, where=address.shown, renew=renew)
        lag = Lag(connection, cluster=cluster)
        await stack.enter_async_context(
            background(
                pulse.keep(),
                Room(connection).keep(),
                lag.keep(),
                keep_streams(connection, make=make_streams),
                *(consumer.keep() for consumer in consumers),
            )
        )
        yield Bus(
            connection=connection,
            cluster=cluster,
            events=events,
            commands=commands,
            event_log=NatsEventLog(connection, cluster=cluster),
            dead_letters=letters,
            verdicts=Publisher(connection, cluster=cluster),
            past=StreamedVerdicts(connection, cluster=cluster),
            cdevents=CDEvents(connection, shared=shared),
            audit=Audit(connection, shared=shared),
            sessions=RolledStore(sessions, roll=roll),
            records=KvStore(connection, bucket=subjects.RECORDS, cluster=cluster),
            aliases=KvStore(connection, bucket=subjects.RECORDS, cluster=cluster, section="aliases"),
            freezes=KvStore(connection, bucket=subjects.SESSIONS, cluster=cluster, section="freezes"),
            promotions=KvStore(connection, bucket=subjects.RECORDS, cluster=cluster, section="promotions"),
            routes=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster),
            updates=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster, section="updates"),
            serving=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster, section="serving"),
            questions=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster, section="questions"),
            awaited=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster, section="awaited"),
            lapsed=KvStore(connection, bucket=subjects.ROUTES, cluster=cluster, section="lapsed"),
            replicas=KvStore(connection, bucket=subjects.SESSIONS, cluster=cluster, section="replicas"),
            carrier=NatsCarrier(connection, cluster=cluster),
            pulse=pulse,
            lag=lag,
            where=address.shown,
        )


async def _broker(settings: Nats, stack: AsyncExitStack) -> tuple[BrokerAddress, Callable[[], bool]]:
    """Where the broker is, and what starts it anew if it is ours; who runs another one has to do that."""
    if settings.url != EMBEDDED:
        return await asyncio.to_thread(address_of, settings), lambda: False
    server = await stack.enter_async_context(embedded_server(settings.data_dir))
    token = server.token
    return BrokerAddress(servers=(server.url,), token=lambda: token), server.renew


async def _release(consumers: Iterable[Consumer]) -> None:
    for consumer in consumers:
        await consumer.release()
