"""Freezes: for a while nothing is taken back, in a namespace or in all."""

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from daemon import names
from daemon.events import decoding
from daemon.http import intake
from daemon.http.callers import said_by
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Bearer, Open
from daemon.interventions import Freeze, Said

_PATH: Final = "/v1/freezes"
_FIX: Final = 'send {"namespace": "...", "seconds": 7200, "by": "...", "reason": "..."}'
_NAMESPACE: Final = Parameter(
    name="namespace",
    where="query",
    description="Of the freeze; left out: the one of all namespaces.",
    schema={"type": "string"},
)


class Wanted(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A freeze that is asked for; without a namespace everywhere, without ``seconds`` until it is thawed."""

    namespace: str | None = None
    seconds: Annotated[float, Meta(gt=0.0, le=365 * 86_400.0)] | None = None


class FreezeList(msgspec.Struct, frozen=True, kw_only=True):
    """What is frozen now."""

    freezes: tuple[Freeze, ...]


_FREEZE: Final = Freeze(namespace="shop", by="ana", reason="database migration", since=1787408827.0, until=1787416027.0)


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Everything under /v1/freezes. Reading is open; whatever changes something takes the token."""
    handlers = _Freezes(ports)
    return [
        Endpoint(
            name="listFreezes",
            method="GET",
            path=_PATH,
            handler=handlers.listing,
            guard=Open(),
            summary="What is frozen: where nothing is taken back now.",
            answers={200: FreezeList(freezes=(_FREEZE,))},
        ),
        Endpoint(
            name="freeze",
            method="POST",
            path=_PATH,
            handler=handlers.freeze,
            guard=Bearer(scope="freeze"),
            summary="Take nothing back for a while, whatever the policies say.",
            body=Wanted(namespace="shop", seconds=7200.0, by="ana", reason="database migration"),
            answers={200: _FREEZE, 400: None, 403: None, 409: None, 503: None},
            about={200: "It is in force, in place of another one there.", 409: "Too many namespaces are frozen."},
        ),
        Endpoint(
            name="thaw",
            method="DELETE",
            path=_PATH,
            handler=handlers.thaw,
            guard=Bearer(scope="freeze"),
            summary="End a freeze.",
            parameters=(_NAMESPACE,),
            body=Said(by="ana", reason="migrated"),
            body_required=False,
            answers={200: _FREEZE, 400: None, 403: None, 404: None, 503: None},
            about={200: "The freeze that was ended.", 404: "None is in force there."},
        ),
    ]


GROUP: Final = Group(name="freezes", about="Where nothing is taken back for a while.", endpoints=endpoints)


class _Freezes:
    """The handlers."""

    def __init__(self, ports: ApiPorts) -> None:
        self._freezes = ports.freezes
        self._now = ports.now

    async def listing(self, _request: web.Request) -> web.Response:
        """Those that are in force."""
        return reply(FreezeList(freezes=tuple(self._freezes.freezes)))

    async def freeze(self, request: web.Request) -> web.Response:
        """Begin one."""
        document = decoding.decode(await intake.json_body(request), path="$", fix=_FIX, like=Wanted)
        wanted = decoding.checked(document, Wanted, path="$")
        now = self._now()
        freeze = Freeze(
            namespace=_namespace(wanted.namespace, path="$.namespace"),
            by=said_by(wanted.by),
            reason=wanted.reason,
            since=now,
            until=None if wanted.seconds is None else now + wanted.seconds,
        )
        await self._freezes.freeze(freeze)
        return reply(freeze)

    async def thaw(self, request: web.Request) -> web.Response:
        """End one."""
        namespace = _namespace(request.query.get("namespace"), path="?namespace")
        said = await intake.said(request)
        return reply(await self._freezes.thaw(namespace, by=said.by, reason=said.reason))


def _namespace(text: str | None, *, path: str) -> str | None:
    return None if text is None else names.token(text, path=path)
