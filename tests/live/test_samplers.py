"""Telemetry of a real Prometheus that is read in a process of its own: what becomes of a watch when that process fails."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from daemon.demo.backend import Behaviour
from daemon.model import Action, Outcome
from tests.hand.processes import samplers_of
from tests.live.field import FAILING, UNHURRIED, Field, field_of
from tests.servers.prometheus import prometheus

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

STARTS = re.compile(r'^verdictd_sampler_starts_total{telemetry="edge"} (\S+)$', re.MULTILINE)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def ticked(place: Field, release_id: str, *, more: int) -> None:
    """Until so many more ticks have counted something."""
    view = await place.view(release_id)
    counted = view.ticks - view.gaps + more
    async with asyncio.timeout(60.0):
        while view.ticks - view.gaps < counted:
            await asyncio.sleep(0.1)
            view = await place.view(release_id)


async def test_a_sampler_that_is_killed_or_hangs_costs_ticks_and_neither_makes_nor_keeps_up_a_verdict(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        target = {"targets": [place.edge.admin.removeprefix("http://")]}
        job = {"job_name": "edge", "metrics_path": "/stats/prometheus", "static_configs": [target]}
        async with prometheus(tmp_path / "prometheus", [job]) as store:
            telemetry = {"kind": "prometheus", "url": store.url, "dialect": "envoy", "tick_seconds": 1.0, "timeout_seconds": 1.0}
            place.settings_over = {**UNHURRIED, "telemetry": {"edge": {**telemetry, "process": "own"}}}
            async with place.daemon() as daemon:
                await place.ready()
                release_id = await place.submit()
                await ticked(place, release_id, more=3)
                for how in (signal.SIGKILL, signal.SIGSTOP):
                    (sampler,) = samplers_of(daemon.pid)
                    os.kill(sampler, how)
                    async with asyncio.timeout(60.0):
                        while samplers_of(daemon.pid) in ([], [sampler]):
                            await asyncio.sleep(0.1)
                    await ticked(place, release_id, more=3)
                metrics = (await place.until_answered("/metrics")).decode()
                assert STARTS.findall(metrics) == ["3.0"]
                assert "verdictd_sampler_resident_memory_bytes" in metrics
                view = await place.view(release_id)
                assert (view.stage.value, view.verdict) == ("watching", None)
                await place.backends["v2"].behave(FAILING)
                record = await place.record(release_id)
                (sampler,) = samplers_of(daemon.pid)
            assert not runs(sampler)
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert await place.canary_is_silent()
