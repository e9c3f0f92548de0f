"""Alertmanager, alone and with a receiver that hears of nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from tests.servers.locate import require
from tests.servers.run import LOOPBACK, free_ports, http_ready, running


@contextlib.asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[str]:
    """Its base URL."""
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    argv: list[str | Path] = [
        require("alertmanager"),
        f"--config.file={_config(folder)}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--cluster.listen-address=",
    ]
    async with running("alertmanager", argv, folder=folder, ready=partial(http_ready, f"{url}/-/ready")):
        yield url


def _config(folder: Path) -> Path:
    """JSON is YAML too."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}), encoding="utf-8")
    return file
