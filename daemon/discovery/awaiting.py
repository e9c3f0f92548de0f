"""What becomes at one route of an announcement that waits for its canary. Pure.

It may have come before its version runs anywhere, or before that gets any requests: then it waits. A release of these arms may be
under way already, noticed by who watches the route: then it is that one, if its canary runs what is announced. What more than time
is needed for is asked.
"""

from collections.abc import Sequence
from dataclasses import replace

from daemon.discovery import signs
from daemon.discovery.announced import Fitting, Notice, concerns, fitting
from daemon.discovery.answers import Ask, Confidence, FoundArms, arm
from daemon.discovery.arms import arms
from daemon.discovery.contests import Candidate, Contest, contests
from daemon.discovery.openings import Asks, OpenRelease, Opens, Outcome, Quiet, of_contest
from daemon.discovery.picture import Destination, Picture, Uses
from daemon.discovery.surroundings import Surroundings
from daemon.discovery.word import Word
from daemon.model import ArmSpec

Told = Opens | Asks | Quiet


def announced_at(
    notice: Notice,
    before: Uses | None,
    after: Picture,
    *,
    around: Surroundings,
    opened: Sequence[OpenRelease] = (),
    word: Word | None = None,
) -> Told | None:
    """What a route says of an announcement: its arms, a question, or why it waits; null: the route is about something else.

    Args:
        notice: what was announced.
        before: what each destination got when the route was last looked at; null: that is not known.
        after: the route as it is now.
        around: what stands behind its destinations now.
        opened: the releases of this route that are open.
        word: what somebody has written beside the route; null: nothing.
    """
    found = [
        _at(notice, contest, before, opened=opened, word=word)
        for contest in contests(after, around=around)
        if concerns(notice, contest)
    ]
    opening = [one for one in found if isinstance(one, Opens)]
    if len(opening) > 1:
        both = [one.found.canary for one in opening]
        why = f"{' and '.join(one.name for one in both)} may each be the canary that is announced: which is?"
        return Asks(ask=Ask(candidates=tuple(both), missing=("canary",), why=why))
    asking = [one for one in found if isinstance(one, Asks)]
    return next((one for one in (*opening, *asking, *found)), None)


def _at(notice: Notice, contest: Contest, before: Uses | None, *, opened: Sequence[OpenRelease], word: Word | None) -> Told:
    named = _named(notice, contest)
    if isinstance(named, Quiet):
        return named
    fit = fitting(notice, contest.candidates)
    under_way = next((one for one in opened if contest.at(one.canary) and contest.at(one.baseline)), None)
    if under_way is not None:
        return _joining(notice, contest, under_way, fit, named=named)
    if contest.owned:
        return _of_owner(notice, contest, before, fit, named=named)
    if named is None and fit.only is None and not fit.both:
        return _unfit(notice, contest, before, word=word)
    outcome = of_contest(contest, before, None if named is not None else notice, named or word)
    if not isinstance(outcome, Opens):
        return _waiting(outcome)
    return _once_live(contest, outcome)


def _named(notice: Notice, contest: Contest) -> Word | Quiet | None:
    """The arm that the announcement names; why it waits where none of these is it; null: it names none."""
    found: dict[str, Destination] = {}
    for which, spec in (("canary", notice.canary), ("baseline", notice.baseline)):
        if spec is None:
            continue
        those = [one.destination for one in contest.candidates if _is(spec, one)]
        if len(those) != 1:
            return Quiet(why=f"{'none' if not those else 'not only one'} of {_listed(contest)} is the {which} that is announced")
        found[which] = those[0]
    return Word(canary=found.get("canary"), baseline=found.get("baseline"), is_answer=True) if found else None


def _is(spec: ArmSpec, candidate: Candidate) -> bool:
    """Whether all that is said of an arm is so of a candidate."""
    there, behind = candidate.destination, candidate.behind
    said = [
        spec.subset in {None, there.subset},
        spec.service is None or spec.service.partition(".")[0] in {there.service, there.host},
        spec.version in {None, behind.version},
        spec.workload is None or spec.workload in {one.name for one in behind.workloads or ()},
        all((behind.chosen or {}).get(key) == value for key, value in spec.labels.items()),
    ]
    return all(said)


def _joining(notice: Notice, contest: Contest, release: OpenRelease, fit: Fitting, *, named: Word | None) -> Told:
    """Of a release that is under way, if it may be the one that is announced."""
    canary = contest.at(release.canary)
    assert canary is not None  # it was looked for
    if not _may_run(notice, canary, fit, named=named):
        return Quiet(why=f"{release.canary.short} is being watched, and is not known to run {notice.named}")
    written = Word(canary=release.canary, baseline=release.baseline, is_answer=True)
    answer = arms(contest, word=written)
    if not isinstance(answer, FoundArms):
        return Quiet(why=answer.why)
    if named is None and fit.only is not canary:  # who watches the route has had his reasons, which are not known here
        answer = replace(answer, confidence=Confidence.MEDIUM)
    return Opens(found=answer, attempt=release.attempt)


def _of_owner(notice: Notice, contest: Contest, before: Uses | None, fit: Fitting, *, named: Word | None) -> Told:
    """A controller has made the arms: whether its canary is what is announced."""
    outcome = of_contest(contest, before, notice, None)
    if not isinstance(outcome, Opens):
        return _waiting(outcome)
    there = outcome.found.canary.destination
    canary = contest.at(there) if there is not None else None
    if canary is None or not _may_run(notice, canary, fit, named=named):
        return Quiet(why=f"{outcome.found.canary.name} is the canary of {contest.owned[0]}, and is not known to run {notice.named}")
    return _once_live(contest, outcome)


def _may_run(notice: Notice, canary: Candidate, fit: Fitting, *, named: Word | None) -> bool:
    """Whether a canary that something else has told is the one that is announced, by what it runs or by its name."""
    if named is not None:
        return named.canary in {None, canary.destination} and named.baseline != canary.destination
    if fit.only is not None:
        return fit.only is canary
    return canary in fit.both or canary in fit.unknown or notice.is_commit_only


def _unfit(notice: Notice, contest: Contest, before: Uses | None, *, word: Word | None) -> Told:
    """Nobody runs what is announced, as far as that is known. A commit may stand nowhere: then the change tells.

    So it does where only the service was said, and what it does not tell is asked.
    """
    if notice.is_whatever:
        outcome = of_contest(contest, before, None, word)
        if isinstance(outcome, Quiet):  # nothing has begun: what stands there may be meant
            outcome = of_contest(contest, None, None, word)
        return _once_live(contest, outcome) if isinstance(outcome, Opens) else _waiting(outcome)
    changed = signs.by_before(contest, before) if before is not None and notice.is_commit_only else None
    if changed is None:
        return Quiet(why=f"none of {_listed(contest)} is known to run {notice.named}")
    outcome = of_contest(contest, before, None, None)
    return _once_live(contest, outcome) if isinstance(outcome, Opens) else Quiet(why=changed.why)


def _waiting(outcome: Outcome) -> Asks | Quiet:
    return outcome if isinstance(outcome, Asks | Quiet) else Quiet(why="it is not known what it means")


def _once_live(contest: Contest, opens: Opens) -> Told:
    there = opens.found.canary.destination
    canary = contest.at(there) if there is not None else None
    if canary is None or not canary.is_live:
        return Quiet(why=f"{opens.found.canary.name} runs what is announced, and gets nothing yet")
    served = [one for one in contest.candidates if one.destination == opens.found.baseline.destination and one.is_live]
    if not served:
        return Quiet(why=f"{opens.found.canary.name} gets all of it, and {opens.found.baseline.name} nothing to be compared with")
    return replace(opens, found=replace(opens.found, canary=arm(canary)))


def _listed(contest: Contest) -> str:
    return " and ".join(map(str, contest.candidates))
