"""The handlers about releases: submit, list, read, wait for the verdict, read its record, say a person's word."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from config.hints import one_of
from daemon.errors import InvalidInput, NotFound, Refused, Unavailable
from daemon.http import intake
from daemon.http.longpolls import LongPolls
from daemon.http.problems import Handler
from daemon.model import ReleaseView, Stage
from daemon.ports import Desk, Verdicts

FILTERS = ("service", "namespace", "stage")


class ReleaseList(msgspec.Struct, frozen=True, kw_only=True):
    """Releases, the newest first."""

    releases: tuple[ReleaseView, ...]


class Releases:
    """Handlers that see the engine through its desk only."""

    def __init__(self, *, desk: Desk, verdicts: Verdicts, polls: LongPolls, max_wait_seconds: float) -> None:
        self._desk = desk
        self._verdicts = verdicts
        self._polls = polls
        self._max_wait_seconds = max_wait_seconds

    async def submit(self, request: web.Request) -> web.Response:
        """Begin watching."""
        intake.only_parameters(request, ())
        release, release_id = await intake.submission(request)
        try:
            view = await self._desk.submit(release, release_id=release_id)
        except Refused as error:
            # The daemon is full: the same request can succeed later, which a 409 would deny.
            raise Unavailable(str(error)) from error
        return reply(view, status=HTTPStatus.ACCEPTED, headers={"Location": f"/v1/releases/{view.id}"})

    async def listing(self, request: web.Request) -> web.Response:
        """All that are running or ended lately, filtered."""
        intake.only_parameters(request, FILTERS)
        service, namespace, stage = (request.query.get(name) for name in FILTERS)
        if stage is not None and stage not in set(Stage):
            raise InvalidInput(f"{stage[:40]!r} is no stage", path="?stage", fix=f"use {one_of(Stage)}")
        found = [
            view
            for view in self._desk.views()
            if service in {None, view.release.service}
            and namespace in {None, view.release.namespace}
            and stage in {None, view.stage.value}
        ]
        return reply(ReleaseList(releases=tuple(sorted(found, key=lambda view: view.submitted_at, reverse=True))))

    async def read(self, request: web.Request) -> web.Response:
        """One release as it stands."""
        intake.only_parameters(request, ())
        return reply(await self._desk.view(intake.release_id(request)))

    async def verdict(self, request: web.Request) -> web.Response:
        """The verdict, waited for; as long as there is none, the release as it stands."""
        intake.only_parameters(request, ("wait",))
        release_id = intake.release_id(request)
        seconds = intake.wait_seconds(request, maximum=self._max_wait_seconds)
        verdict = await self._polls.wait(release_id, seconds=seconds)
        if verdict is not None:
            return reply(verdict)
        return reply(await self._desk.view(release_id), status=HTTPStatus.ACCEPTED)

    async def record(self, request: web.Request) -> web.Response:
        """The decision record."""
        intake.only_parameters(request, ())
        release_id = intake.release_id(request)
        record = await self._verdicts.record(release_id)
        if record is None:
            raise NotFound(f"release {release_id} has no record yet: it has no verdict")
        return reply(record)

    def command(self, word: str) -> Handler:
        """A handler for one person's word: rollback, promote or cancel."""

        async def handle(request: web.Request) -> web.StreamResponse:
            intake.only_parameters(request, ())
            release_id = intake.release_id(request)
            command = await intake.command(request, word)
            return reply(await self._desk.command(release_id, command), status=HTTPStatus.ACCEPTED)

        return handle


def reply(body: object, *, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response, never kept by a cache."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
