"""Who may ask at a gate: whoever shows one of its secrets, as a bearer token or as the password of basic authentication.

The latter is what a controller can show that sends no headers of its own: it is in the address that it is given.
"""

import base64
import binascii
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web

from config.settings import Gate, Gates
from daemon.http.caller import Caller
from daemon.http.callers import CALLING, Callers, with_secret_of
from daemon.http.guard import Scheme, foreign, from_foreign_page
from daemon.http.problems import answer
from daemon.http.secrets import Secrets, numbered, read_all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfTheGate:
    """A guard: whoever has a secret of the gate may ask; where the gate has none, a caller that may announce."""

    gate: str
    secrets: Secrets | None

    @property
    def scheme(self) -> Scheme:
        """OpenAPI is told one of the two."""
        text = "A secret of the gate, as a bearer token or as the password of basic authentication; see docs/gates.md."
        return Scheme(name="gate", document={"type": "http", "scheme": "bearer", "description": text}, optional=True)

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without a secret. To ask begins a release, so that a page of another site may not, by whatever method."""
        if from_foreign_page(request):
            return foreign()
        caller = await self._caller(_shown(request), callers)
        if caller is not None:
            caller.check_scope("submit")
            CALLING.set(caller)
            return None
        log.warning("a request to a gate was refused", extra={"gate": self.gate, "peer": request.remote})
        return answer(
            HTTPStatus.UNAUTHORIZED,
            f"this needs a secret of the gate {self.gate}",
            path="Authorization",
            fix=f"send Authorization: Bearer SECRET, or http://verdictd:SECRET@... as the address, with one of gates.{self.gate}",
            headers={"WWW-Authenticate": 'Bearer realm="verdictd", Basic realm="verdictd"'},
        )

    async def _caller(self, shown: bytes, callers: Callers) -> Caller | None:
        """Whose secret that is. Raises ``Unavailable`` where it may be one that cannot be read."""
        if self.secrets is None:
            return await callers.showing(shown)
        known = await self.secrets.now()
        right = [hmac.compare_digest(secret, shown) for secret in known.values]  # each, whichever is right
        if any(right):
            return with_secret_of(f"gate {self.gate}")
        known.check_all_read()
        return None


def guard(gates: Gates, name: str, *, now: Callable[[], float] = time.monotonic) -> OfTheGate:
    """The guard of a gate. ``now``: seconds, on a clock that is never set."""
    gate: Gate = getattr(gates, name)
    setting = f"gates.{name}.secret_files"
    files = numbered(gate.secret_files, setting=setting)
    return OfTheGate(gate=name, secrets=Secrets(files, setting=setting, now=now) if files else None)


def read_secrets(gates: Gates) -> None:
    """Whether all secrets are there, for the start. Raises ``ConfigError`` with every one that is not."""
    read_all(guard(gates, field.name).secrets for field in msgspec.structs.fields(gates))


def _shown(request: web.Request) -> bytes:
    """The secret in a request; empty where there is none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    value_bytes = value.strip().encode("utf-8", "surrogateescape")
    match scheme.lower():
        case "bearer":
            return value_bytes
        case "basic":
            try:
                return base64.b64decode(value_bytes, validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
        case _:
            return b""
