"""Whoever sends what a template says: the notifications of Argo CD and Argo Rollouts, and any other tool that can send JSON.

The template is ours (docs/hooks.md): ``verdictd`` is the release, as an object or as JSON in a string, and ``attempt`` names the
try to release it, the same each time it is told.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from daemon.events import decoding
from daemon.http.hooks.understanding import Received, Understood, json_body, mapped

_FIX = 'send "verdictd": {"service": ..., "baseline": {...}, "canary": {...}}, as in docs/hooks.md'


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The template with its values."""

    attempt: Annotated[str, Meta(min_length=1, max_length=500)]
    artifact: str | None = None
    verdictd: Any = None


def read(received: Received) -> Understood:
    """The release that a template carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    filled = decoding.checked(json_body(received), Filled, path="$")
    return mapped(
        filled.verdictd,
        path="$.verdictd",
        words={"artifact": filled.artifact},
        source=f"/hooks/{received.hook}",
        event_id=filled.attempt,
        fix=_FIX,
    )
