"""From event to end on a real Consul with its sidecars: a bad canary is taken back, and is sent nothing any more."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.meshes.consul.mesh import ConsulMesh
from daemon.meshes.consul.router import ConsulRouter
from daemon.model import Action, ArmSpec, Outcome, Release
from tests.hand.daemons import published
from tests.mesh.consul_world import ConsulWorld, consul_world
from tests.mesh.traffic import Traffic, said
from tests.mesh.watchdog import set_up

pytestmark = [pytest.mark.mesh, pytest.mark.broad, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

RATE = 300.0
REVERTS = 5
RELEASE = Release(service="web", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
TESTERS = {"Match": {"HTTP": {"Header": [{"Name": "x-canary", "Exact": "always"}]}}, "Destination": {"ServiceSubset": "v2"}}
ROUTER = {"Kind": "service-router", "Name": "web", "Routes": [TESTERS]}
SPLITS = [{"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10, "ServiceSubset": "v2"}]
SPLITTER = {"Kind": "service-splitter", "Name": "web", "Splits": SPLITS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsulWorld]:
    """Up, with a router that sends testers to the canary."""
    async with consul_world(tmp_path_factory.mktemp("mesh")) as running:
        yield running


async def begin(world: ConsulWorld) -> None:
    await world.put(SPLITTER)
    await world.put(ROUTER)
    world.fail_every = 0


async def test_a_bad_canary_is_taken_back_and_is_sent_nothing_any_more(world: ConsulWorld, tmp_path: Path) -> None:
    await begin(world)

    def written(*, nats_url: str, port: int) -> dict[str, Any]:
        proxies = {"kind": "envoy", "endpoints": [world.admin], "dialect": "consul", "tick_seconds": 0.5}
        return {
            "cluster": "test",
            "nats": {"url": nats_url},
            "http": {"listen": f"127.0.0.1:{port}"},
            "telemetry": {"sidecar": proxies},
            "meshes": {"consul": {"kind": "consul", "telemetry": "sidecar", "address": world.agent}},
            "policies": {"default": {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 10.0}}},
            "limits": {"guard_seconds": 1.0},
        }

    async with world.traffic(per_second=RATE) as seen, set_up(written, tmp_path) as daemon:
        announced_at = time.time()
        release_id = await daemon.announce(RELEASE, event_id="bad-1")
        await asyncio.sleep(2.0)
        world.fail_every = 3
        record = await daemon.record(release_id)
        left = await seen.only("v1")
        await seen.until(lambda traffic: len(traffic.answers) > left + RATE)
        told = await published(daemon.broker)
    marks = {mark.step: mark.at for mark in record.marks}
    canary = [answer for answer in seen.answers if answer.version == "v2"]
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert [(v.release_id, v.outcome) for v in told] == [(release_id, Outcome.ROLLBACK)]
    later = seen.answers[left:]
    assert {(answer.path, answer.version, answer.status) for answer in later} == {("/", "v1", 200), ("/testers", "v1", 200)}
    said(
        f"event to last canary response {canary[-1].at - announced_at:.1f} s, decision to patch on the wire "
        f"{(marks['patch_sent'] - marks['decided']) * 1e3:.0f} ms, decision to last canary response "
        f"{(canary[-1].at - marks['decided']) * 1e3:.0f} ms"
    )
    assert (await world.get("service-splitter"))["Splits"] == [{**SPLITS[0], "Weight": 100}, {**SPLITS[1], "Weight": 0}]
    assert (await world.get("service-router"))["Routes"][0]["Destination"] == {"ServiceSubset": "v1"}


def is_split(traffic: Traffic, *, since: int) -> bool:
    """Whether others than testers have come to both versions since so many answers."""
    return {one.version for one in traffic.answers[since:] if one.path == "/"} == {"v1", "v2"}


async def test_from_a_revert_to_the_canarys_last_response(world: ConsulWorld) -> None:
    router = ConsulRouter(ConsulMesh(telemetry="", address=world.agent), setting="meshes.m")
    took_ms: list[float] = []
    try:
        async with world.traffic(per_second=RATE) as seen:
            for _ in range(REVERTS):
                await begin(world)
                await seen.only("v2", of_last=50, path="/testers")
                await seen.until(partial(is_split, since=len(seen.answers)))
                began = time.time()
                receipt = await router.revert(RELEASE)
                assert not receipt.failed
                assert len(receipt.parts) == 2
                await seen.only("v1")
                last = seen.last("v2")
                assert last is not None
                took_ms.append((last.at - began) * 1e3)
    finally:
        await router.close()
    assert {answer.status for answer in seen.answers} == {200}
    said(f"revert to last canary response, n={REVERTS}: median {statistics.median(took_ms):.0f} ms, most {max(took_ms):.0f} ms")
