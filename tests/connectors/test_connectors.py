"""A source of events and a sink that another package brings are ones like ours, in a whole daemon. No file of ours changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from config.settings import Settings
from daemon.app import serve
from daemon.bus import subjects
from daemon.bus.opening import Bus, open_bus
from daemon.bus.store import KvStore
from daemon.kube.resources import PODS
from daemon.model import Outcome, Record
from daemon.settings import settings_of
from tests.bus.test_eventsource import dead_letters
from tests.connectors import made_up, made_up_settings
from tests.hand.broker import Broker, nats_server
from tests.hand.packages import install, packages
from tests.hand.samples import DOCUMENT
from tests.hand.waiting import until
from tests.meshes.cluster import cluster
from tests.servers.run import free_ports

__all__ = ["nats_server", "packages"]

pytestmark = pytest.mark.live


def settings(folder: Path, broker: Broker, **more: object) -> Settings:
    [port] = free_ports(1)
    document = {
        "cluster": "prod",
        "nats": {"url": broker.url},
        "http": {"listen": f"127.0.0.1:{port}"},
        "telemetry": {"t": {"kind": "prometheus", "url": "http://127.0.0.1:9", "dialect": "envoy"}},
        "meshes": {
            "m": {"kind": "envoy", "telemetry": "t", "routes_file": str(folder / "routes.json"), "admin": "http://127.0.0.1:9"}
        },
        "limits": {"locate_seconds": 600.0},
        **more,
    }
    return settings_of(document, source="test")


@asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[None]:
    """A whole daemon."""
    stop = asyncio.Event()
    async with asyncio.timeout(60.0), asyncio.TaskGroup() as group:
        group.create_task(serve(given, stop=stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def daemon(given: Settings) -> AsyncIterator[made_up.Pipe]:
    """A whole daemon, and the pipe into it."""
    async with serving(given):
        await until(lambda: bool(made_up.PIPES))
        yield made_up.PIPES[-1]


async def test_a_made_up_source_and_sink_are_a_module_and_a_row(packages: Path, tmp_path: Path, nats_server: Broker) -> None:
    sinks = {"s0": "tests.connectors.made_up:LIST", "s1": "tests.connectors.made_up:NOT_ASKED_FOR"}
    install(packages, {"verdictd.sources": {"s0": "tests.connectors.made_up:PIPE"}, "verdictd.sinks": sinks})
    async with open_bus(nats_server.settings, cluster="elsewhere") as bus, daemon(settings(tmp_path, nats_server)) as pipe:
        body = json.dumps({**DOCUMENT, "baseline": {"service": "v1"}, "canary": {"service": "v2"}}).encode()
        pipe.waiting.put_nowait((1, body))
        pipe.waiting.put_nowait((2, b"no release"))
        pipe.waiting.put_nowait((3, json.dumps({**DOCUMENT, "policy": "none"}).encode()))
        await until(lambda: len(pipe.answers) == 3)
        assert pipe.answers == {1: "accepted", 2: "rejected", 3: "rejected"}
        letters = {letter["Nats-Msg-Id"]: letter["Verdictd-Reason"] for letter, _ in await dead_letters(bus)}
        assert letters["pipe:2"].startswith("$: not JSON")
        assert letters["pipe:3"].startswith("$.policy: no policy 'none'")
        release_id = await running(bus)
        await bus.connection.jetstream.publish(f"verdictd.command.{release_id}", b'{"command":"cancel","by":"eve"}')
        await until(lambda: release_id in made_up.HEARD.verdicts)
        told = made_up.HEARD.verdicts.pop(release_id)
        assert (told.outcome, told.by) == (Outcome.INCONCLUSIVE, "person")
        record = await recorded(bus, release_id)
    steps = [(mark.step, mark.detail) for mark in record.marks]
    assert ("delivered", "list") in steps
    assert [step for step, _ in steps if step == "published"] == ["published"]


async def running(bus: Bus) -> str:
    """The id of the one release under way, from where its session is kept."""
    kept = KvStore(bus.connection, bucket=subjects.SESSIONS, cluster="prod")
    while not (found := await kept.items()):
        await asyncio.sleep(0.05)
    [(release_id, _)] = found
    return release_id


async def recorded(bus: Bus, release_id: str) -> Record:
    """The record, once it is there."""
    records = KvStore(bus.connection, bucket=subjects.RECORDS, cluster="prod")
    while (kept := await records.get(release_id)) is None:
        await asyncio.sleep(0.05)
    return msgspec.json.decode(kept.value, type=Record)


async def test_settings_of_their_own_and_the_clusters_clients_reach_a_source_and_as_many_sinks_as_are_named(
    packages: Path, tmp_path: Path, nats_server: Broker
) -> None:
    module = "tests.connectors.made_up_settings"
    install(packages, {"verdictd.sources": {"s": f"{module}:WATCHED"}, "verdictd.sinks": {"t": f"{module}:JOURNAL"}})
    async with cluster(tmp_path) as api, open_bus(nats_server.settings, cluster="elsewhere") as bus:
        release = json.dumps({**DOCUMENT, "baseline": {"service": "v1"}, "canary": {"service": "v2"}})
        for name, text in (("web-1", release), ("odd-1", "no release")):
            annotations = {made_up_settings.ANNOTATION: text}
            api.put(PODS, {"metadata": {"name": name, "namespace": "shop", "annotations": annotations}, "spec": {}})
        given = settings(
            tmp_path,
            nats_server,
            kubernetes={"east": {"auth": "kubeconfig", "kubeconfig": str(api.kubeconfig)}},
            sources={"shop": {"kind": "pods", "cluster": "east", "namespace": "shop"}},
            sinks={"first": {"kind": "journal", "title": "one"}, "second": {"kind": "journal", "title": "two"}},
        )
        async with serving(given):
            await until(lambda: "shop" in made_up_settings.SOURCES)
            answers = made_up_settings.SOURCES["shop"].answers
            await until(lambda: len(answers) == 2)
            assert answers["web-1"] == "accepted"
            assert answers["odd-1"].startswith("$: not JSON")
            release_id = await running(bus)
            await bus.connection.jetstream.publish(f"verdictd.command.{release_id}", b'{"command":"cancel","by":"eve"}')
            await until(lambda: all(release_id in made_up_settings.JOURNALS.get(title, {}) for title in ("one", "two")))
            record = await recorded(bus, release_id)
    assert sorted(mark.detail for mark in record.marks if mark.step == "delivered") == ["first", "second"]
