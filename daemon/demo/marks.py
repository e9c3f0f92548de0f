"""The turns of the run that the plots mark: a canary gets traffic, is promoted, is taken back."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.demo.acts import Played
from daemon.model import Outcome


@dataclass(frozen=True, slots=True)
class Turn:
    """One mark. ``at`` is in seconds since 1970; the first character of ``sign`` has the ``meaning``."""

    at: float
    sign: str
    meaning: str


def turns(acts: Sequence[Played]) -> list[Turn]:
    """The marks of some acts, in order of time."""
    found: list[Turn] = []
    for played in acts:
        found.append(Turn(played.began, f"▲{played.act.canary}", "canary gets traffic"))
        back = played.mark("patch_acknowledged")
        if played.shifted_at is not None:
            found.append(Turn(played.shifted_at, "✔", "promoted"))
        elif played.record.verdict.outcome is Outcome.ROLLBACK and back is not None:
            found.append(Turn(back, "✖", "taken back"))
    return sorted(found, key=lambda turn: turn.at)
