"""A real kube-apiserver: admission, validation, patches, watches and RBAC as in a cluster, without nodes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from daemon.demo import commandlines
from daemon.demo.apiserver import ApiServer, api_answers, write_tokens
from tests.servers.etcd import etcd
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, running


@dataclasses.dataclass(frozen=True, slots=True)
class KubeApiServer(ApiServer):
    """A running API server, and an administrator's way into it."""

    process: Process


@contextlib.asynccontextmanager
async def kube_apiserver(folder: Path, etcd_url: str, flags: Sequence[str] = ()) -> AsyncIterator[KubeApiServer]:
    """kube-apiserver on this etcd. `flags` come last and so win over the usual ones."""
    (port,) = free_ports(1)
    url = f"https://{LOOPBACK}:{port}"
    token = secrets.token_hex(16)
    certificates = folder / "certs"
    ca = certificates / "apiserver.crt"
    tokens = write_tokens(folder / "tokens.csv", token)
    program = require("kube-apiserver")
    argv = commandlines.kube_apiserver(program, etcd_url=etcd_url, port=port, certificates=certificates, tokens=tokens)
    ready = functools.partial(api_answers, url, ca, token)
    async with running("kube-apiserver", [*argv, *flags], folder=folder, ready=ready, within=60.0) as process:
        yield KubeApiServer(url, ca, token, process)


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[KubeApiServer]:
    """kube-apiserver with an etcd of its own."""
    async with etcd(folder / "etcd") as store, kube_apiserver(folder / "kube-apiserver", store.url) as api:
        yield api
