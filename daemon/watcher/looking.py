"""A look at one route: what is to be announced, what must be asked, and what is to be kept of it. Pure.

What was before stays what it was until all that is announced is safe, so that a look can be repeated: it finds the same releases
under the same ids. Our own writes announce nothing: a canary that we have taken back ends its release, and one that is restored is
that release again. One that somebody else gives back at once is the revert undone, which whoever guards the revert sees to first.
"""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

import msgspec

from daemon.discovery.answers import Ask, FoundArms
from daemon.discovery.awaiting import announced_at
from daemon.discovery.openings import Asks, Ends, GoesOn, OpenRelease, Opens, Outcome, Quiet, outcomes
from daemon.discovery.picture import Destination, uses
from daemon.discovery.word import Word
from daemon.errors import InvalidInput, VerdictdError
from daemon.model import Release
from daemon.ports.awaiting import Awaited
from daemon.watcher import announcing, questioning
from daemon.watcher.annotations import WATCH
from daemon.watcher.announcing import Terms
from daemon.watcher.endings import OF_OWNERS, Ending
from daemon.watcher.kept import KeptRelease, KeptRoute, used
from daemon.watcher.meeting import StillWaits, as_announced, is_about, notice_of
from daemon.watcher.reading import Around
from daemon.watcher.seen import Manner, Seen, wishes_of
from daemon.watcher.steps import Opening, Question, Step

UNSAID_POLICY: Final = "default"
_MOST_REVERTED: Final = 8


def look(
    kept: KeptRoute | None,
    seen: Seen,
    around: Around,
    *,
    manner: Manner,
    known: Callable[[OpenRelease], str | None],
    now: float,
    waiting: Sequence[Awaited] = (),
) -> Step:
    """What a route that is so now means, against what was kept of it.

    Args:
        kept: null: nothing, so that it is not known what was before.
        seen: the route.
        around: what stands around it.
        manner: how its mesh is watched.
        known: the id of a release of these arms that another route has opened; null: there is none.
        now: seconds since 1970.
        waiting: announcements that wait for their canaries.
    """
    return _Look(kept, seen, around, manner=manner, known=known, now=now).step(waiting)


class _Look:
    """One look, with what it has found so far."""

    def __init__(
        self,
        kept: KeptRoute | None,
        seen: Seen,
        around: Around,
        *,
        manner: Manner,
        known: Callable[[OpenRelease], str | None],
        now: float,
    ) -> None:
        self.kept = kept
        self.was = kept or KeptRoute(key=seen.key)
        self.seen = seen
        self.around = around.surroundings
        self.manner = manner
        self.known = known
        self.now = now
        self.uses = uses(seen.picture)
        self.wishes = wishes_of(seen, around, self.uses)
        self.opened: list[KeptRelease] = []
        self.reverted = list(self.was.reverted)
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.openings: list[Opening] = []
        self.questions: list[Question] = []
        self.endings: list[Ending] = []
        self.again: float | None = None
        self.why: list[str] = []
        self.waits: list[StillWaits] = []
        self.met: list[OpenRelease] = []

    def step(self, waiting: Sequence[Awaited]) -> Step:
        """The whole of it: what was announced goes before what is noticed."""
        for one in waiting:
            self._meet(one)
        before = self.uses if self.seen.is_ours else None if self.kept is None else self.kept.before
        opened = [one.arms for one in self.was.opened]
        for outcome in outcomes(before, self.seen.picture, around=self.around, opened=opened, word=self._word()):
            if not self._is_met(outcome):
                self._take(outcome)
        self._tell_faults()
        self._restored()
        if self.kept is not None and not self.asked and not self.openings and self.kept.before == self.uses:
            self.asked = list(self.kept.asked)
        return Step(
            after=self._after(),
            openings=tuple(self.openings),
            questions=tuple(self.questions),
            endings=tuple(self.endings),
            again_in_seconds=self.again,
            why=tuple(self.why),
            waits=tuple(self.waits),
        )

    def _meet(self, awaited: Awaited) -> None:
        """An announcement that waits: its release is under way, opens now, or waits on."""
        outline, opened = awaited.outline, [one.arms for one in (*self.was.opened, *self.opened)]
        if not is_about(outline, mesh=self.manner.mesh, route=self.seen.key.name):
            return
        before = None if self.kept is None else self.kept.before
        met = announced_at(notice_of(outline), before, self.seen.picture, around=self.around, opened=opened, word=self._word())
        match met:
            case None:
                return
            case _ if self.wishes.watch == "off":
                self._waits_on(awaited, f"it is not to be watched ({WATCH}: off)")
            case Opens():
                self._meets(awaited, met)
            case Asks(ask=ask):
                self._waits_on(awaited, ask.why, ask=ask)
            case Quiet(why=why):
                self._waits_on(awaited, why)
            case _:
                assert_never(met)

    def _meets(self, awaited: Awaited, opens: Opens) -> None:
        outline, wishes = awaited.outline, self.wishes
        policy = outline.policy or wishes.policy or UNSAID_POLICY
        terms = Terms(mesh=self.manner.mesh, policy=policy, observe=outline.observe or wishes.watch == "observe")
        try:
            arms = announcing.arms_of(opens.found, attempt=opens.attempt)
            runs = announcing.runs(opens.found, self.around)
            if (left := self._guarded(arms, runs)) > 0:
                self._waits_on(awaited, f"{arms.canary.short} was taken back, and whoever undoes that is answered first")
                self.again = max(left, self.again or 0.0)
                return
            found = announcing.release_of(opens.found, picture=self.seen.picture, around=self.around, terms=terms)
        except VerdictdError as error:
            self._waits_on(awaited, str(error))
            return
        self._announce(awaited, arms, runs, release=as_announced(found, outline), found=opens.found)

    def _announce(self, awaited: Awaited, arms: OpenRelease, runs: str, *, release: Release, found: FoundArms) -> None:
        joins = any(one.arms == arms for one in (*self.was.opened, *self.opened))
        kept = KeptRelease(arms=arms, release_id=awaited.release_id, runs=runs)
        self.openings.append(
            Opening(release=release, kept=kept, why=found.why, mark=awaited.release_id, awaited=awaited, joins=joins)
        )
        if not joins:
            self.opened.append(kept)
            self.met.append(arms)
            self.reverted = [one for one in self.reverted if one.arms.canary != arms.canary]

    def _waits_on(self, awaited: Awaited, why: str, *, ask: Ask | None = None) -> None:
        self.waits.append(StillWaits(release_id=awaited.release_id, why=why, ask=ask))

    def _is_met(self, outcome: Outcome) -> bool:
        """Whether what is noticed, or would be asked, has been announced."""
        match outcome:
            case Opens(found=found):
                there = {found.baseline.destination, found.canary.destination}
            case Asks(ask=ask):
                there = {one.destination for one in ask.candidates}
            case _:
                return False
        return any({arms.baseline, arms.canary} <= there for arms in self.met)

    def _word(self) -> Word | None:
        if self.wishes.canary is None and self.wishes.baseline is None:
            return None
        return Word(canary=self.wishes.canary, baseline=self.wishes.baseline, is_answer=bool(self.was.asked or self.was.refused))

    def _take(self, outcome: Outcome) -> None:
        match outcome:
            case Opens():
                self._opens(outcome)
            case GoesOn(release=release):
                self.opened += [one for one in self.was.opened if one.arms == release]
            case Ends(release=release, how=how, by=by):
                self.why.append(f"the release of {release.canary} beside {release.baseline} has ended: {how}")
                ended = [one for one in self.was.opened if one.arms == release]
                if by is not None and how in OF_OWNERS:
                    self.endings += [Ending(release_id=one.release_id, by=f"{by.kind} {by}", why=OF_OWNERS[how]) for one in ended]
                if self.seen.is_ours and how in {"taken back", "gone"}:
                    self.reverted += [msgspec.structs.replace(one, reverted_at=self.now) for one in ended]
            case Asks(ask=ask):
                self._asks(ask)
            case Quiet(why=why):
                self.why.append(why)
            case _:
                assert_never(outcome)

    def _opens(self, opens: Opens) -> None:
        if self._is_silent() or self.wishes.faults:
            return
        try:
            arms = announcing.arms_of(opens.found, attempt=opens.attempt)
            runs = announcing.runs(opens.found, self.around)
            if (left := self._guarded(arms, runs)) > 0:
                self.why.append(f"{arms.canary} was taken back, and whoever undoes that is answered first")
                self.again = max(left, self.again or 0.0)
                return
            terms = self._terms()
            release = announcing.release_of(opens.found, picture=self.seen.picture, around=self.around, terms=terms)
        except InvalidInput as error:
            self._refuse(error)
            return
        except VerdictdError as error:
            self.why.append(str(error))
            return
        mark = questioning.mark_of(msgspec.to_builtins(release))
        if mark in self.was.refused:
            self.refused.append(mark)
            return
        since = "" if self.kept is None else self.kept.version
        release_id = self.known(arms) or announcing.release_id(
            release.service, key=self.seen.key, uid=self.seen.uid, since=since, arms=arms
        )
        kept = KeptRelease(arms=arms, release_id=release_id, runs=runs)
        self.openings.append(Opening(release=release, kept=kept, why=opens.found.why, mark=mark))
        self.opened.append(kept)
        self.reverted = [one for one in self.reverted if one.arms.canary != arms.canary]

    def _asks(self, ask: Ask) -> None:
        if self._is_silent():
            return
        mark = questioning.mark_of([sorted(one.name for one in ask.candidates), ask.missing])
        self.asked.append(mark)
        if mark not in self.was.asked:
            self.questions.append(questioning.asked(self.seen, ask, mark=mark))

    def _refuse(self, error: InvalidInput) -> None:
        mark = questioning.mark_of(str(error))
        self.refused.append(mark)
        if mark not in self.was.refused:
            self.questions.append(questioning.mended(self.seen, error, mark=mark))

    def _tell_faults(self) -> None:
        if self.wishes.faults:
            self._refuse(InvalidInput.of(self.wishes.faults))

    def _restored(self) -> None:
        """What we have taken back, and have given its traffic again, is the release that it was."""
        if not self.seen.is_ours:
            return
        back = [one for one in self.reverted if self._is_live(one.arms.canary) and self._is_live(one.arms.baseline)]
        self.opened += [msgspec.structs.replace(one, reverted_at=None) for one in back]
        self.reverted = [one for one in self.reverted if one not in back]

    def _is_silent(self) -> bool:
        """Whether nobody is to hear of it."""
        return self.seen.is_ours or self.wishes.watch == "off"

    def _is_live(self, destination: Destination) -> bool:
        return destination in self.uses and self.uses[destination].is_live

    def _guarded(self, arms: OpenRelease, runs: str) -> float:
        """For how many seconds a revert of this canary is still guarded; another content under its name is another canary."""
        ends = [
            (one.reverted_at or 0.0) + self.manner.guard_seconds - self.now
            for one in self.reverted
            if one.arms.canary == arms.canary and one.arms.attempt == arms.attempt and one.runs == runs
        ]
        return max(ends, default=0.0)

    def _terms(self) -> Terms:
        mode = self.wishes.watch or self.manner.mode
        return Terms(mesh=self.manner.mesh, policy=self.wishes.policy or UNSAID_POLICY, observe=mode != "enforce")

    def _after(self) -> KeptRoute | None:
        if not self.seen.uid:
            return None
        moved = KeptRoute(
            key=self.seen.key,
            uid=self.seen.uid,
            version=self.seen.version,
            uses=used(self.uses),
            opened=tuple(self.opened),
            reverted=tuple(self.reverted[-_MOST_REVERTED:]),
            asked=tuple(dict.fromkeys(self.asked)),
            refused=tuple(dict.fromkeys(self.refused)),
        )
        if not self.refused and self.again is None:
            return moved
        if self.kept is None:
            return None if self.again is not None else moved
        return msgspec.structs.replace(moved, version=self.kept.version, uses=self.kept.uses)
