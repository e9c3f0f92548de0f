"""The page: files that a browser reads, with what it may do with them. What they show they ask of the API, as anybody does.

They are read once, when the daemon starts; each is an endpoint's answer, so nothing else of the folder can be asked for.
"""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from daemon import ui
from daemon.errors import NotFound
from daemon.http import intake
from daemon.http.api.releases import ID
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Open

HTML: Final = "text/html"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILE: Final = Parameter(name="name", where="path", description="Of a file of the page.", schema={"type": "string"})


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where else the page of a release leads.

    Attributes:
        links: addresses by name, with places for what the release is.
        recordings: whether this daemon keeps recordings.
    """

    links: Mapping[str, str]
    recordings: bool


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Whoever reaches the port may look; there is nothing on the page that changes anything."""
    files = _Files()

    async def links(_request: web.Request) -> web.Response:
        return reply(Links(links=ports.http.links, recordings=ports.recordings is not None))

    return [
        Endpoint(
            name="goToPage",
            method="GET",
            path="/ui",
            handler=_go_to_page,
            guard=Open(),
            summary="Leads to the page.",
            answers={308: HTML},
            strict=False,
        ),
        Endpoint(
            name="getPage",
            method="GET",
            path="/ui/",
            handler=files.many,
            guard=Open(),
            summary="The page of all releases, for a browser.",
            answers={200: HTML},
            strict=False,
        ),
        Endpoint(
            name="getReleasePage",
            method="GET",
            path="/ui/release/{id}",
            handler=files.one,
            guard=Open(),
            summary="The page of one release, during its watch and ever after.",
            parameters=(ID,),
            answers={200: HTML, 400: None},
            strict=False,
        ),
        Endpoint(
            name="getPageLinks",
            method="GET",
            path="/ui/links",
            handler=links,
            guard=Open(),
            summary="Where else the page of a release leads.",
            answers={
                200: Links(
                    links={"Grafana": "https://grafana.example.org/d/verdictd-release?var-release={release}"}, recordings=True
                )
            },
            strict=False,
        ),
        Endpoint(
            name="getPageFile",
            method="GET",
            path="/ui/files/{name}",
            handler=files.file,
            guard=Open(),
            summary="What the page is made of.",
            parameters=(_FILE,),
            answers={200: "text/javascript", 304: "text/javascript", 404: None},
            about={304: "As the sender has it."},
            strict=False,
        ),
    ]


GROUP: Final = Group(name="page", about="For a browser: read-only, made of the API's own answers.", endpoints=endpoints)


async def _go_to_page(_request: web.Request) -> web.Response:
    """The address is relative, so that it holds under the path that a proxy puts before ours."""
    return web.Response(status=HTTPStatus.PERMANENT_REDIRECT, headers={"Location": "ui/", **HEADERS}, content_type=HTML)


class _Files:
    """The files of ``daemon.ui``, in memory."""

    def __init__(self) -> None:
        self._bodies = ui.bodies()

    async def many(self, request: web.Request) -> web.Response:
        """The page of all releases."""
        return self._answer(request, "many.html")

    async def one(self, request: web.Request) -> web.Response:
        """The page of one release, whether there is such a one or not: it says so itself."""
        intake.release_id(request)
        return self._answer(request, "one.html")

    async def file(self, request: web.Request) -> web.Response:
        """A script, a style, a picture."""
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        body = self._bodies.get(name)
        if body is None:
            raise NotFound("the page has no such file")
        tag = hashlib.sha256(body).hexdigest()[:16]
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": f'"{tag}"'}
        if f'"{tag}"' in request.headers.get("If-None-Match", ""):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        response = web.Response(body=body, content_type=ui.type_of(name), charset="utf-8", headers=headers)
        response.enable_compression()
        return response
