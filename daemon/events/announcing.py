"""From a message to the release it announces, whatever form it came in: a row for each, asked in order.

A new form is a module beside this one and a row: among ``READERS`` where it is a message of its own, among ``EVENT_DATA`` where it
comes in a CloudEvent. Each gives an origin, the name of the event for all time, from which the release id is made.
"""

from collections.abc import Mapping

from daemon.errors import InvalidEvent
from daemon.events import cdevents, cloudevents, decoding, releaseform
from daemon.events.announced import Announced, EventData, Reader

EVENT_DATA: tuple[EventData, ...] = (releaseform.EVENT_DATA, cdevents.EVENT_DATA)


def read_release(headers: Mapping[str, str], body: bytes) -> Announced:
    """Read the release a message announces.

    Raises:
        InvalidEvent: with every fault of the release, or the first one of its envelope; each has its path and how to mend it.
    """
    with decoding.netted("an event"):
        for reader in READERS:
            if (announced := reader(headers, body)) is not None:
                return announced
        return releaseform.read(headers, body)


def _read_cloudevent(headers: Mapping[str, str], body: bytes) -> Announced | None:
    event = cloudevents.read(headers, body)
    if event is None:
        return None
    for data in EVENT_DATA:
        if (announced := data.read(event)) is not None:
            return announced
    *others, last = (name for data in EVENT_DATA for name in data.types)
    known = f"{', '.join(others)} or {last}"
    raise InvalidEvent(f"the type {event.type[:100]!r} is not known here", path="$.type", fix=f"send {known}")


# What none of them knows is taken for a bare release, which says what is wrong with it.
READERS: tuple[Reader, ...] = (_read_cloudevent, cdevents.read)
