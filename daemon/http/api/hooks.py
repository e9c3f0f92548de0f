"""Hooks: events from the tools of pipelines, each answered when it is kept on the stream, from where it goes as every event does.

The order: the bound, the sender's proof on the body as it was sent, the event, the stream, the answer. 2xx means that the sender
has nothing more to do: the event is kept, was kept before, or announces nothing. What is the sender's and cannot be used is kept
among the dead letters too, for those who look there rather than at the sender's log.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal

import msgspec
from aiohttp import web

from config.secretnames import SECRET_NAME
from daemon.errors import InvalidInput, NoRelease, NotFound
from daemon.events import decoding
from daemon.http import intake
from daemon.http.api import examples
from daemon.http.bounds import Bound
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Open
from daemon.http.hooks.configured import Configured, OfItsSender, configured
from daemon.http.hooks.understanding import Received, Understood
from daemon.ports.events import DeadLetter

log = logging.getLogger(__name__)

ALLOWED_RATE: Final = 10_000
"""Events in a minute, as senders are told that ask."""
_PATH = "/hooks/{name}"
_NAME = Parameter(name="name", where="path", description="The hook's, under hooks in the settings.", schema={"type": "string"})
_ORIGIN = "WebHook-Request-Origin"


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an event.

    ``taken``: it is kept, and its release begins. ``known``: it was kept before. ``passed``: it announces nothing that is watched.
    ``refused``: it cannot be used, and is among the dead letters; of a batch only.
    """

    outcome: Literal["taken", "known", "passed", "refused"]
    release: str | None = None
    reason: str | None = None


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """The hooks, by one path. Each has the guard of its sender."""
    hooks = configured(ports.hooks)
    handlers = _Hooks(ports, hooks)

    def bound(request: web.Request) -> Bound | None:
        hook = hooks.get(request.match_info["name"])
        return None if hook is None else hook.bound

    return [
        Endpoint(
            name="sendEvent",
            method="POST",
            path=_PATH,
            handler=handlers.take,
            guard=OfItsSender(hooks=hooks, now=ports.now),
            bound=bound,
            summary="Announce a release in the words of a pipeline's tool.",
            parameters=(_NAME,),
            body=examples.RELEASE,
            events=True,
            answers={
                200: Heard(outcome="passed", reason="$.type: 'dev.tekton.event.taskrun.started.v1' is not known here"),
                202: Heard(outcome="taken", release=examples.VIEW.id),
                **dict.fromkeys((400, 404, 413, 415, 503)),
            },
            about={
                200: "Nothing is to be done: it was kept before, or announces nothing.",
                202: "It is kept; its release begins.",
                503: "It cannot be kept now, or too many are being read; send it again.",
            },
        ),
        Endpoint(
            name="inviteEvents",
            method="OPTIONS",
            path=_PATH,
            handler=handlers.invite,
            guard=Open(scope=None),
            summary="The handshake of CloudEvents' webhooks.",
            parameters=(_NAME, Parameter(name=_ORIGIN, where="header", description="Who asks.", schema={"type": "string"})),
            answers={204: "text/plain", 400: None, 404: None, 405: None},
            about={204: "Events may be sent, with the hook's token."},
        ),
    ]


GROUP: Final = Group(name="hooks", about="Events from the tools of pipelines.", endpoints=endpoints)


class _Hooks:
    """The handlers."""

    def __init__(self, ports: ApiPorts, hooks: Mapping[str, Configured]) -> None:
        self._event_log = ports.event_log
        self._dead_letters = ports.dead_letters
        self._hooks = hooks
        self._hearing = ports.hearing

    async def take(self, request: web.Request) -> web.Response:
        """Keep the event, or each of a batch."""
        hook = self._hook(request)
        _check_form(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await intake.raw_body(request)
        received = Received(hook=hook.name, headers=headers, body=body, hearing=self._hearing)
        try:
            with decoding.netted("a request to a hook"):
                parts = hook.sender.parts(received)
            if parts == [received]:
                return _answer(await self._heard(hook, received))
        except InvalidInput as error:
            await self._keep_with_reason(received, str(error))
            raise
        return await self._batch(hook, parts)

    async def invite(self, request: web.Request) -> web.Response:
        """Say that events may come, to whoever can show the token then."""
        hook = self._hook(request)
        if not hook.sender.invites:
            raise web.HTTPMethodNotAllowed("OPTIONS", ["POST"])
        if not request.headers.get(_ORIGIN):
            raise InvalidInput("is missing", path=_ORIGIN, fix="name who will send")
        allowed = {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": str(ALLOWED_RATE), "Allow": "POST, OPTIONS"}
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=allowed)

    def _hook(self, request: web.Request) -> Configured:
        name = request.match_info["name"]
        if name not in self._hooks:
            raise NotFound(f"no hook {name[:63]!r}; hooks are named under hooks in the settings")
        return self._hooks[name]

    async def _batch(self, hook: Configured, parts: Sequence[Received]) -> web.Response:
        """One that is bad keeps none of the others from being kept. All are bad: the sender is told so."""
        heard: list[Heard] = []
        for part in parts:
            try:
                heard.append(await self._heard(hook, part))
            except InvalidInput as error:
                await self._keep_with_reason(part, str(error))
                heard.append(Heard(outcome="refused", reason=str(error)))
        status = HTTPStatus.ACCEPTED if any(one.outcome == "taken" for one in heard) else HTTPStatus.OK
        if heard and all(one.outcome == "refused" for one in heard):
            status = HTTPStatus.BAD_REQUEST
        return reply(heard, status=status)

    async def _heard(self, hook: Configured, received: Received) -> Heard:
        """What becomes of one event; where it is kept, it is before this returns."""
        try:
            with decoding.netted("an event of a hook"):
                understood: Understood = hook.sender.read(received)
        except NoRelease as error:
            log.info("an event of a hook announces nothing", extra={"hook": hook.name, "reason": str(error)})
            return Heard(outcome="passed", reason=str(error))
        new = await self._event_log.keep(understood.incoming)
        heard = Heard(outcome="taken" if new else "known", release=understood.release_id)
        log.info("an event of a hook is kept", extra={"hook": hook.name, "release": heard.release, "outcome": heard.outcome})
        return heard

    async def _keep_with_reason(self, received: Received, reason: str) -> None:
        """Keep what cannot be used, without what its sender has shown us."""
        log.warning("event rejected", extra={"hook": received.hook, "reason": reason})
        headers = {name: value for name, value in received.headers.items() if SECRET_NAME.search(name) is None}
        digest = hashlib.sha256(received.body).hexdigest()
        key, sent_to = f"hook-{received.hook}-{digest}", f"POST /hooks/{received.hook}"
        await self._dead_letters.keep(DeadLetter(body=received.body, headers=headers, reason=reason, key=key, sent_to=sent_to))


def _answer(heard: Heard) -> web.Response:
    if heard.outcome != "taken":
        return reply(heard)
    return reply(heard, status=HTTPStatus.ACCEPTED, headers={"Location": f"/v1/releases/{heard.release}"})


def _check_form(request: web.Request) -> None:
    """Refuse what is packed, and what browsers send: no reader of ours would know it."""
    if request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        fix = "choose application/json as the content type in the sender's settings"
        raise web.HTTPUnsupportedMediaType(text=f"the content type {request.content_type!r} is not read here; {fix}")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise web.HTTPUnsupportedMediaType(text=f"the content encoding {encoding[:40]!r} is not read here; send the body as it is")
