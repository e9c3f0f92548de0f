"""Who may ask: each endpoint says how it is guarded, and this keeps it.

Reading is open to whoever reaches the port, unless the settings ask for a token. Whatever changes traffic or state needs a bearer
token with the scope, when there is one, or the signature of its sender; away from loopback there must be one, else the daemon does
not start. Without a token, the Host header
must name loopback (a page that points its own name at 127.0.0.1 is refused). A request that a browser sent for a foreign page
changes nothing, however its endpoint is guarded. An address that nothing answers to is guarded as if it changed something.
"""

import contextlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from config import address
from config.settings import Scope
from daemon.errors import InvalidInput, NotAllowed, VerdictdError
from daemon.http.caller import SCOPES
from daemon.http.callers import ANYBODY, CALLING, NOBODY, Callers, bearer
from daemon.http.intake import raw_body
from daemon.http.issuerkeys import NotShown
from daemon.http.problems import Handler, answer
from daemon.http.ratelimits import RateLimits
from daemon.http.secrets import MIN_SECRET_CHARACTERS

log = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A guard as the OpenAPI document says it. ``optional``: there are daemons that do not ask for it.

    ``scopes``: what its caller must be allowed to do.
    """

    name: str
    document: Mapping[str, Any]
    optional: bool = False
    scopes: tuple[Scope, ...] = ()


class Guard(Protocol):
    """How an endpoint is guarded."""

    @property
    def scheme(self) -> Scheme | None:
        """What a request must show; null when it is nothing."""
        ...

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """Why this request is refused; null when it may pass, and then ``CALLING`` is who has sent it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Whoever reaches the port may ask; with ``http.read: token`` whoever has the scope, where there is one."""

    scope: Scope | None = "read"

    @property
    def scheme(self) -> Scheme | None:
        """The token, of which many daemons do not ask."""
        return None if self.scope is None else _token(self.scope)

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without a token, where one is asked for."""
        if self.scope is None:
            return None
        if callers.reading_is_open:
            await _tell_who(request, callers)
            return None
        return await Bearer(scope=self.scope).refusal(request, callers=callers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whoever has a token with the scope may ask, every scope where none is said; everybody on loopback, when there is no token."""

    scope: Scope | None = None

    @property
    def scheme(self) -> Scheme:
        """The token, as RFC 6750 has it."""
        return _token(self.scope)

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without a token. Raises ``NotAllowed`` where its caller may not do this, and as ``Callers.showing``."""
        caller = await callers.showing(bearer(request))
        if caller is None:
            return _unauthorized("this needs the bearer token of http.token_file, of a caller under http.callers, or of an issuer")
        for scope in sorted(SCOPES) if self.scope is None else (self.scope,):
            caller.check_scope(scope)
        CALLING.set(caller)
        return None


async def _tell_who(request: web.Request, callers: Callers) -> None:
    """Where anybody may ask, who shows a token is still its caller; a wrong one is nobody's, as none is."""
    if shown := bearer(request):
        with contextlib.suppress(VerdictdError):
            CALLING.set(await callers.showing(shown) or CALLING.get())


def _unauthorized(why: str) -> web.Response:
    return answer(
        HTTPStatus.UNAUTHORIZED,
        why,
        path="Authorization",
        fix="send Authorization: Bearer TOKEN (the commands: --token-file, VERDICTD_TOKEN or VERDICTD_TOKEN_FILE)",
        headers={"WWW-Authenticate": 'Bearer realm="verdictd"'},
    )


def _token(scope: Scope | None) -> Scheme:
    document = {
        "type": "http",
        "scheme": "bearer",
        "description": "http.token_file, a caller under http.callers, or a signed token",
    }
    return Scheme(name="token", document=document, optional=True, scopes=() if scope is None else (scope,))


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
        if not self.secrets or any(len(secret) < MIN_SECRET_CHARACTERS for secret in self.secrets):
            fix = f"give one of at least {MIN_SECRET_CHARACTERS} bytes, for example of openssl rand -hex 32"
            raise InvalidInput(f"the secret of {self.sender} is missing or too short", fix=fix)

    @property
    def scheme(self) -> Scheme:
        """OpenAPI has no word for a signature: it is told as a key in a header."""
        text = f"HMAC-SHA256 of the body as it was sent, in hexadecimal, after {self.prefix!r}."
        document = {"type": "apiKey", "in": "header", "name": self.header, "description": text}
        return Scheme(name=f"{self.sender}Signature", document=document)

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
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


def middleware(guard_of: Callable[[web.Request], Guard | None], *, callers: Callers, limits: RateLimits) -> Middleware:
    """The guard before every handler. ``guard_of`` knows the guard of the endpoint that is asked; null when there is none.

    What everybody may ask whatever the settings say, such as probes, is not limited.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        reading = request.method in _READING
        guard = guard_of(request) or (Open(scope=None) if reading else Bearer())
        CALLING.set(ANYBODY if callers.there_are_none else NOBODY)  # a connection's requests share a context
        if (refused := _at_the_door(request, reading=reading, callers=callers)) is not None:
            return refused
        told = {"method": request.method, "route": request.path[:200], "peer": request.remote}
        try:
            try:
                refused = await guard.refusal(request, callers=callers)
            except NotShown as error:
                refused = _unauthorized(str(error))
            if guard.scheme is not None:
                caller = CALLING.get().name
                limits.check(caller or request.remote or "somebody", is_known=caller is not None)
            if refused is not None:
                return refused
            if not reading:
                log.info("a request", extra={**told, "caller": CALLING.get().name})
            return await handler(request)
        except NotAllowed as error:
            log.warning("a request was not allowed", extra={**told, "reason": str(error)})
            raise

    return guarded


def _at_the_door(request: web.Request, *, reading: bool, callers: Callers) -> web.Response | None:
    """What no request may be, whatever it asks for."""
    if callers.there_are_none and not _names_loopback(request.host):
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
