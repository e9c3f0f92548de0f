"""Installing custom resource definitions into an API server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def install_crds(api: KubeApiServer, file: Path, within: float = 60.0) -> list[str]:
    """Installs all definitions of a file, waits until the server serves them, and returns their names."""
    definitions = await asyncio.to_thread(_definitions, file)
    async with api.session() as session, asyncio.TaskGroup() as group:
        for definition in definitions:
            group.create_task(_install(session, definition, within))
    return [definition["metadata"]["name"] for definition in definitions]


def _definitions(file: Path) -> list[Mapping[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # nine times as fast, and these files are large
    documents = yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader)
    return [document for document in documents if document and document["kind"] == "CustomResourceDefinition"]


async def _install(session: aiohttp.ClientSession, definition: Mapping[str, Any], within: float) -> None:
    async with session.post(DEFINITIONS, json=definition) as response:
        if response.status not in {201, 409}:
            response.raise_for_status()
    await until(lambda: _is_served(session, definition), within)


async def _is_served(session: aiohttp.ClientSession, definition: Mapping[str, Any]) -> bool:
    """Established is said before the server has the new paths, so the paths themselves are asked."""
    spec = definition["spec"]
    version = next(version["name"] for version in spec["versions"] if version["served"])
    path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1"
    async with session.get(path) as response:
        return response.status == 200
