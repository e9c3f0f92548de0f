"""Grafana's dashboards: each query has an answer at a real Prometheus that scraped a real daemon through a release."""

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.demo.backend import Behaviour
from tests.live.field import FAILING, PATIENCE_SECONDS, RELEASE, field_of
from tests.servers.prometheus import prometheus

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))


def queries(release_id: str) -> dict[str, str]:
    """Every query of every panel and annotation, by where it stands, as Grafana would send it."""
    found: dict[str, str] = {}
    for file in BOARDS:
        board = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                found[f"{board['uid']}: {panel['title']} {target['legendFormat']}"] = target["expr"]
        found |= {f"{board['uid']}: {one['name']}": one["expr"] for one in board["annotations"]["list"]}
    words = {"$__rate_interval": "30s", "$__range": "2m", "$release": release_id}
    for word, value in words.items():
        found = {where: query.replace(word, value) for where, query in found.items()}
    return found


async def answer(session: aiohttp.ClientSession, url: str, query: str) -> list[Any]:
    """Over the last two minutes, as a panel asks."""
    async with session.get(f"{url}/api/v1/query", params={"query": f"last_over_time(({query})[2m:1s])"}) as response:
        told = await response.json()
        assert told["status"] == "success", (query, told)
        return list(told["data"]["result"])


async def test_each_panel_of_each_dashboard_has_data(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour()) as place:
        jobs = [
            {"job_name": "verdictd", "static_configs": [{"targets": [f"127.0.0.1:{place.port}"]}]},
            {
                "job_name": "edge",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [place.edge.admin.removeprefix("http://")]}],
            },
        ]
        async with prometheus(tmp_path, jobs) as store, aiohttp.ClientSession() as session, AsyncExitStack() as stack:
            source = {"kind": "prometheus", "url": store.url, "dialect": "envoy", "tick_seconds": 1.0, "timeout_seconds": 0.9}
            place.settings_over = {"telemetry": {"edge": source}}
            await stack.enter_async_context(place.daemon())
            await place.ready()
            release_id = await place.submit(RELEASE)
            asked = queries(release_id)
            while_watched = {where: one for where, one in asked.items() if one.startswith("verdictd_release_telemetry_age_seconds")}
            assert while_watched
            assert await unanswered(session, store.url, while_watched) == {}
            await place.backends["v2"].behave(FAILING)
            assert await unanswered(session, store.url, asked) == {}


async def unanswered(session: aiohttp.ClientSession, url: str, asked: dict[str, str]) -> dict[str, str]:
    """Those without data for as long as one waits: rates need a second scrape, and what a verdict leaves is scraped after it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while asked := {where: query for where, query in asked.items() if not await answer(session, url, query)}:
                await asyncio.sleep(0.5)
    return asked
