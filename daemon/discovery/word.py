"""What somebody has written beside a route: which of its destinations is the canary, or the baseline. Pure.

It is asked for where signs do not tell, and goes before all of them but the owner's: who wrote it knows what was deployed. As it
stays where it was written, it opens nothing by itself, unless it answers a question or nothing is known of what was before.
"""

from dataclasses import dataclass

from daemon.discovery import signs
from daemon.discovery.answers import Confidence, NoRelease, Sign
from daemon.discovery.contests import Candidate, Contest
from daemon.discovery.picture import UNUSED, Destination, Uses
from daemon.discovery.signs import Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """At least one of the arms.

    Attributes:
        canary, baseline: what was written; null: nothing was.
        is_answer: whether it was asked for.
    """

    canary: Destination | None = None
    baseline: Destination | None = None
    is_answer: bool = False

    def is_about(self, contest: Contest) -> bool:
        """Whether all that it names are among these."""
        return all(contest.at(one) is not None for one in (self.canary, self.baseline) if one is not None)


def by_word(contest: Contest, word: Word, before: Uses | None) -> Saying | NoRelease | None:
    """What it says of these; null: it does not tell which is the canary."""
    baseline = contest.at(word.baseline) if word.baseline is not None else None
    canary = contest.at(word.canary) if word.canary is not None else _other(contest, baseline)
    if canary is None:
        return None
    if not canary.is_live:
        return NoRelease(why=f"{canary.destination.short}, by an annotation the canary, gets nothing")
    why = f"an annotation says that {(baseline if word.canary is None and baseline else canary).destination.short} is "
    why += "the baseline" if word.canary is None else "the canary"
    found = baseline or _served(contest, canary, before)
    return Saying(sign=Sign.ANNOTATION, canary=canary, baseline=found, confidence=Confidence.STRONG, why=why)


def _other(contest: Contest, baseline: Candidate | None) -> Candidate | None:
    """Of two the other one."""
    others = [one for one in contest.live if one is not baseline]
    return others[0] if len(others) == 1 else None


def _served(contest: Contest, canary: Candidate, before: Uses | None) -> Candidate | None:
    """What had most before, where that is known; else nobody is named."""
    if before is None:
        return None
    had = {one.destination: before.get(one.destination, UNUSED).percent for one in contest.live if one is not canary}
    return signs.largest([one for one in contest.live if had.get(one.destination, 0.0) > 0], had)
