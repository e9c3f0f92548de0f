"""Is the process alive, and does everything it needs work? Two questions: a broker that is away is no reason to restart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from daemon.http.releases import reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Each component, with why it does not work; null when it does. Without the ``helpful`` ones the daemon works on."""

    needed: Mapping[str, str | None] = field(default_factory=dict)
    helpful: Mapping[str, str | None] = field(default_factory=dict)


Readiness = Callable[[], Components]


class Health:
    """Handlers for probes."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def alive(self, _request: web.Request) -> web.Response:
        """The event loop turns: that is all a liveness probe should ask."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when every component that is needed works, else 503; with the reasons, those of the others too."""
        found = self._readiness()
        components = {name: reason or "ok" for name, reason in found.needed.items()}
        components |= {name: f"degraded: {reason}" if reason else "ok" for name, reason in found.helpful.items()}
        ready = not any(found.needed.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return reply({"ready": ready, "components": components}, status=status)
