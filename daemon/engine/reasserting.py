"""One guard of one revert: look whether somebody undoes it, take the traffic back each time, and keep count of it.

Owners that have given the canary up are looked at too: one that has taken it up again, as a controller may whose own write crossed
ours, is told again before it gives the canary any traffic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from daemon.engine.handover import OWNER_TOLD, Claims, claimed, once
from daemon.engine.reverting import LOOK_CAP_SECONDS, Reverting, pause_after
from daemon.errors import VerdictdError
from daemon.model import Release, TimedStep
from daemon.placement import PatchReceipt
from daemon.ports.routing import Claim, Owner, TrafficRouter

PUT_BACK: Final = "put_back"
GUARD_ENDED: Final = "guard_ended"

_FIRST_SECONDS: Final = 0.2
STEPS_KEPT: Final = 10

Undone = Callable[[TimedStep], None]
"""Told at once of each time that somebody undid the revert: which route, and who wrote it, as far as that is known."""


@dataclass(slots=True, kw_only=True)
class Guard:
    """The loop, and what it has found so far.

    Attributes:
        reverting: the procedure that is repeated.
        router, release, located, owners: what it is about.
        undone: told of each find.
        steps: what happened; of the single times only the first few are kept.
        times: how often the revert was undone, and done again.
    """

    reverting: Reverting
    router: TrafficRouter
    release: Release
    located: str
    owners: Sequence[Owner]
    undone: Undone
    steps: list[TimedStep] = field(default_factory=list)
    times: int = 0
    _failed: int = 0
    _failure: str = ""
    _last: str = ""
    _claimants: set[str] = field(default_factory=set)
    _gave_up: set[str] = field(default_factory=set)

    async def stand(self, *, seconds: float, until: Callable[[], bool]) -> None:
        """Look for so long, or until that holds before a look: often at first and after a find, more rarely while it is quiet."""
        clock = self.reverting.clock
        end, pause = clock.monotonic() + seconds, _FIRST_SECONDS
        while (left := end - clock.monotonic()) > 0:
            await clock.sleep(min(left, pause * (0.5 + self.reverting.random())))
            if until():
                break
            try:
                found = await self._look()
            except VerdictdError as error:
                self._failed, self._failure = self._failed + 1, f", the last one: {error}"
                pause = pause_after(error, pause)
                continue
            pause = min(pause * 1.5, LOOK_CAP_SECONDS) if found is None else _FIRST_SECONDS
            if found is not None:
                self._note(found)

    def end(self) -> TimedStep:
        """The last word: what was put back, by whom and when it was found last, and what of the guard itself failed."""
        detail = f"put back {self.times} times and taken back each time{self._last}; {self._failed} looks failed{self._failure}"
        return TimedStep(step=GUARD_ENDED, at=self.reverting.clock.now(), detail=detail)

    def heard(self, claims: Claims) -> dict[str, Claim]:
        """Remember whose the routes are, and who of them has given the canary up; gives those who have it again."""
        words = {name: claim for name, claim in claims.items() if isinstance(claim, Claim)}
        again = {name: claim for name, claim in words.items() if claim.state == "active" and name in self._gave_up}
        self._claimants |= set(words)
        self._gave_up |= {name for name, claim in words.items() if claim.state == "aborted"}
        return again

    async def _look(self) -> str | None:
        """Which route gave the canary traffic again, if any did; it is taken back already."""
        found = await self.router.canary_gets_traffic(self.release, located=self.located)
        if found is None:
            await self._look_at_owners()
            return None
        told, receipt = await once_more(
            self.reverting, self.router, self.release, located=self.located, owners=self.owners, steps=self.steps
        )
        # An owner that was told may have taken it back by itself.
        return found if told or receipt.changed else None

    async def _look_at_owners(self) -> None:
        """Tell those again that have given the canary up and have it again. Raises why one of them cannot be told."""
        known = [owner for owner in self.owners if owner.name in self._claimants]
        again = self.heard(await claimed(known, self.release, seconds=self.reverting.owner_seconds)) if known else {}
        if again:
            await _tell(self.reverting, known, self.release, again, steps=self.steps)

    def _note(self, found: str) -> None:
        now = self.reverting.clock.now()
        step = TimedStep(step=PUT_BACK, at=now, detail=found)
        self.times += 1
        self._last = f", the last time at {datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}: {found}"
        if self.times <= STEPS_KEPT:
            self.steps.append(step)
        self.undone(step)


async def once_more(
    reverting: Reverting,
    router: TrafficRouter,
    release: Release,
    *,
    located: str,
    owners: Sequence[Owner],
    steps: list[TimedStep],
) -> tuple[bool, PatchReceipt]:
    """One more try, and whether an owner had to be told. Raises ``Blocked``, and why an owner that undoes it cannot be told."""
    _, claims = await reverting.ask(router, release, located=located, owners=owners)
    told = await _tell(reverting, owners, release, claims, steps=steps)
    return told, await router.revert(release, located=located)


async def _tell(reverting: Reverting, owners: Sequence[Owner], release: Release, claims: Claims, *, steps: list[TimedStep]) -> bool:
    owned = await reverting.tell_owners(owners, release, claims, attempt=once)
    if owned.failure is not None:
        raise owned.failure
    steps += owned.steps[: max(0, STEPS_KEPT - len(steps))]
    return any(step.step == OWNER_TOLD for step in owned.steps)
