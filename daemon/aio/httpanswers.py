"""What an answer means that is no result: which of our errors, and what of its words may be told, in how many of them.

Servers tell their faults in forms of their own. The sentence in them is found where it usually stands, and kept short.
"""

import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from yarl import URL

from daemon.aio.credentials import concealed
from daemon.aio.parsing import GZIP
from daemon.aio.retryafter import retry_after_seconds
from daemon.errors import Failing, Forbidden, NotFound, Redirected, Refused, Throttled, VerdictdError, WebPage

_EXCERPT = 200
_READ_BYTES = 16 * 1024
_LONGEST_REST_SECONDS = 60.0
_UNSAID_REST_SECONDS = 1.0
# No part of these may pass a further "<": a page of nothing else would take time with its square, in the event loop.
_TAG = re.compile(r"<[^<>]*>")
_TITLE = re.compile(r"<title[^<>]*>([^<]*)<", re.IGNORECASE)
_SENTENCES = ("error", "message", "error_description", "detail")
_JSON = msgspec.json.Decoder()


class Asked(NamedTuple):
    """What an answer answers.

    Attributes:
        where: host and port.
        setting: where the address stands in the settings.
        shown: who we said we are, in words; empty when there is nothing to say of it.
        secrets: what must not be told.
    """

    where: str
    setting: str
    shown: str
    secrets: tuple[str, ...]


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, asked: Asked, fix: str = "") -> VerdictdError:
    """The error for a status other than 200. ``body``: the beginning of it; ``fix``: what else to say."""
    if 300 <= status < 400:
        where = f"put the final address into {asked.setting}"
        target = _target(headers, asked.secrets)
        return Redirected(f"{asked.where} answered {status} and sends us to {target}; redirects are not followed: {where}")
    said = _said(body, headers.get("Content-Encoding", ""), asked.secrets)
    message = f"{asked.where} answered {status}" + (f": {said}" if said else "") + fix
    match status:
        case 401 | 403:
            return Forbidden(f"{message}; {asked.shown}" if asked.shown else message)
        case 404:
            return NotFound(message)
        case 429:
            return Throttled(message, retry_after_seconds=_rest_seconds(headers))
        case status if status >= 500:
            return Failing(message)
        case _:
            return Refused(message)


def web_page(body: bytes, encoding: str, *, asked: Asked) -> VerdictdError:
    """The error for a page made for people, with status 200: a login, or another server than is meant."""
    said = _said(body, encoding, asked.secrets)
    fix = f"is it a login page, or is {asked.setting} the address of something else?"
    return WebPage(f"{asked.where} answered with a web page" + (f" ({said})" if said else "") + f", where data was expected; {fix}")


def _rest_seconds(headers: Mapping[str, str]) -> float:
    """How long to leave it alone; nobody sends us away for ever."""
    said = retry_after_seconds(headers.get("Retry-After", ""), date=headers.get("Date", ""))
    return _UNSAID_REST_SECONDS if said is None else min(said, _LONGEST_REST_SECONDS)


def _target(headers: Mapping[str, str], secrets: tuple[str, ...]) -> str:
    """Where a redirect leads, without what may be secret in it."""
    text = headers.get("Location", "")
    try:
        url = URL(text)
        shown = str(url.with_user(None).with_query(None).with_fragment(None)) if url.absolute else url.path
    except ValueError:
        shown = ""
    return repr(concealed(shown, secrets)[:_EXCERPT]) if shown else "nowhere"


def _said(body: bytes, encoding: str, secrets: tuple[str, ...]) -> str:
    """The sentence in an answer, in one line."""
    body = body[:_READ_BYTES]
    if encoding:
        try:
            body = zlib.decompressobj(wbits=GZIP).decompress(body, _READ_BYTES)
        except zlib.error:
            return ""
    text = concealed(_sentence(body), secrets)
    return " ".join(text.split())[:_EXCERPT]


def _sentence(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        titled = _TITLE.search(text)
        return titled[1] if titled else _TAG.sub(" ", text)
    try:
        found = _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    # Google and Azure wrap it once more; some of them in a list.
    for _ in range(3):
        if isinstance(found, list) and found:
            found = found[0]
        if not isinstance(found, dict):
            break
        found = next((found[key] for key in _SENTENCES if found.get(key)), None)
    return found if isinstance(found, str) else text
