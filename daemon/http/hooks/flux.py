"""Flux: events of its controllers by a Provider of type ``generic`` or ``generic-hmac``, https://fluxcd.io/flux/components/notification/.

An event says object and revision; whatever its annotations ``event.toolkit.fluxcd.io/KEY`` say stands in its metadata, and there a
release is the JSON under ``verdictd``. notification-controller takes prefixes off, a controller leaves them: both are read.
One revision of one object is one release, however often it is told.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.errors import InvalidEvent, NoRelease
from daemon.events import decoding
from daemon.http.hooks.understanding import Received, Understood, json_body, mapped

SIGNATURE: Final = "X-Signature"
SIGNATURE_PREFIX: Final = "sha256="
_APPLIED = frozenset({"ReconciliationSucceeded", "InstallSucceeded", "UpgradeSucceeded"})
_FIX = "annotate the object with event.toolkit.fluxcd.io/verdictd, whose value is the release as JSON"


class InvolvedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What was applied."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


class FluxEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of an event, what is read."""

    involved_object: InvolvedObject
    reason: str
    metadata: dict[str, str] = {}


def read(received: Received) -> Understood:
    """The release that an applied object carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    event = decoding.checked(json_body(received), FluxEvent, path="$")
    if event.reason not in _APPLIED:
        fix = "it is announced by ReconciliationSucceeded, InstallSucceeded or UpgradeSucceeded"
        raise NoRelease(f"{event.reason[:60]!r} says nothing of a version that was applied", path="$.reason", fix=fix)
    ours, revision = _said(event.metadata, "verdictd"), _said(event.metadata, "revision")
    origin = _said(event.metadata, "originRevision")
    if ours and not revision:
        raise InvalidEvent("is missing", path="$.metadata.revision", fix="have Flux's controller send it")
    applied = event.involved_object
    return mapped(
        ours,
        hearing=received.hearing,
        path="$.metadata.verdictd",
        words={"revision": origin or revision, "initiated_by": _said(event.metadata, "initiated_by")},
        source=f"flux/{applied.kind}/{applied.namespace}/{applied.name}",
        event_id=f"{applied.uid}/{revision}",
        fix=_FIX,
    )


def _said(metadata: Mapping[str, str], key: str) -> str | None:
    """What the metadata say under a key, with or without a prefix."""
    return next((value for name, value in metadata.items() if name == key or name.endswith(f"/{key}")), None)
