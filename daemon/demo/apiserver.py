"""A real kube-apiserver with its etcd, as child processes: admission, validation, patches, watches, and no nodes."""

import asyncio
import base64
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from daemon.aio.tasks import TaskGroup
from daemon.demo import commandlines
from daemon.demo.children import START_SECONDS, Child, DemoError, child
from daemon.demo.freeports import LOOPBACK, free_ports
from daemon.demo.programs import environment, program

_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 0.05
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server, and an administrator's way into it."""

    url: str
    ca: Path
    token: str

    def ssl_context(self) -> ssl.SSLContext:
        """What trusts its certificate, and no other."""
        return ssl.create_default_context(cafile=str(self.ca))

    @asynccontextmanager
    async def session(self, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
        """A plain HTTP client of the API, as the administrator or as whom the token says."""
        async with aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {token or self.token}"},
            connector=aiohttp.TCPConnector(ssl=self.ssl_context()),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
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


def write_tokens(path: Path, token: str) -> Path:
    """The file that makes whoever has the token an administrator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{token},admin,admin,"system:masters"\n', encoding="ascii")
    path.chmod(0o600)
    return path


async def http_ready(url: str, *, context: ssl.SSLContext | None = None, token: str | None = None) -> bool:
    """Whether a GET of this URL answers 200 now."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session,
            session.get(url, headers=headers, ssl=context or True) as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def api_answers(url: str, ca: Path, token: str) -> bool:
    """Whether an API server is ready now. The default namespace comes a moment after it calls itself so."""
    try:
        context = ssl.create_default_context(cafile=str(ca))
    except (FileNotFoundError, ssl.SSLError):  # not written yet, or half
        return False
    paths = ("/readyz", "/api/v1/namespaces/default")
    return all([await http_ready(url + path, context=context, token=token) for path in paths])


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, tuple[Child, ...]]]:
    """Run one with its etcd for the length of a ``with`` block; gives both processes too. ``folder`` takes what they write."""
    client, peer, port = free_ports(3)
    url, etcd_url, token = f"https://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{client}", secrets.token_hex(16)
    certificates, env = folder / "certificates", environment(folder)
    store = commandlines.etcd(program("etcd"), data=folder / "etcd", ports=(client, peer))
    serving = commandlines.kube_apiserver(
        program("kube-apiserver"),
        etcd_url=etcd_url,
        port=port,
        certificates=certificates,
        tokens=write_tokens(folder / "tokens.csv", token),
    )
    api = ApiServer(url, certificates / "apiserver.crt", token)
    async with child("etcd", store, log=folder / "etcd.log", env=env) as kept:
        await kept.until(lambda: http_ready(f"{etcd_url}/health"))
        async with child("kube-apiserver", serving, log=folder / "kube-apiserver.log", env=env) as process:
            await process.until(lambda: api_answers(url, api.ca, token))
            yield api, (kept, process)


async def create(session: aiohttp.ClientSession, collection: str, item: Mapping[str, Any]) -> None:
    """Create an object. Raises ``DemoError`` where the server refuses it; one that is there already stays."""
    await _ask(session, "POST", collection, item, also=409)


async def merge(session: aiohttp.ClientSession, path: str, changes: Mapping[str, Any]) -> None:
    """Change an object by a merge patch. Raises ``DemoError`` where the server refuses it."""
    await _ask(session, "PATCH", path, changes, content_type="application/merge-patch+json")


async def install_definitions(session: aiohttp.ClientSession, file: Path) -> list[str]:
    """Create all custom resource definitions of a file, wait until they are served, and return their names."""
    definitions = await asyncio.to_thread(_definitions, file)
    async with TaskGroup() as group:
        for definition in definitions:
            group.create_task(_install(session, definition))
    return [definition["metadata"]["name"] for definition in definitions]


async def _ask(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    body: Mapping[str, Any],
    *,
    content_type: str = "application/json",
    also: int = 0,
) -> None:
    headers = {"Content-Type": content_type}
    try:
        async with session.request(method, path, data=json.dumps(body), headers=headers) as response:
            said = await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"the API server did not answer {method} {path}: {error}", fix="run the demo again") from error
    if response.status not in {200, 201, also}:
        raise DemoError(f"the API server answered {response.status} to {method} {path}: {said[:300]}", fix="report this")


def _definitions(file: Path) -> list[Json]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # nine times as fast, and these files are large
    documents = yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader)
    return [document for document in documents if document and document["kind"] == "CustomResourceDefinition"]


async def _install(session: aiohttp.ClientSession, definition: Json) -> None:
    """Established is said before the server has the new paths, so the paths themselves are asked."""
    await create(session, DEFINITIONS, definition)
    spec = definition["spec"]
    version = next(version["name"] for version in spec["versions"] if version["served"])
    path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1"
    async with asyncio.timeout(START_SECONDS):
        while not await _is_served(session, path):  # noqa: ASYNC110 - the server tells nobody when it has them
            await asyncio.sleep(_LOOK_SECONDS)


async def _is_served(session: aiohttp.ClientSession, path: str) -> bool:
    async with session.get(path) as response:
        await response.read()
        return response.status == 200
