"""Is the process alive, and does everything it needs work? Two questions: a broker that is away is no reason to restart."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from daemon.http.releases import reply

# Each component, with why it does not work; null when it does.
Readiness = Callable[[], Mapping[str, str | None]]


class Health:
    """Handlers for probes."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def alive(self, _request: web.Request) -> web.Response:
        """The event loop turns: that is all a liveness probe should ask."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when every component works, else 503 with the reasons."""
        components = {name: reason or "ok" for name, reason in self._readiness().items()}
        ready = all(state == "ok" for state in components.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return reply({"ready": ready, "components": components}, status=status)
