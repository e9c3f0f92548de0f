"""An announcement that waits, held against one route: the release that it becomes there, or why it waits on. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from daemon.discovery.announced import Notice
from daemon.discovery.answers import Ask
from daemon.model import Outline, Release

_COMMIT: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,64}(?![0-9a-z])")
_ADDED: Final = (
    "revision",
    "initiated_by",
    "protocol",
    "weight",
    "route",
    "deadline",
    "callback",
    "github",
    "gitlab",
    "github_rule",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWaits:
    """Why an announcement waits on. ``ask``: what somebody must say, if time alone does not tell."""

    release_id: str
    why: str
    ask: Ask | None = None


def notice_of(outline: Outline) -> Notice:
    """What was announced, as discovery takes it."""
    commits = _COMMIT.findall((outline.revision or "").lower())
    return Notice(
        service=outline.service,
        namespace=outline.namespace,
        artifact=outline.artifact or "",
        version=outline.version or "",
        images=outline.images,
        commit=commits[-1] if commits else "",
        baseline=outline.baseline,
        canary=outline.canary,
        is_whatever=not any(
            (outline.artifact, outline.version, outline.revision, outline.images, outline.baseline, outline.canary)
        ),
    )


def is_about(outline: Outline, *, mesh: str, route: str) -> bool:
    """Whether the announcement may be about a route of this name, of this mesh."""
    return outline.mesh in {None, mesh} and outline.route in {None, route}


def as_announced(found: Release, outline: Outline) -> Release:
    """The release that was found, with what the announcement says of it."""
    artifact = outline.artifact or found.artifact or outline.version or outline.revision
    said = {name: getattr(outline, name) for name in _ADDED}
    return replace(found, artifact=artifact, **said)
