"""That a release is over: its canary's owner has said so, or what it was observed beside is gone. Pure."""

from dataclasses import dataclass
from typing import Final

from daemon.discovery.openings import End

OF_OWNERS: Final[dict[End, str]] = {
    "promoted": "it has promoted this version: both arms are the same from now on",
    "taken back": "it has given this version up",
    "superseded": "it tries another version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A release that is over.

    Attributes:
        release_id: under which it was announced.
        by: who has ended it, for people: ``Rollout shop/web``.
        why: a sentence.
    """

    release_id: str
    by: str
    why: str

    @property
    def mark(self) -> str:
        """What tells it from what else comes of the same look."""
        return f"end of {self.release_id}"
