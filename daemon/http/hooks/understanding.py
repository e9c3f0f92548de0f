"""What every sender's room gives: the event in a request, as the message that goes onto the stream, with its release.

A room reads what its sender sends and nothing else: pure functions of headers and body. What is right and announces nothing is a
``NoRelease`` with the reason.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from config.documents import join
from daemon import names
from daemon.errors import InvalidEvent, InvalidInput, NoRelease
from daemon.events import decoding
from daemon.events.announced import origin
from daemon.events.cloudevents import MAPPED, CloudEvent, to_structured
from daemon.events.hearing import SWITCH_ON, Hearing
from daemon.events.releaseform import RELEASE_TYPE
from daemon.model import Outline, Release
from daemon.ports.events import IncomingEvent

ENVIRONMENT: Final = frozenset({"environment"})
REPOSITORY: Final = frozenset({"service", "environment"})
"""What names things of the sender's own, which need not have names that anything here could: a repository, a review environment."""
_NO_NAME_HERE: Final = "add a row for it under mapping in the settings, if it is about this cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request that is its sender's for sure.

    Attributes:
        hook: the hook's name.
        headers: by names in lower case.
        body: as it was sent.
        hearing: what the daemon knows beside it.
    """

    hook: str
    headers: Mapping[str, str]
    body: bytes
    hearing: Hearing = field(default_factory=Hearing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """An event: the message that is kept, which our readers read as this release with this origin."""

    release: Release | Outline
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


def mapped(
    ours: object,
    *,
    hearing: Hearing,
    path: str,
    words: Mapping[str, object],
    source: str,
    event_id: str,
    fix: str,
    is_enough: bool = False,
    theirs: Collection[str] = ENVIRONMENT,
) -> Understood:
    """What a sender's payload carries of ours, as an event.

    Args:
        ours: the fields of a release, as an object or as JSON in a string; null: there are none.
        hearing: what the daemon knows beside it.
        path: where it stands in what was sent.
        words: what the sender says of the release by itself; ``ours`` goes before it.
        source, event_id: name the attempt for all time, among those to release this service in this cluster.
        fix: how the sender is made to say it.
        is_enough: whether the sender's words alone announce a release, where arms are found.
        theirs: of the words, those that name things of the sender's own.

    Raises:
        NoRelease: nothing is said, or of an environment that is not this daemon's, or of what can have no name here.
        InvalidEvent: with every fault, its path and how to mend it.
    """
    try:
        f"{source}{event_id}".encode()
    except UnicodeEncodeError as error:  # of a header: two names would become one
        raise InvalidEvent("hold bytes that are not UTF-8 where the event is named", path="headers", fix="send UTF-8") from error
    said, release = said_of(ours, hearing=hearing, path=path, words=words, fix=fix, is_enough=is_enough, theirs=theirs)
    # Whoever names attempts may name those of several services alike, and send to the daemons of several clusters on one broker.
    event_id = "/".join((event_id, release.cluster or "", release.namespace, release.service))
    return kept(CloudEvent(id=event_id, source=source, type=RELEASE_TYPE), said, release=release)


def kept(event: CloudEvent, said: Mapping[str, object], *, release: Release | Outline) -> Understood:
    """An event with what is said in this daemon's words, and marked so: whoever reads it maps them no more."""
    marked = msgspec.structs.replace(
        event,
        type=RELEASE_TYPE,
        datacontenttype="application/json",
        dataschema=None,
        extensions={**event.extensions, MAPPED: "true"},
        data=msgspec.json.encode(said),
    )
    headers, body = to_structured(marked)
    return Understood(release=release, origin=origin(event.source, event.id), headers=headers, body=body)


def release_said(ours: object, *, path: str, words: Mapping[str, object], fix: str) -> Release:
    """The release that is said, both arms and all; the arguments and errors are those of ``mapped``."""
    _, release = said_of(ours, hearing=Hearing(), path=path, words=words, fix=fix)
    assert isinstance(release, Release)  # nobody finds arms there
    return release


def said_of(
    ours: object,
    *,
    hearing: Hearing,
    path: str,
    words: Mapping[str, object],
    fix: str,
    is_enough: bool = False,
    theirs: Collection[str] = ENVIRONMENT,
) -> tuple[dict[str, object], Release | Outline]:
    """What is said of a release in all, and that release; the arguments and errors are those of ``mapped``."""
    if isinstance(ours, str) and ours:
        ours = decoding.decode(ours.encode(), path=path, fix=fix)
    is_silent = ours is None or ours == ""
    if is_silent and not (is_enough and hearing.finds_arms):
        other = f"; or {SWITCH_ON.partition(', or ')[2]}" if is_enough else ""
        raise NoRelease("nothing here says which versions to compare", path=path, fix=fix + other)
    if not (is_silent or isinstance(ours, Mapping)):
        raise InvalidEvent("is no object", path=path, fix=fix)
    said = {name: value for name, value in words.items() if value is not None} | (dict(ours) if isinstance(ours, Mapping) else {})
    hearing.tell(f"read: {decoding.listed(said)}")
    try:
        release, mapped_words = hearing.announced(said, path=path, is_loose=True)
    except InvalidInput as error:
        nameless = [one for one in error.faults if one.path in {join(path, name) for name in theirs}]
        if is_silent and nameless:
            raise NoRelease.of([msgspec.structs.replace(one, fix=_NO_NAME_HERE) for one in nameless]) from error
        raise InvalidEvent.of(error.faults) from error
    if is_silent and hearing.is_elsewhere(release.cluster):
        wrong = f"the environment {release.cluster!r} is no row's of mapping, nor this cluster's name ({hearing.cluster})"
        raise NoRelease(wrong, path=path, fix="add a row for it under mapping in the settings, if it is this cluster")
    return mapped_words, release
