"""CDEvents about services, in and out: which of their fields say what a release says.

A CDEvent tells that a version of a service was deployed; it has no words for two versions side by side. So the arms, and
whatever else only a canary has, are read from ``customData.verdictd``, an object with the fields of our release::

    {"context": {"specversion": "0.5.1", "id": "271069a8", "source": "/ci/prod", "timestamp": "2026-08-22T14:27:05Z",
                 "type": "dev.cdevents.service.deployed.0.3.0"},
     "subject": {"id": "shop/web", "content": {"environment": {"id": "prod-eu"}, "artifactId": "pkg:oci/web@sha256%3A0b31"}},
     "customData": {"verdictd": {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}, "weight": 10}},
     "customDataContentType": "application/json"}

``subject.id`` is the service, or namespace and service with a slash between; the environment is the cluster; the artifact is the
artifact. What ``customData.verdictd`` says of service, namespace, cluster or artifact goes before that.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from config.errors import Fault
from daemon.errors import InvalidEvent, InvalidInput
from daemon.events import decoding
from daemon.events.announced import Announced, EventData, origin
from daemon.events.cloudevents import CloudEvent
from daemon.model import Action, Release, Verdict
from daemon.releasecheck import decode_release

SPEC_VERSION: Final = "0.5.1"
ROLLEDBACK: Final = "dev.cdevents.service.rolledback.0.3.0"

_PLACES = {
    "service": "subject.id",
    "namespace": "subject.id",
    "cluster": "subject.content.environment.id",
    "artifact": "subject.content.artifactId",
}
_ANNOUNCING = re.compile(r"dev\.cdevents\.service\.(?:deployed|upgraded)\.(\d+)\.\d+\.\d+(?:-draft)?")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Of a CDEvent, what we read; fields of later versions pass unseen."""

    id: str
    source: str
    type: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service runs."""

    id: str


class Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was deployed where."""

    environment: Environment
    artifact_id: str | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The service."""

    id: str
    content: Content


class CDEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event about a service."""

    context: Context
    subject: Subject
    custom_data: Any = None


def read(_headers: Mapping[str, str], body: bytes) -> Announced | None:
    """The release that a CDEvent without an envelope announces; null for what is none. Raises ``InvalidEvent``."""
    try:
        document = decoding.decode(body, path="$", fix="send one JSON object")
    except InvalidEvent:
        return None
    if not isinstance(document, dict) or not {"context", "subject"} <= document.keys():
        return None
    return _announced(_decode(body, path="$"), path="$")


def _read_event(event: CloudEvent) -> Announced | None:
    if _ANNOUNCING.fullmatch(event.type) is None:
        return None
    inner = _decode(event.data, path="$.data")
    for name in ("id", "source", "type"):
        if getattr(inner.context, name) != getattr(event, name):
            raise InvalidEvent(
                f"{getattr(inner.context, name)[:100]!r} is not what the envelope says",
                path=f"$.data.context.{name}",
                fix=f"make it equal to the CloudEvent's {name}",
            )
    return _announced(inner, path="$.data")


EVENT_DATA: Final = EventData(types=("dev.cdevents.service.deployed", "dev.cdevents.service.upgraded"), read=_read_event)


def _announced(event: CDEvent, *, path: str) -> Announced:
    release = _to_release(event, path=path)
    cluster_path = _place_of("cluster", event, path=path)
    return Announced(release=release, origin=origin(event.context.source, event.context.id), cluster_path=cluster_path)


def _decode(body: bytes, *, path: str) -> CDEvent:
    return decoding.decode_as(
        CDEvent, body, path=path, fix="send a CDEvent about a service as one JSON object: https://cdevents.dev"
    )


def _to_release(event: CDEvent, *, path: str) -> Release:
    """The convention is in the module's docstring."""
    match = _ANNOUNCING.fullmatch(event.context.type)
    if match is None or match.group(1) != "0":
        raise InvalidEvent(
            f"{event.context.type[:100]!r} announces no release that we know",
            path=f"{path}.context.type",
            fix="send dev.cdevents.service.deployed or .upgraded, version 0.x",
        )
    custom = _custom(event.custom_data, path=f"{path}.customData")
    namespace, slash, service = event.subject.id.rpartition("/")
    fields: dict[str, Any] = {
        "service": service,
        "cluster": event.subject.content.environment.id,
        "artifact": event.subject.content.artifact_id,
    }
    if slash:
        fields["namespace"] = namespace
    inside = f"{path}.customData.verdictd"
    try:
        return decode_release({**fields, **custom}, path=inside)
    except InvalidInput as error:
        raise InvalidEvent.of([_placed(fault, inside, event, path=path) for fault in error.faults]) from error


def _placed(fault: Fault, inside: str, event: CDEvent, *, path: str) -> Fault:
    """The fault with its place in the event's own words."""
    field = fault.path.removeprefix(f"{inside}.")
    return replace(fault, path=_place_of(field, event, path=path)) if field in _PLACES else fault


def _place_of(field: str, event: CDEvent, *, path: str) -> str:
    """Where in the event a field of the release is said: among ours, or in the event's own words."""
    custom = _custom(event.custom_data, path=path)
    return f"{path}.customData.verdictd.{field}" if field in custom else f"{path}.{_PLACES[field]}"


def rolledback(verdict: Verdict) -> CloudEvent | None:
    """The event that tells that traffic was taken back, in its CloudEvents envelope; null for verdicts that took none back.

    CDEvents want the artifact's package URL. Where the release did not name one, it is made from the service's name, without a
    version, since the old version is not known to us by any package URL.
    """
    if verdict.action is not Action.REVERT:
        return None
    event_id, source = f"{verdict.release_id}.rolledback", f"/clusters/{verdict.cluster}/verdictd"
    time = datetime.fromtimestamp(verdict.decided_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    subject_id = f"{verdict.namespace}/{verdict.service}"
    document = {
        "context": {"specversion": SPEC_VERSION, "id": event_id, "source": source, "type": ROLLEDBACK, "timestamp": time},
        "subject": {
            "id": subject_id,
            "source": f"/clusters/{verdict.cluster}",
            "content": {
                "environment": {"id": verdict.cluster},
                "artifactId": f"pkg:generic/{verdict.namespace}/{verdict.service}",
            },
        },
        "customData": {"verdictd": {"release_id": verdict.release_id, "verdict": verdict.outcome, "reason": verdict.reason}},
        "customDataContentType": "application/json",
    }
    return CloudEvent(
        id=event_id,
        source=source,
        type=ROLLEDBACK,
        subject=subject_id,
        time=time,
        datacontenttype="application/json",
        data=msgspec.json.encode(document),
    )


def _custom(data: Any, *, path: str) -> dict[str, Any]:
    """``customData.verdictd``; the standard also allows custom data as Base64 of the JSON."""
    if isinstance(data, str):
        try:
            data = decoding.decode(decoding.decode_base64(data, path=path, fix="give an object"), path=path, fix="give an object")
        except InvalidEvent as error:
            raise InvalidEvent(f"neither an object nor Base64 of one: {error.message}", path=path, fix=error.fix) from error
    found = data.get("verdictd") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise InvalidEvent(
            "the event does not say which versions to compare",
            path=f"{path}.verdictd",
            fix='give an object with at least "baseline" and "canary", as {"baseline":{"subset":"v1"},"canary":{"subset":"v2"}}',
        )
    return found
