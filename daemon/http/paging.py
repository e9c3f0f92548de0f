"""Lists: a page at a time.

The cursor of a page is the place of its last entry, so that whatever comes and goes in between, no page skips or repeats one.
"""

import math
from typing import Final

from aiohttp import web

from daemon import names
from daemon.errors import InvalidInput
from daemon.http.endpoint import Parameter

PAGE: Final = 100
LONGEST_PAGE: Final = 1000

PARAMETERS: Final = (
    Parameter(
        name="limit",
        where="query",
        description="Most entries in one answer.",
        schema={"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE},
    ),
    Parameter(
        name="cursor",
        where="query",
        description="Go on after the page before: its field next, as it is. The filters must be the same.",
        schema={"type": "string"},
    ),
)

Place = tuple[float, str]
"""Seconds since 1970 and an id; by it a list is ordered, the newest first."""


def limit(request: web.Request) -> int:
    """How many entries the page may have. Raises ``InvalidInput``."""
    text = request.query.get("limit")
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= LONGEST_PAGE):
        raise InvalidInput(
            f"{text[:40]!r} is no length of a page", path="?limit", fix=f"use a whole number from 1 to {LONGEST_PAGE}"
        )
    return int(text)


def after(request: web.Request) -> Place | None:
    """The place after which the page begins; null for the first page. Raises ``InvalidInput``."""
    text = request.query.get("cursor")
    if text is None:
        return None
    at, _, entry_id = text.partition(",")
    try:
        place = float(at), names.release_id(entry_id, path="?cursor")
    except (ValueError, InvalidInput) as error:
        raise _no_cursor(text) from error
    if not math.isfinite(place[0]):
        raise _no_cursor(text)
    return place


def cursor(place: Place) -> str:
    """What leads to the page after this place."""
    return f"{place[0]!r},{place[1]}"


def _no_cursor(text: str) -> InvalidInput:
    return InvalidInput(f"{text[:40]!r} is no cursor", path="?cursor", fix="use the field next of the page before, as it is")
