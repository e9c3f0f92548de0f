"""Whether a change of a route opens a release, goes on with one, ends one, or must be asked about. Pure.

A picture by itself opens nothing: what stands there when somebody first looks may have stood there for a year. Only a change does,
against what was before; or somebody's word, the owner's that is stepping now or an announcement. So what was before must be kept
where it survives: without it all that can be done is to ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from daemon.discovery.announced import Notice, concerns
from daemon.discovery.answers import Answer, Ask, FoundArms, NoRelease
from daemon.discovery.arms import arms
from daemon.discovery.contests import Contest, contests, why_none
from daemon.discovery.owned import Owned
from daemon.discovery.picture import UNUSED, Destination, Picture, Uses, uses
from daemon.discovery.signs import entered
from daemon.discovery.surroundings import Surroundings
from daemon.discovery.word import Word
from daemon.placement import ObjectName

End = Literal["promoted", "taken back", "superseded", "gone", "unknown"]
"""How a release ended: its canary has all of it; its baseline has; its owner tries another version; neither gets anything; or one
has all of it, and whether that is the old version or the new one only an owner could say that is not there to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRelease:
    """A release of this route that has been opened and has not ended.

    Attributes:
        baseline, canary: its arms.
        attempt: of its owner, when it was opened; empty: it has no owner, or that was not known.
    """

    baseline: Destination
    canary: Destination
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opens:
    """A release has begun. ``attempt``: of its owner, to be kept with it."""

    found: FoundArms
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoesOn:
    """A release is still under way. ``percent``: its canary's share now."""

    release: OpenRelease
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """A release is over. ``by``: its owner, where it has said so; null: its route says so."""

    release: OpenRelease
    how: End
    by: ObjectName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """Whether there is a release, or which its arms are, somebody must say."""

    ask: Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Nothing is to be done. ``why``: a sentence."""

    why: str


Outcome = Opens | GoesOn | Ends | Asks | Quiet


def outcomes(
    before: Picture | Uses | None,
    after: Picture,
    *,
    around: Surroundings,
    opened: Sequence[OpenRelease] = (),
    announcement: Notice | None = None,
    word: Word | None = None,
) -> tuple[Outcome, ...]:
    """What a change of one route means: first for what is open, then for each contest of the route; at least one outcome.

    Args:
        before: the route as it was when it was last looked at, or what each destination got then; null: that is not known. Without
            entries: it was not there.
        after: the route as it is now.
        around: what stands behind its destinations now.
        opened: the releases of this route that are open.
        announcement: what was announced of a service; null: it was the change that brought us here.
        word: what somebody has written beside the route; null: nothing.
    """
    was, now = uses(before) if isinstance(before, Picture) else before, uses(after)
    there = contests(after, around=around)
    concerned = [one for one in there if announcement is not None and concerns(announcement, one)]
    found: list[Outcome] = []
    taken: list[Contest] = []
    for release in opened:
        owned = _owner_of(release, after.route, around)
        if owned is not None and release.attempt and owned.attempt and release.attempt != owned.attempt:
            found.append(Ends(release=release, how="superseded", by=owned.owner))
            continue
        found.append(_of_open(release, now, owned, is_owner_lost=owned is None and bool(release.attempt or around.unread)))
        taken += [one for one in there if one.at(release.canary) and not _newcomers(one, release, was)]
    rest = [one for one in there if one not in taken]
    found += [of_contest(one, was, announcement if one in concerned else None, word) for one in rest]
    if announcement is not None and not concerned:
        return (*found, Quiet(why=f"the route sends to no two versions of {announcement.service}"))
    return tuple(found) or (Quiet(why=why_none(after, around=around)),)


def _of_open(release: OpenRelease, now: Uses, owned: Owned | None, *, is_owner_lost: bool) -> Outcome:
    """What became of an open release. Its owner knows: after a promotion Flagger's routes look like one that was taken back."""
    canary, baseline = now.get(release.canary, UNUSED), now.get(release.baseline, UNUSED)
    match owned.state if owned is not None else "idle":
        case "stepping" | "promoting":
            return GoesOn(release=release, percent=canary.percent)
        case "promoted" | "taken back" as how:
            return Ends(release=release, how=how, by=owned.owner if owned is not None else None)
        case "idle":
            pass  # the picture says
    if canary.is_live and baseline.is_live:
        return GoesOn(release=release, percent=canary.percent)
    if not canary.is_live and not baseline.is_live:
        return Ends(release=release, how="gone")
    if is_owner_lost:
        return Ends(release=release, how="unknown")
    return Ends(release=release, how="promoted" if canary.is_live else "taken back")


def _owner_of(release: OpenRelease, route: ObjectName, around: Surroundings) -> Owned | None:
    both = (release.baseline, release.canary)
    found = [one for one in around.owned if [one.arm_at(arm_, route=route) for arm_ in both] == [one.baseline, one.canary]]
    return found[0] if len(found) == 1 else None


def _newcomers(contest: Contest, release: OpenRelease, was: Uses | None) -> bool:
    """Whether somebody entered that is no arm of the release."""
    new = entered(contest, was) if was is not None else ()
    return any(one.destination not in (release.baseline, release.canary) for one in new)


def of_contest(contest: Contest, was: Uses | None, announcement: Notice | None, word: Word | None) -> Outcome:
    """What destinations of which no release is open mean."""
    answer = arms(contest, before=was, announcement=announcement, word=word)
    owned = contest.owned[0] if len(contest.owned) == 1 else None
    if owned is not None:
        return _of_owned(owned, contest, answer)
    if announcement is not None:
        return _as_answered(answer)
    if word is not None and word.is_about(contest) and (was is None or word.is_answer):
        return _as_answered(answer)
    if was is None:
        return _never_seen(answer)
    if isinstance(answer, NoRelease):
        return Quiet(why=answer.why)
    return _of_change(contest, was, answer)


def _of_change(contest: Contest, was: Uses, answer: FoundArms | Ask) -> Outcome:
    """What a change means that nobody has announced."""
    new = entered(contest, was)
    if not new and all(was.get(one.destination, UNUSED) == one.use for one in contest.candidates):
        return Quiet(why="nothing has changed")
    if not new:
        why = "what each gets has changed, and which of them is new was not seen"
        return _asking(answer, f"{why}: which is, if any?")
    stay = [one for one in contest.live if was.get(one.destination, UNUSED).is_live and one not in new]
    left = [one for one in contest.candidates if was.get(one.destination, UNUSED).is_live]
    if left and not stay and len(new) == len(contest.live) and not any(one in new for one in left):
        return Quiet(why="all that was there before was replaced in one change: there is nothing to compare")
    return _as_answered(answer)


def _of_owned(owned: Owned, contest: Contest, answer: Answer) -> Outcome:
    """An owner that is stepping has said that it releases; what it has given up or not begun yet is none."""
    if not isinstance(answer, FoundArms):
        return _as_answered(answer)
    if owned.state == "taken back":
        return Quiet(why=f"{owned} has given its canary up")
    canary = contest.at(answer.canary.destination) if answer.canary.destination is not None else None
    if canary is None or not canary.is_live:
        return Quiet(why=f"{owned} gives its canary nothing yet")
    return Opens(found=answer, attempt=owned.attempt)


def _never_seen(answer: Answer) -> Outcome:
    """What stood there when it was first looked at."""
    match answer:
        case FoundArms():
            return _asking(answer, f"{answer.why}; but since when they stand there was not seen: is it a release?")
        case Ask() | NoRelease():
            return _as_answered(answer)


def _asking(answer: FoundArms | Ask, why: str) -> Asks:
    if isinstance(answer, Ask):
        return Asks(ask=answer)
    return Asks(ask=Ask(candidates=(answer.baseline, answer.canary), missing=("canary",), why=why))


def _as_answered(answer: Answer) -> Outcome:
    match answer:
        case FoundArms():
            return Opens(found=answer)
        case Ask():
            return Asks(ask=answer)
        case NoRelease():
            return Quiet(why=answer.why)
