"""Notices over HTTP, as a channel's row makes requests of them: one client, bounded in time, bytes and connections."""

from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, assert_never

from yarl import URL

from daemon.aio.addressguard import Address, AddressGuard
from daemon.aio.clock import Clock
from daemon.aio.credentials import Credentials, Identity
from daemon.aio.httpclient import HttpClient, Sending
from daemon.errors import Forbidden, InvalidInput, Refused
from daemon.ports.notices import News, Notice, PersonWanted, Sequel
from daemon.sinks.authority import Means
from daemon.sinks.channel import ChannelKind, HttpChannelSettings, Message, Telling
from daemon.sinks.courier import AT_A_TIME

CONNECTIONS: Final = AT_A_TIME
_ANSWER_BYTES = 64 * 1024
_CALLBACK_KEEP_SECONDS = 1.0


class HttpTeller(AbstractAsyncContextManager["HttpTeller"]):
    """Implements ``Teller``; close it in the event loop that it was used in.

    Args:
        kind: the channel's row.
        name: the channel's name.
        settings: its settings.
        public_url: where people find this daemon; empty where nobody has said.
        clock: the daemon's.

    Raises:
        InvalidInput: the settings' certificates cannot be used.
    """

    def __init__(self, kind: ChannelKind, *, name: str, settings: HttpChannelSettings, public_url: str, clock: Clock) -> None:
        self._kind = kind
        self._settings = settings
        self._public_url = public_url
        self._clock = clock
        hosts = None if kind.hosts is None else kind.hosts(settings)
        setting = f"sinks.{name}"
        self._http = HttpClient(
            setting=f"{setting}.url" if hosts is None else "the release's callback",
            connections=CONNECTIONS,
            timeout_seconds=settings.timeout_seconds,
            max_answer_bytes=_ANSWER_BYTES,
            identity=Identity(Credentials(ca_file=settings.ca_file, setting=setting)),
            guard=None if hosts is None else AddressGuard(allowed=_addresses(hosts)),
            keep_seconds=15.0 if hosts is None else _CALLBACK_KEEP_SECONDS,
        )
        means = Means(setting=setting, http=self._http, timeout_seconds=settings.timeout_seconds, clock=clock)
        self._authority = kind.authority(settings, means)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        """Nothing is to be done: connections are opened when they are needed."""
        return self

    @property
    def attempt_seconds(self) -> float:
        """See ``Teller.attempt_seconds``: the request's own time, and that of having its secret."""
        return self._settings.timeout_seconds + self._authority.longest_seconds

    async def tell(self, notice: News) -> None:
        """See ``Teller.tell``."""
        secret = await self._authority.now()
        telling = Telling(settings=self._settings, secret=secret, public_url=self._public_url, now=self._clock.now())
        message = self._message(notice, telling)
        secrets = (secret, secret.rpartition(" ")[2]) if secret else ()
        try:
            await self._http.send(
                URL(message.url, encoded="%2F" in message.url),
                Sending(message.method, message.body, message.headers, secrets=secrets, shown=self._authority.in_words),
            )
        except Forbidden:
            self._authority.disbelieved(secret)
            raise
        except Refused as error:
            if not self._kind.told_before(str(error)):
                raise

    def _message(self, notice: News, telling: Telling) -> Message:
        kind = self._kind
        match notice:
            case Notice():
                return kind.message(notice, telling)
            case PersonWanted() if kind.asks is not None:
                return kind.asks.message(notice, telling)
            case Sequel() if kind.follows is not None:
                return kind.follows(notice, telling)
            case PersonWanted():  # it was queued under other settings
                raise InvalidInput(f"a channel of kind {kind.name} does not tell that a person is waited for")
            case Sequel():
                raise InvalidInput(f"a channel of kind {kind.name} does not tell what came after a verdict")
            case _:
                assert_never(notice)


def _addresses(hosts: tuple[str, ...]) -> frozenset[Address]:
    """Those hosts that are addresses: whoever writes one down means it."""
    found: set[Address] = set()
    for host in hosts:
        try:
            found.add(ip_address(host))
        except ValueError:
            continue
    return frozenset(found)
