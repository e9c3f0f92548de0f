"""What the door saw of a release's arms, as a string that a session keeps: a restart must not forget who is convicted.

Whoever guards a release brings it along. So a new router knows what an old one saw, and a newer release with the same arms has
nothing to say about the older one.
"""

from dataclasses import dataclass

import msgspec

from daemon.meshes.istiohosts import Arms
from daemon.meshes.meaning import Meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Whose rules count, what the arms were, and which pods are under suspicion."""

    arms: Arms
    clients: tuple[str, ...]
    canary: Meaning | None


def encode(located: Located) -> str:
    """As JSON, the same for the same."""
    return msgspec.json.encode(located, order="deterministic").decode()


def decode(text: str) -> Located | None:
    """The other way round; null where nothing was located, or another version has written it in other words."""
    try:
        return msgspec.json.decode(text, type=Located)
    except msgspec.MsgspecError:
        return None
