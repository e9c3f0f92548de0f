"""What one Envoy says about itself on its admin endpoint: the hosts of a cluster, and the routes in force.

A file that was renamed is a wish; the config dump is what the proxy does. Only GET requests are made.
"""

import asyncio
from typing import Any

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient, base_url
from daemon.errors import NotFound, Unavailable

TIMEOUT_SECONDS = 2.0
MAX_BYTES = 64 * 1024 * 1024
_CONNECTIONS = 8
_INLINE_BYTES = 128 * 1024


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
        document = await self._get_json("/clusters?format=json")
        ready: dict[str, int] = {}
        for cluster in document.get("cluster_statuses", []):
            hosts = cluster.get("host_statuses", [])
            ready[cluster["name"]] = sum(_takes_requests(host.get("health_status", {})) for host in hosts)
        return ready

    async def routes_in_force(self) -> dict[str, Any]:
        """The part of the config dump that holds the dynamic route configurations."""
        return await self._get_json("/config_dump?resource=dynamic_route_configs")

    async def rejected_updates(self) -> int:
        """How many route updates Envoy could not read, or read and refused, since it started."""
        document = await self._get_json("/stats?format=json&filter=%5C.rds%5C..*%5C.update_(failure%7Crejected)$")
        return sum(int(stat.get("value", 0)) for stat in document.get("stats", []))

    async def _get_json(self, path: str) -> dict[str, Any]:
        url = f"{self._url}{path}"
        try:
            body = await self._client.whole(URL(url, encoded=True))
        except NotFound as error:
            raise NotFound(f"{error}; is this the admin endpoint of an Envoy?") from error
        return await asyncio.to_thread(_decode, body, url) if len(body) > _INLINE_BYTES else _decode(body, url)


def _decode(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"{url} answered something that is not JSON") from error
    if not isinstance(document, dict):
        raise Unavailable(f"{url} answered JSON that is not an object")
    return document


def _takes_requests(health: dict[str, Any]) -> bool:
    """Envoy lists only the flags that are set; a host without any is healthy."""
    if health.get("eds_health_status", "HEALTHY") not in ("HEALTHY", "UNKNOWN", "DEGRADED"):
        return False
    return not any(value is True for flag, value in health.items() if flag.startswith(("failed_", "excluded_", "pending_")))
