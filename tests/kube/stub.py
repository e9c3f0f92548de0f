"""A stub in the place of an API server: its errors, its configuration, and a client of ours for it."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.settings import Kubernetes
from daemon.kube.client import KubeClient
from tests.hand.servers import Answer, Stub, says


def status(code: int, message: str = "no", **details: Any) -> Answer:
    """A Status object, as the API server answers errors."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "details": details}
    return says(body, status=code)


def client_of(kubeconfig: Path, *, timeout_seconds: float = 5.0) -> KubeClient:
    """A client of ours."""
    return KubeClient(Kubernetes(auth="kubeconfig", kubeconfig=str(kubeconfig), request_timeout_seconds=timeout_seconds))


@dataclass(kw_only=True)
class KubeStub(Stub):
    """A stub and the configuration that leads to it."""

    kubeconfig: Path

    @property
    def tokens(self) -> list[str]:
        """What was shown with each request."""
        return [headers.get("Authorization", "") for headers in self.headers]

    def client(self, *, timeout_seconds: float = 5.0) -> KubeClient:
        """A client of ours for it."""
        return client_of(self.kubeconfig, timeout_seconds=timeout_seconds)


@contextlib.asynccontextmanager
async def kube_stub(folder: Path, *answers: Answer) -> AsyncIterator[KubeStub]:
    """Run it."""
    async with KubeStub(answers=list(answers), kubeconfig=folder / "kubeconfig.json").running() as made:
        write_kubeconfig(made.kubeconfig, port=made.port)
        yield made


def write_kubeconfig(path: Path, *, port: int, user: str = "one", scheme: str = "http", **cluster: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stub", "cluster": {"server": f"{scheme}://127.0.0.1:{port}", **cluster}}],
        "users": [{"name": "stub", "user": {"token": user}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }
    path.write_text(json.dumps(config))
