"""Flagger's webhooks: https://docs.flagger.app/usage/webhooks.

A hook says the Canary's name and a checksum of what is tried, and a status up to 202 means yes. The arms are what Flagger makes of
a Canary: its Services ``NAME-primary`` and ``NAME-canary``; a release's fields in the hook's metadata go before that.
The checksum is the last try's until a rollout has begun: ``confirm-rollout``, which is asked before, is answered by no verdict.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from daemon.events import decoding
from daemon.events.hearing import Hearing
from daemon.http.gates.asking import Attempt, Word, attempt

_WORDS: Final = ("service", "mesh", "policy", "artifact")
_FIX = 'write metadata: {verdictd: \'{"mesh": ..., "canary": {...}}\'} into the webhook, as in docs/gates.md'


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Of what a webhook sends, what is read. ``checksum`` names the attempt."""

    name: Annotated[str, Meta(min_length=1)]
    namespace: Annotated[str, Meta(min_length=1)]
    checksum: Annotated[str, Meta(min_length=1, max_length=255)]
    metadata: dict[str, str] = {}


YES: Final[Mapping[str, frozenset[Word]]] = {
    "confirm-rollout": frozenset(Word),
    "rollout": frozenset({Word.PROMOTE, Word.HOLD, Word.PENDING}),
    "confirm-traffic-increase": frozenset({Word.PROMOTE, Word.PENDING}),
    "confirm-promotion": frozenset({Word.PROMOTE}),
    "rollback": frozenset({Word.ROLLBACK}),
}
"""By the webhook's type, the words at which it is answered yes."""
BEFORE_THE_ATTEMPT: Final = "confirm-rollout"


def read(body: bytes, *, hearing: Hearing) -> Attempt:
    """The attempt that a webhook asks about. Raises ``InvalidInput``."""
    payload = decoding.checked(decoding.decode(body, path="$", fix="send what Flagger sends"), Payload, path="$")
    said = payload.metadata
    service = said.get("service", payload.name)
    return attempt(
        "flagger",
        said.get("verdictd") or {},
        hearing=hearing,
        key=f"{payload.name}/{payload.checksum}",
        path="$.metadata.verdictd",
        words={**{word: said.get(word) for word in _WORDS}, **made_of(service, namespace=payload.namespace)},
        fix=_FIX,
    )


def made_of(service: str, *, namespace: str) -> dict[str, object]:
    """What Flagger makes of a Canary whose Service this is, as fields of a release."""
    arms = {arm: {"service": f"{service}-{suffix}"} for arm, suffix in (("baseline", "primary"), ("canary", "canary"))}
    return {"service": service, "namespace": namespace, **arms}
