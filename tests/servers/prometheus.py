"""Prometheus, scraping what a test gives it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class Prometheus:
    url: str
    process: Process


@contextlib.asynccontextmanager
async def prometheus(
    folder: Path,
    scrape_configs: Sequence[Mapping[str, object]],
    scrape_interval: str = "1s",
    flags: Sequence[str] = (),
) -> AsyncIterator[Prometheus]:
    """Prometheus with these `scrape_configs`, as its own configuration spells them."""
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    argv: list[str | Path] = [
        require("prometheus"),
        f"--config.file={_config(folder, scrape_configs, scrape_interval)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        *flags,
    ]
    async with running("prometheus", argv, folder=folder, ready=lambda: http_ready(f"{url}/-/ready")) as process:
        yield Prometheus(url, process)


def _config(folder: Path, scrape_configs: Sequence[Mapping[str, object]], scrape_interval: str) -> Path:
    """JSON is YAML too. The timeout must not be longer than the interval, or Prometheus refuses the file."""
    folder.mkdir(parents=True, exist_ok=True)
    every = {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval}
    file = folder / "prometheus.yml"
    file.write_text(json.dumps({"global": every, "scrape_configs": list(scrape_configs)}), encoding="utf-8")
    return file
