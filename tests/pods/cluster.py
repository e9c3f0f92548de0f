"""The pods of a cluster that a test moves, in the place of an API server's client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from daemon.errors import VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import PODS, Resource
from tests.pods.objects import Json


class PodCluster:
    """Lists and watches pods. ``fault``: raised by each listing and each watch that is begun; ``watching``: open watches."""

    def __init__(self, *pods: Json) -> None:
        self.fault: VerdictdError | None = None
        self.watching = 0
        self.listed: list[str] = []
        self._pods: dict[tuple[str, str], Json] = {}
        self._version = 1
        self._lines: list[asyncio.Queue[bytes]] = []
        for one in pods:
            self.put(one)

    @property
    def client(self) -> KubeClient:
        return cast("KubeClient", self)

    def put(self, item: Json) -> None:
        self._tell("MODIFIED" if self._key(item) in self._pods else "ADDED", item)
        self._pods[self._key(item)] = item

    def delete(self, item: Json) -> None:
        del self._pods[self._key(item)]
        self._tell("DELETED", item)

    def bookmark(self) -> None:
        """Every watch hears that nothing has happened."""
        metadata = {"resourceVersion": str(self._version)}
        for queue in self._lines:
            queue.put_nowait(json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}).encode())

    def cut(self) -> None:
        """Every watch ends."""
        for queue in self._lines:
            queue.put_nowait(b"")

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "") -> Listing:
        assert (resource, labels) == (PODS, "")
        self.listed.append(str(namespace))
        if self.fault is not None:
            raise self.fault
        found = tuple(one for (where, _), one in self._pods.items() if where == namespace)
        return Listing(items=found, resource_version=str(self._version))

    @asynccontextmanager
    async def watch(
        self, resource: Resource, *, resource_version: str, namespace: str | None = None, **_more: object
    ) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        if self.fault is not None:
            raise self.fault
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._lines.append(queue)
        self.watching += 1
        try:
            yield queue.get
        finally:
            self.watching -= 1
            self._lines.remove(queue)

    def _tell(self, kind: str, item: Json) -> None:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        for queue in self._lines:
            queue.put_nowait(json.dumps({"type": kind, "object": item}).encode())

    def _key(self, item: Json) -> tuple[str, str]:
        return item["metadata"]["namespace"], item["metadata"]["name"]
