"""Metrics of several clusters in one place, by Prometheus' own federation, configured as the page says."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config import yamls
from daemon.demo.children import child
from tests.hand.daemons import DaemonApi
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.run import free_ports, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

PAGE = Path("docs/fleets.md")
CLUSTERS = ("eu", "us")


def shown(beginning: str) -> dict[str, Any]:
    """An example of the page."""
    (block,) = [one for one in PAGE.read_text().split("```yaml\n")[1:] if one.startswith(beginning)]
    found: dict[str, Any] = yamls.load(block.split("```")[0], max_values=1_000)
    return found


@asynccontextmanager
async def cluster(name: str, folder: Path) -> AsyncIterator[Prometheus]:
    """A daemon that has nothing to do, and the Prometheus of its cluster."""
    (port,) = free_ports(1)
    file = folder / "settings.json"
    settings = {
        "cluster": name,
        "http": {"listen": f"127.0.0.1:{port}"},
        "nats": {"url": "embedded", "data_dir": str(folder / "nats")},
    }
    file.write_text(json.dumps(settings))
    argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
    async with child("verdictd", argv, log=folder / "verdictd.log"):
        await DaemonApi(port=port).ready()
        named = shown("global:")["global"]["external_labels"] | {"cluster": name}
        jobs = [{"job_name": "verdictd", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]
        async with prometheus(folder / "prometheus", jobs, labels=named) as server:
            yield server


async def test_the_metrics_of_two_clusters_are_told_apart_by_the_one_in_the_middle(tmp_path: Path) -> None:
    folders = [tmp_path / one for one in (*CLUSTERS, "middle")]
    for folder in folders:
        folder.mkdir()
    async with cluster("eu", folders[0]) as eu, cluster("us", folders[1]) as us:
        jobs = shown("scrape_configs:")["scrape_configs"]
        jobs[0]["static_configs"] = [{"targets": [one.url.removeprefix("http://") for one in (eu, us)]}]
        async with prometheus(folders[2], jobs) as middle, aiohttp.ClientSession() as session:

            async def found(query: str) -> dict[str, str]:
                async with session.get(f"{middle.url}/api/v1/query", params={"query": query}) as response:
                    told = await response.json()
                return {one["metric"]["cluster"]: one["value"][1] for one in told["data"]["result"]}

            async def both() -> bool:
                return set(await found("verdictd_nats_connected")) == set(CLUSTERS)

            await until(both, within=60.0)
            assert await found("verdictd_nats_connected") == {"eu": "1", "us": "1"}
