"""Prometheus, scraping what a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
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
    port: int | None = None,
    web: Mapping[str, object] | None = None,
    labels: Mapping[str, str] | None = None,
) -> AsyncIterator[Prometheus]:
    """Prometheus with these `scrape_configs`, as its own configuration spells them; `web` is its `--web.config.file`.

    `labels` are its external ones.

    With a `web` nobody without credentials can ask whether it is ready, and it listens before it is: its log says it.
    """
    if port is None:
        (port,) = free_ports(1)
    scheme = "https" if web is not None and "tls_server_config" in web else "http"
    url = f"{scheme}://{LOOPBACK}:{port}"
    argv: list[str | Path] = [
        require("prometheus"),
        f"--config.file={_config(folder, scrape_configs, scrape_interval, labels or {})}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        *flags,
    ]
    if web is not None:
        file = folder / "web.yml"
        file.write_text(json.dumps(web), encoding="utf-8")
        argv.append(f"--web.config.file={file}")
    ready = partial(http_ready, f"{url}/-/ready") if web is None else partial(asyncio.to_thread, _said, folder / "prometheus.log")
    async with running("prometheus", argv, folder=folder, ready=ready) as process:
        yield Prometheus(url, process)


def _said(log: Path) -> bool:
    return "Server is ready to receive web requests" in log.read_text(encoding="utf-8", errors="replace")


def _config(folder: Path, scrape_configs: Sequence[Mapping[str, object]], scrape_interval: str, labels: Mapping[str, str]) -> Path:
    """JSON is YAML too. The timeout must not be longer than the interval, or Prometheus refuses the file."""
    folder.mkdir(parents=True, exist_ok=True)
    every = {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval, "external_labels": dict(labels)}
    file = folder / "prometheus.yml"
    file.write_text(json.dumps({"global": every, "scrape_configs": list(scrape_configs)}), encoding="utf-8")
    return file
