"""Real HTTP traffic through a proxy: backends that say which version answered, and a generator that writes down each answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp import web

from tests.hand.servers import serving
from tests.servers.run import until

VERSION_HEADER = "x-version"


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


@contextlib.asynccontextmanager
async def backend(
    version: str, *, port: int = 0, mean_seconds: float = 0.0, observe: Callable[[int, float], None] | None = None
) -> AsyncIterator[Backend]:
    """Run one version on loopback. Latency is exponential with this mean, plus what the fault adds."""
    dice = random.Random(version)  # noqa: S311  faults need no secrecy, and the same dice each run
    state = Backend(version, port)

    async def answer(_request: web.Request) -> web.Response:
        began = time.perf_counter()
        if mean_seconds or state.fault.added_seconds:
            own = dice.expovariate(1.0 / mean_seconds) if mean_seconds else 0.0
            await asyncio.sleep(own + state.fault.added_seconds)
        status = 500 if dice.random() < state.fault.error_rate else 200
        state.served += 1
        if observe is not None:
            observe(status, time.perf_counter() - began)
        return web.Response(status=status, headers={VERSION_HEADER: version})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with serving(app, port=port) as bound:
        state.port = bound
        yield state


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
    seen = Traffic()
    wanted = list((paths or {"/": {}}).items())
    timeout = aiohttp.ClientTimeout(total=20.0)
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session, asyncio.TaskGroup() as group:
        generator = group.create_task(_generate(group, session, url, wanted, host, per_second, seen))
        try:
            yield seen
        finally:
            generator.cancel()


async def _generate(
    group: asyncio.TaskGroup,
    session: aiohttp.ClientSession,
    url: str,
    wanted: list[tuple[str, Mapping[str, str]]],
    host: str | None,
    per_second: float,
    seen: Traffic,
) -> None:
    begin, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begin) * per_second)
        for number in range(sent, min(due, sent + 20)):
            path, headers = wanted[number % len(wanted)]
            group.create_task(_request(session, url, path, {**headers, **({"Host": host} if host else {})}, seen))
        sent = due
        await asyncio.sleep(1.0 / per_second)


async def _request(session: aiohttp.ClientSession, url: str, path: str, headers: Mapping[str, str], seen: Traffic) -> None:
    sent_at = time.time()
    try:
        async with session.get(url + path, headers=headers) as response:
            await response.read()
            version, status = response.headers.get(VERSION_HEADER, "-"), response.status
    except (aiohttp.ClientError, TimeoutError):
        version, status = "-", 0
    seen.answers.append(Answer(sent_at, time.time(), version, status, path))
