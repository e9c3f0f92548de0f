"""Which arm is which: the signs in their order, the first that speaks decides, and a later one may gainsay it. Pure.

Owner, annotation, announcement, what was before, copies and pins, words, versions. The share decides nothing: past half a canary
looks like a baseline, and at the end of a migration the smaller one is the old. Where signs contradict each other nobody is called,
but asked.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from daemon.discovery import signs
from daemon.discovery.announced import Notice, fitting
from daemon.discovery.answers import Answer, Ask, Confidence, FoundArms, Missing, NoRelease, Sign, Strategy, arm
from daemon.discovery.contests import Candidate, Contest
from daemon.discovery.naming import is_double
from daemon.discovery.picture import Uses
from daemon.discovery.signs import MOST_PERCENT, Saying
from daemon.discovery.word import Word, by_word

_BEFORE_ALL: tuple[Sign, ...] = (Sign.OWNER, Sign.ANNOTATION, Sign.ANNOUNCED, Sign.BEFORE)
"""What can name both arms among more than two."""


def arms(contest: Contest, *, before: Uses | None = None, announcement: Notice | None = None, word: Word | None = None) -> Answer:
    """Which of these candidates is the canary, and which the baseline.

    Args:
        contest: they and what they get.
        before: what each got before the change; null: not known, as after a restart.
        announcement: what was announced of this service; null: nothing.
        word: what was written beside the route; null: nothing.
    """
    if contest.owned:
        return _by_owner(contest)
    written = by_word(contest, word, before) if word is not None and word.is_about(contest) else None
    refusal = _beyond_signs(contest, announced=announcement is not None or written is not None)
    if refusal is not None:
        return refusal
    said: Saying | Ask | NoRelease | None = written
    if said is None and announcement is not None:
        said = _announced(contest, announcement, before)
    if isinstance(said, Ask | NoRelease):
        return said
    if said is None and (reason := _no_answer(contest, before)) is not None:
        return reason
    said = said or _first(contest, before)
    if said is None:
        return _ask(contest, _which(contest))
    return _judged(contest, said, before)


def _by_owner(contest: Contest) -> Answer:
    """A controller has made the arms, and says which is which."""
    if len(contest.owned) > 1:
        return _ask(contest, f"{' and '.join(map(str, contest.owned))} both claim these: whose release is it?")
    owned = contest.owned[0]
    of = [(candidate, owned.arm_at(candidate.destination, route=contest.route)) for candidate in contest.candidates]
    canary = next(candidate for candidate, arm_ in of if arm_ == owned.canary)
    baseline = next(candidate for candidate, arm_ in of if arm_ == owned.baseline)
    if owned.state in {"idle", "promoted"}:
        return NoRelease(why=f"{owned} has nothing new: there is nothing to compare")
    if owned.state == "promoting":
        return NoRelease(why=f"{owned} is promoting, and makes both arms the same: there is nothing to compare")
    names = canary.destination.short, baseline.destination.short
    why = f"{owned} says that {names[0]} is its canary, and {names[1]} has served so far"
    said = Saying(sign=Sign.OWNER, canary=canary, baseline=baseline, confidence=Confidence.CERTAIN, why=why)
    return _incomparable(contest, said, baseline) or _found(contest, said, baseline, agreeing=(), why=why)


def _beyond_signs(contest: Contest, *, announced: bool) -> Answer | None:
    """Where no sign counts, since it is no release or nobody could tell."""
    if contest.unclear:
        return _ask(contest, f"which is new, and what does it get? {contest.unclear}")
    if announced:
        return None
    live = contest.live
    if len(live) < 2:
        only = f"{live[0].destination.short} gets all of it" if live else "nobody gets anything"
        return NoRelease(why=only)
    if len(live) == 2 and signs.told_apart_by_place(live):
        return NoRelease(why=f"{_listed(live)} are told apart by place, not by version")
    return None


def _no_answer(contest: Contest, before: Uses | None) -> Answer | None:
    """Where, without an announcement, it is known why no sign may be heeded."""
    live = contest.live
    if contest.by_path:
        return _ask(contest, f"are {_listed(live)}, which differ by the path that is asked for, a release or two interfaces?")
    if before is not None and len(new := signs.entered(contest, before)) > 1:
        return _ask(contest, f"{_listed(new)} get requests from one change on: which is new?")
    if live and not any(one.use.percent > 0 for one in live):
        return _ask(contest, f"{_listed(live)} get requests only by who sends them, and nobody else any: which is new?")
    double = next((one for one in live if one.use.is_pinned and any(is_double(name) for _, name in one.names)), None)
    if double is not None:
        return _ask(contest, f"is {double.destination.short}, by its name a test double, a release?")
    return None


def _announced(contest: Contest, announcement: Notice, before: Uses | None) -> Saying | Ask | None:
    """What the announcement says; null: it names nothing that could be looked for."""
    fit = fitting(announcement, contest.candidates)
    if fit.both:
        said = signs.by_before(contest, before) if before is not None else None
        return said or _ask(contest, f"{_listed(fit.both)} all run what is announced: which is new?")
    if fit.only is None:
        return _ask(contest, f"none of {_listed(contest.candidates)} is known to run {announcement.named or 'anything new'}")
    others = [one for one in contest.candidates if one is not fit.only]
    changed = signs.by_before(contest, before) if before is not None else None
    if changed is not None and changed.canary is not fit.only:
        return _ask(contest, f"{changed.why}, but {fit.only.destination.short} runs what is announced: which is new?")
    if changed is None and fit.only.use.percent > max((one.use.percent for one in others), default=0.0):
        already = f"{fit.only.destination.short} runs what is announced and already has {fit.only.use.percent:.4g} %"
        return _ask(contest, f"{already}: is there anything new to watch?")
    confidence = Confidence.MEDIUM if fit.unknown else Confidence.STRONG
    baseline = changed.baseline if changed is not None else others[0] if len(others) == 1 else None
    unknown = f"; what {_listed(fit.unknown)} runs is not known" if fit.unknown else ""
    why = f"{fit.only.destination.short} runs what is announced{unknown}"
    return Saying(sign=Sign.ANNOUNCED, canary=fit.only, baseline=baseline, confidence=confidence, why=why)


def _first(contest: Contest, before: Uses | None) -> Saying | None:
    """The first sign that speaks, after owner and announcement."""
    pair = contest.live
    named: list[Callable[[], Saying | None]] = [lambda: signs.by_mirror(contest), lambda: signs.by_pin(contest)]
    if before is not None:
        named.insert(0, lambda: signs.by_before(contest, before))
    if len(pair) == 2:
        named += [lambda: signs.by_words(pair), lambda: signs.by_versions(pair)]
    return next((said for ask in named if (said := ask()) is not None), None)


def _judged(contest: Contest, said: Saying, before: Uses | None) -> Answer:
    """What the sign says, unless another one gainsays it or the baseline is not known."""
    others = [one for one in contest.live if one is not said.canary]
    baseline = said.baseline or (others[0] if len(others) == 1 else None)
    if len(contest.live) > 2 and said.sign not in _BEFORE_ALL:
        return _ask(contest, f"{_listed(contest.live)} get requests: which is new, and beside which?", canary=_named(said))
    if baseline is None:
        why = f"{said.why}: beside which of {_listed(others)} is it to be watched?"
        return _ask(contest, why, missing=("baseline",), canary=said.canary)
    if (asked := _incomparable(contest, said, baseline)) is not None:
        return asked
    pair = (said.canary, baseline)
    opinions = [one for one in _opinions(contest, pair) if one.sign is not said.sign]
    against = [one for one in opinions if one.canary is baseline and _may_gainsay(one, said, before)]
    if any(_is_decisive(one, said) for one in against):
        return _ask(contest, f"{said.why}, but {against[0].why}: which of {_listed(contest.live)} is new?")
    agreeing = tuple(one.sign for one in opinions if one.canary is said.canary)
    doubt = "".join(f", though {one.why}" for one in against)
    confidence = Confidence.MEDIUM if against else said.confidence
    return _found(contest, said, baseline, agreeing=agreeing, why=said.why + doubt, confidence=confidence)


def _opinions(contest: Contest, pair: tuple[Candidate, Candidate]) -> list[Saying]:
    """What the weaker signs say of two."""
    by_use = (signs.by_mirror(contest), signs.by_pin(contest))
    found = (*by_use, signs.by_words(pair), signs.by_versions(pair), signs.by_age(pair), signs.by_share(pair))
    return [one for one in found if one is not None]


def _may_gainsay(one: Saying, said: Saying, before: Uses | None) -> bool:
    """Whether a weaker sign casts doubt: names on all but an announcement, the share on names where nothing is known of before."""
    match one.sign:
        case Sign.WORDS | Sign.VERSIONS:
            return said.sign not in {Sign.ANNOTATION, Sign.ANNOUNCED}
        case Sign.SHARE:
            return said.sign is Sign.VERSIONS and before is None
        case _:
            return False


def _is_decisive(one: Saying, said: Saying) -> bool:
    """Whether the doubt is a question. A canary of an older version is one, as long as it does not take over at once."""
    is_downgrade = said.sign is Sign.BEFORE and one.sign is Sign.VERSIONS
    return not is_downgrade or said.canary.use.percent > MOST_PERCENT


def _incomparable(contest: Contest, said: Saying, baseline: Candidate) -> Ask | None:
    """Arms of which one holds the pods of the other cannot be told apart by whoever counts."""
    canary, names = said.canary, f"{said.canary.destination.short} and {baseline.destination.short}"
    match _holding(canary, baseline):
        case "same":
            why = f"{names} are chosen by the same labels: by which do they differ?"
            return _ask(contest, why, missing=("canary", "baseline"))
        case "nested":
            why = f"of {names} one holds all pods of the other: which part of it is the baseline?"
            return _ask(contest, why, missing=("baseline.subset",), canary=canary)
        case "apart":
            return None


def _holding(one: Candidate, other: Candidate) -> Literal["same", "nested", "apart"]:
    """How the pods of two lie to each other, by what chooses them; where that is not known they count as apart."""
    first, second = one.destination, other.destination
    if first.namespace != second.namespace:
        return "apart"
    if one.behind.chosen is None or other.behind.chosen is None:
        return "nested" if first.host == second.host and not (first.subset and second.subset) else "apart"
    mine, others = set(one.behind.chosen.items()), set(other.behind.chosen.items())
    if mine == others:
        return "same"
    return "nested" if mine < others or others < mine else "apart"


def _found(
    contest: Contest,
    said: Saying,
    baseline: Candidate,
    *,
    agreeing: Sequence[Sign],
    why: str,
    confidence: Confidence | None = None,
) -> FoundArms:
    # Whoever could not be read might have said otherwise, and the owner's word is the only one that goes before all others.
    unread = contest.unread if said.sign is not Sign.OWNER else ()
    return FoundArms(
        baseline=arm(baseline),
        canary=arm(said.canary),
        confidence=Confidence.MEDIUM if unread else confidence or said.confidence,
        by=(said.sign, *agreeing),
        why="; ".join((why, *unread)),
        strategy=_strategy(said.canary),
        owner=contest.owned[0].owner if contest.owned else None,
    )


def _strategy(canary: Candidate) -> Strategy:
    if canary.use.percent > 0 or not canary.is_live:
        return "canary"
    return "header" if canary.use.is_pinned else "mirror"


def _named(said: Saying) -> Candidate | None:
    """The canary that copies or pins name among several; names of more than two say nothing."""
    return said.canary if said.sign in {Sign.MIRROR, Sign.PIN} else None


def _ask(contest: Contest, why: str, *, missing: tuple[Missing, ...] = ("canary",), canary: Candidate | None = None) -> Ask:
    asked = missing if canary is None or missing != ("canary",) else ("baseline",)
    there = tuple(arm(one) for one in contest.candidates)
    return Ask(candidates=there, missing=asked, why=why, canary=arm(canary) if canary is not None else None)


def _which(contest: Contest) -> str:
    return f"which of {_listed(contest.live)} is the new one?"


def _listed(candidates: Sequence[Candidate]) -> str:
    return " and ".join(map(str, candidates))
