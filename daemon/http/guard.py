"""Who may change something: the bearer token, and on loopback without one, nobody that a browser was tricked into being.

Reading is open to whoever reaches the port. Whatever changes traffic or state needs the token, when there is one; away from
loopback there must be one, else the daemon does not start. Without a token, the Host header must name loopback (a page that
points its own name at 127.0.0.1 is refused) and a request that a browser sent for a foreign page changes nothing.
"""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from config import address, files
from config.errors import ConfigError, Problem
from config.load import http_problems
from config.settings import Http
from daemon.http.problems import Handler, answer

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
MIN_TOKEN_CHARACTERS = 16
_MAX_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a request must show. ``token`` is null on loopback only."""

    token: bytes | None

    def refusal(self, request: web.Request) -> web.Response | None:
        """Why this request is refused; null when it may pass."""
        if self.token is None and not _names_loopback(request.host):
            return answer(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"the Host header ({request.host[:80]}) does not name loopback",
                path="Host",
                fix="use http://127.0.0.1 or http://localhost, or set http.token_file",
            )
        if request.method in _READING:
            return None
        if _from_foreign_page(request):
            return answer(HTTPStatus.FORBIDDEN, "a page of another site may not change anything here", path="Origin")
        if self.token is not None and not hmac.compare_digest(_bearer(request), self.token):
            return answer(
                HTTPStatus.UNAUTHORIZED,
                "this needs the bearer token of http.token_file",
                path="Authorization",
                fix="send Authorization: Bearer TOKEN (the commands: --token-file or VERDICTD_TOKEN_FILE)",
                headers={"WWW-Authenticate": 'Bearer realm="verdictd"'},
            )
        return None


def guard_for(http: Http) -> Guard:
    """Read the token. Raises ``ConfigError`` when there must be one and is none, or it is not usable."""
    if problems := http_problems(http):
        raise ConfigError(problems, source="settings")
    if http.token_file is None:
        return Guard(token=None)
    try:
        token = files.read_text(Path(http.token_file), limit_bytes=_MAX_TOKEN_BYTES).strip()
    except files.Unreadable as error:
        raise _unusable(f"{http.token_file} {error.message}", error.fix) from error
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or any(character.isspace() for character in token):
        raise _unusable(
            f"{http.token_file} holds no usable token",
            f"write at least {MIN_TOKEN_CHARACTERS} ASCII characters without blanks into it, for example of openssl rand -hex 32",
        )
    return Guard(token=token.encode())


def middleware(guard: Guard) -> Middleware:
    """The guard before every handler."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = guard.refusal(request)
        return await handler(request) if refusal is None else refusal

    return guarded


def _unusable(message: str, fix: str) -> ConfigError:
    return ConfigError((Problem(path="http.token_file", message=message, fix=fix),), source="settings")


def _bearer(request: web.Request) -> bytes:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _names_loopback(host: str) -> bool:
    try:
        return address.is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _from_foreign_page(request: web.Request) -> bool:
    """Browsers say where a page's request comes from; programs send none of these headers."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host
