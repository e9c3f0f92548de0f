"""Who can send to a hook: a row for each, with how it shows who it is and the room that reads what it sends.

A new one is a module beside this one, a row here, and its word in ``config.hooksenders``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from config.hooksenders import HookSender
from daemon.http.guard import Guard, Hmac
from daemon.http.hooks import events, flux, github, gitlab, template
from daemon.http.hooks.proofs import StandardWebhooks, Token
from daemon.http.hooks.understanding import Received, Understood
from daemon.standardwebhooks import SIGNATURE, is_signing_secret, signing_key

Now = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A row.

    Attributes:
        read: the event in a request. Raises ``InvalidEvent``, and ``NoRelease`` for what is right and announces nothing.
        guard: for one request and the secrets that are known now; at least one.
        parts: a request as one of each event in it.
        check: what is wrong with a secret; null when nothing is.
        invites: whether the handshake of CloudEvents is answered.
    """

    read: Callable[[Received], Understood]
    guard: Callable[[web.Request, Sequence[bytes], Now], Guard]
    parts: Callable[[Received], Sequence[Received]] = lambda received: [received]
    check: Callable[[bytes], str | None] = lambda _: None
    invites: bool = False


def _bearer(_request: web.Request, secrets: Sequence[bytes], _now: Now) -> Guard:
    return Token(sender="the hook", header="Authorization", prefix="Bearer ", secrets=secrets)


def _github(_request: web.Request, secrets: Sequence[bytes], _now: Now) -> Guard:
    return Hmac(sender="github", header=github.SIGNATURE, prefix=github.SIGNATURE_PREFIX, secrets=secrets)


def _gitlab(request: web.Request, secrets: Sequence[bytes], now: Now) -> Guard:
    """A secret is a signing token or a plain one by its form; what is signed is not taken for its plain token."""
    signing = [secret for secret in secrets if is_signing_secret(secret)]
    plain = [secret for secret in secrets if not is_signing_secret(secret)]
    if signing and (SIGNATURE in request.headers or not plain):
        return StandardWebhooks(sender="gitlab", secrets=signing, now=now)
    return Token(sender="gitlab", header=gitlab.TOKEN, secrets=plain)


def _flux(request: web.Request, secrets: Sequence[bytes], now: Now) -> Guard:
    if flux.SIGNATURE in request.headers:
        return Hmac(sender="flux", header=flux.SIGNATURE, prefix=flux.SIGNATURE_PREFIX, secrets=secrets)
    return _bearer(request, secrets, now)


def _signing(secret: bytes) -> str | None:
    if is_signing_secret(secret):
        try:
            signing_key(secret)
        except ValueError as error:
            return str(error)
    return None


SENDERS: Final[Mapping[HookSender, Sender]] = {
    "cloudevents": Sender(read=events.read, parts=events.parts, guard=_bearer, invites=True),
    "github": Sender(read=github.read, guard=_github),
    "gitlab": Sender(read=gitlab.read, guard=_gitlab, check=_signing),
    "flux": Sender(read=flux.read, guard=_flux),
    "template": Sender(read=template.read, guard=_bearer),
}
