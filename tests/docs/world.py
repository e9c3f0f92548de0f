"""Where the commands of the pages are run: a whole daemon on a real broker, with releases, and every file that a page names.

Its mesh is Istio's, on an API server and a Prometheus of our own that answer at once: what these are told to do is asked elsewhere.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from daemon.app import serve
from daemon.kube.resources import Resource
from daemon.settings import settings_of
from tests.hand.broker import Broker
from tests.hand.daemons import DaemonApi
from tests.hand.servers import Stub, stub
from tests.meshes.cluster import cluster
from tests.meshes.objects import behind, pod, service, to, versions, virtual_service
from tests.offline.explain.told import told
from tests.offline.replay.recorded import FAILING, HEALTHY, SLOW, record
from tests.servers.run import free_ports, until

TOKEN: Final = "0123456789abcdef0123456789abcdef"
RELEASE: Final = {
    "service": "web",
    "namespace": "shop",
    "baseline": {"subset": "v1"},
    "canary": {"subset": "v2"},
    "weight": 10,
    "mesh": "istio",
}
OWN: Final = ("promote", "rollback", "cancel", "restore")
"""For each of these commands a release of its own; the last one's was taken back."""
_NOTHING: Final = {"status": "success", "data": {"resultType": "vector", "result": []}}
_WORKLOADS: Final = {"baseline": {"workload": "web-v1"}, "canary": {"workload": "web-v2"}}


@dataclass(frozen=True)
class World:
    """The daemon's address, where to type, and ids: of a release that has ended, and of those that a command has for its own."""

    url: str
    folder: Path
    prometheus: str
    kubeconfig: Path
    ended: str
    own: dict[str, str]


@asynccontextmanager
async def world(broker: Broker, folder: Path) -> AsyncIterator[World]:
    """All of it, for the length of a block."""
    async with cluster(folder) as api, stub() as others:
        others.says(_NOTHING)
        for resource, item in (one for name in ("web", *OWN) for one in _routed(name)):
            api.put(resource, item)
        [port] = free_ports(1)
        document = _settings(broker, folder, others=others, kubeconfig=api.kubeconfig, port=port)
        async with _daemon(document, port) as daemon, aiohttp.ClientSession(daemon.url, headers=_shown()) as client:
            ended, *others_own = [await _submitted(client, name) for name in ("web", *OWN)]
            own = dict(zip(OWN, others_own, strict=True))
            await until(lambda: asyncio.to_thread((folder / "DIR" / f"{ended}.jsonl").exists), within=60.0)
            await _said(client, ended, "cancel")
            await _said(client, own["restore"], "rollback")
            await asyncio.gather(daemon.record(ended), daemon.record(own["restore"]))
            await asyncio.to_thread(_write_files, folder, document, ended)
            async with _promoting(client, frozenset({ended, *others_own})):
                yield World(daemon.url, folder, others.url, api.kubeconfig, ended, own)


def _routed(name: str) -> list[tuple[Resource, dict[str, Any]]]:
    """A service of two versions, of which the canary gets a tenth."""
    pods = [pod(f"{name}-{version}-0", app=name, version=version) for version in ("v1", "v2")]
    return [
        virtual_service(to(name, "v1", 90), to(name, "v2", 10), name=name, hosts=[name]),
        versions("v1", "v2", host=f"{name}.shop.svc.cluster.local", name=name),
        service(name, app=name),
        *pods,
        behind(name, *(item["metadata"]["name"] for _, item in pods)),
    ]


def _settings(broker: Broker, folder: Path, *, others: Stub, kubeconfig: Path, port: int) -> dict[str, Any]:
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    secret = {"secret_files": [str(folder / "token")]}
    return {
        "nats": {"url": broker.url},
        "http": {"listen": f"127.0.0.1:{port}", "token_file": str(folder / "token")},
        "telemetry": {"prometheus": {"kind": "prometheus", "url": others.url, "dialect": "istio", "tick_seconds": 0.5}},
        "kubernetes": {"kubeconfig": str(kubeconfig)},
        "meshes": {"istio": {"kind": "istio", "telemetry": "prometheus"}},
        "policies": {"default": {}, "enforce": {"mode": "enforce"}},
        "limits": {"guard_seconds": 1.0},
        "recordings": {"directory": str(folder / "DIR")},
        "hooks": {"ci": {"sender": "cloudevents", **secret}, "github": {"sender": "github", **secret}},
        "gates": {"http": secret},
        "sinks": {"alerts": {"kind": "alertmanager", "url": others.url}},
    }


def _shown() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def _daemon(document: dict[str, Any], port: int) -> AsyncIterator[DaemonApi]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(serve(settings_of(document, source="test", environ={}), stop=stop))
        api = DaemonApi(port=port)
        try:
            await api.ready()
            yield api
        finally:
            stop.set()
            await running


async def _submitted(client: aiohttp.ClientSession, name: str) -> str:
    async with client.post("/v1/releases", json={**RELEASE, "service": name, "policy": "enforce"}) as answer:
        assert answer.status in {201, 202}, await answer.text()
        return str((await answer.json())["id"])


async def _said(client: aiohttp.ClientSession, release_id: str, word: str) -> None:
    async with client.post(f"/v1/releases/{release_id}/{word}", json={}) as answer:
        assert answer.status in {202, 409}, await answer.text()


@asynccontextmanager
async def _promoting(client: aiohttp.ClientSession, kept: frozenset[str]) -> AsyncIterator[None]:
    """A person, who promotes whatever is announced: whoever waits for a verdict gets one."""

    async def promote() -> None:
        while True:
            async with client.get("/v1/releases") as answer:
                views = (await answer.json())["releases"]
            for view in views:
                if view["id"] not in kept and view.get("verdict") is None:
                    await _said(client, view["id"], "promote")
            await asyncio.sleep(0.1)

    person = asyncio.create_task(promote())
    try:
        yield
    finally:
        person.cancel()
        await asyncio.gather(person, return_exceptions=True)


def _write_files(folder: Path, settings: dict[str, Any], ended: str) -> None:
    """Everything that the pages take to be there."""
    (folder / "deploy").mkdir()
    (folder / "verdictd.yaml").write_text(json.dumps(settings), encoding="utf-8")
    for name in ("web.yaml", "release.yaml", "release.json", "deploy/release.json"):
        (folder / name).write_text(json.dumps(RELEASE), encoding="utf-8")
    (folder / "ours.yaml").write_text("{}", encoding="utf-8")
    for name in ("policy.yaml", "strict.yaml", "lenient.yaml", "new.yaml"):
        (folder / name).write_text("promotion: {min_seconds: 60}", encoding="utf-8")
    releases = {"service": "web", "namespace": "shop", "releases": [{"from": "2026-11-03T10:00:00Z", "label": "bad", **_WORKLOADS}]}
    (folder / "releases.yaml").write_text(json.dumps(releases), encoding="utf-8")
    payload = {
        "deployment": {"id": 7, "sha": "f95f852b", "payload": {"verdictd": RELEASE}},
        "repository": {"html_url": "https://x/y"},
    }
    (folder / "deployment.json").write_text(json.dumps(payload), encoding="utf-8")
    _write_recordings(folder)
    for name in (".", "a", "b"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{ended}.jsonl").write_bytes((folder / "DIR" / f"{ended}.jsonl").read_bytes())
    one = told(folder / "told", change=FAILING)
    (folder / "record.json").write_bytes(msgspec.json.encode(one.record))
    (folder / "recording.jsonl").write_bytes(one.recording.read_bytes())


def _write_recordings(folder: Path) -> None:
    for name in ("recordings", "healthy", "narrow", "demo-out/logs", "told"):
        (folder / name).mkdir(parents=True)
    for stem, change, numbers in (("errors", FAILING, 3), ("healthy", HEALTHY, 2), ("slow", SLOW, 2)):
        for number, path in enumerate(record(folder, change=change, number=numbers, stem=stem), start=1):
            path.rename(folder / "recordings" / f"{stem}-{number:02d}.jsonl")
    labels = {path.name: "healthy" if path.name.startswith("healthy") else "bad" for path in (folder / "recordings").iterdir()}
    (folder / "recordings" / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    healthy = (folder / "recordings" / "healthy-01.jsonl").read_text(encoding="utf-8")
    for name in ("healthy/one.jsonl", "narrow/checkout-07.jsonl", "demo-out/logs/web.jsonl", "last.jsonl"):
        (folder / name).write_text(healthy, encoding="utf-8")
    lines = healthy.splitlines()
    (folder / "broken.jsonl").write_text("\n".join([*lines[:4], lines[4].replace('"requests":', '"requests":-')]), encoding="utf-8")
