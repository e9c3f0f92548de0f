"""A real kube-apiserver: admission, validation, patches, watches and RBAC as in a cluster, without nodes."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from tests.servers.etcd import etcd
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, http_ready, running


@dataclasses.dataclass(frozen=True, slots=True)
class KubeApiServer:
    """A running API server, and an administrator's way into it."""

    url: str
    ca: Path
    token: str
    process: Process

    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    @contextlib.asynccontextmanager
    async def session(self, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """A plain HTTP client of the API, as the administrator or as whom the token says."""
        async with aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {token or self.token}"},
            connector=aiohttp.TCPConnector(ssl=self.ssl_context()),
            timeout=aiohttp.ClientTimeout(total=60.0),
        ) as session:
            yield session

    def write_kubeconfig(self, path: Path, token: str | None = None) -> Path:
        """Writes a kubeconfig for the administrator, or for whom the token says. It is JSON, which is YAML too."""
        authority = base64.b64encode(self.ca.read_bytes()).decode("ascii")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "test", "user": {"token": token or self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
            "current-context": "test",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        path.chmod(0o600)
        return path


@contextlib.asynccontextmanager
async def kube_apiserver(folder: Path, etcd_url: str, flags: Sequence[str] = ()) -> AsyncIterator[KubeApiServer]:
    """kube-apiserver on this etcd. `flags` come last and so win over the ones below."""
    (port,) = free_ports(1)
    url = f"https://{LOOPBACK}:{port}"
    token = secrets.token_hex(16)
    certs = folder / "certs"
    ca = certs / "apiserver.crt"
    argv: list[str | Path] = [
        require("kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        # Services must not point to loopback, so the server's own Service is left without an endpoint.
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        # It signs itself a certificate in this folder; the same key serves for the tokens of service accounts.
        f"--cert-dir={certs}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certs / 'apiserver.key'}",
        f"--service-account-signing-key-file={certs / 'apiserver.key'}",
        f"--token-auth-file={_tokens(folder / 'tokens.csv', token)}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        # No controller manager makes service accounts here, without which this plug-in refuses every pod.
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
        *flags,
    ]

    async def ready() -> bool:
        """The default namespace comes a moment after the server calls itself ready, and tests count on it."""
        try:
            context = ssl.create_default_context(cafile=str(ca))
        except (FileNotFoundError, ssl.SSLError):  # not written yet, or half
            return False
        paths = ("/readyz", "/api/v1/namespaces/default")
        return all([await http_ready(url + path, context=context, token=token) for path in paths])

    async with running("kube-apiserver", argv, folder=folder, ready=ready, within=60.0) as process:
        yield KubeApiServer(url, ca, token, process)


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[KubeApiServer]:
    """kube-apiserver with an etcd of its own."""
    async with etcd(folder / "etcd") as store, kube_apiserver(folder / "kube-apiserver", store.url) as api:
        yield api


def _tokens(path: Path, token: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{token},admin,admin,"system:masters"\n', encoding="ascii")
    path.chmod(0o600)
    return path
