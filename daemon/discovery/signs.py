"""The single signs by which arms are told apart, from what was there before to the names' order. Pure.

Each speaks of candidates and is asked alone; which goes first, and which may gainsay another, is for ``daemon.discovery.arms``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.discovery.answers import Confidence, Sign
from daemon.discovery.contests import Candidate, Contest
from daemon.discovery.naming import is_place, newer, speaks_of, stem
from daemon.discovery.picture import UNUSED, Destination, Uses

MOST_PERCENT = 50.0
"""A share beyond which an arm looks like a baseline, whatever it is."""

_OBJECTS = ("service", "workload")
"""Sorts of names that belong to objects of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What one sign says.

    Attributes:
        sign: which.
        canary: the new one.
        baseline: the old one; null: it does not say.
        confidence: how sure it is by itself.
        why: a sentence.
    """

    sign: Sign
    canary: Candidate
    baseline: Candidate | None
    confidence: Confidence
    why: str


def entered(contest: Contest, before: Uses) -> tuple[Candidate, ...]:
    """Those that get what they did not get before: a share, or anything at all."""
    found = []
    for one in contest.live:
        was = before.get(one.destination, UNUSED)
        if not was.is_live or (one.use.percent > 0 and was.percent == 0):
            found.append(one)
    return tuple(found)


def by_before(contest: Contest, before: Uses) -> Saying | None:
    """What left 0 is the canary; the baseline is what had most of those that still get something, unless two had as much."""
    new = entered(contest, before)
    if len(new) != 1:
        return None
    had = {one.destination: before.get(one.destination, UNUSED).percent for one in contest.live if one is not new[0]}
    most = largest([one for one in contest.live if had.get(one.destination, 0.0) > 0], had)
    beside = f", when {most.destination.short} had {had[most.destination]:.4g} %" if most is not None else ""
    why = f"{new[0]} got nothing before{beside}"
    return Saying(sign=Sign.BEFORE, canary=new[0], baseline=most, confidence=Confidence.STRONG, why=why)


def by_mirror(contest: Contest) -> Saying | None:
    """What gets copies and nothing else is the canary of the only one that is copied from."""
    copied = [one for one in contest.live if one.use.mirrored_percent > 0]
    if len(copied) != 1 or copied[0].use.percent > 0:
        return None
    why = f"{copied[0].destination.short} gets copies only"
    return Saying(sign=Sign.MIRROR, canary=copied[0], baseline=_open(contest, copied[0]), confidence=Confidence.STRONG, why=why)


def by_pin(contest: Contest) -> Saying | None:
    """What gets requests only by who sends them is the canary of the only one that all others reach."""
    pinned = [one for one in contest.live if one.use.is_pinned and one.use.percent == 0]
    if len(pinned) != 1 or len(pinned) == len(contest.live):
        return None
    why = f"{pinned[0].destination.short} gets requests only by who sends them"
    return Saying(sign=Sign.PIN, canary=pinned[0], baseline=_open(contest, pinned[0]), confidence=Confidence.MEDIUM, why=why)


def by_words(candidates: Sequence[Candidate]) -> Saying | None:
    """Of two, the one that a word calls new, or the other one stable: in their subsets, Services, labels or workloads."""
    return _by_names(candidates, sign=Sign.WORDS)


def by_versions(candidates: Sequence[Candidate]) -> Saying | None:
    """Of two, the one whose names are of a newer version: like is compared with like, and sorts that disagree say nothing."""
    return _by_names(candidates, sign=Sign.VERSIONS)


def by_age(candidates: Sequence[Candidate]) -> Saying | None:
    """Of two, the one whose workloads are younger. It agrees with other signs, and tells nothing alone."""
    one, other = candidates
    made = one.behind.created_at, other.behind.created_at
    if not all(made) or made[0] == made[1]:
        return None
    canary, baseline = (one, other) if made[0] > made[1] else (other, one)
    why = f"the workload of {canary.destination.short} is younger"
    return Saying(sign=Sign.AGE, canary=canary, baseline=baseline, confidence=Confidence.MEDIUM, why=why)


def by_share(candidates: Sequence[Candidate]) -> Saying | None:
    """Of two, the one with less. It agrees with other signs or casts doubt on them, and tells nothing alone."""
    one, other = candidates
    if one.use.percent == other.use.percent:
        return None
    canary, baseline = (one, other) if one.use.percent < other.use.percent else (other, one)
    why = f"{canary} has the smaller share"
    return Saying(sign=Sign.SHARE, canary=canary, baseline=baseline, confidence=Confidence.MEDIUM, why=why)


def told_apart_by_place(candidates: Sequence[Candidate]) -> bool:
    """Whether two are told apart by where or as what they run: then neither is a version of the other."""
    one, other = (_told_by(candidate) for candidate in candidates)
    differing = {key: {one.get(key, ""), other.get(key, "")} for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    return bool(differing) and all(is_place(key, values) for key, values in differing.items())


def _told_by(candidate: Candidate) -> dict[str, str]:
    return dict(candidate.behind.chosen if candidate.behind.chosen is not None else candidate.destination.labels or {})


def _by_names(candidates: Sequence[Candidate], *, sign: Sign) -> Saying | None:
    one, other = candidates
    mine, others = dict(one.names), dict(other.names)
    said = {sort: _compared(sort, mine.get(sort, ""), others.get(sort, ""), sign=sign) for sort in {**mine, **others}}
    said = {sort: which for sort, which in said.items() if which}
    if len(set(said.values())) != 1:
        return None
    sort, which = next(iter(said.items()))
    canary, baseline = (one, other) if which > 0 else (other, one)
    names = [dict(candidate.names).get(sort) or "none" for candidate in (canary, baseline)]
    relation = "is called a canary beside" if sign is Sign.WORDS else "is newer than"
    why = f"{canary.destination.short} {relation} {baseline.destination.short} by its {sort} ({names[0]}, {names[1]})"
    confidence = Confidence.STRONG if sign is Sign.WORDS else Confidence.MEDIUM
    return Saying(sign=sign, canary=canary, baseline=baseline, confidence=confidence, why=why)


def _compared(sort: str, one: str, other: str, *, sign: Sign) -> int:
    """Words in names of objects count only where they are of one stem: ``office-new-york`` is no canary of ``office-london``."""
    if sign is Sign.VERSIONS:
        return newer(one, other)
    return 0 if sort in _OBJECTS and stem(one) != stem(other) else speaks_of(one, other)


def _open(contest: Contest, besides: Candidate) -> Candidate | None:
    """The only other one that requests reach whoever sends them."""
    found = [one for one in contest.live if one.use.percent > 0 and one != besides]
    return found[0] if len(found) == 1 else None


def largest(candidates: Sequence[Candidate], had: Mapping[Destination, float]) -> Candidate | None:
    """The one that had most; null: nobody had anything, or two had as much."""
    ranked = sorted(candidates, key=lambda one: -had[one.destination])
    if not ranked or (len(ranked) > 1 and had[ranked[0].destination] == had[ranked[1].destination]):
        return None
    return ranked[0]
