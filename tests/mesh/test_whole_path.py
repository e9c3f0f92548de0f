"""Issue to answer on a real Istio: an event on NATS, counters through Prometheus, a patched VirtualService, no more canary traffic.

The daemon is the product's own process; the API server, istiod, Envoy, Prometheus and NATS are the real ones.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from daemon import names
from daemon.bus import subjects
from daemon.bus.address import Address
from daemon.bus.connection import Connection, connected
from daemon.demo.children import child
from daemon.events import cloudevents, verdicts
from daemon.events.announcing import RELEASE_TYPE, origin
from daemon.events.cloudevents import CloudEvent
from daemon.model import Action, ArmSpec, Outcome, Record, Release, Verdict
from tests.mesh.istio_world import IstioWorld
from tests.mesh.traffic import said
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(180)]

RATE = 300.0


@dataclass(frozen=True)
class Daemon:
    """A running verdictd, and a connection to the broker beside it."""

    url: str
    broker: Connection

    async def announce(self, release: Release, *, event_id: str) -> str:
        """Publish a deployment event; gives the release's id."""
        event = CloudEvent(
            id=event_id,
            source="/tests/istio",
            type=RELEASE_TYPE,
            subject=None,
            time=None,
            datacontenttype="application/json",
            data=msgspec.json.encode(release),
        )
        headers, body = cloudevents.to_structured(event)
        subject = subjects.release_subject(cluster="test", namespace=release.namespace, service=release.service)
        await self.broker.jetstream.publish(subject, body, headers=headers)
        return names.new_release_id(release.service, origin=origin("/tests/istio", event_id))

    async def get(self, path: str) -> bytes | None:
        """An answer of the API; null while there is none."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
                return await answer.read() if answer.status == 200 else None
        except aiohttp.ClientError:
            return None

    async def record(self, release_id: str, *, seconds: float = 60.0) -> Record:
        """The decision record, once it is there."""
        async with asyncio.timeout(seconds):
            while (found := await self.get(f"/v1/releases/{release_id}/record")) is None:
                await asyncio.sleep(0.1)
        return msgspec.json.decode(found, type=Record)

    async def published(self) -> list[Verdict]:
        """Everything on the verdict stream."""
        info = await self.broker.jetstream.stream_info(subjects.VERDICTS)
        found = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await self.broker.jetstream.get_msg(subjects.VERDICTS, seq=sequence)
            event = cloudevents.read(message.headers or {}, message.data or b"")
            assert event is not None
            found.append(verdicts.read_verdict(event))
        return found


def settings(world: IstioWorld, *, nats_url: str, port: int, policy: dict[str, Any]) -> dict[str, Any]:
    """What a platform team would write."""
    return {
        "cluster": "test",
        "nats": {"url": nats_url},
        "http": {"listen": f"127.0.0.1:{port}"},
        "kubernetes": {"auth": "kubeconfig", "kubeconfig": str(world.kubeconfig)},
        "telemetry": {
            "mesh": {
                "kind": "prometheus",
                "url": world.prometheus_url,
                "dialect": "istio",
                "tick_seconds": 1.0,
                "timeout_seconds": 0.9,
            }
        },
        "meshes": {"istio": {"kind": "istio", "telemetry": "mesh"}},
        "policies": {"default": policy},
        "limits": {"guard_seconds": 3.0, "locate_seconds": 3.0},
    }


@asynccontextmanager
async def verdictd(world: IstioWorld, folder: Path, *, policy: dict[str, Any] | None = None) -> AsyncIterator[Daemon]:
    """The daemon beside a broker, ready."""
    (folder / "nats").mkdir()
    (port,) = free_ports(1)
    enforced = {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 10.0}} | (policy or {})
    async with nats_server(folder / "nats") as broker:
        file = folder / "settings.json"
        file.write_text(json.dumps(settings(world, nats_url=broker.url, port=port, policy=enforced)))
        argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
        async with (
            child("verdictd", argv, log=folder / "verdictd.log"),
            connected(Address(servers=(broker.url,)), name="test", connect_timeout_seconds=5.0) as connection,
        ):
            daemon = Daemon(url=f"http://127.0.0.1:{port}", broker=connection)
            async with asyncio.timeout(20):
                while await daemon.get("/readyz") is None:
                    await asyncio.sleep(0.05)
            yield daemon


async def test_a_bad_canarys_event_leads_to_a_patched_virtualservice_and_no_further_canary_response(
    istio_world: IstioWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    async with istio_world.traffic(per_second=RATE) as seen, verdictd(istio_world, folder) as daemon:
        release_id = await daemon.announce(istio_world.release, event_id="bad-1")
        await asyncio.sleep(3.0)
        istio_world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
        answers_then = len(seen.answers)
        await seen.until(lambda traffic: len(traffic.answers) > answers_then + 2 * RATE, within=10.0)
        marks = {mark.step: mark.at for mark in record.marks}
        canary = [answer for answer in seen.answers if answer.version == "v2"]
        after = await istio_world.virtual_service()
        published = await daemon.published()
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert [(v.release_id, v.outcome) for v in published] == [(release_id, Outcome.ROLLBACK)]
    # Requests under way when the patch arrived may still be answered; nothing is sent to the canary a second after it.
    assert max(answer.sent_at for answer in canary) < marks["patch_acknowledged"] + 1.0
    bad = [answer.at for answer in canary if answer.status >= 500]
    said(
        f"first bad to last canary response {canary[-1].at - bad[0]:.2f} s, decision to patch on the wire "
        f"{(marks['patch_sent'] - marks['decided']) * 1e3:.0f} ms, decision to last canary response "
        f"{(canary[-1].at - marks['decided']) * 1e3:.0f} ms"
    )
    pinned, second, primary = after["spec"]["http"]
    assert [(target["destination"]["subset"], target["weight"]) for target in primary["route"]] == [("v1", 100), ("v2", 0)]
    assert pinned["match"] == before["spec"]["http"][0]["match"]
    assert [target["destination"]["subset"] for target in pinned["route"]] == ["v1"]
    assert second == before["spec"]["http"][1]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert {k: v for k, v in primary.items() if k != "route"} == {
        k: v for k, v in before["spec"]["http"][2].items() if k != "route"
    }
    assert primary["route"][0]["headers"] == before["spec"]["http"][2]["route"][0]["headers"]


async def test_a_healthy_canary_is_promoted_and_its_virtualservice_left_alone(istio_world: IstioWorld, tmp_path: Path) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    lenient = {"tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 1.5, "p99": 2.0}}}
    async with istio_world.traffic(per_second=RATE), verdictd(istio_world, folder, policy=lenient) as daemon:
        release_id = await daemon.announce(istio_world.release, event_id="good-1")
        record = await daemon.record(release_id)
        assert await istio_world.virtual_service() == before
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.PROMOTE, Action.NONE)


async def test_a_canary_that_is_in_no_route_is_inconclusive_and_nothing_is_patched(istio_world: IstioWorld, tmp_path: Path) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    before = await istio_world.virtual_service()
    absent = msgspec.structs.replace(istio_world.release, canary=ArmSpec(workload="web-v9", version="v9", subset="v9"))
    async with istio_world.traffic(per_second=50.0), verdictd(istio_world, folder) as daemon:
        release_id = await daemon.announce(absent, event_id="absent-1")
        record = await daemon.record(release_id)
        assert await istio_world.virtual_service() == before
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    assert "v9" in record.verdict.reason
