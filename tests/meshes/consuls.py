"""A Consul to be told its entries and instances: a real agent, or a small one in memory that answers as that was seen to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from daemon.meshes.references import Json
from tests.hand.servers import Answer, app_of, serving
from tests.servers.consul import consul as agent
from tests.servers.run import LOOPBACK

MANAGEMENT = "6f4c2b1e-9f0a-4f66-8a6b-0c6a8a0e9d11"
KINDS = ("service-router", "service-splitter", "service-resolver")


@dataclasses.dataclass(slots=True)
class Consul:
    """One of them, asked over HTTP as anybody would."""

    url: str
    session: aiohttp.ClientSession
    token: str = MANAGEMENT

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Consul-Token": self.token}
        async with self.session.request(method, f"{self.url}/v1/{path}", json=body, headers=headers) as response:
            said = await response.text()
            assert response.status == 200, said
            return json.loads(said) if said.strip() else None

    async def put(self, *entries: Json) -> None:
        """Write entries in the spelling of files, whatever is there."""
        for entry in entries:
            assert await self.ask("PUT", "config", entry)

    async def get(self, kind: str, name: str) -> Json:
        """An entry without Consul's own fields."""
        found: Json = await self.ask("GET", f"config/{kind}/{name}")
        return {key: value for key, value in found.items() if key not in ("CreateIndex", "ModifyIndex")}

    async def weights(self, name: str = "web") -> dict[str, float]:
        """Of a splitter, by subset or service."""
        found = await self.get("service-splitter", name)
        return {one.get("ServiceSubset") or one.get("Service") or name: one.get("Weight", 0) for one in found["Splits"]}

    async def says(self, name: str, status: str) -> None:
        """What the sidecar of an instance says of itself from now on."""
        await self.ask("PUT", f"agent/check/update/{name}-up", {"Status": status})

    async def register(self, name: str, *, service: str = "web", version: str) -> None:
        """An instance of a service with a sidecar that passes its one check."""
        check = {"Name": "up", "CheckID": f"{name}-up", "TTL": "10m", "Status": "passing"}
        sidecar = {"Port": 2, "Checks": [check]}
        body = {"Name": service, "ID": name, "Port": 1, "Meta": {"version": version}, "Connect": {"SidecarService": sidecar}}
        await self.ask("PUT", "agent/service/register", body)

    async def clear(self) -> None:
        """Without entries that route, and without instances."""
        for kind in KINDS:
            for entry in await self.ask("GET", f"config/{kind}"):
                await self.ask("DELETE", f"config/{kind}/{entry['Name']}")
        for one in await self.ask("GET", "agent/services"):
            if not one.endswith("-sidecar-proxy"):
                await self.ask("PUT", f"agent/service/deregister/{one}")


@contextlib.asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Consul]:
    """A real agent on which nobody may do anything without a token."""
    tokens = {"initial_management": MANAGEMENT, "agent": MANAGEMENT}
    config = {
        "acl": {"enabled": True, "default_policy": "deny", "tokens": tokens},
        "config_entries": {"bootstrap": [{"kind": "proxy-defaults", "name": "global", "config": {"protocol": "http"}}]},
    }
    async with agent(folder, config) as it, aiohttp.ClientSession() as session:
        yield Consul(it.url, session)


@dataclasses.dataclass(slots=True)
class Memory:
    """What the small one holds. ``faults``: answers to the next requests of a method and a path, in the place of the right ones."""

    entries: dict[tuple[str, str], Json] = dataclasses.field(default_factory=dict)
    services: dict[str, Json] = dataclasses.field(default_factory=dict)
    faults: dict[str, list[Answer]] = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    requests: list[str] = dataclasses.field(default_factory=list)
    index: int = 10

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = f"{request.method} {request.path}"
        self.requests.append(f"{request.method} {request.path_qs}")
        if queued := self.faults.get(asked):
            return await queued.pop(0)(request)
        body = await request.json() if request.can_read_body else None
        found = self._answered(request, request.path.strip("/").split("/")[1:], body)
        if found is None:
            return web.Response(status=404, text="Config entry not found")
        return web.json_response(found, headers={"X-Consul-Index": str(self.index), **self.headers})

    def _answered(self, request: web.Request, path: list[str], body: Any) -> Any:
        answers: dict[str, Any] = {
            "PUT config": lambda: self._written(body, request.query.get("cas")),
            "GET config": lambda kind, name="": self._read(kind, name),
            "DELETE config": lambda kind, name: self.entries.pop((kind, name)),
            "GET health": lambda _, service: self._healthy(service, request.query.get("filter", "")),
            "PUT agent": lambda _, verb, name="": self._told(verb, name, body),
        }
        return answers[f"{request.method} {path[0]}"](*path[1:])

    def _read(self, kind: str, name: str) -> Any:
        return self.entries.get((kind, name)) if name else [entry for (of, _), entry in self.entries.items() if of == kind]

    def _told(self, verb: str, name: str, body: Json) -> Json:
        if verb == "register":
            self.services[body["ID"]] = body
        elif verb == "update":
            self.services[name.removesuffix("-up")]["Connect"]["SidecarService"]["Checks"][0] |= body
        else:
            del self.services[name]
        return {}

    def _written(self, body: Json, cas: str | None) -> bool:
        entry = _pascal(body)
        there = self.entries.get(key := (entry["Kind"], entry["Name"]))
        if cas is not None and int(cas) != (0 if there is None else there["ModifyIndex"]):
            return False
        self.index += 1
        self.entries[key] = {**entry, "CreateIndex": 1, "ModifyIndex": self.index}
        return True

    def _healthy(self, service: str, expression: str) -> list[Json]:
        version = expression.rpartition("== ")[2]
        return [
            {
                "Node": {"Node": "n"},
                "Service": {"ID": f"{name}-sidecar-proxy"},
                "Checks": one["Connect"]["SidecarService"]["Checks"],
            }
            for name, one in self.services.items()
            if one["Name"] == service and version in ("", one["Meta"]["version"])
        ]


def _pascal(body: Json) -> Json:
    """As the agent gives entries back."""
    from tests.meshes.consul_entries import pascal

    spelled = body if "Kind" in body else pascal(body)
    return {key: value for key, value in spelled.items() if key not in ("CreateIndex", "ModifyIndex")}


@contextlib.asynccontextmanager
async def small(memory: Memory) -> AsyncIterator[Consul]:
    """One in memory."""
    async with serving(app_of(memory.handle)) as port, aiohttp.ClientSession() as session:
        yield Consul(f"http://{LOOPBACK}:{port}", session)
