"""What every sender's room gives: the event in a request, as the message that goes onto the stream, with its release.

A room reads what its sender sends and nothing else: pure functions of headers and body. What is right and announces nothing is a
``NoRelease`` with the reason.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from daemon import names
from daemon.errors import InvalidEvent, InvalidInput, NoRelease
from daemon.events import decoding
from daemon.events.announced import origin
from daemon.events.cloudevents import CloudEvent, to_structured
from daemon.events.releaseform import RELEASE_TYPE
from daemon.model import Release
from daemon.ports.events import IncomingEvent
from daemon.releasecheck import decode_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request that is its sender's for sure. The names of ``headers`` are in lower case."""

    hook: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """An event: the message that is kept, which our readers read as this release with this origin."""

    release: Release
    origin: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def release_id(self) -> str:
        """As whoever takes it from the stream makes it."""
        return names.new_release_id(self.release.service, origin=self.origin)

    @property
    def incoming(self) -> IncomingEvent:
        """As it is kept."""
        key = f"hook-{hashlib.sha256(self.origin.encode()).hexdigest()}"
        return IncomingEvent(headers=self.headers, body=self.body, key=key, release=self.release)


def json_body(received: Received) -> Any:
    """The body as plain values. Raises ``InvalidEvent``."""
    return decoding.decode(received.body, path="$", fix="send one JSON object")


def mapped(ours: object, *, path: str, words: Mapping[str, object], source: str, event_id: str, fix: str) -> Understood:
    """What a sender's payload carries of ours, as an event.

    Args:
        ours: the fields of a release, as an object or as JSON in a string; null: there are none.
        path: where it stands in what was sent.
        words: what the sender says of the release by itself; ``ours`` goes before it.
        source, event_id: name the attempt for all time, among those to release this service in this cluster.
        fix: how the sender is made to say it.

    Raises:
        NoRelease: nothing is said.
        InvalidEvent: with every fault, its path and how to mend it.
    """
    try:
        f"{source}{event_id}".encode()
    except UnicodeEncodeError as error:  # of a header: two names would become one
        raise InvalidEvent("hold bytes that are not UTF-8 where the event is named", path="headers", fix="send UTF-8") from error
    said, release = said_of(ours, path=path, words=words, fix=fix)
    # Whoever names attempts may name those of several services alike, and send to the daemons of several clusters on one broker.
    event_id = "/".join((event_id, release.cluster or "", release.namespace, release.service))
    data = msgspec.json.encode(said)
    event = CloudEvent(id=event_id, source=source, type=RELEASE_TYPE, datacontenttype="application/json", data=data)
    headers, body = to_structured(event)
    return Understood(release=release, origin=origin(source, event_id), headers=headers, body=body)


def said_of(ours: object, *, path: str, words: Mapping[str, object], fix: str) -> tuple[dict[str, object], Release]:
    """What is said of a release in all, and that release; the arguments and errors are those of ``mapped``."""
    if isinstance(ours, str) and ours:
        ours = decoding.decode(ours.encode(), path=path, fix=fix)
    if ours is None or ours == "":
        raise NoRelease("nothing here says which versions to compare", path=path, fix=fix)
    if not isinstance(ours, Mapping):
        raise InvalidEvent("is no object", path=path, fix=fix)
    said = {name: value for name, value in words.items() if value is not None} | dict(ours)
    try:
        return said, decode_release(said, path=path)
    except InvalidInput as error:
        raise InvalidEvent.of(error.faults) from error
