"""Whoever sends what a template says: the notifications of Argo CD and Argo Rollouts, and any other tool that can send JSON.

The template is ours (docs/hooks.md): ``verdictd`` is the release, as an object or as JSON in a string, and ``attempt`` names the
try to release it, the same each time it is told. Where arms are found, a service and what is new are enough beside it.
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
    service: str | None = None
    namespace: str | None = None
    environment: str | None = None
    artifact: str | None = None
    version: str | None = None
    revision: str | None = None
    images: tuple[str, ...] | None = None
    initiated_by: str | None = None
    verdictd: Any = None

    @property
    def words(self) -> dict[str, object]:
        """What is said beside ``verdictd``."""
        names = ("service", "namespace", "environment", "artifact", "version", "revision", "images", "initiated_by")
        return {name: getattr(self, name) or None for name in names}


def read(received: Received) -> Understood:
    """The release that a template carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    filled = decoding.checked(json_body(received), Filled, path="$")
    return mapped(
        filled.verdictd,
        hearing=received.hearing,
        path="$.verdictd",
        words=filled.words,
        source=f"/hooks/{received.hook}",
        event_id=filled.attempt,
        fix=_FIX,
        is_enough=filled.service is not None,
    )
