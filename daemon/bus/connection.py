"""One connection to NATS that never gives up, says what state it is in, and closes quickly.

nats-py reconnects by itself, with three gaps that are closed here: the first connect retries for ever (we bound it and say
why it failed); an error line of the server, such as an expired credential, closes the client for good (we make a new one);
and drain waits for its whole time-out while a pull subscription is alive (we end those ourselves, and flush).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import nats.errors
from nats.js import JetStreamContext, api

from daemon.aio.backoff import pauses
from daemon.aio.tasks import background, cancelled_for_sure
from daemon.aio.throttle import LogThrottle
from daemon.bus.address import BrokerAddress
from daemon.bus.natsclient import NatsClient, foreseen
from daemon.bus.patience import Patience
from daemon.bus.translating import is_final, not_connected, translated
from daemon.errors import Unavailable, VerdictdError

logger = logging.getLogger(__name__)

State = Literal["connecting", "connected", "disconnected", "closed"]
PullSubscription = JetStreamContext.PullSubscription

PING_SECONDS = 10
RECONNECT_SECONDS = 0.5
# While a cluster elects a leader nobody answers; asking again soon is better than waiting long for one answer.
REQUEST_SECONDS = 3.0
FLUSH_SECONDS = 1  # of the library's type
CLOSE_SECONDS = 0.5
LOOK_SECONDS = 1.0


class Connection:
    """A connection that reconnects for ever. Made by ``connected``.

    What is built on it asks for ``client`` or ``jetstream`` at each use and keeps neither, since a client that the server has
    shut out is replaced by a new one.
    """

    def __init__(self, address: BrokerAddress, *, name: str, connect_timeout_seconds: float) -> None:
        self._address = address
        self._name = name
        self._connect_timeout_seconds = connect_timeout_seconds
        self._client = NatsClient(tls=address.tls)
        self._last_error: Exception | None = None
        self._scope: asyncio.Timeout | None = None
        self._refused = False
        self._pulls: set[PullSubscription] = set()
        self._patience = Patience()
        self._ended = asyncio.Event()
        self._up = asyncio.Event()
        self._lost_at: float | None = None
        self._complaints = LogThrottle()
        self._denials = LogThrottle()
        self._closing = False

    @property
    def state(self) -> State:
        """``connected`` is the only one in which requests are sent."""
        if self._closing or self._client.is_closed:
            return "closed" if self._closing else "disconnected"
        if self._client.is_connected:
            return "connected"
        return "connecting" if self._client.is_connecting else "disconnected"

    @property
    def last_error(self) -> str | None:
        """What the connection last complained of, for the readiness page."""
        return None if self._last_error is None else str(self._last_error) or type(self._last_error).__name__

    @property
    def denied(self) -> list[str]:
        """The rights that our user has missed in the last seconds, the newest last."""
        return self._client.denied

    @property
    def client(self) -> NatsClient:
        """The client; raises ``Unavailable`` at once while there is no connection.

        Nothing is queued for later: a request that was given up would still be sent after the reconnect.
        """
        if self.state != "connected":
            raise Unavailable(f"no connection to NATS ({self.last_error or self.state})")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream on the client; raises ``Unavailable`` as ``client`` does."""
        return self.client.jetstream(timeout=REQUEST_SECONDS)

    async def write(
        self, subject: str, data: bytes, *, stream: str | None = None, headers: Mapping[str, str] | None = None
    ) -> api.PubAck:
        """Have a stream keep this; returns when it has. Raises the library's errors, and ``Unavailable`` as ``client`` does.

        Where it raises ``TimeoutError`` it may be kept, or still come to be.
        """
        jetstream = self.jetstream
        async with self._patience.waiting() as seconds:
            # Under its own name a dict would be changed by the library.
            return await jetstream.publish(subject, data, timeout=seconds, stream=stream, headers=dict(headers or {}) or None)

    async def rest(self, seconds: float) -> None:
        """The pause between two attempts: so long, but while the connection is lost, not longer than until it is back."""
        if self.state == "connected":
            await asyncio.sleep(seconds)
            return
        # The library knows of the loss before it tells us: without this there would be no pause at all until then.
        self._up.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._up.wait()

    @asynccontextmanager
    async def pulling(self, stream: str, consumer: str) -> AsyncIterator[PullSubscription]:
        """A pull subscription that ends with the body or, at the latest, before the connection drains."""
        with translated(f"subscribing to {stream}"):
            subscription = await self.jetstream.pull_subscribe_bind(consumer, stream=stream)
        self._pulls.add(subscription)
        try:
            yield subscription
        finally:
            await self._end_pull(subscription)

    async def open(self) -> None:
        """Connect for the first time, within ``connect_timeout_seconds``.

        Raises:
            Forbidden: the server does not let us in.
            InvalidInput: its certificate is not signed by a CA we know.
            Unavailable: nobody answered in time.
        """
        try:
            async with asyncio.timeout(self._connect_timeout_seconds) as self._scope:
                await cancelled_for_sure(self._connect())
        except TimeoutError as error:
            await self._discard()
            seconds = self._connect_timeout_seconds
            raise not_connected(self._last_error, where=self._address.shown, seconds=seconds) from error
        except BaseException:
            await self._discard()
            raise
        finally:
            self._scope, self._refused = None, False
        self._up.set()

    async def keep(self) -> None:
        """Replace the client whenever the server has shut it out, or it has left off reconnecting; for ever."""
        while True:
            await self._client_has_ended()
            for pause in pauses():
                await asyncio.sleep(pause)
                self._client = NatsClient(tls=self._address.tls)
                try:
                    await self.open()
                except VerdictdError as error:
                    self._complain(error)
                else:
                    await self._on_reconnected()
                    break

    async def _client_has_ended(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ended.wait()
            reconnecting = self._client._reconnection_task  # noqa: SLF001 - there is no public way to it
            has_left_off = not self._client.is_connected and reconnecting is not None and reconnecting.done()
            if self._client.is_closed or has_left_off:
                # What the library does not foresee, or a cancellation, ends its attempts, or its closing, without a word.
                await self._on_disconnected()
                await self._discard()
                return

    async def close(self) -> None:
        """Send what is queued and close; takes at most 1.5 s, whatever the server does."""
        if self._client.is_connected:
            for subscription in list(self._pulls):
                await self._end_pull(subscription)
            # Not drain(): it goes on waiting for 10 s after it was cancelled. With nobody subscribed this does the same.
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await self._client.flush(timeout=FLUSH_SECONDS)
        self._closing = True
        await self._discard()

    async def _connect(self) -> None:
        self._ended.clear()
        with translated("connecting to NATS"):
            await self._client.connect(
                servers=list(self._address.servers),
                name=self._name,
                token=None if self._address.token is None else foreseen(self._address.token),
                user_credentials=self._address.credentials_file,
                connect_timeout=2,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]  # annotated int, used as seconds of any kind
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )

    async def _discard(self) -> None:
        """Close the client hard, whatever state it is in: no socket is left behind.

        Who waits for a socket's end after another was cancelled while doing so is cancelled too, so the library waits in a task
        of its own: it must not end ours.
        """
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await cancelled_for_sure(self._client.close())
        self._close_socket()

    def _close_socket(self) -> None:
        """The library forgets the socket of an attempt that was cancelled, or that the server refused, without closing it."""
        transport = self._client._transport  # noqa: SLF001 - there is no public way to it
        if transport is not None:
            transport.close()  # type: ignore[no-untyped-call]  # of the library

    async def _end_pull(self, subscription: PullSubscription) -> None:
        self._pulls.discard(subscription)
        with contextlib.suppress(nats.errors.Error, OSError, ValueError):
            await subscription.unsubscribe()

    async def _on_error(self, error: Exception) -> None:
        if self._client.is_connecting:
            self._close_socket()
        logger.debug("nats error", extra={"error": str(error)})
        if self._refused:
            return  # what follows a refusal, such as that the server hangs up, is not the reason
        self._last_error = error
        if self._scope is not None and is_final(error):
            # Trying again will not help: end the first connect now, with the reason.
            self._refused = True
            self._scope.reschedule(asyncio.get_running_loop().time())
        elif (denied := self.denied) and self._denials.due():
            logger.error("NATS does not permit what we need", extra={"rights": denied})

    async def _on_disconnected(self) -> None:
        self._up.clear()
        self._patience.lost()
        if self._lost_at is None and not self._closing:
            self._lost_at = _now()
            self._complain(self._last_error)

    async def _on_reconnected(self) -> None:
        seconds = 0.0 if self._lost_at is None else _now() - self._lost_at
        self._lost_at = None
        self._up.set()
        logger.info("connected to NATS again", extra={"after_seconds": round(seconds, 1)})

    async def _on_closed(self) -> None:
        if not self._closing:
            self._ended.set()

    def _complain(self, error: Exception | None) -> None:
        if self._complaints.due():
            logger.warning("no connection to NATS", extra={"error": str(error or "the connection was closed")})


@asynccontextmanager
async def connected(address: BrokerAddress, *, name: str, connect_timeout_seconds: float) -> AsyncIterator[Connection]:
    """A connection for as long as the body runs; drained at its end.

    Raises:
        Forbidden, InvalidInput, Unavailable: see ``Connection.open``.
    """
    connection = Connection(address, name=name, connect_timeout_seconds=connect_timeout_seconds)
    await connection.open()
    try:
        async with background(connection.keep()):
            yield connection
    finally:
        await connection.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
