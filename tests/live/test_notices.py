"""Verdicts to channels, by a whole daemon on a real broker: at least once, under one id, whatever is killed on the way."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from daemon.app import serve
from daemon.bus import consuming
from daemon.settings import settings_of
from tests.hand.broker import Broker, nats_server
from tests.hand.daemons import DaemonApi
from tests.hand.servers import Stub, says, silence, stub
from tests.servers.run import Process, free_ports, running

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

RELEASE = {
    "service": "web",
    "namespace": "shop",
    "baseline": {"service": "web-v1"},
    "canary": {"service": "web-v2"},
    "mesh": "edge",
}


def settings(broker: Broker, folder: Path, port: int, sinks: object) -> dict[str, object]:
    """Of a daemon with a mesh that it never reaches."""
    return {
        "nats": {"url": broker.url},
        "http": {"listen": f"127.0.0.1:{port}"},
        "telemetry": {"t": {"kind": "envoy", "endpoints": ["http://127.0.0.1:9"]}},
        "meshes": {"edge": {"kind": "envoy", "telemetry": "t", "routes_file": str(folder / "rds"), "admin": "http://127.0.0.1:9"}},
        "sinks": sinks,
    }


@asynccontextmanager
async def daemon(broker: Broker, folder: Path, *, sinks: object) -> AsyncIterator[DaemonApi]:
    """The whole daemon, in this process."""
    [port] = free_ports(1)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        read = settings_of(settings(broker, folder, port, sinks), source="test", environ={})
        serving = group.create_task(serve(read, stop=stop))
        api = DaemonApi(port=port)
        try:
            await api.ready()
            yield api
        finally:
            stop.set()
            await serving


@asynccontextmanager
async def process(broker: Broker, folder: Path, *, sinks: object) -> AsyncIterator[tuple[DaemonApi, Process]]:
    """The whole daemon, in a process that can be killed."""
    [port] = free_ports(1)
    file = folder / "verdictd.json"
    await asyncio.to_thread(file.write_text, json.dumps(settings(broker, folder, port, sinks)))
    api = DaemonApi(port=port)

    async def ready() -> bool:
        return await api.get("/readyz") is not None

    argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
    async with running("verdictd", argv, folder=folder, ready=ready, env={"PYTHONPATH": str(Path.cwd())}) as started:
        yield api, started


async def ended(client: aiohttp.ClientSession, **fields: object) -> str:
    """The id of a release that was announced and cancelled."""
    async with client.post("/v1/releases", json={**RELEASE, **fields}) as response:
        body = await response.json()
        assert response.status == 202, body
        release_id: str = body["id"]
    async with client.post(f"/v1/releases/{release_id}/cancel", json={"by": "a test", "reason": "<b>@here</b>"}) as response:
        assert response.status < 300, await response.text()
    async with client.get(f"/v1/releases/{release_id}/verdict", params={"wait": "30"}) as response:
        assert response.status == 200, await response.text()
    return release_id


async def until_told(target: Stub, count: int) -> list[str]:
    """The ids under which the target was told, once it was so often."""
    async with asyncio.timeout(60.0):
        while len(target.requests) < count:
            await asyncio.sleep(0.05)
    return [one["webhook-id"] for one in target.headers]


async def until_measured(client: aiohttp.ClientSession, line: str) -> None:
    """Until this line is among the metrics."""
    metrics = ""
    async with asyncio.timeout(60.0):
        while line not in metrics:
            await asyncio.sleep(0.05)
            async with client.get("/metrics") as response:
                metrics = await response.text()


async def test_a_verdict_is_told_though_daemon_and_broker_are_killed_while_its_target_hangs_and_under_the_same_id(
    nats_server: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stub(silence()) as target:
        sinks = {"ci": {"kind": "webhook", "url": f"{target.url}/hook", "namespaces": ["shop"]}}
        async with process(nats_server, tmp_path, sinks=sinks) as (api, killed), aiohttp.ClientSession(api.url) as client:
            release_id = await ended(client)
            assert await until_told(target, 1) == [f"{release_id}.verdict"]
            killed.signal(signal.SIGKILL)
        await nats_server.kill()
        await nats_server.start()
        target.says(b"", status=204)
        # Of the killed daemon nothing was heard; the next one would wait ten seconds for it.
        monkeypatch.setattr(consuming, "ACK_WAIT_SECONDS", 1.0)
        monkeypatch.setattr(consuming, "HEARTBEAT_SECONDS", 0.3)
        async with daemon(nats_server, tmp_path, sinks=sinks) as api, aiohttp.ClientSession(api.url) as client:
            ids = await until_told(target, 2)
            await until_measured(client, 'verdictd_notices_sent_total{sink="ci"} 1.0')
        assert ids == [f"{release_id}.verdict"] * 2
        _, _, event = target.requests[-1]
        assert event["id"] == f"{release_id}.verdict"
        assert event["data"]["outcome"] == "inconclusive"


async def test_a_callback_is_told_where_its_host_is_allowed_and_a_filter_keeps_the_rest(
    nats_server: Broker, tmp_path: Path
) -> None:
    async with stub(says(status=202)) as allowed, stub(says(status=200)) as other:
        sinks = {
            "jenkins": {"kind": "callback", "hosts": ["127.0.0.1"]},
            "rollbacks": {"kind": "webhook", "url": other.url, "outcomes": ["rollback"]},
            "elsewhere": {"kind": "callback", "hosts": ["ci.example"]},
        }
        async with daemon(nats_server, tmp_path, sinks=sinks) as api, aiohttp.ClientSession(api.url) as client:
            release_id = await ended(client, callback=f"{allowed.url}/webhook-step/abc?x=1")
            assert await until_told(allowed, 1) == [f"{release_id}.verdict"]
            await until_measured(client, 'verdictd_notices_given_up_total{sink="elsewhere"} 1.0')
        assert allowed.requests[0][:2] == ("POST", "/webhook-step/abc?x=1")
        assert other.requests == []
