"""From a message to the release it announces, whatever envelope it came in.

Four forms are understood: CloudEvents (binary or structured) that carry our release or a CDEvent, a CDEvent without an envelope,
and a bare release. Each gives an origin, the name of the event for all time, from which the release id is made.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.errors import InvalidEvent, InvalidInput
from daemon.events import cdevents, cloudevents, decoding
from daemon.events.cdevents import CDEvent
from daemon.events.cloudevents import CloudEvent
from daemon.model import Release
from daemon.releasecheck import decode_release

RELEASE_TYPE: Final = "io.verdictd.release.v1"


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """A release, and the origin of its event; null when only the transport can tell one event from another.

    ``cluster_path`` is where in the message the release's cluster is said, for whoever has to refuse it.
    """

    release: Release
    origin: str | None
    cluster_path: str = "$.cluster"


def read_release(headers: Mapping[str, str], body: bytes) -> Announced:
    """Read the release a message announces.

    Raises:
        InvalidEvent: with every fault of the release, or the first one of its envelope; each has its path and how to mend it.
    """
    with decoding.netted("an event"):
        return _understood(headers, body)


def _understood(headers: Mapping[str, str], body: bytes) -> Announced:
    event = cloudevents.read(headers, body)
    if event is not None:
        return _from_cloudevent(event)
    document = _json(body, path="$")
    if isinstance(document, dict) and "context" in document and "subject" in document:
        return _from_cdevent(cdevents.decode(body, path="$"), path="$")
    return Announced(release=_release(document, path="$"), origin=None)


def origin(source: str, event_id: str) -> str:
    """The name of a CloudEvent or CDEvent for all time: another pair gives another name, whatever stands in the two."""
    return "event\n" + msgspec.json.encode((source, event_id)).decode()


def _from_cloudevent(event: CloudEvent) -> Announced:
    if event.type == RELEASE_TYPE:
        release = _release(_json(event.data, path="$.data"), path="$.data")
        return Announced(release=release, origin=origin(event.source, event.id), cluster_path="$.data.cluster")
    if not cdevents.announces(event.type):
        raise InvalidEvent(
            f"the type {event.type[:100]!r} is not known here",
            path="$.type",
            fix=f"send {RELEASE_TYPE}, dev.cdevents.service.deployed or dev.cdevents.service.upgraded",
        )
    inner = cdevents.decode(event.data, path="$.data")
    for name in ("id", "source", "type"):
        if getattr(inner.context, name) != getattr(event, name):
            raise InvalidEvent(
                f"{getattr(inner.context, name)[:100]!r} is not what the envelope says",
                path=f"$.data.context.{name}",
                fix=f"make it equal to the CloudEvent's {name}",
            )
    return _from_cdevent(inner, path="$.data")


def _from_cdevent(event: CDEvent, *, path: str) -> Announced:
    release = cdevents.to_release(event, path=path)
    return Announced(
        release=release,
        origin=origin(event.context.source, event.context.id),
        cluster_path=cdevents.place_of("cluster", event, path=path),
    )


def _release(document: object, *, path: str) -> Release:
    try:
        return decode_release(document, path=path)
    except InvalidInput as error:
        raise InvalidEvent.of(error.faults) from error


def _json(body: bytes, *, path: str) -> object:
    return decoding.decode(body, path=path, fix="send the release as one JSON object", like=Release)
