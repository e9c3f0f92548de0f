"""What one Envoy says about itself on its admin endpoint: the hosts of a cluster, and the routes in force.

A file that was renamed is a wish; the config dump is what the proxy does. Only GET requests are made.
"""

import asyncio
from typing import Any, TypeVar

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient, base_url
from daemon.errors import NotFound, Unavailable

TIMEOUT_SECONDS = 2.0
MAX_BYTES = 64 * 1024 * 1024
_CONNECTIONS = 8
_INLINE_BYTES = 128 * 1024

T = TypeVar("T")


class _Host(msgspec.Struct):
    health_status: dict[str, Any] = {}


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


class _Stat(msgspec.Struct):
    value: int = 0


class _Stats(msgspec.Struct):
    stats: list[_Stat] = []


class EnvoyAdmin:
    """A client of one admin endpoint. Make it and close it in the same event loop.

    Its answers are read whole, and wait for nobody: a revert is looked after by them.

    Raises:
        InvalidInput: ``admin`` is no base URL; ``setting`` is where it stands.
    """

    def __init__(
        self,
        admin: str,
        *,
        setting: str = "meshes.NAME.admin",
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._url = str(base_url(admin, path=setting)).rstrip("/")
        self._client = HttpClient(
            setting=setting, connections=_CONNECTIONS, timeout_seconds=timeout_seconds, max_answer_bytes=max_bytes
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def clusters(self) -> dict[str, int]:
        """Number of hosts that take requests, by cluster, for every cluster that Envoy knows."""
        document = await self._get("/clusters?format=json", _Clusters)
        return {
            cluster.name: sum(_takes_requests(host.health_status) for host in cluster.host_statuses)
            for cluster in document.cluster_statuses
        }

    async def routes_in_force(self) -> dict[str, Any]:
        """The part of the config dump that holds the dynamic route configurations."""
        return await self._get("/config_dump?resource=dynamic_route_configs", dict[str, Any])

    async def rejected_updates(self) -> int:
        """How many route updates Envoy could not read, or read and refused, since it started."""
        document = await self._get("/stats?format=json&filter=%5C.rds%5C..*%5C.update_(failure%7Crejected)$", _Stats)
        return sum(stat.value for stat in document.stats)

    async def _get(self, path: str, kind: type[T]) -> T:
        url = f"{self._url}{path}"
        try:
            body = await self._client.whole(URL(url, encoded=True))
        except NotFound as error:
            raise NotFound(f"{error}; is this the admin endpoint of an Envoy?") from error
        return await asyncio.to_thread(_decode, body, url, kind) if len(body) > _INLINE_BYTES else _decode(body, url, kind)


def _decode(body: bytes, url: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(f"{url} answered something that is not Envoy's: {error}") from error


def _takes_requests(health: dict[str, Any]) -> bool:
    """Envoy lists only the flags that are set; a host without any is healthy."""
    if health.get("eds_health_status", "HEALTHY") not in ("HEALTHY", "UNKNOWN", "DEGRADED"):
        return False
    return not any(value is True for flag, value in health.items() if flag.startswith(("failed_", "excluded_", "pending_")))
