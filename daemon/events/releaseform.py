"""Our own form: a release as one JSON object, bare or as a CloudEvent's data."""

from collections.abc import Mapping
from typing import Final

from daemon.errors import InvalidEvent, InvalidInput
from daemon.events import decoding
from daemon.events.announced import Announced, EventData, origin
from daemon.events.cloudevents import CloudEvent
from daemon.events.hearing import Hearing
from daemon.model import Outline, Release

RELEASE_TYPE: Final = "io.verdictd.release.v1"


def read(_headers: Mapping[str, str], body: bytes, hearing: Hearing) -> Announced:
    """The release that a message is. It has no name for all time of its own. Raises ``InvalidEvent``."""
    return Announced(release=_release(body, hearing, path="$"), origin=None)


def _read_event(event: CloudEvent, hearing: Hearing) -> Announced | None:
    if event.type != RELEASE_TYPE:
        return None
    release = _release(event.data, hearing, path="$.data")
    name = origin(event.source, event.id)
    return Announced(release=release, origin=name, source=event.source, cluster_path="$.data.cluster")


def _release(body: bytes, hearing: Hearing, *, path: str) -> Release | Outline:
    document = decoding.decode(body, path=path, fix="send the release as one JSON object", like=Release)
    if isinstance(document, Mapping):
        hearing.tell(f"read: {decoding.listed(document)}")
    try:
        return hearing.announced(document, path=path)[0]
    except InvalidInput as error:
        raise InvalidEvent.of(error.faults) from error


EVENT_DATA: Final = EventData(types=(RELEASE_TYPE,), read=_read_event)
