"""What comes in over HTTP, before it is believed: bodies, ids, query parameters. Each refusal says where and how to mend it."""

import asyncio
import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from aiohttp import web

from config.errors import nearest, one_of
from daemon import names
from daemon.errors import InvalidInput, TimedOut
from daemon.events import decoding
from daemon.events.announcing import read_release
from daemon.events.hearing import Hearing
from daemon.interventions import Command, Said
from daemon.model import Outline, Release

BODY_SECONDS = 10.0
_KEY_CHARACTERS = 255


def release_id(request: web.Request) -> str:
    """The id in the path."""
    return names.release_id(request.match_info["id"], path="id")


def only_parameters(request: web.Request, known: Collection[str]) -> None:
    """Refuse query parameters that would be ignored, and ones given twice."""
    for name in request.query:
        if name not in known:
            guess = nearest(name, known)
            fix = f"did you mean {guess}?" if guess else f"use {one_of(sorted(known))}" if known else "leave it out"
            raise InvalidInput("is not a parameter of this", path=f"?{name[:40]}", fix=fix)
        if len(request.query.getall(name)) > 1:
            raise InvalidInput("is given twice", path=f"?{name}", fix="give it once")


def wait_seconds(request: web.Request, *, maximum: float) -> float:
    """The parameter ``wait``; 0 when it is not given."""
    text = request.query.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= maximum:
        raise InvalidInput(f"{text[:40]!r} cannot be waited", path="?wait", fix=f"use seconds from 0 to {maximum:g}")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A release, its id, and who has announced it."""

    release: Release | Outline
    release_id: str
    sender: str


async def submission(request: web.Request, *, hearing: Hearing) -> Submission:
    """The release in a request: bare, or in a CloudEvent or CDEvent.

    An event names itself; a bare release can be named by the header Idempotency-Key, so that sending it again after a lost
    answer does not start it twice. The key stands for this very release in this cluster: with another body it is another release,
    and a pipeline may send the same to the daemons of several clusters on one broker.
    """
    body = await _body(request, types=("application/json", "application/cloudevents+json"))
    announced = read_release(request.headers, body, hearing)
    origin = announced.origin
    key = request.headers.get("Idempotency-Key")
    if origin is None and key is not None:
        if not (0 < len(key) <= _KEY_CHARACTERS and key.isprintable()):
            raise InvalidInput(
                "is not usable", path="Idempotency-Key", fix=f"use 1 to {_KEY_CHARACTERS} printable characters, for example a UUID"
            )
        origin = f"idempotency-key\n{hearing.cluster}\n{key}\n{hashlib.sha256(msgspec.json.encode(announced.release)).hexdigest()}"
    release_id = names.new_release_id(announced.release.service, origin=origin)
    sender = f"event {announced.source}" if announced.source else "api"
    return Submission(release=announced.release, release_id=release_id, sender=sender)


async def command(request: web.Request, word: str) -> Command:
    """A person's word; its body, with who and why, may be left out."""
    return msgspec.convert({**msgspec.to_builtins(await said(request)), "command": word}, Command)


async def said(request: web.Request) -> Said:
    """Who says what the address says, and why; the body may be left out."""
    body = await json_body(request) if request.can_read_body else b"{}"
    document = decoding.decode(body or b"{}", path="$", fix='send {"by": "...", "reason": "..."}', like=Said)
    if isinstance(document, dict) and "command" in document:
        raise InvalidInput("is given by the address already", path="$.command", fix="leave it out")
    return decoding.checked(document, Said, path="$")


async def json_body(request: web.Request) -> bytes:
    """A body that is JSON, by its header. Raises ``HTTPUnsupportedMediaType`` for another, else as ``raw_body``."""
    return await _body(request, types=("application/json",))


async def raw_body(request: web.Request) -> bytes:
    """The body as it was sent. It is read once, however often it is asked for: what was signed is what is understood later.

    Raises:
        TimedOut: it did not come in time.
        HTTPRequestEntityTooLarge: it is larger than ``http.max_body_bytes``.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise TimedOut(f"the body did not come within {BODY_SECONDS:g} s") from error


async def _body(request: web.Request, *, types: tuple[str, ...]) -> bytes:
    if request.content_type not in types:
        raise web.HTTPUnsupportedMediaType(text=f"the content type {request.content_type!r} is not read here; send {one_of(types)}")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise web.HTTPUnsupportedMediaType(text=f"the content encoding {encoding[:40]!r} is not read here; send the body as it is")
    return await raw_body(request)
