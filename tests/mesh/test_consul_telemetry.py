"""Consul's telemetry as a whole mesh of it writes it: what the client's sidecar counts is what each version has answered."""

from pathlib import Path
from typing import Literal

import pytest

from config.settings import EnvoyTelemetry
from daemon.aio.clock import SystemClock
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec
from daemon.telemetry.factory import telemetry_from
from tests.mesh.consul_world import consul_world
from tests.telemetry.scenes import arms, watching

pytestmark = pytest.mark.mesh

PAGES: tuple[Literal["text", "bins"], ...] = ("text", "bins")
WATCHES = watching(baseline=ArmSpec(service="web", subset="v1"), canary=ArmSpec(service="web", subset="v2"))


async def test_what_each_subset_answered_is_what_is_counted_of_it_by_text_and_by_raw_bins(tmp_path: Path) -> None:
    async with consul_world(tmp_path) as it:
        for page in PAGES:
            entry = EnvoyTelemetry(endpoints=[it.admin], dialect="consul", histograms=page, tick_seconds=0.25, timeout_seconds=30.0)
            it.fail_every = 4
            await it.asks(40)
            async with telemetry_from(entry, clock=SystemClock(), schemas=schemas()) as telemetry:
                assert (await telemetry.read(WATCHES))["web-1"].gap == "first reading: counting starts here"
                served, failed = list(it.served), list(it.failed)
                await it.asks(60)
                reading = (await telemetry.read(WATCHES))["web-1"]
            assert arms(reading) == {
                "baseline": (it.served[0] - served[0], 0),
                "canary": (it.served[1] - served[1], it.failed[1] - failed[1]),
            }
            assert it.failed[1] > failed[1]
