"""Who may ask: each endpoint says how it is guarded, and this keeps it.

Reading is open to whoever reaches the port. Whatever changes traffic or state needs the bearer token, when there is one, or the
signature of its sender; away from loopback there must be a token, else the daemon does not start. Without a token, the Host header
must name loopback (a page that points its own name at 127.0.0.1 is refused). A request that a browser sent for a foreign page
changes nothing, however its endpoint is guarded. An address that nothing answers to is guarded as if it changed something.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from config import address, files
from config.errors import ConfigError, Fault
from config.load import http_problems
from config.settings import Http
from daemon.errors import InvalidInput
from daemon.http.intake import raw_body
from daemon.http.problems import Handler, answer

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
MIN_TOKEN_CHARACTERS: Final = 16
_MAX_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A guard as the OpenAPI document says it. ``optional``: there are daemons that do not ask for it."""

    name: str
    document: Mapping[str, Any]
    optional: bool = False


class Guard(Protocol):
    """How an endpoint is guarded."""

    @property
    def scheme(self) -> Scheme | None:
        """What a request must show; null when it is nothing."""
        ...

    async def refusal(self, request: web.Request, *, token: bytes | None) -> web.Response | None:
        """Why this request is refused; null when it may pass. ``token`` is the daemon's own, null on loopback only."""
        ...


@dataclass(frozen=True, slots=True)
class Open:
    """Whoever reaches the port may ask."""

    @property
    def scheme(self) -> None:
        """Nothing must be shown."""

    async def refusal(self, request: web.Request, *, token: bytes | None) -> None:
        """Nobody is refused."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whoever has the daemon's token may ask; everybody on loopback, when there is none."""

    @property
    def scheme(self) -> Scheme:
        """The token, as RFC 6750 has it."""
        return Scheme(name="token", document={"type": "http", "scheme": "bearer", "description": "http.token_file"}, optional=True)

    async def refusal(self, request: web.Request, *, token: bytes | None) -> web.Response | None:
        """401 without the token."""
        if token is None or hmac.compare_digest(_bearer(request), token):
            return None
        return answer(
            HTTPStatus.UNAUTHORIZED,
            "this needs the bearer token of http.token_file",
            path="Authorization",
            fix="send Authorization: Bearer TOKEN (the commands: --token-file, VERDICTD_TOKEN or VERDICTD_TOKEN_FILE)",
            headers={"WWW-Authenticate": 'Bearer realm="verdictd"'},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hmac:
    """Whoever signed the body with a secret that we share may ask: HMAC with SHA-256, in hexadecimal, in a header.

    Attributes:
        sender: whose signature it is, one word in lower case.
        header: where it stands.
        secrets: any of them will do, so that one can be changed while both are in use; 16 bytes or more each.
        prefix: what stands before the digits, such as ``sha256=``.
    """

    sender: str
    header: str
    secrets: Sequence[bytes]
    prefix: str = ""

    def __post_init__(self) -> None:
        """Refuse what would let everybody in."""
        if not self.secrets or any(len(secret) < MIN_TOKEN_CHARACTERS for secret in self.secrets):
            fix = f"give one of at least {MIN_TOKEN_CHARACTERS} bytes, for example of openssl rand -hex 32"
            raise InvalidInput(f"the secret of {self.sender} is missing or too short", fix=fix)

    @property
    def scheme(self) -> Scheme:
        """OpenAPI has no word for a signature: it is told as a key in a header."""
        text = f"HMAC-SHA256 of the body as it was sent, in hexadecimal, after {self.prefix!r}."
        document = {"type": "apiKey", "in": "header", "name": self.header, "description": text}
        return Scheme(name=f"{self.sender}Signature", document=document)

    async def refusal(self, request: web.Request, *, token: bytes | None) -> web.Response | None:
        """401 without a right signature. The body is read once, within its bounds, and before anything is made of it."""
        given = request.headers.getall(self.header, [])
        if len(given) != 1:
            return self._unsigned("is missing" if not given else "is given more than once")
        digits = given[0].strip().removeprefix(self.prefix).lower().encode("utf-8", "surrogateescape")
        if not given[0].strip().startswith(self.prefix) or len(digits) != 64:
            return self._unsigned("has another form")
        body = await raw_body(request)
        # Each is compared, whichever is right: the time must not tell.
        right = [hmac.compare_digest(hmac.digest(secret, body, "sha256").hex().encode(), digits) for secret in self.secrets]
        return None if any(right) else self._unsigned("is not of this body and our secret")

    def _unsigned(self, wrong: str) -> web.Response:
        return answer(
            HTTPStatus.UNAUTHORIZED,
            f"the signature of {self.sender} {wrong}",
            path=self.header,
            fix=f"send {self.header}: {self.prefix}DIGITS, the HMAC-SHA256 of the body with the secret that both sides have",
            headers={"WWW-Authenticate": f'HMAC-SHA256 realm="verdictd", header="{self.header}"'},
        )


def read_token(http: Http) -> bytes | None:
    """The daemon's token; null on loopback without one. Raises ``ConfigError`` when it must be there, or cannot be used."""
    if problems := http_problems(http):
        raise ConfigError(problems, source="settings")
    if http.token_file is None:
        return None
    try:
        token = files.read_text(Path(http.token_file), limit_bytes=_MAX_TOKEN_BYTES).strip()
    except files.Unreadable as error:
        raise _unusable(f"{http.token_file} {error.message}", error.fix) from error
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or any(character.isspace() for character in token):
        raise _unusable(
            f"{http.token_file} holds no usable token",
            f"write at least {MIN_TOKEN_CHARACTERS} ASCII characters without blanks into it, for example of openssl rand -hex 32",
        )
    return token.encode()


def middleware(guard_of: Callable[[web.Request], Guard | None], *, token: bytes | None) -> Middleware:
    """The guard before every handler. ``guard_of`` knows the guard of the endpoint that is asked; null when there is none."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        reading = request.method in _READING
        guard = guard_of(request) or (Open() if reading else Bearer())
        refusal = _at_the_door(request, reading=reading, token=token) or await guard.refusal(request, token=token)
        return await handler(request) if refusal is None else refusal

    return guarded


def _at_the_door(request: web.Request, *, reading: bool, token: bytes | None) -> web.Response | None:
    """What no request may be, whatever it asks for."""
    if token is None and not _names_loopback(request.host):
        return answer(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"the Host header ({request.host[:80]}) does not name loopback",
            path="Host",
            fix="use http://127.0.0.1 or http://localhost, or set http.token_file",
        )
    if not reading and from_foreign_page(request):
        return foreign()
    return None


def foreign() -> web.Response:
    """What a page of another site is told."""
    return answer(HTTPStatus.FORBIDDEN, "a page of another site may not change anything here", path="Origin")


def _unusable(message: str, fix: str) -> ConfigError:
    return ConfigError((Fault(path="http.token_file", message=message, fix=fix),), source="settings")


def _bearer(request: web.Request) -> bytes:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _names_loopback(host: str) -> bool:
    try:
        return address.is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def from_foreign_page(request: web.Request) -> bool:
    """Whether a page of another site asks. Browsers say where a request comes from; programs send none of these headers."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host
