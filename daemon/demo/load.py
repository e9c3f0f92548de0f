"""The load generator, a process of its own: ``python -m daemon.demo.load --url http://127.0.0.1:8080 --rate 300``.

Open loop: requests leave at the times of a Poisson process whether or not earlier ones were answered, as the users of a
real service do; a generator that waits for answers would go easy on a slow canary. Connections are kept alive and taken
from a pool that grows when all are busy. Each answer is a line on standard output; when told to stop it waits for the
answers still under way.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from urllib.parse import urlsplit

from daemon.aio.tasks import TaskGroup
from daemon.demo.children import until_told
from daemon.demo.traffic import NO_ANSWER, Answer, write

_ANSWER_SECONDS = 5.0
_FLUSH_SECONDS = 0.05
_MAX_CONNECTIONS = 512


class Connection(asyncio.Protocol):
    """A kept-alive HTTP/1.1 connection with at most one request under way."""

    def __init__(
        self, *, request: bytes, done: Callable[["Connection", Answer], None], patience_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._request = request
        self._done = done
        self._patience_seconds = patience_seconds
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""
        self._start = 0.0
        self._began = 0.0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing() and self._deadline is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)  # what a stream connection is; for the types
        self._transport = transport

    def send(self) -> None:
        """Send a request."""
        loop = asyncio.get_running_loop()
        self._start, self._began = time.time(), loop.time()
        self._deadline = loop.call_later(self._patience_seconds, self._give_up)
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take the answer when it is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        status, version, length = parse_head(head)
        if len(body) >= length:
            self._received = b""
            self._finish(status, version)

    def connection_lost(self, exc: Exception | None) -> None:
        """A request under way gets no answer."""
        self._transport = None
        if self._deadline is not None:
            self._finish(NO_ANSWER, "")

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def _give_up(self) -> None:
        self._finish(NO_ANSWER, "")
        self.close()

    def _finish(self, status: int, version: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        seconds = asyncio.get_running_loop().time() - self._began
        self._done(self, Answer(start=self._start, seconds=seconds, status=status, version=version))


def parse_head(head: bytes) -> tuple[int, str, int]:
    """Status, version (header ``x-version``) and length of the body of an answer's head."""
    lines = head.split(b"\r\n")
    status = int(lines[0].split(b" ", 2)[1])
    version, length = "", 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"x-version":
            version = value.strip().decode("ascii", "replace")
        elif name.lower() == b"content-length":
            length = int(value)
    return status, version, length


class Generator:
    """Sends requests at random times and writes a line for each answer."""

    def __init__(self, *, host: str, port: int, service: str, rate: float, seed: str, out: Callable[[str], None]) -> None:
        self._host, self._port, self._rate = host, port, rate
        self._random = Random(seed)  # noqa: S311  # traffic, not secrets
        self._out = out
        self._idle: list[Connection] = []
        self._lines: list[str] = []
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._request = f"GET / HTTP/1.1\r\nhost: {service}\r\n\r\n".encode()

    async def run(self, told: Callable[[], Awaitable[None]]) -> None:
        """Send until told to stop, then wait for the answers under way."""
        async with TaskGroup() as group:
            flushing = group.create_task(self._flush_for_ever())
            sending = group.create_task(self._send_for_ever(group))
            await told()
            sending.cancel()
            await self._quiet.wait()
            flushing.cancel()
        self._flush()
        for connection in self._idle:
            connection.close()

    async def _send_for_ever(self, group: TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._random.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._under_way += 1
            self._quiet.clear()
            connection = self._free()
            if connection is not None:
                connection.send()
            else:
                group.create_task(self._send_on_new())

    def _free(self) -> Connection | None:
        """The connection used last, so that those not needed grow old and are closed by the edge."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _send_on_new(self) -> None:
        began = time.time()
        if self._under_way > _MAX_CONNECTIONS:
            self._count(Answer(start=began, seconds=0.0, status=NO_ANSWER, version=""))
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(request=self._request, done=self._answered), self._host, self._port
                )
        except OSError:  # refused, reset, and TimeoutError is one too
            self._count(Answer(start=began, seconds=time.time() - began, status=NO_ANSWER, version=""))
        else:
            connection.send()

    def _answered(self, connection: Connection, answer: Answer) -> None:
        self._count(answer)
        self._idle.append(connection)

    def _count(self, answer: Answer) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()
        self._lines.append(write(answer))

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._out("\n".join(self._lines) + "\n")
            self._lines.clear()


def main(argv: Sequence[str] | None = None) -> int:
    """Send requests until told to stop."""
    parser = argparse.ArgumentParser(prog="daemon.demo.load", description="The demo's load generator.")
    parser.add_argument("--url", required=True, help="http://host:port of the edge")
    parser.add_argument("--host", default="", help="what the service is called in the requests; default: as the URL has it")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--seed", default="1", help="the same seed gives the same gaps between requests")
    options = parser.parse_args(argv)
    address = urlsplit(options.url)

    def out(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    generator = Generator(
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        service=options.host or address.netloc,
        rate=options.rate,
        seed=options.seed,
        out=out,
    )
    asyncio.run(generator.run(until_told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
