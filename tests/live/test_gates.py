"""Gates of a whole daemon on a real broker: the first question begins the watch, and its answer outlives the daemon."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.bus.opening import open_bus
from daemon.interventions import Command
from daemon.ports.awaiting import shown
from tests.hand.broker import Broker, nats_server
from tests.hand.ports import until
from tests.http.gates.test_outlines import NEW, gated
from tests.live.test_hooks import daemon
from tests.servers.run import free_ports
from tests.watcher.world import virtual_service

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

QUESTION = {
    "attempt": "web/85d557f47b",
    "verdictd": {
        "service": "web",
        "namespace": "shop",
        "baseline": {"service": "web-primary"},
        "canary": {"service": "web-canary"},
    },
}
HOOK = {"name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "85d557f47b"}
SAMPLE = "/gates/prometheus/api/v1/query"


async def ask(client: aiohttp.ClientSession, path: str, document: Any) -> tuple[int, str]:
    async with client.post(path, json=document) as response:
        return response.status, await response.text()


async def hooked(client: aiohttp.ClientSession) -> dict[str, int]:
    """What Flagger's webhooks are answered."""
    kinds = ("rollback", "rollout", "confirm-promotion")
    return {kind: (await ask(client, f"/gates/flagger/{kind}", HOOK))[0] for kind in kinds}


async def sample(client: aiohttp.ClientSession) -> tuple[str, str]:
    """The release that is meant, and the value."""
    query = {"query": 'verdictd_gate{namespace="shop",workload="web"}'}
    async with client.get(SAMPLE, params=query) as response:
        [series] = (await response.json())["data"]["result"]
        return series["metric"]["release"], series["value"][1]


async def listed(client: aiohttp.ClientSession) -> list[str]:
    async with client.get("/v1/releases") as response:
        return [one["id"] for one in (await response.json())["releases"]]


async def test_an_attempt_is_one_release_over_restarts_and_its_verdict_is_every_gate_s(nats_server: Broker, tmp_path: Path) -> None:
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        status, text = await ask(client, "/gates/http?answer=status", QUESTION)
        assert status == 202, text
        [release_id] = await listed(client)
        assert release_id in text
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        assert (await ask(client, "/gates/http?answer=status", QUESTION))[0] == 202
        assert await sample(client) == (release_id, "1")
        assert await listed(client) == [release_id]
        async with client.post(f"/v1/releases/{release_id}/rollback", json={}) as response:
            assert response.status == 202
        status, text = await ask(client, "/gates/http?answer=status&wait=60", QUESTION)
        assert status == 403, text
        assert '"verdict":"rollback"' in text
        assert await sample(client) == (release_id, "0")
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        assert (await ask(client, "/gates/http?answer=status", QUESTION))[0] == 403
        status, text = await ask(client, "/gates/argo", QUESTION)
        assert (status, '"verdict":"rollback"' in text, release_id in text) == (200, True, True)


async def test_who_announces_a_canary_that_a_gate_began_joins_it_and_is_known_after_a_restart(
    nats_server: Broker, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    event = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1", "data": QUESTION["verdictd"]}
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        await ask(client, "/gates/http", QUESTION)
        [release_id] = await listed(client)
        async with client.post("/hooks/ci", json=event, headers={"Content-Type": "application/cloudevents+json"}) as response:
            alias = (await response.json())["release"]
        await api.until_answered(f"/v1/releases/{alias}")
        async with client.post("/v1/releases", json=QUESTION["verdictd"], headers={"Idempotency-Key": "7"}) as response:
            assert (response.status, (await response.json())["id"]) == (200, release_id)
        assert await listed(client) == [release_id]
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        async with client.post(f"/v1/releases/{alias}/rollback", json={}) as response:
            assert response.status == 202
        async with client.get(f"/v1/releases/{alias}/verdict?wait=60") as response:
            assert (await response.json())["release_id"] == release_id
        assert (await ask(client, "/gates/http?answer=status", QUESTION))[0] == 403
        assert (await ask(client, "/gates/flagger/rollback", HOOK))[0] == 200, "it asks for the first time"


async def test_a_question_without_arms_waits_on_the_broker_over_a_restart_and_is_the_release_of_its_canary(
    nats_server: Broker,
) -> None:
    async with open_bus(nats_server.settings, cluster="test") as bus, gated(blue=100, green=0, store=bus.awaited) as here:
        began = await here.ask()
    async with open_bus(nats_server.settings, cluster="test") as bus, gated(blue=100, green=0, store=bus.awaited) as here:
        told = await here.ask()
        assert (told["release"], told["verdict"], told["submitted_at"]) == (began["release"], "pending", began["submitted_at"])
        assert [(one.id, one.sender) for one in shown(here.world.awaited)] == [(began["release"], "gate http")]
        here.world.cluster.routes.put(virtual_service(blue=90, green=10))
        await until(here.engine.views)
        await until(lambda: not here.world.awaited.all())
        await here.engine.command(began["release"], Command(command="rollback", by="anna"))
        assert await here.engine.wait(began["release"], seconds=30.0) is not None
        assert (await here.post("/gates/http?answer=status", {"attempt": "7", "verdictd": NEW}))[0] == 403


async def test_why_a_question_without_arms_came_to_nothing_is_told_by_the_broker_to_every_replica_and_over_a_restart(
    nats_server: Broker,
) -> None:
    async with (
        open_bus(nats_server.settings, cluster="test") as bus,
        gated(blue=100, green=0, store=bus.awaited, lapsed=bus.lapsed) as here,
        gated(blue=100, green=0, store=bus.awaited, lapsed=bus.lapsed) as beside,
    ):
        began = await here.ask()
        await here.engine.command(began["release"], Command(command="cancel", by="anna"))
        held = await here.ask()
        assert (held["verdict"], "cancelled by anna" in held["reason"]) == ("hold", True)
        assert await beside.ask() == held
        assert not beside.world.awaited.all()
    async with (
        open_bus(nats_server.settings, cluster="test") as bus,
        gated(blue=100, green=0, store=bus.awaited, lapsed=bus.lapsed) as again,
    ):
        assert await again.ask() == held


async def test_flagger_s_webhooks_are_answered_by_one_release_that_they_began(nats_server: Broker, tmp_path: Path) -> None:
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        assert (await ask(client, "/gates/flagger/confirm-rollout", HOOK))[0] == 200
        assert await listed(client) == []
        assert await hooked(client) == {"rollback": 403, "rollout": 200, "confirm-promotion": 403}
        [release_id] = await listed(client)
        async with client.post(f"/v1/releases/{release_id}/promote", json={}) as response:
            assert response.status == 202
        await api.until_answered(f"/v1/releases/{release_id}/record")
        assert await hooked(client) == {"rollback": 403, "rollout": 200, "confirm-promotion": 200}
        assert await listed(client) == [release_id]
