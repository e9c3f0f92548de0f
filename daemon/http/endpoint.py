"""What the API has, as data: the router, the guard and the OpenAPI document are all made from it and cannot disagree.

A group of endpoints is one module of ``daemon/http/api`` and one row of its table; it says what it has and who may ask for it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from config.settings import Gates, Hook, Http
from daemon.events.hearing import Hearing
from daemon.http.bounds import BoundOf
from daemon.http.guard import Guard
from daemon.http.metrics.meter import Metrics
from daemon.http.problems import Handler
from daemon.http.waiting import Waiting
from daemon.ports.awaiting import Awaiting
from daemon.ports.events import DeadLetters, EventLog
from daemon.ports.past import PastVerdicts
from daemon.ports.service import Feed, FreezeService, ReleaseService, Verdicts
from daemon.questions import Questions

TEXT: Final = "text/plain"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter: ``where`` is path, query or header."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any]


def wait_parameter(max_wait_seconds: float) -> Parameter:
    """``wait`` as the description of an endpoint has it."""
    return Parameter(
        name="wait",
        where="query",
        description="Seconds to wait for the verdict, at most http.max_wait_seconds.",
        schema={"type": "number", "minimum": 0, "maximum": max_wait_seconds, "default": 0},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path. What answers to GET answers to HEAD as well.

    Attributes:
        name: of the operation, for clients made from the OpenAPI document. It is unique, and never changed.
        guard: who may ask.
        answers: by status, what the body is: an example of it (a struct, whose model it stands for), the media type of something
            else, or null for a problem document.
        body: an example of the request's body, if it has one; ``events`` says that CloudEvents are understood as well.
        about: by status, what it means.
        bound: how many of its requests are read at a time; null: as many as there are connections.
        strict: query parameters that it does not know are refused. Those of probes and scrapers are not ours to say.
    """

    name: str
    method: str
    path: str
    handler: Handler
    guard: Guard
    summary: str
    answers: Mapping[int, msgspec.Struct | str | None]
    parameters: tuple[Parameter, ...] = ()
    body: msgspec.Struct | None = None
    body_required: bool = True
    events: bool = False
    about: Mapping[int, str] = field(default_factory=dict)
    bound: BoundOf | None = None
    strict: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Each component, with why it does not work; null when it does. Without the ``helpful`` ones the daemon works on."""

    needed: Mapping[str, str | None] = field(default_factory=dict)
    helpful: Mapping[str, str | None] = field(default_factory=dict)


Readiness = Callable[[], Components]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPorts:
    """What endpoints are made from: the engine's ports, the settings, and who keeps answers open.

    Attributes:
        past: verdicts of the last days, whoever was there to see them.
        questions: that somebody must answer.
        awaiting: where announcements wait for their canaries; null: nowhere.
        feed: the changes of releases, for what streams them.
        dead_letters: for what an endpoint has taken and cannot use.
        event_log: for events that an endpoint has taken, and whose sender is answered when they are kept.
        hooks: by name.
        gates: who may ask at which.
        policies: their names.
        cluster: the daemon's own.
        recordings: the folder that they are in; null: none are kept.
        hearing: what it knows beside an announcement.
        now: seconds since 1970.
    """

    releases: ReleaseService
    verdicts: Verdicts
    past: PastVerdicts
    freezes: FreezeService
    questions: Questions
    feed: Feed
    dead_letters: DeadLetters
    metrics: Metrics
    readiness: Readiness
    http: Http
    event_log: EventLog
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    gates: Gates = field(default_factory=Gates)
    policies: Sequence[str] = ("default",)
    cluster: str = "default"
    recordings: Path | None = None
    awaiting: Awaiting | None = None
    hearing: Hearing = field(default_factory=Hearing)
    now: Callable[[], float] = time.time
    waiting: Waiting = field(default_factory=Waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Endpoints that belong together; ``name`` is their tag in the OpenAPI document."""

    name: str
    about: str
    endpoints: Callable[[ApiPorts], Sequence[Endpoint]]


def reply(body: object, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response, never kept by a cache."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type=JSON,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
