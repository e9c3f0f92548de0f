"""How a sender of hooks shows who it is, besides the signature of ``daemon.http.guard.Hmac``: a token, or Standard Webhooks.

Each compares with every secret and in constant time, whichever is right; what is signed is the body as it was sent.
"""

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
from daemon.standardwebhooks import ID, SCHEME, SIGNATURE, TIMESTAMP, signature, signing_key

TOLERANCE_SECONDS: Final = 300.0
"""Between the sender's clock and ours; older requests may have been listened to and sent again."""


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
    """Whoever signed id, time and body with a secret that we share.

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
        return Scheme(name=f"{self.sender}Webhook", document={"type": "apiKey", "in": "header", "name": SIGNATURE})

    async def refusal(self, request: web.Request, *, callers: Callers) -> web.Response | None:
        """401 without a right signature, or with one that is too old."""
        given = {name: request.headers.getall(name, []) for name in (ID, TIMESTAMP, SIGNATURE)}
        for name, values in given.items():
            if len(values) != 1:
                return self._unsigned(name, "is missing" if not values else "is given more than once")
        [event_id], [timestamp], [signatures] = given.values()
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return self._unsigned(TIMESTAMP, "is no time in seconds since 1970")
        if abs(self.now() - int(timestamp)) > TOLERANCE_SECONDS:
            return self._unsigned(TIMESTAMP, f"is more than {TOLERANCE_SECONDS:g} s from our clock")
        body = await raw_body(request)
        keys = [signing_key(secret) for secret in self.secrets]
        expected = [signature(key, message_id=event_id, timestamp=timestamp, body=body) for key in keys]
        given_ones = [one.removeprefix(SCHEME) for one in signatures.split() if one.startswith(SCHEME)]
        shown = [one.encode("utf-8", "surrogateescape") for one in given_ones]
        right = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in shown]
        return None if any(right) else self._unsigned(SIGNATURE, "is not of this request and our secret")

    def _unsigned(self, header: str, wrong: str) -> web.Response:
        return answer(
            HTTPStatus.UNAUTHORIZED,
            f"the signature of {self.sender} cannot be taken: {header} {wrong}",
            path=header,
            fix="sign as https://www.standardwebhooks.com has it, with the secret that both sides have, and set both clocks",
            headers={"WWW-Authenticate": f'Signature realm="verdictd", header="{SIGNATURE}"'},
        )
