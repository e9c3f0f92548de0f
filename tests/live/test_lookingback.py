"""A whole daemon on a real broker is started anew: what it has decided before is on the page and in ``verdictd status``."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from daemon.cli import main
from tests.hand.broker import Broker, nats_server
from tests.hand.browser import browser
from tests.live.test_hooks import daemon
from tests.servers.run import free_ports

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

RELEASE = {"service": "web", "namespace": "shop", "baseline": {"service": "web-primary"}, "canary": {"service": "web-canary"}}


async def test_a_verdict_from_before_a_restart_is_shown_by_page_and_status(
    nats_server: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        await api.until_answered("/readyz")
        async with client.post("/v1/releases", json=RELEASE) as response:
            release_id = (await response.json())["id"]
        async with client.post(f"/v1/releases/{release_id}/cancel", json={}) as response:
            assert response.status == 202
        async with client.get(f"/v1/releases/{release_id}/verdict?wait=20") as response:
            verdict = await response.json()
            assert response.status == 200
        while True:  # a session that is stopped before its end is taken up again
            async with client.get(f"/v1/releases/{release_id}") as response:
                if (await response.json())["stage"] == "ended":
                    break
            await asyncio.sleep(0.05)
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client, browser(tmp_path) as page:
        await api.until_answered("/readyz")
        async with client.get("/v1/releases") as response:
            assert await response.json() == {"releases": []}, "memory has forgotten it"
        async with client.get("/v1/verdicts") as response:
            assert json.loads(await response.text()) == {"verdicts": [verdict]}
        capsys.readouterr()
        assert await asyncio.to_thread(main, ["status", "--server", api.url, "--outcome", "inconclusive"]) == 0
        assert f"{release_id}  shop/web  inconclusive" in capsys.readouterr().out
        await page.open(f"{api.url}/ui/")
        await page.until(f"document.querySelector('#ended td.service a')?.href.endsWith('/{release_id}')")
        await page.ask("document.querySelector('#ended td.service a').click()")
        await page.until("document.body.dataset.state === 'inconclusive'")
        assert page.troubles == []
