"""A form of event that nobody sends, in one module, as somebody would add it: a line ``web v1 -> v2``, bare or in a CloudEvent."""

from collections.abc import Mapping

from daemon.errors import InvalidEvent
from daemon.events.announced import Announced, EventData, origin
from daemon.events.cloudevents import CloudEvent
from daemon.events.hearing import Hearing
from daemon.model import ArmSpec, Release


def read(headers: Mapping[str, str], body: bytes, _hearing: Hearing) -> Announced | None:
    """Implements ``Reader``."""
    if headers.get("x-made-up") is None:
        return None
    return Announced(release=_release(body, path="$"), origin=f"made up\n{headers['x-made-up']}")


def _read_event(event: CloudEvent, _hearing: Hearing) -> Announced | None:
    if event.type != "example.line.v1":
        return None
    return Announced(release=_release(event.data, path="$.data"), origin=origin(event.source, event.id))


EVENT_DATA = EventData(types=("example.line.v1",), read=_read_event)


def _release(body: bytes, *, path: str) -> Release:
    match body.decode().strip('"').split():
        case [service, old, "->", new]:
            return Release(service=service, baseline=ArmSpec(version=old), canary=ArmSpec(version=new))
        case _:
            raise InvalidEvent("is no line", path=path, fix="send: SERVICE OLD -> NEW")
