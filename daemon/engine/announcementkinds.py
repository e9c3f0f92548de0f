"""Announcements that are more than every announcement is: such as one that says who sent it.

Which an announcement is, is asked once for each class: Python asks an object for all that a protocol names, each time, and that was
a fifth of the work for an event that begins nothing.
"""

from typing import Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from daemon.ports.events import Announcement, EndAnnouncement, SentAnnouncement

P = TypeVar("P")


class Kind(Generic[P]):
    """Announcements that are more than every announcement is."""

    def __init__(self, protocol: type[P]) -> None:
        self._protocol = protocol
        self._known: WeakKeyDictionary[type, bool] = WeakKeyDictionary()

    def seen_in(self, announcement: Announcement) -> P | None:
        """The same, where it is of this kind."""
        known = self._known.get(type(announcement))
        if known is None:
            known = self._known[type(announcement)] = isinstance(announcement, self._protocol)
        return cast("P", announcement) if known else None


ENDINGS = Kind(EndAnnouncement)  # type: ignore[type-abstract]  # only asked, never made
SENT = Kind(SentAnnouncement)  # type: ignore[type-abstract]  # only asked, never made
