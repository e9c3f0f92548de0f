"""Errors as RFC 9457 problem documents: what is wrong, where, and how to mend it. One place maps our errors to statuses."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from config.errors import Fault
from daemon.errors import (
    Blocked,
    Conflict,
    Elsewhere,
    Forbidden,
    InvalidInput,
    NotAllowed,
    NotFound,
    Refused,
    Throttled,
    TransientError,
    VerdictdError,
)

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUSES: tuple[tuple[type[VerdictdError], HTTPStatus], ...] = (
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Refused, HTTPStatus.CONFLICT),
    (Blocked, HTTPStatus.CONFLICT),
    (Elsewhere, HTTPStatus.CONFLICT),
    (Conflict, HTTPStatus.CONFLICT),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Throttled, HTTPStatus.TOO_MANY_REQUESTS),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_FIXES = {
    HTTPStatus.NOT_FOUND: "see /openapi.json for what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "use a method of the Allow header",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "send less, or raise http.max_body_bytes",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that is no success (RFC 9457), with where the fault is and how to mend it.

    ``errors`` has all faults of what was sent: the first 30, and one that counts the rest. The others are those of the first.
    """

    title: str
    status: int
    detail: str
    path: str | None = None
    fix: str | None = None
    errors: tuple[Fault, ...] = ()


def answer(
    status: HTTPStatus,
    detail: str,
    *,
    path: str | None = None,
    fix: str | None = None,
    errors: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem as a response."""
    told = Problem(
        title=status.phrase,
        status=status,
        detail=_writable(detail),
        path=None if path is None else _writable(path),
        fix=_writable(fix) if fix else None,
        errors=tuple(errors),
    )
    return web.Response(status=status, body=msgspec.json.encode(told), content_type=CONTENT_TYPE, headers=headers)


def _writable(text: str) -> str:
    """Bytes of a header that were no UTF-8 are half characters here, which no JSON can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem document. What nobody expected is logged and not shown."""
    try:
        return await handler(request)
    except VerdictdError as error:
        return of_error(error)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        allow = error.headers.get("Allow")
        return answer(status, error.text or status.phrase, fix=_FIXES.get(status), headers={"Allow": allow} if allow else None)
    except Exception:
        log.exception("request failed", extra={"method": request.method, "route": request.path})
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the daemon failed on this request; its log has the reason")


async def expected(request: web.Request) -> web.StreamResponse | None:
    """What the header Expect asks for before the body is sent. The library's own answer fails on bytes that are no text."""
    wanted = request.headers["Expect"]
    if wanted.lower() != "100-continue":
        return answer(HTTPStatus.EXPECTATION_FAILED, f"{wanted[:40]!r} cannot be expected", path="Expect", fix="leave it out")
    with contextlib.suppress(ConnectionError):  # whoever asked has gone
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # it counts for no part of the answer
    return None


def of_error(error: VerdictdError) -> web.Response:
    """One of our errors as a response."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, InvalidInput):
        return answer(status, error.message, path=error.path, fix=error.fix, errors=error.faults)
    headers: dict[str, str] = {}
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    elif isinstance(error, TransientError):
        headers["Retry-After"] = "1"
    return answer(status, str(error), headers=headers)
