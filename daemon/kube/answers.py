"""What the API server's answers mean for us: a status and a body in, an error of ours out. Pure.

A failed ``test`` of a JSON Patch and an invalid object are both a 422; only the second one has causes. The first says that
the object is not what we read, so it is a conflict: read again and decide anew.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from daemon.aio.retryafter import retry_after_seconds
from daemon.errors import (
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    Throttled,
    TimedOut,
    TransientError,
    Unauthenticated,
    Unavailable,
    VerdictdError,
)

_MESSAGE_CHARACTERS = 400
_TEXT_BYTES = 4000
_DEFAULT_RETRY_AFTER_SECONDS = 1.0


class Expired(TransientError):
    """410: the resourceVersion asked for is too old; list again."""


_MEANINGS: Mapping[int, type[VerdictdError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: TimedOut,
    409: Conflict,
    410: Expired,
    504: TimedOut,
}


def error_of(*, status: int, body: bytes, headers: Mapping[str, str], what: str) -> VerdictdError:
    """The error that an answer means.

    Args:
        status: the HTTP status, not 2xx.
        body: as received; a Status object, or whatever a proxy in between has to say.
        headers: with names in lower case or case-insensitive.
        what: the request, for the message.
    """
    document = _status_object(body)
    said = _said(document, body)
    message = f"{what}: {status} {said}".rstrip()
    if status == 429:
        return Throttled(message, retry_after_seconds=_retry_after(headers, document))
    if status == 422:
        return Refused(message) if _details(document).get("causes") else Conflict(message)
    return _MEANINGS.get(status, Unavailable if status >= 500 else Refused)(message)


def decoded(body: bytes, *, what: str) -> dict[str, Any]:
    """The object of a 2xx answer. Raises ``Unavailable`` for anything else: some proxy has answered in its place."""
    document = _status_object(body)
    if document is None:
        raise Unavailable(f"{what}: answered something that is no JSON object: {_text(body)}")
    return document


def _status_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _said(document: dict[str, Any] | None, body: bytes) -> str:
    if document is None:
        return _text(body)
    return _shortened(str(document.get("message") or document.get("reason") or ""))


def _text(body: bytes) -> str:
    return _shortened(" ".join(body[:_TEXT_BYTES].decode(errors="replace").split()))


def _shortened(message: str) -> str:
    """Beginning and end: the API server quotes whole objects in the middle, and gives the cause after them."""
    if len(message) <= _MESSAGE_CHARACTERS:
        return message
    half = _MESSAGE_CHARACTERS // 2
    return f"{message[:half]} ... {message[-half:]}"


def _details(document: dict[str, Any] | None) -> dict[str, Any]:
    details = (document or {}).get("details")
    return details if isinstance(details, dict) else {}


def _retry_after(headers: Mapping[str, str], document: dict[str, Any] | None) -> float:
    """The header in seconds, else the Status object's word, else a second."""
    said = retry_after_seconds(headers.get("retry-after", ""), date=headers.get("date", ""))
    if said is not None:
        return said
    value = _details(document).get("retryAfterSeconds")
    return float(value) if value is not None and str(value).isascii() and str(value).isdigit() else _DEFAULT_RETRY_AFTER_SECONDS
