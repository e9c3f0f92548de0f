"""What one Envoy says about itself on its admin endpoint: the hosts of a cluster, and the routes in force.

A file that was renamed is a wish; the config dump is what the proxy does. Only GET requests are made.
"""

from typing import Any

import aiohttp
import msgspec

from daemon.errors import Forbidden, NotFound, Refused, TimedOut, Unavailable

TIMEOUT_SECONDS = 2.0
MAX_BYTES = 64 * 1024 * 1024


class EnvoyAdmin:
    """A client of one admin endpoint. Make it and close it in the same event loop."""

    def __init__(self, base_url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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
        url = f"{self._base_url}{path}"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.get(url) as response:
                _check(response.status, url)
                body = await response.content.read(MAX_BYTES)
                while chunk := await response.content.read(MAX_BYTES):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise Refused(f"{url} answered more than {MAX_BYTES} bytes")
        except TimeoutError as error:
            raise TimedOut(f"{url} did not answer within {self._timeout.total:g} s") from error
        except aiohttp.ClientError as error:
            raise Unavailable(f"{url}: {error}") from error
        return _decode(body, url)


def _check(status: int, url: str) -> None:
    if status in (401, 403):
        raise Forbidden(f"{url} answered {status}")
    if status == 404:
        raise NotFound(f"{url} answered 404: is this the admin endpoint of an Envoy?")
    if status != 200:
        raise Unavailable(f"{url} answered {status}")


def _decode(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{url} answered something that is not JSON") from error
    if not isinstance(document, dict):
        raise Unavailable(f"{url} answered JSON that is not an object")
    return document


def _takes_requests(health: dict[str, Any]) -> bool:
    """Envoy lists only the flags that are set; a host without any is healthy."""
    if health.get("eds_health_status", "HEALTHY") not in ("HEALTHY", "UNKNOWN", "DEGRADED"):
        return False
    return not any(value is True for flag, value in health.items() if flag.startswith(("failed_", "excluded_", "pending_")))
