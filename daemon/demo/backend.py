"""One version of the demo's service, a process of its own: ``python -m daemon.demo.backend --version v1 --seed 1``.

Written on bare asyncio protocols, because the demo shares a small machine with everything else and a web framework's cost
per request would be most of it. A second port takes a new behaviour at run time (``PUT /`` with its JSON), and shows what was
answered as the sidecar of Istio would (any GET): the stock Envoy before it cannot. It prints ``{"port": ..., "control": ...}`` when
it listens, and ends on SIGTERM.
"""

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Sequence
from random import Random
from statistics import NormalDist

import msgspec

from daemon.demo.children import until_told
from daemon.demo.istiocounters import IstioExporter
from daemon.demo.routes import NAMESPACE, SERVICE, cluster, latency_bounds_ms


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-normal service times, as most services have, and a share of failures that does not depend on them.

    Attributes:
        median_ms: half of the answers are faster than this.
        p99_ms: one of a hundred is slower than this; how long the tail is.
        error_rate: share of the answers that are a 500.
    """

    median_ms: float = 20.0
    p99_ms: float = 80.0
    error_rate: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what no service can do."""
        if not 0.0 < self.median_ms < self.p99_ms:
            raise ValueError(f"p99_ms ({self.p99_ms:g}) must be above median_ms ({self.median_ms:g}), and both above 0")
        if not 0.0 <= self.error_rate <= 1.0:
            raise ValueError(f"error_rate ({self.error_rate:g}) must be between 0 and 1")

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of a service time."""
        return math.log(self.p99_ms / self.median_ms) / NormalDist().inv_cdf(0.99)

    def slower(self, factor: float) -> "Behaviour":
        """The same service with every answer slower by a factor."""
        return msgspec.structs.replace(self, median_ms=self.median_ms * factor, p99_ms=self.p99_ms * factor)

    def failing(self, error_rate: float) -> "Behaviour":
        """The same service with another share of failures."""
        return msgspec.structs.replace(self, error_rate=error_rate)


class Dice:
    """Draws answers; the same seed draws the same ones."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)  # noqa: S311  # traffic, not secrets

    def draw(self, behaviour: Behaviour) -> tuple[float, bool]:
        """Service time in seconds, and whether the answer is a failure."""
        normal = self._random.gauss(0.0, 1.0)
        failed = self._random.random() < behaviour.error_rate
        return behaviour.median_ms * math.exp(behaviour.sigma * normal) / 1000.0, failed


_BODY = b"hello\n"


class Service:
    """What all connections of one version share."""

    def __init__(self, *, version: str, behaviour: Behaviour, dice: Dice) -> None:
        self.behaviour = behaviour
        self.counters = IstioExporter(SERVICE, NAMESPACE, cluster(version), version, bounds_ms=latency_bounds_ms())
        self._dice = dice
        head = f"content-type: text/plain\r\ncontent-length: {len(_BODY)}\r\nx-version: {version}\r\n\r\n".encode()
        self._good = b"HTTP/1.1 200 OK\r\n" + head + _BODY
        self._bad = b"HTTP/1.1 500 Internal Server Error\r\n" + head + _BODY

    def answer(self) -> tuple[float, int, bytes]:
        """How many seconds the next answer takes, its status, and itself."""
        seconds, failed = self._dice.draw(self.behaviour)
        return seconds, *((500, self._bad) if failed else (200, self._good))


class Requests(asyncio.Protocol):
    """One connection: requests without bodies, one after the other, as Envoy sends them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)  # what a stream server hands out; for the types
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers still due have nowhere to go."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer each complete request after its service time."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, _, self._received = self._received.partition(b"\r\n\r\n")
            seconds, status, answer = self._service.answer()
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, self._send, loop.time(), status, answer)

    def _send(self, began: float, status: int, answer: bytes) -> None:
        self._service.counters.observe(status, asyncio.get_running_loop().time() - began)
        if self._transport is not None:
            self._transport.write(answer)


async def control(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Show what was counted; or take one new behaviour: 204, or 400 with the reason."""
    try:
        async with asyncio.timeout(5.0):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
        status, said = ("200 OK", service.counters.text()) if head.startswith(b"GET ") else _told(service, body)
        text = said.encode()
        writer.write(f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text)
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError, ValueError):
        pass  # a broken request to the control port changes nothing; its sender sees the connection close
    finally:
        writer.close()


def _told(service: Service, body: bytes) -> tuple[str, str]:
    """The answer to a new behaviour: its status and what it says."""
    try:
        service.behaviour = msgspec.json.decode(body, type=Behaviour)
    except msgspec.DecodeError as error:
        return "400 Bad Request", str(error)
    return "204 No Content", ""


async def serve(*, version: str, seed: str, behaviour: Behaviour) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    service = Service(version=version, behaviour=behaviour, dice=Dice(seed))
    server = await loop.create_server(lambda: Requests(service), "127.0.0.1", 0, backlog=512)
    controls = await asyncio.start_server(lambda r, w: control(service, r, w), "127.0.0.1", 0)
    ports = {"port": server.sockets[0].getsockname()[1], "control": controls.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    try:
        await until_told()
    finally:  # not `async with`: that waits for the proxy to close its idle connections, which it keeps
        server.close()
        controls.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one version."""
    parser = argparse.ArgumentParser(prog="daemon.demo.backend", description="One version of the demo's service.")
    parser.add_argument("--version", required=True, help="what it answers in the header x-version")
    parser.add_argument("--seed", default="1", help="the same seed gives the same answers")
    parser.add_argument("--behaviour", default="{}", help="JSON: median_ms, p99_ms, error_rate")
    options = parser.parse_args(argv)
    behaviour = msgspec.json.decode(options.behaviour, type=Behaviour)
    asyncio.run(serve(version=options.version, seed=options.seed, behaviour=behaviour))
    return 0


if __name__ == "__main__":
    sys.exit(main())
