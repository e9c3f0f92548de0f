"""Whoever calls, by the token that it shows: what it may do, and in which namespaces and with which policies.

Tokens are in files that are read anew while the daemon runs. A file may hold several, a line each, every one of which is right,
so that one can be changed without a gap. Every token is compared, whichever is right, and in constant time.
"""

import hmac
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from aiohttp import web

from config.errors import ConfigError, Fault
from config.load import http_problems
from config.settings import Http
from daemon.errors import Unavailable
from daemon.http.caller import SCOPES, Caller
from daemon.http.secrets import MIN_SECRET_CHARACTERS, Known, Secrets
from daemon.http.signedtokens import Issuers
from daemon.interventions import Said

_WHOLE: Final = "http.token_file"

ANYBODY: Final = Caller(name=None, scopes=SCOPES)
"""On loopback, where no token is set."""
NOBODY: Final = Caller(name=None, scopes=frozenset())
CALLING: Final[ContextVar[Caller]] = ContextVar("caller", default=NOBODY)
"""Who has sent the request that is being answered: set by its guard, and nobody until then."""


def said_by(by: str) -> str:
    """Who has said something: as the body names it, else whose token was shown."""
    return CALLING.get().name or by if by == Said().by else by


def with_secret_of(name: str) -> Caller:
    """Whoever has shown a secret of a hook or a gate: it may announce."""
    return Caller(name=name, scopes=frozenset({"submit"}))


class Callers:
    """All that have tokens, of their own or signed ones; close it in the event loop that it was used in.

    Args:
        http: the settings.
        now: seconds, on a clock that is never set.

    Raises:
        ConfigError: naming ``http.issuers``, when these cannot be used.
    """

    def __init__(self, http: Http, *, now: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._by_setting = {f"http.callers.{name}.token_file": Caller.of(one, name=name) for name, one in http.callers.items()}
        named = {f"http.callers.{name}.token_file": one.token_file for name, one in http.callers.items()}
        if http.token_file is not None:
            self._by_setting[_WHOLE] = Caller(name=_WHOLE, scopes=SCOPES)
            named[_WHOLE] = http.token_file
        fix = (
            f"write at least {MIN_SECRET_CHARACTERS} ASCII characters without blanks into it, for example of openssl rand -hex 32; "
            "several tokens stand in a line each"
        )
        self._secrets = Secrets(named, setting="http", check=_wrong_with, fix=fix, now=now) if named else None
        self._issuers = Issuers(http.issuers)

    async def close(self) -> None:
        """Close what issuers are asked by."""
        await self._issuers.close()

    @property
    def there_are_none(self) -> bool:
        """Whether nobody can show who it is, which can be on loopback only."""
        return self._secrets is None and not self._http.issuers

    @property
    def reading_is_open(self) -> bool:
        """Whether whoever reaches the port may read."""
        return self._http.read == "open"

    def read(self) -> None:
        """Whether all tokens are there, for the start. Raises ``ConfigError`` for what cannot be used."""
        if problems := http_problems(self._http):
            raise ConfigError(problems, source="settings")
        if self._secrets is not None and (twice := _given_twice(self._secrets.read())):
            raise ConfigError(twice, source="settings")

    async def showing(self, shown: bytes) -> Caller | None:
        """Whose token that is; null when it is nobody's.

        Raises:
            Unavailable: it may be one that cannot be read now, it is that of two callers, or its issuer's keys cannot be had.
            NotShown, NotAllowed: it is a signed one, see ``Issuers.showing``.
        """
        if self.there_are_none:
            return ANYBODY
        if self._secrets is not None and (right := _right(known := await self._secrets.now(), shown)) is not None:
            return self._by_setting[right]
        signed = await self._issuers.showing(shown)
        if signed is None and self._secrets is not None:
            known.check_all_read()
        return signed


def bearer(request: web.Request) -> bytes:
    """What a request shows as its bearer token; empty where it shows none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _right(known: Known, shown: bytes) -> str | None:
    """Whose token that is, by its setting. Raises ``Unavailable``."""
    every = [(setting, token) for setting, content in known.named.items() for token in content.split()]
    right = {setting for setting, token in every if hmac.compare_digest(token, shown)}
    if len(right) > 1:
        raise Unavailable(f"that token is of more than one caller: {', '.join(sorted(right))}")
    return right.pop() if right else None


def _wrong_with(content: bytes) -> str | None:
    if not content.isascii():
        return "it is not ASCII"
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if any(len(line.split()) > 1 for line in lines):
        return "a token of it holds a blank"
    return "a token of it is too short" if any(len(line) < MIN_SECRET_CHARACTERS for line in lines) else None


def _given_twice(known: Known) -> list[Fault]:
    """One token of two callers would leave open what it may do."""
    owner: dict[bytes, str] = {}
    return [
        Fault(path=setting, message=f"holds a token that {other} holds too", fix="give each caller its own")
        for setting, content in known.named.items()
        for token in set(content.split())
        if (other := owner.setdefault(token, setting)) != setting
    ]
