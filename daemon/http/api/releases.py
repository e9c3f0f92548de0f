"""The handlers about releases: submit, list, read, wait for the verdict, read its record, say a person's word."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus

import msgspec
from aiohttp import web

from config.hints import one_of
from daemon import names
from daemon.errors import InvalidInput, NotFound, Refused, Unavailable
from daemon.http import intake
from daemon.http.longpolls import LongPolls
from daemon.http.problems import Handler
from daemon.model import ReleaseView, Stage
from daemon.ports import ReleaseService, Verdicts

FILTERS = ("service", "namespace", "stage")
PAGE = 100
LONGEST_PAGE = 1000
_AT_ONCE = 100
"""Releases looked at before the event loop gets its turn: a millisecond."""


class ReleaseList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Releases, the newest first; ``next`` is the cursor of the next page, absent on the last."""

    releases: tuple[ReleaseView, ...]
    next: str | None = None


class Releases:
    """Handlers that see the engine through its desk only."""

    def __init__(self, *, desk: ReleaseService, verdicts: Verdicts, polls: LongPolls, max_wait_seconds: float) -> None:
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
        """Those that are running or ended lately, filtered, a page at a time."""
        intake.only_parameters(request, (*FILTERS, "limit", "cursor"))
        service, namespace, stage = (request.query.get(name) for name in FILTERS)
        if stage is not None and stage not in set(Stage):
            raise InvalidInput(f"{stage[:40]!r} is no stage", path="?stage", fix=f"use {one_of(Stage)}")
        limit, after = _limit(request.query.get("limit")), _after(request.query.get("cursor"))
        page: list[ReleaseView] = []
        async for view in in_turns(self._desk.views()):
            if (
                (after is None or _position(view) < after)
                and service in {None, view.release.service}
                and namespace in {None, view.release.namespace}
                and stage in {None, view.stage.value}
            ):
                if len(page) == limit:
                    return reply(ReleaseList(releases=tuple(page), next=_cursor(page[-1])))
                page.append(view)
        return reply(ReleaseList(releases=tuple(page)))

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


async def in_turns(views: Iterable[ReleaseView]) -> AsyncIterator[ReleaseView]:
    """The same, with turns for the event loop in between: there may be thousands, and a revert must not wait for them."""
    for number, view in enumerate(views, start=1):
        yield view
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


def _position(view: ReleaseView) -> tuple[float, str]:
    """Where a release stands in the list. It stays there whatever comes and goes, so that no page skips or repeats one."""
    return view.submitted_at, view.id


def _cursor(view: ReleaseView) -> str:
    return f"{view.submitted_at!r},{view.id}"


def _after(text: str | None) -> tuple[float, str] | None:
    if text is None:
        return None
    at, _, release_id = text.partition(",")
    try:
        position = float(at), names.release_id(release_id, path="?cursor")
    except (ValueError, InvalidInput) as error:
        raise _no_cursor(text) from error
    if not math.isfinite(position[0]):
        raise _no_cursor(text)
    return position


def _no_cursor(text: str) -> InvalidInput:
    return InvalidInput(f"{text[:40]!r} is no cursor", path="?cursor", fix="use the field next of the page before, as it is")


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= LONGEST_PAGE):
        raise InvalidInput(
            f"{text[:40]!r} is no length of a page", path="?limit", fix=f"use a whole number from 1 to {LONGEST_PAGE}"
        )
    return int(text)
