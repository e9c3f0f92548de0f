"""Hooks on a real broker: what was answered is on the stream, whatever becomes of the broker, and its release is the daemon's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.settings import Hook, Http
from daemon.app import serve
from daemon.bus.opening import Bus, open_bus
from daemon.http.capacity import Capacity
from daemon.http.endpoint import ApiPorts
from daemon.http.server import HttpServer, create_app
from daemon.model import Release
from daemon.settings import settings_of
from tests.hand.api import Engine, ports_of
from tests.hand.broker import Broker, nats_server
from tests.hand.daemons import DaemonApi
from tests.servers.run import free_ports

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

SENDERS = 100
EVENTS = 500


@asynccontextmanager
async def hooked(bus: Bus) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an API whose hook ``ci`` keeps events on the stream."""
    http = Http(listen="127.0.0.1:0")
    ports = ports_of(Engine(), http)
    given = {name: getattr(ports, name) for name in ApiPorts.__slots__ if name not in {"event_log", "dead_letters", "hooks"}}
    hooks = {"ci": Hook(sender="cloudevents")}
    app = create_app(ApiPorts(**given, event_log=bus.event_log, dead_letters=bus.dead_letters, hooks=hooks))
    async with HttpServer(app, http=http, capacity=Capacity(connections=SENDERS * 2, per_peer=SENDERS * 2)) as server:
        connector = aiohttp.TCPConnector(limit=SENDERS)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.address.port}", connector=connector) as client:
            yield client


def event(number: int) -> bytes:
    release = {"service": f"s{number}", "namespace": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}
    envelope = {"specversion": "1.0", "id": str(number), "source": "/ci", "type": "io.verdictd.release.v1", "data": release}
    return json.dumps(envelope).encode()


async def post(client: aiohttp.ClientSession, number: int) -> tuple[int, str | None]:
    """The status, and how long to wait where it says so."""
    async with client.post("/hooks/ci", data=event(number), headers={"Content-Type": "application/cloudevents+json"}) as response:
        await response.read()
        return response.status, response.headers.get("Retry-After")


async def on_the_stream(bus: Bus, count: int) -> dict[str, Release]:
    """The first so many releases that come from the stream, by their service."""
    found: dict[str, Release] = {}
    announcements = bus.events.announcements()
    async for announcement in announcements:
        release = announcement.release()
        assert isinstance(release, Release)
        assert release.service not in found
        found[release.service] = release
        await announcement.accept()
        if len(found) == count:
            break
    await announcements.aclose()
    return found


async def test_of_a_flood_what_was_answered_is_on_the_stream_once_though_the_broker_dies_meanwhile(nats_server: Broker) -> None:
    numbers = iter(range(EVENTS))
    refused: list[str | None] = []
    sent = asyncio.Event()

    async def sender(client: aiohttp.ClientSession) -> None:
        for number in numbers:
            status = 0
            while status not in {200, 202}:
                status, again = await post(client, number)
                if status not in {200, 202}:
                    assert status == 503
                    refused.append(again)
                    await asyncio.sleep(0.05)
            if number == EVENTS // 4:
                sent.set()

    async with open_bus(nats_server.settings, cluster="prod") as bus, hooked(bus) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(sender(client))
            await sent.wait()
            await nats_server.kill()
            await nats_server.start()
        # What is known still is so: it was not lost with the broker, nor is it kept twice.
        assert [await post(client, number) for number in (0, EVENTS - 1)] == [(200, None)] * 2
        assert len(await on_the_stream(bus, EVENTS)) == EVENTS
        info = await bus.connection.jetstream.stream_info("VERDICTD_RELEASES")
        assert info.state.last_seq == EVENTS
    assert refused
    assert set(refused) == {"1"}


@asynccontextmanager
async def daemon(broker: Broker, folder: Path, port: int, *, hooks: dict[str, Any] | None = None) -> AsyncIterator[DaemonApi]:
    """The whole daemon, with a mesh that it never reaches, and a hook, or these."""
    settings = settings_of(
        {
            "nats": {"url": broker.url},
            "http": {"listen": f"127.0.0.1:{port}"},
            "telemetry": {"t": {"kind": "envoy", "endpoints": ["http://127.0.0.1:9"]}},
            "meshes": {
                "edge": {"kind": "envoy", "telemetry": "t", "routes_file": str(folder / "rds"), "admin": "http://127.0.0.1:9"}
            },
            "hooks": hooks or {"ci": {"sender": "cloudevents"}},
        },
        source="test",
        environ={},
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(serve(settings, stop=stop))
        api = DaemonApi(port=port)
        try:
            await api.ready()
            yield api
        finally:
            stop.set()
            await running


async def test_what_comes_by_a_hook_is_the_daemon_s_release_and_the_same_one_after_a_restart(
    nats_server: Broker, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    told: list[str] = []
    for status in (202, 200):
        async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
            headers = {"Content-Type": "application/cloudevents+json"}
            async with client.post("/hooks/ci", data=event(7), headers=headers) as response:
                assert response.status == status, await response.read()
                told.append((await response.json())["release"])
            await api.until_answered(f"/v1/releases/{told[0]}")
            async with client.get("/v1/releases") as response:
                assert [one["id"] for one in (await response.json())["releases"]] == told[:1]
    assert told[0] == told[1]
