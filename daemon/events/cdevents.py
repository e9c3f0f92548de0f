"""CDEvents about services, in and out: which of their fields say what a release says.

A CDEvent tells that a version of a service was deployed; it has no words for two versions side by side. Where arms are found, that
is enough. Else the arms, and whatever else only a canary has, are read from ``customData.verdictd``, an object with the fields of
our release::

    {"context": {"specversion": "0.5.1", "id": "271069a8", "source": "/ci/prod", "timestamp": "2026-08-22T14:27:05Z",
                 "type": "dev.cdevents.service.deployed.0.3.0"},
     "subject": {"id": "shop/web", "content": {"environment": {"id": "prod-eu"}, "artifactId": "pkg:oci/web@sha256%3A0b31"}},
     "customData": {"verdictd": {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}, "weight": 10}},
     "customDataContentType": "application/json"}

``subject.id`` is the service, or namespace and service with a slash between; the environment is the cluster, unless a row of the
mapping says another; the artifact is the artifact. What ``customData.verdictd`` says of service, namespace, cluster or artifact
goes before that. An event about something else, such as the end of a pipeline's run, announces a release where
``customData.verdictd`` is the whole of one.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from config import walking
from config.errors import Fault
from daemon.errors import InvalidEvent, InvalidInput, NoRelease
from daemon.events import decoding
from daemon.events.announced import Announced, EventData, origin
from daemon.events.cloudevents import CloudEvent
from daemon.events.decoding import Gathering
from daemon.events.hearing import Hearing
from daemon.model import Action, Outline, Release, Verdict

SPEC_VERSION: Final = "0.5.1"
ROLLEDBACK: Final = "dev.cdevents.service.rolledback.0.3.0"

_PLACES = {
    "service": "subject.id",
    "namespace": "subject.id",
    "cluster": "subject.content.environment.id",
    "environment": "subject.content.environment.id",
    "artifact": "subject.content.artifactId",
}
_CDEVENT = re.compile(r"dev\.cdevents\.([a-z]+\.[a-z]+)\.(\d+)\.\d+\.\d+(?:-draft)?")
_DEPLOYED = frozenset({"service.deployed", "service.upgraded"})
_ENDED = frozenset({"service.removed", "service.rolledback"})
"""What tells that a version is gone announces none; verdictd's own events are among them."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Of a CDEvent, what we read; fields of later versions pass unseen."""

    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
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


class CDEventOfAnything(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event about something else than a service that was deployed: what it is about is not read."""

    context: Context
    custom_data: Any = None


def read(_headers: Mapping[str, str], body: bytes, hearing: Hearing) -> Announced | None:
    """The release that a CDEvent without an envelope announces; null for what is none. Raises ``InvalidEvent``."""
    try:
        document = decoding.decode(body, path="$", fix="send one JSON object")
    except InvalidEvent:
        return None
    if not isinstance(document, dict) or not {"context", "subject"} <= document.keys():
        return None
    return _announced(document, hearing, path="$")


def _read_event(event: CloudEvent, hearing: Hearing) -> Announced | None:
    match = _CDEVENT.fullmatch(event.type)
    if match is None or match.group(1) in _ENDED:
        return None
    fix = "send a CDEvent as one JSON object: https://cdevents.dev"
    return _announced(decoding.decode(event.data, path="$.data", fix=fix), hearing, path="$.data", envelope=event)


EVENT_DATA: Final = EventData(types=("dev.cdevents.service.deployed", "dev.cdevents.service.upgraded"), read=_read_event)


def _announced(document: object, hearing: Hearing, *, path: str, envelope: CloudEvent | None = None) -> Announced:
    """The release that the event announces. Raises ``InvalidEvent`` with every fault of the event and of the release."""
    context = document.get("context") if isinstance(document, Mapping) else None
    said = _words_of(context) if isinstance(context, Mapping) else {}
    kind = match.group(1) if (match := _CDEVENT.fullmatch(said.get("type", ""))) is not None else ""
    # What is not known to be about something else is told what is wrong with it as an event about a service.
    model = CDEventOfAnything if kind and kind not in _DEPLOYED | _ENDED else CDEvent
    faults, release = Gathering(walking.faults(document, model, path=path)), None
    if isinstance(document, Mapping):
        faults.faults += _unlike(envelope, said, path=f"{path}.context")
        with faults:
            _check_type(said.get("type"), path=f"{path}.context.type")
        is_enough = kind in _DEPLOYED and hearing.finds_arms
        release = _read_release(document, faults, hearing, about_service=model is CDEvent, is_enough=is_enough, path=path)
    faults.refuse()
    assert release is not None  # else there is a fault
    data = document.get("customData") if isinstance(document, Mapping) else None
    custom = _custom(data, path=path, needed=False)
    cluster_path = _place_of("cluster", custom, path=path) if model is CDEvent else f"{path}.customData.verdictd.cluster"
    name = origin(said["source"], said["id"])
    return Announced(release=release, origin=name, source=said["source"], cluster_path=cluster_path)


def _words_of(context: Mapping[str, Any]) -> dict[str, str]:
    """What the event says of itself, where that is text."""
    return {name: value for name in ("id", "source", "type") if isinstance(value := context.get(name), str)}


def _unlike(envelope: CloudEvent | None, said: Mapping[str, str], *, path: str) -> Iterator[Fault]:
    """Where the envelope says something else."""
    for name, value in said.items():
        if envelope is not None and getattr(envelope, name) not in {"", value}:
            other = f"{value[:100]!r} is not what the envelope says"
            yield Fault(path=f"{path}.{name}", message=other, fix=f"make it equal to the CloudEvent's {name}")


def _check_type(event_type: str | None, *, path: str) -> None:
    """Raise ``NoRelease`` for a type that announces none; one that is no text has been told by then."""
    if event_type is None:
        return
    match = _CDEVENT.fullmatch(event_type)
    if match is None or match.group(1) in _ENDED or (match.group(1) in _DEPLOYED and match.group(2) != "0"):
        fix = "send dev.cdevents.service.deployed or .upgraded, version 0.x"
        raise NoRelease(f"{event_type[:100]!r} announces no release that we know", path=path, fix=fix)


def _read_release(
    document: Mapping[str, Any], faults: Gathering, hearing: Hearing, *, about_service: bool, is_enough: bool, path: str
) -> Release | Outline | None:
    """The release in the event, by the convention in the module's docstring; null where it adds a fault to ``faults``."""
    custom: dict[str, Any] | None = None
    with faults:
        custom = _custom(document.get("customData"), path=f"{path}.customData", needed=not is_enough)
    inside, before = f"{path}.customData.verdictd", Gathering(faults.faults)
    places = _PLACES if about_service else {}
    # What other tools call their services is their own, as long as nothing of it is for us.
    kind, found = NoRelease if custom is None and faults.only_announces_nothing else InvalidEvent, []
    try:
        words = {**(_own_words(document) if about_service else {}), **(custom or {})}
        hearing.tell(f"read: {decoding.listed(words)}")
        return hearing.announced(words, path=inside)[0]
    except InvalidInput as error:
        for fault in error.faults:
            field = fault.path.removeprefix(f"{inside}.")
            where = _place_of(field, custom or {}, path=path) if field in places else fault.path
            # Without the object what is missing in it is no fault of its own, nor is what stands in something that is wrong.
            if (custom is not None or field in places) and not before.tells_of(where):
                found.append(replace(fault, path=where))
    if found:
        with faults:
            raise kind.of(found)
    return None


def _own_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a release that the event has words of its own for, as far as they can be read."""
    subject_id, environment_id = _text(document, "subject", "id"), _text(document, "subject", "content", "environment", "id")
    fields: dict[str, Any] = {"environment": environment_id, "artifact": _text(document, "subject", "content", "artifactId")}
    if subject_id is not None:
        namespace, slash, fields["service"] = subject_id.rpartition("/")
        fields |= {"namespace": namespace} if slash else {}
    return fields


def _text(document: Mapping[str, Any], *keys: str) -> str | None:
    found: object = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None


def _place_of(field: str, custom: Mapping[str, Any], *, path: str) -> str:
    """Where in the event a field of the release is said: among ours, or in the event's own words."""
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


def _custom(data: Any, *, path: str, needed: bool) -> dict[str, Any]:
    """``customData.verdictd``; the standard also allows custom data as Base64 of the JSON. Not needed, it may be missing."""
    if isinstance(data, str):
        try:
            data = decoding.decode(decoding.decode_base64(data, path=path, fix="give an object"), path=path, fix="give an object")
        except InvalidEvent as error:
            raise InvalidEvent(f"neither an object nor Base64 of one: {error.message}", path=path, fix=error.fix) from error
    found = data.get("verdictd") if isinstance(data, dict) else None
    if found is None and not needed:
        return {}
    if not isinstance(found, dict):
        raise (NoRelease if found is None else InvalidEvent)(
            "the event does not say which versions to compare",
            path=f"{path}.verdictd",
            fix='give an object with at least "baseline" and "canary", as {"baseline":{"subset":"v1"},"canary":{"subset":"v2"}}',
        )
    return found
