"""From event to end on a small Nomad: a bad canary's deployment is failed, and the job is at its last stable version again.

The gateway is a page as Envoy writes it, of which each scrape finds more; its canary gets requests while an allocation of it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from daemon.model import Action, ArmSpec, Outcome, Release
from tests.hand.daemons import published
from tests.hand.servers import app_of, serving
from tests.mesh.watchdog import set_up
from tests.meshes.nomads import Nomad, running
from tests.servers.run import LOOPBACK
from tests.telemetry.proxies import REQUESTS, Proxy

pytestmark = [pytest.mark.live, pytest.mark.timeout(90)]

PER_SCRAPE = 60
ENVOY = REQUESTS["envoy"]
RELEASE = Release(service="web", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))


class Gateway:
    """One that sends to each instance alike; what gets to the canary fails every third time."""

    def __init__(self, nomad: Nomad) -> None:
        self._nomad = nomad
        self._proxy = Proxy()
        self.to_canary = 0

    async def page(self, request: web.Request) -> web.StreamResponse:
        assert ENVOY.request is not None
        there = [one["JobVersion"] == 1 for one in self._nomad.allocations if one["DesiredStatus"] == "run"]
        for at in range(PER_SCRAPE):
            canary = there[at % len(there)]
            self.to_canary += canary
            self._proxy.writes(ENVOY.request(int(canary), "failed" if canary and at % 9 < 3 else "served"))
        self._nomad.stopped()
        return web.Response(body=self._proxy.page, content_type="text/plain")


async def test_a_bad_canary_is_failed_and_the_job_is_stable_again(tmp_path: Path) -> None:
    async with running(Nomad()) as nomad:
        nomad.serves()
        deployment = nomad.registers()
        gateway = Gateway(nomad)
        async with serving(app_of(gateway.page)) as page:

            def written(*, nats_url: str, port: int) -> dict[str, Any]:
                return {
                    "cluster": "test",
                    "nats": {"url": nats_url},
                    "http": {"listen": f"{LOOPBACK}:{port}"},
                    "telemetry": {"gateway": {"kind": "envoy", "endpoints": [f"http://{LOOPBACK}:{page}"], "tick_seconds": 0.25}},
                    "meshes": {"jobs": {"kind": "nomad", "telemetry": "gateway", "address": nomad.url}},
                    "policies": {"default": {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 10.0}}},
                    "limits": {"guard_seconds": 1.0, "locate_seconds": 3.0},
                }

            async with set_up(written, tmp_path) as daemon:
                record = await daemon.record(await daemon.announce(RELEASE, event_id="bad-1"))
                told = await published(daemon.broker)
    assert (record.verdict.outcome, record.verdict.action, record.verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors")
    assert [one.outcome for one in told] == [Outcome.ROLLBACK]
    assert nomad.deployments[deployment]["Status"] == "failed"
    assert nomad.versions[-1] == {"ID": "web", "Version": 2, "Stable": True, "Stop": False}
    assert gateway.to_canary > 0
