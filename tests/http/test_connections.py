"""Connections are bounded in all, by address and in time; whoever is being answered stays."""

import asyncio
import io
import json
import logging
import resource

import aiohttp
import pytest

from config.errors import ConfigError
from config.settings import EnvoyTelemetry, Http, PrometheusTelemetry, Settings
from daemon import logs
from daemon.http import capacity as capacities
from daemon.http.capacity import Capacity, capacity, set_aside
from daemon.meshes.envoy.mesh import EnvoyMesh
from daemon.meshes.istio.mesh import IstioMesh
from tests.hand.api import RELEASE, Api, Engine, serving, view
from tests.hand.waiting import until

BODY = json.dumps(RELEASE).encode()
RELEASES = {"shop-1": view("shop-1")}
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK"


class Peer:
    """A raw connection from an address of loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def is_closed(self) -> bool:
        """Waits until it is; a peer that stays connected hangs here until the test's own limit."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def alive(self) -> bool:
        """Ask for /healthz; whether it was answered."""
        try:
            self.writer.write(ALIVE)
            head = await self.reader.readuntil(b"\r\n\r\n")
            await self.reader.readexactly(3)
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        return head.startswith(ANSWERED)


class Peers:
    """Connections to one API, closed in the end."""

    def __init__(self, api: Api) -> None:
        self._port = api.server.address.port
        self._open: list[Peer] = []

    async def connect(self, address: str = "127.0.0.1") -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0)))
        self._open.append(peer)
        return peer

    def close(self) -> None:
        for peer in self._open:
            peer.writer.close()


async def test_when_all_are_taken_the_one_that_is_idle_longest_makes_way() -> None:
    async with serving(connections=3) as api:
        peers = Peers(api)
        first, second, third = [await peers.connect() for _ in range(3)]
        assert await first.alive()  # it has asked for something since: now the second is idle longest
        fourth = await peers.connect()
        assert await fourth.alive()
        assert await second.is_closed()
        assert [await peer.alive() for peer in (first, third, fourth)] == [True] * 3
        assert len(api.server.connections) == 3
        peers.close()


async def test_whoever_is_being_answered_stays_and_the_newcomer_is_closed_at_once() -> None:
    async with serving(Engine(releases=RELEASES), connections=2) as api:
        polls = [asyncio.ensure_future(api.call("GET", "/v1/releases/shop-1/verdict?wait=300")) for _ in range(2)]
        # A connection is there before the request on it is, and until then it is idle and would make way.
        await until(lambda: len(api.server.connections) == 2 and not api.server.connections._idle)
        peers = Peers(api)
        assert not await (await peers.connect()).alive()
        api.engine.end("shop-1")
        assert [status for status, _ in await asyncio.gather(*polls)] == [200, 200]
        assert await (await peers.connect()).alive()
        peers.close()


SLOW = b"POST /v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def test_a_request_whose_body_does_not_come_keeps_nobody_out_and_one_that_comes_slowly_is_answered() -> None:
    async with serving(connections=3) as api:
        peers = Peers(api)
        slow = [await peers.connect() for _ in range(3)]
        for peer in slow:
            peer.writer.write(SLOW + BODY[:1])
        newcomer = await peers.connect()
        assert await newcomer.alive()
        assert await slow[0].is_closed()
        slow[1].writer.write(BODY[1:])
        assert (await slow[1].reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 202")
        peers.close()


async def test_whoever_is_answered_before_the_body_has_come_is_idle_afterwards() -> None:
    async with serving(connections=1) as api:
        peers = Peers(api)
        early = await peers.connect()
        early.writer.write(SLOW.replace(b"application/json", b"text/plain"))
        assert (await early.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 415")
        early.writer.write(BODY)
        await asyncio.sleep(0.05)
        assert await (await peers.connect()).alive()
        peers.close()


async def test_an_address_that_is_being_answered_as_often_as_it_may_leaves_room_for_others() -> None:
    async with serving(Engine(releases=RELEASES), connections=10, per_peer=1) as api:
        poll = asyncio.ensure_future(api.call("GET", "/v1/releases/shop-1/verdict?wait=300"))
        await api.engine.waited_for.wait()
        peers = Peers(api)
        assert not await (await peers.connect("127.0.0.1")).alive()
        assert await (await peers.connect("127.0.0.2")).alive()
        api.engine.end("shop-1")
        assert (await poll)[0] == 200
        peers.close()


async def test_one_address_cannot_take_the_room_of_others() -> None:
    async with serving(connections=4, per_peer=2) as api:
        peers = Peers(api)
        neighbour = await peers.connect("127.0.0.2")
        flood = [await peers.connect("127.0.0.3") for _ in range(5)]
        assert [await peer.is_closed() for peer in flood[:3]] == [True] * 3
        assert [await peer.alive() for peer in (neighbour, *flood[3:])] == [True] * 3
        assert len(api.server.connections) == 3
        peers.close()


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /healthz HT", ALIVE.replace(b"\r\n\r\n", b"\r\nX-Slow: ")],
    ids=["nothing", "half a line", "half a head"],
)
async def test_a_connection_on_which_no_whole_request_comes_is_closed(said: bytes) -> None:
    async with serving(http=Http(listen="127.0.0.1:0", idle_seconds=0.05)) as api:
        peers = Peers(api)
        peer = await peers.connect()
        peer.writer.write(said)
        assert await peer.is_closed()
        peers.close()


async def test_drops_of_a_head_do_not_keep_a_connection_open() -> None:
    async with serving(http=Http(listen="127.0.0.1:0", idle_seconds=0.1)) as api:
        peers = Peers(api)
        peer = await peers.connect()
        peer.writer.write(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        closed = asyncio.ensure_future(peer.is_closed())
        while not closed.done():
            peer.writer.write(b"x")
            await asyncio.sleep(0.005)
        assert closed.result()
        peers.close()


async def test_a_connection_whose_answer_is_not_taken_is_closed() -> None:
    many = {f"shop-{number}": view(f"shop-{number}") for number in range(2000)}
    async with serving(Engine(releases=many), Http(listen="127.0.0.1:0", idle_seconds=0.5)) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port, limit=1024)
        writer.write(b"GET /v1/releases?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 60)
        assert await reader.readexactly(len(ANSWERED)) == ANSWERED
        await until(lambda: len(api.server.connections) == 0)
        writer.close()


async def test_a_long_poll_outlasts_the_limit_for_idle_connections() -> None:
    async with serving(Engine(releases=RELEASES), Http(listen="127.0.0.1:0", idle_seconds=0.5)) as api:
        poll = asyncio.ensure_future(api.call("GET", "/v1/releases/shop-1/verdict?wait=300"))
        peers = Peers(api)
        await api.engine.waited_for.wait()
        for _ in range(3):  # each is closed for being idle: so long the poll has been waiting, at least
            assert await (await peers.connect()).is_closed()
        api.engine.end("shop-1")
        assert (await poll)[0] == 200
        peers.close()


async def test_a_flood_of_idle_connections_keeps_nobody_out() -> None:
    async with serving(connections=20, per_peer=10) as api:
        peers = Peers(api)
        for _ in range(300):
            await peers.connect()
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for path in ("/healthz", "/metrics", "/v1/releases"):
                async with session.get(f"http://127.0.0.1:{api.server.address.port}{path}") as answer:
                    assert answer.status == 200
        assert len(api.server.connections) <= 10
        peers.close()


async def test_bytes_that_are_no_http_are_answered_and_cost_a_short_line_each_and_no_more_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    handler = logs.SummingHandler(stream, times=5, window_seconds=600.0)
    handler.setFormatter(logs.JsonFormatter())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    async with serving() as api:
        peers = Peers(api)
        for garbage in (b"GET / HTTP/9.x\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n") * 20:
            peer = await peers.connect()
            peer.writer.write(garbage)
            assert b" 400 " in await peer.reader.readline()
        peers.close()
    handler.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["a request was no HTTP"] * 5 + ["said again"]
    assert lines[-1]["times"] == 55
    assert "Traceback" not in stream.getvalue()
    assert len(stream.getvalue()) < 3000


# --- how many there may be -------------------------------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The process's limit of descriptors, as a pretence: the last entry holds."""
    values = [(1024, 1024)]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: values[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: values.append(limits))
    return values


def test_connections_are_what_is_left_beside_everything_else(limit: list[tuple[int, int]]) -> None:
    limit.append((256, 256))
    settings = Settings()
    found = capacity(settings)
    assert found.connections == 256 - set_aside(settings)
    assert found.per_peer == found.connections // 2
    limit.append((1024, 1024))
    assert capacity(settings).connections == 1024 - set_aside(settings)
    assert len(limit) == 3, "nothing can be raised"


def test_the_limit_is_raised_as_far_as_is_needed_and_allowed(limit: list[tuple[int, int]]) -> None:
    for hard in (1_048_576, resource.RLIM_INFINITY):
        limit.append((1024, hard))
        assert capacity(Settings()) == Capacity(connections=1000, per_peer=500)
        assert limit[-1] == (1000 + set_aside(Settings()), hard)
    limit.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert capacity(Settings(http=Http(max_connections=5000, max_connections_per_peer=7))) == Capacity(connections=5000, per_peer=7)


@pytest.mark.parametrize(("soft", "wanted"), [(64, None), (256, 200)])
def test_a_limit_that_is_too_low_is_refused_with_what_is_needed(
    limit: list[tuple[int, int]], soft: int, wanted: int | None
) -> None:
    limit.append((soft, soft))
    settings = Settings(http=Http(max_connections=wanted))
    with pytest.raises(ConfigError) as caught:
        capacity(settings)
    (problem,) = caught.value.faults
    need = set_aside(settings) + (capacities.LEAST if wanted is None else wanted)
    assert problem.path == "http.max_connections"
    assert f"may open {soft} files" in problem.message
    assert f"ulimit -n {need}" in problem.fix


def test_every_part_that_opens_something_is_set_aside_for() -> None:
    proxies = EnvoyTelemetry(endpoints=[f"http://10.0.0.{number}:9901" for number in range(30)])
    prometheus = PrometheusTelemetry(url="http://prometheus:9090", dialect="istio")
    envoy = EnvoyMesh(telemetry="t", routes_file="routes.yaml", admin="http://127.0.0.1:9901")
    bare = set_aside(Settings())
    assert set_aside(Settings(telemetry={"t": proxies})) == bare + 30
    assert set_aside(Settings(telemetry={"t": proxies}, meshes={"a": envoy, "b": envoy})) > bare + 30
    more = set_aside(Settings(telemetry={"t": prometheus}, meshes={"a": IstioMesh(telemetry="t")}))
    assert more > bare + 100, "the API server's pool, and Prometheus"
