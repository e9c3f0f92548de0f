"""Releases: submit, list, read, wait for the verdict, read its record, say a person's word."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from config.errors import one_of
from daemon.aio.stretches import in_stretches
from daemon.errors import InvalidInput, NotFound, Refused, Unavailable
from daemon.http import intake, paging
from daemon.http.api import examples
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply, wait_parameter
from daemon.http.guard import Bearer, Open
from daemon.http.problems import Handler
from daemon.model import Stage
from daemon.releaseview import ReleaseView

FILTERS: Final = ("service", "namespace", "stage")
_ONE = "/v1/releases/{id}"
_WORDS = {
    "rollback": "Take the traffic back now.",
    "promote": "Call the canary good now.",
    "cancel": "Stop watching; the verdict is inconclusive.",
}


class ReleaseList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Releases, the newest first; ``next`` is the cursor of the next page, absent on the last."""

    releases: tuple[ReleaseView, ...]
    next: str | None = None


ID = Parameter(
    name="id",
    where="path",
    description="The release's id.",
    schema={"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,94}[a-z0-9])?$"},
)
_IDEMPOTENCY = Parameter(
    name="Idempotency-Key",
    where="header",
    description="The same key with the same body is the same release. CloudEvents name themselves by source and id.",
    schema={"type": "string", "maxLength": 255},
)


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Everything under /v1/releases. Reading is open; whatever changes something takes the token."""
    handlers = _Releases(ports)
    return [
        *_of_all(handlers),
        *_of_one(handlers, max_wait_seconds=ports.http.max_wait_seconds),
        *(_command(handlers, word) for word in _WORDS),
    ]


_ELSEWHERE: Final = "It is another verdictd's: of a newer version, or of another process over the same store"


def _of_all(handlers: "_Releases") -> list[Endpoint]:
    return [
        Endpoint(
            name="submitRelease",
            method="POST",
            path="/v1/releases",
            handler=handlers.submit,
            guard=Bearer(scope="submit"),
            summary="Begin watching a release.",
            body=examples.RELEASE,
            events=True,
            parameters=(_IDEMPOTENCY,),
            answers={200: examples.VIEW, 202: examples.VIEW, 400: None, 403: None, 409: None, 415: None, 503: None},
            about={
                200: "Somebody else has announced this canary, and this is its release.",
                202: "It is being watched (or was already).",
                409: _ELSEWHERE,
                503: "The daemon is full; ask again later.",
            },
        ),
        Endpoint(
            name="listReleases",
            method="GET",
            path="/v1/releases",
            handler=handlers.listing,
            guard=Open(),
            summary="Running and recently ended releases, the newest first, a page at a time.",
            parameters=(*(_filter(name) for name in FILTERS), *paging.PARAMETERS),
            answers={200: ReleaseList(releases=(examples.VIEW,), next=paging.cursor(_place(examples.VIEW))), 400: None},
        ),
    ]


def _of_one(handlers: "_Releases", *, max_wait_seconds: float) -> list[Endpoint]:
    return [
        Endpoint(
            name="getRelease",
            method="GET",
            path=_ONE,
            handler=handlers.read,
            guard=Open(),
            summary="One release as it stands.",
            parameters=(ID,),
            answers={200: examples.VIEW, 400: None, 404: None, 409: None},
            about={409: _ELSEWHERE},
        ),
        Endpoint(
            name="getVerdict",
            method="GET",
            path=f"{_ONE}/verdict",
            handler=handlers.verdict,
            guard=Open(),
            summary="The verdict, waiting for it.",
            parameters=(ID, wait_parameter(max_wait_seconds)),
            answers={200: examples.VERDICT, 202: examples.VIEW, 400: None, 404: None, 409: None},
            about={202: "There is none yet: the release as it stands.", 409: _ELSEWHERE},
        ),
        Endpoint(
            name="getRecord",
            method="GET",
            path=f"{_ONE}/record",
            handler=handlers.record,
            guard=Open(),
            summary="The decision record: inputs, evidence, action, a time for each step.",
            parameters=(ID,),
            answers={200: examples.RECORD, 400: None, 404: None, 409: None},
            about={409: _ELSEWHERE},
        ),
    ]


GROUP: Final = Group(name="releases", about="Watched releases and their verdicts.", endpoints=endpoints)


class _Releases:
    """The handlers. They see the engine through its ports only."""

    def __init__(self, ports: ApiPorts) -> None:
        self._service = ports.releases
        self._verdicts = ports.verdicts
        self._hearing = ports.hearing
        self._waiting = ports.waiting
        self._max_wait_seconds = ports.http.max_wait_seconds

    async def submit(self, request: web.Request) -> web.Response:
        """Begin watching."""
        said = await intake.submission(request, hearing=self._hearing)
        try:
            view = await self._service.submit(said.release, release_id=said.release_id, sender=said.sender)
        except Refused as error:
            # The daemon is full: the same request can succeed later, which a 409 would deny.
            raise Unavailable(str(error)) from error
        status = HTTPStatus.ACCEPTED if view.id == said.release_id else HTTPStatus.OK
        return reply(view, status=status, headers={"Location": f"/v1/releases/{view.id}"})

    async def listing(self, request: web.Request) -> web.Response:
        """Those that are running or ended lately, filtered, a page at a time."""
        service, namespace, stage = (request.query.get(name) for name in FILTERS)
        if stage is not None and stage not in set(Stage):
            raise InvalidInput(f"{stage[:40]!r} is no stage", path="?stage", fix=f"use {one_of(Stage)}")
        limit, after = paging.limit(request), paging.after(request)
        page: list[ReleaseView] = []
        async for view in in_stretches(await self._service.all_views()):
            if (
                (after is None or _place(view) < after)
                and service in {None, view.release.service}
                and namespace in {None, view.release.namespace}
                and stage in {None, view.stage.value}
            ):
                if len(page) == limit:
                    return reply(ReleaseList(releases=tuple(page), next=paging.cursor(_place(page[-1]))))
                page.append(view)
        return reply(ReleaseList(releases=tuple(page)))

    async def read(self, request: web.Request) -> web.Response:
        """One release as it stands."""
        return reply(await self._service.view(intake.release_id(request)))

    async def verdict(self, request: web.Request) -> web.Response:
        """The verdict, waited for; as long as there is none, the release as it stands."""
        release_id = intake.release_id(request)
        seconds = intake.wait_seconds(request, maximum=self._max_wait_seconds)
        verdict = None
        async with self._waiting.open():
            verdict = await self._verdicts.wait(release_id, seconds=0.0 if self._waiting.closing else seconds)
        if verdict is not None:
            return reply(verdict)
        return reply(await self._service.view(release_id), status=HTTPStatus.ACCEPTED)

    async def record(self, request: web.Request) -> web.Response:
        """The decision record."""
        release_id = intake.release_id(request)
        record = await self._verdicts.record(release_id)
        if record is None:
            raise NotFound(f"release {release_id} has no record yet: it has no verdict")
        return reply(record)

    def command(self, word: str) -> Handler:
        """A handler for one person's word: rollback, promote or cancel."""

        async def handle(request: web.Request) -> web.StreamResponse:
            release_id = intake.release_id(request)
            command = await intake.command(request, word)
            return reply(await self._service.command(release_id, command), status=HTTPStatus.ACCEPTED)

        return handle


def _place(view: ReleaseView) -> paging.Place:
    """Where a release stands in the list."""
    return view.submitted_at, view.id


def _command(handlers: _Releases, word: str) -> Endpoint:
    return Endpoint(
        name=f"{word}Release",
        method="POST",
        path=f"{_ONE}/{word}",
        handler=handlers.command(word),
        guard=Bearer(scope="command"),
        summary=_WORDS[word],
        parameters=(ID,),
        body=examples.SAID,
        body_required=False,
        answers={202: examples.VIEW, 400: None, 403: None, 404: None, 409: None},
        about={
            202: "It is carried out. Where `kept` is false NATS has not taken it within a second: a daemon that is killed before "
            "that may not have heard it, so look at the release again where that matters.",
            409: "It has its verdict already.",
        },
    )


def _filter(name: str) -> Parameter:
    schema: dict[str, Any] = {"type": "string", "enum": [stage.value for stage in Stage]} if name == "stage" else {"type": "string"}
    return Parameter(name=name, where="query", description=f"Only this {name}.", schema=schema)
