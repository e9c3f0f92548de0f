"""What every reader of events gives, and the two shapes of a reader: of whole messages, and of what a CloudEvent holds.

A reader is asked once, says nothing of what is not its own, and refuses what is its own and wrong with the path and the fix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from daemon.events.cloudevents import CloudEvent
from daemon.events.hearing import Hearing
from daemon.model import Outline, Release

_EVENT: Final = "event\n"


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """A release, and the origin of its event; null when only the transport can tell one event from another.

    ``source`` is who sent it, by the event's own word; empty where it says none. ``cluster_path`` is where in the message the
    release's cluster is said, for whoever has to refuse it.
    """

    release: Release | Outline
    origin: str | None
    source: str = ""
    cluster_path: str = "$.cluster"


Reader = Callable[[Mapping[str, str], bytes, Hearing], Announced | None]
"""From a message's headers and body, and what is known beside them. Null: another form.

Raises ``InvalidEvent``: it is this form, and wrong.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData:
    """What CloudEvents of some types hold.

    Attributes:
        types: how they are called, for whoever sends others.
        read: null for an event of another type; raises ``InvalidEvent`` with paths that begin with ``$.data``.
    """

    types: tuple[str, ...]
    read: Callable[[CloudEvent, Hearing], Announced | None]


def origin(source: str, event_id: str) -> str:
    """The name of a CloudEvent or CDEvent for all time: another pair gives another name, whatever stands in the two."""
    return _EVENT + msgspec.json.encode((source, event_id)).decode()


def named(event_origin: str) -> tuple[str, str]:
    """Source and id of the event that ``origin`` has named so."""
    return msgspec.json.decode(event_origin.removeprefix(_EVENT), type=tuple[str, str])
