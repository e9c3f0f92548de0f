"""Verdicts of the last days, as far back as they are kept: what the list of releases has only until the daemon is started anew."""

import math
from typing import Final

import msgspec
from aiohttp import web

from config.errors import one_of
from daemon.errors import InvalidInput
from daemon.http import paging
from daemon.http.api import examples
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Open
from daemon.model import Outcome, Verdict
from daemon.ports.past import VerdictFilter

_MOST_DIGITS = 18


class VerdictList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Verdicts, the newest first by their publication.

    ``next`` is the cursor of the next page, absent on the last: a page before it may be short, or even empty. ``unreadable`` is how
    many were passed over that cannot be read, told by a newer version say; absent where none was.
    """

    verdicts: tuple[Verdict, ...]
    next: str | None = None
    unreadable: int = 0


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """What is under /v1/verdicts."""

    async def listing(request: web.Request) -> web.Response:
        page = await ports.past.page(limit=paging.limit(request), before=_before(request), wanted=_wanted(request))
        following = None if page.next is None else str(page.next)
        return reply(VerdictList(verdicts=page.verdicts, next=following, unreadable=page.unreadable))

    return [
        Endpoint(
            name="listVerdicts",
            method="GET",
            path="/v1/verdicts",
            handler=listing,
            guard=Open(),
            summary="Verdicts of this cluster as far back as they are kept, the newest first, a page at a time.",
            parameters=(
                Parameter(name="namespace", where="query", description="Only this namespace.", schema={"type": "string"}),
                Parameter(name="service", where="query", description="Only this service.", schema={"type": "string"}),
                Parameter(
                    name="outcome",
                    where="query",
                    description="Only this outcome.",
                    schema={"type": "string", "enum": [one.value for one in Outcome]},
                ),
                Parameter(
                    name="since",
                    where="query",
                    description="Only what was decided since then, in seconds since 1970.",
                    schema={"type": "number", "minimum": 0},
                ),
                *paging.PARAMETERS,
            ),
            answers={200: VerdictList(verdicts=(examples.VERDICT,), next="4711"), 400: None, 503: None},
            about={503: "Where they are kept cannot be asked now."},
        ),
    ]


GROUP: Final = Group(name="verdicts", about="Verdicts of the last days, over restarts.", endpoints=endpoints)


def _wanted(request: web.Request) -> VerdictFilter:
    query = request.query
    outcome = query.get("outcome")
    if outcome is not None and outcome not in set(Outcome):
        raise InvalidInput(f"{outcome[:40]!r} is no outcome", path="?outcome", fix=f"use {one_of(Outcome)}")
    return VerdictFilter(
        namespace=query.get("namespace"),
        service=query.get("service"),
        outcome=None if outcome is None else Outcome(outcome),
        since=_since(query.get("since")),
    )


def _since(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        since = float(text)
    except ValueError:
        since = math.nan
    if not (math.isfinite(since) and since >= 0.0):
        raise InvalidInput(f"{text[:40]!r} is no time", path="?since", fix="use seconds since 1970, such as 1787408827")
    return since


def _before(request: web.Request) -> int | None:
    text = request.query.get("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise InvalidInput(f"{text[:40]!r} is no cursor", path="?cursor", fix="use the field next of the page before, as it is")
    return int(text)
