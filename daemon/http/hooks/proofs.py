"""How a sender of hooks shows who it is, besides the signature of ``daemon.http.guard.Hmac``: a token, or Standard Webhooks.

Each compares with every secret and in constant time, whichever is right; what is signed is the body as it was sent.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from daemon.http.callers import Callers
from daemon.http.guard import Scheme
from daemon.http.intake import raw_body
from daemon.http.problems import answer

TOLERANCE_SECONDS: Final = 300.0
"""Between the sender's clock and ours; older requests may have been listened to and sent again."""
WEBHOOK_SIGNATURE: Final = "webhook-signature"
_ID = "webhook-id"
_TIMESTAMP = "webhook-timestamp"
_PREFIX = b"whsec_"


def is_signing_secret(secret: bytes) -> bool:
    """Whether it is one of Standard Webhooks, and no plain token."""
    return secret.startswith(_PREFIX)


def signing_key(secret: bytes) -> bytes:
    """What is signed with: ``whsec_`` and Base64 of it. Raises ``ValueError``."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("after whsec_ there is no Base64") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Whoever shows a secret that we share, in ``header``, after ``prefix``, in whose letters case does not count."""

    sender: str
    header: str
    secrets: Sequence[bytes]
    prefix: str = ""

    @property
    def scheme(self) -> Scheme:
        """A key in a header."""
        return Scheme(name=f"{self.sender}Token", document={"type": "apiKey", "in": "header", "name": self.header})

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without it."""
        given = request.headers.get(self.header, "").strip()
        ours = given[: len(self.prefix)].lower() == self.prefix.lower()
        shown = given[len(self.prefix) :].strip().encode("utf-8", "surrogateescape") if ours else b""
        right = [hmac.compare_digest(secret, shown) for secret in self.secrets]
        if any(right):
            return None
        return answer(
            HTTPStatus.UNAUTHORIZED,
            f"the token of {self.sender} is {'not ours' if given else 'missing'}",
            path=self.header,
            fix=f"send {self.header}: {self.prefix}TOKEN, with the secret that both sides have",
            headers={"WWW-Authenticate": 'Bearer realm="verdictd"'},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardWebhooks:
    """Whoever signed id, time and body with a secret that we share: https://www.standardwebhooks.com, its symmetric scheme ``v1``.

    Attributes:
        secrets: ``whsec_`` and Base64 each.
        now: seconds since 1970.
    """

    sender: str
    secrets: Sequence[bytes]
    now: Callable[[], float]

    @property
    def scheme(self) -> Scheme:
        """A key in a header."""
        return Scheme(name=f"{self.sender}Webhook", document={"type": "apiKey", "in": "header", "name": WEBHOOK_SIGNATURE})

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without a right signature, or with one that is too old."""
        given = {name: request.headers.getall(name, []) for name in (_ID, _TIMESTAMP, WEBHOOK_SIGNATURE)}
        for name, values in given.items():
            if len(values) != 1:
                return self._unsigned(name, "is missing" if not values else "is given more than once")
        [event_id], [timestamp], [signatures] = given.values()
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return self._unsigned(_TIMESTAMP, "is no time in seconds since 1970")
        if abs(self.now() - int(timestamp)) > TOLERANCE_SECONDS:
            return self._unsigned(_TIMESTAMP, f"is more than {TOLERANCE_SECONDS:g} s from our clock")
        signed = f"{event_id}.{timestamp}.".encode("utf-8", "surrogateescape") + await raw_body(request)
        expected = [base64.b64encode(hmac.digest(signing_key(secret), signed, "sha256")) for secret in self.secrets]
        shown = [one[3:].encode("utf-8", "surrogateescape") for one in signatures.split() if one.startswith("v1,")]
        right = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in shown]
        return None if any(right) else self._unsigned(WEBHOOK_SIGNATURE, "is not of this request and our secret")

    def _unsigned(self, header: str, wrong: str) -> web.Response:
        return answer(
            HTTPStatus.UNAUTHORIZED,
            f"the signature of {self.sender} cannot be taken: {header} {wrong}",
            path=header,
            fix="sign as https://www.standardwebhooks.com has it, with the secret that both sides have, and set both clocks",
            headers={"WWW-Authenticate": f'Signature realm="verdictd", header="{WEBHOOK_SIGNATURE}"'},
        )
