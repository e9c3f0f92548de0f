"""How the API answers, by each endpoint's path: no more series come of it than there are endpoints."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from daemon.http.problems import Handler

NONE: Final = "none"
"""The route of a request for what there is not."""


def middleware(answered: Callable[[str, str, int, float], None]) -> Middleware:
    """Tells method, path of the endpoint, status and seconds of each answer; a client that left had none, and is not told."""

    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        response = await handler(request)
        resource = request.match_info.route.resource
        route = NONE if resource is None else resource.canonical
        method = request.method if resource is not None else NONE
        answered(method, route, response.status, loop.time() - began)
        return response

    return measured
