"""From a message to the release it announces, whatever form it came in: a row for each, asked in order.

A new form is a module beside this one and a row: among ``READERS`` where it is a message of its own, among ``EVENT_DATA`` where it
comes in a CloudEvent. Each gives an origin, the name of the event for all time, from which the release id is made.
"""

from collections.abc import Mapping

from config.errors import one_of
from daemon.errors import NoRelease
from daemon.events import cdevents, cloudevents, decoding, releaseform
from daemon.events.announced import Announced, EventData, Reader
from daemon.events.hearing import NOTHING_BESIDE, Hearing

EVENT_DATA: tuple[EventData, ...] = (releaseform.EVENT_DATA, cdevents.EVENT_DATA)


def read_release(headers: Mapping[str, str], body: bytes, hearing: Hearing = NOTHING_BESIDE) -> Announced:
    """Read the release a message announces, to a daemon that knows so much beside it.

    Raises:
        InvalidEvent: with every fault of the release and of its envelope; each has its path and how to mend it. What is in an
            envelope that does not say of which type it is, or of one that is not known here, is not looked at. It is a
            ``NoRelease`` where nothing is wrong but that the event announces none.
    """
    with decoding.netted("an event"):
        for reader in READERS:
            if (announced := reader(headers, body, hearing)) is not None:
                return announced
        return releaseform.read(headers, body, hearing)


def _read_cloudevent(headers: Mapping[str, str], body: bytes, hearing: Hearing) -> Announced | None:
    envelope = cloudevents.opened(headers, body)
    if envelope is None:
        return None
    faults, announced = decoding.Gathering(envelope.faults), None
    if envelope.has_data and envelope.event.type:
        with faults:
            announced = _read_data(envelope.event, hearing, type_at=f"{envelope.before}type")
    faults.refuse()
    return announced


def _read_data(event: cloudevents.CloudEvent, hearing: Hearing, *, type_at: str) -> Announced:
    if event.extensions.get(cloudevents.MAPPED) == "true":
        hearing = hearing.of_mapped()
    for data in EVENT_DATA:
        if (announced := data.read(event, hearing)) is not None:
            return announced
    known = one_of(name for data in EVENT_DATA for name in data.types)
    raise NoRelease(f"{event.type[:100]!r} is not known here", path=type_at, fix=f"send {known}")


# What none of them knows is taken for a bare release, which says what is wrong with it.
READERS: tuple[Reader, ...] = (_read_cloudevent, cdevents.read)
