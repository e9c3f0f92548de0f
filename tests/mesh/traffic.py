"""Real HTTP traffic through a proxy: backends that say which version answered, and a generator that writes down each answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from daemon.demo import traffic as demo_traffic
from daemon.demo.load import Connection
from tests.servers.run import LOOPBACK, until

VERSION_HEADER = "x-version"
PATIENCE_SECONDS = 20.0


def said(figure: str) -> None:
    """A measured figure, for the reader of ``pytest -rP``; figures are never asserted."""
    sys.stdout.write(f"measured: {figure}\n")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One answered request. Times are seconds since 1970; version is "-" when no backend answered."""

    sent_at: float
    at: float
    version: str
    status: int
    path: str


@dataclasses.dataclass(slots=True)
class Fault:
    """What a backend does wrong: the share of requests it fails, and seconds it adds to each."""

    error_rate: float = 0.0
    added_seconds: float = 0.0


@dataclasses.dataclass(slots=True)
class Backend:
    """One version of a service. Change ``fault`` while it runs; ``observe`` is told each request's status and seconds."""

    version: str
    port: int
    fault: Fault = dataclasses.field(default_factory=Fault)
    served: int = 0
    open: set[asyncio.WriteTransport] = dataclasses.field(default_factory=set)
    dice: random.Random = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.version)  # noqa: S311  faults need no secrecy, and the same dice each run


class _Requests(asyncio.Protocol):
    """One connection to a backend: requests without bodies, one after the other. A framework would cost more than all else."""

    def __init__(self, state: Backend, *, mean_seconds: float, observe: Callable[[int, float], None] | None) -> None:
        self._state = state
        self._mean_seconds = mean_seconds
        self._observe = observe
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._state.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._state.open.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, _, self._received = self._received.partition(b"\r\n\r\n")
            own = self._state.dice.expovariate(1.0 / self._mean_seconds) if self._mean_seconds else 0.0
            loop = asyncio.get_running_loop()
            loop.call_later(own + self._state.fault.added_seconds, self._answer, loop.time())

    def _answer(self, began: float) -> None:
        status = 500 if self._state.dice.random() < self._state.fault.error_rate else 200
        self._state.served += 1
        if self._observe is not None:
            self._observe(status, asyncio.get_running_loop().time() - began)
        if self._transport is not None:
            head = f"HTTP/1.1 {status} -\r\n{VERSION_HEADER}: {self._state.version}\r\ncontent-length: 0\r\n\r\n"
            self._transport.write(head.encode())


@contextlib.asynccontextmanager
async def backend(
    version: str, *, port: int = 0, mean_seconds: float = 0.0, observe: Callable[[int, float], None] | None = None
) -> AsyncIterator[Backend]:
    """Run one version on loopback. Latency is exponential with this mean, plus what the fault adds."""
    state = Backend(version, port)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Requests(state, mean_seconds=mean_seconds, observe=observe), LOOPBACK, port, backlog=512
    )
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:  # not `async with`: that waits for the proxy to close its idle connections, which it keeps
        server.close()
        for transport in state.open:
            transport.close()


@dataclasses.dataclass(slots=True)
class Traffic:
    """A running generator and what it has seen so far."""

    answers: list[Answer] = dataclasses.field(default_factory=list)

    def counts(self, *, since: float = 0.0) -> dict[str, int]:
        """Answers per version that arrived at or after this time."""
        counts: dict[str, int] = {}
        for answer in self.answers:
            if answer.at >= since:
                counts[answer.version] = counts.get(answer.version, 0) + 1
        return counts

    def last(self, version: str) -> Answer | None:
        """The newest answer of this version."""
        return next((answer for answer in reversed(self.answers) if answer.version == version), None)

    def first_bad(self, version: str, *, since: float = 0.0) -> Answer | None:
        """The first failed answer of this version at or after this time."""
        bad = (answer for answer in self.answers if answer.at >= since and answer.version == version and answer.status >= 500)
        return next(bad, None)

    async def only(self, *versions: str, of_last: int = 300, path: str = "") -> int:
        """Wait until so many answers in a row, to requests of this path, are of these versions; gives how many there are by then.

        How soon that is, is the proxies' to say: what is asked for is that it comes to be so.
        """

        def those() -> list[Answer]:
            return [one for one in self.answers[-10 * of_last :] if one.path.startswith(path)][-of_last:]

        await self.until(lambda _: len(those()) == of_last and {one.version for one in those()} <= set(versions))
        return len(self.answers)

    async def until(self, condition: Callable[[Traffic], bool], *, within: float = 60.0) -> None:
        """Wait until the answers satisfy the condition; TimeoutError after ``within`` seconds, far longer than it takes."""

        async def holds() -> bool:
            return condition(self)

        await until(holds, within)


@contextlib.asynccontextmanager
async def traffic(
    url: str, *, per_second: float = 200.0, paths: Mapping[str, Mapping[str, str]] | None = None, host: str | None = None
) -> AsyncIterator[Traffic]:
    """Send requests at a fixed rate, whatever the answers (open loop), to each of the paths with its headers in turn."""
    seen, address = Traffic(), urlsplit(url)
    users = [
        _Users(address, path, {"host": host or address.netloc, **headers}, seen) for path, headers in (paths or {"/": {}}).items()
    ]
    async with asyncio.TaskGroup() as group:
        generator = group.create_task(_generate(group, users, per_second))
        try:
            yield seen
        finally:
            generator.cancel()
            for each in users:
                await each.leave()


class _Users:
    """Those who ask for one path, on connections that are kept; there is one more when all are busy."""

    def __init__(self, address: SplitResult, path: str, headers: Mapping[str, str], seen: Traffic) -> None:
        self._address = address
        self._path = path
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()
        self._seen = seen
        self._idle: list[Connection] = []
        self._waiting = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def ask(self, group: asyncio.TaskGroup) -> None:
        self._waiting += 1
        self._quiet.clear()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.send()
                return
        group.create_task(self._ask_anew())

    async def leave(self) -> None:
        """Once those who wait have their answer."""
        await self._quiet.wait()
        for connection in self._idle:
            connection.close()

    async def _ask_anew(self) -> None:
        sent_at, loop = time.time(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(request=self._request, done=self._answered, patience_seconds=PATIENCE_SECONDS),
                    self._address.hostname or LOOPBACK,
                    self._address.port or 80,
                )
        except OSError:  # refused, reset, and TimeoutError is one too
            self._count(Answer(sent_at, time.time(), "-", 0, self._path))
        else:
            connection.send()

    def _answered(self, connection: Connection, answer: demo_traffic.Answer) -> None:
        self._count(Answer(answer.start, answer.end, answer.version or "-", answer.status, self._path))
        self._idle.append(connection)

    def _count(self, answer: Answer) -> None:
        self._seen.answers.append(answer)
        self._waiting -= 1
        if not self._waiting:
            self._quiet.set()


async def _generate(group: asyncio.TaskGroup, users: Sequence[_Users], per_second: float) -> None:
    begin, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begin) * per_second)
        for number in range(sent, min(due, sent + 20)):
            users[number % len(users)].ask(group)
        sent = due
        await asyncio.sleep(1.0 / per_second)
