"""The demo on real control planes, as a newcomer runs it: a process of its own, judged by the answers of its users."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.mesh.traffic import said
from tests.servers.locate import require

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240), pytest.mark.xdist_group("demo")]

RATE = "150"
"""Half of the usual: what a busy machine adds to both versions' latencies makes them alike."""


@pytest.mark.parametrize(
    ("mesh", "programs", "logs"),
    [
        ("istio", ("etcd", "kube-apiserver", "istiod", "envoy"), ("istiod.log", "kube-apiserver.log", "envoy.json")),
        ("consul", ("consul", "envoy"), ("consul.log", "web-v3.json", "users.log")),
    ],
)
async def test_the_three_canaries_end_as_they_must(
    mesh: str, programs: tuple[str, ...], logs: tuple[str, ...], tmp_path: Path
) -> None:
    """Promoted, and taken back twice: seen by the users, and written on the control plane."""
    for name in programs:
        require(name)
    out = tmp_path / "out"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon.cli", "demo", "--mesh", mesh, "--rate", RATE, "--out", str(out), "--no-plot"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        written, errors = (text.decode() for text in await process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, written + errors
    assert errors == ""
    for ending in ("v2 was promoted and answers everything", "v3 was taken back and", "v4 was taken back and"):
        assert ending in written
    assert {"verdictd.log", *logs} <= {file.name for file in (out / "logs").iterdir()}
    said(f"{mesh}: " + "; ".join(line.strip() for line in written.splitlines() if "last canary response" in line))
