"""The thin client as a whole daemon on a real broker hands it out, run by a Python that knows nothing of ours, over a restart."""

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.hand.broker import Broker, nats_server
from tests.live.test_hooks import daemon
from tests.servers.run import free_ports

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

RELEASE = {"service": "web", "namespace": "shop", "baseline": {"service": "web-primary"}, "canary": {"service": "web-canary"}}


async def started(folder: Path, url: str, *argv: str) -> asyncio.subprocess.Process:
    """``-I -S``: without our packages, anybody's, and what the environment says of paths."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "verdictd.py", *argv, "--server", url, cwd=folder, env={"PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_it_announces_asks_waits_over_a_restart_and_ends_as_the_verdict_is(nats_server: Broker, tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text(json.dumps(RELEASE))
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api:
        (tmp_path / "verdictd.py").write_bytes(await api.until_answered("/client"))
        code, out, err = await ended(await started(tmp_path, api.url, "submit", "release.json", "--key", "build-7"))
        assert code == 0, err
        release_id = out.strip()
        code, out, _ = await ended(await started(tmp_path, api.url, "status"))
        assert (code, release_id in out) == (0, True)
        waiting = await started(tmp_path, api.url, "wait", release_id)
        assert waiting.stderr is not None
        assert release_id.encode() in await waiting.stderr.readline()  # it has asked
    async with daemon(nats_server, tmp_path, port) as api, aiohttp.ClientSession(api.url) as client:
        async with client.post(f"/v1/releases/{release_id}/cancel", json={}) as response:
            assert response.status == 202
        code, out, err = await ended(waiting)
        assert (code, out.startswith("inconclusive (")) == (2, True), err
        asked = await started(tmp_path, api.url, "gate", "release.json", "--attempt", "build-8", "--json")
        assert asked.stderr is not None
        other_id = (await asked.stderr.readline()).decode().split()[0]
        async with client.post(f"/v1/releases/{other_id}/rollback", json={}) as response:
            assert response.status == 202
        code, out, err = await ended(asked)
        # This daemon's routes are not there to be taken back.
        assert (code, json.loads(out)["outcome"], "STILL GETS TRAFFIC" in err) == (4, "rollback", True)
