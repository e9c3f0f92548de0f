"""Taking the traffic back in one cluster: look where it would go, tell the owners, patch, see that it left.

This is the one path where time is harm, so it knows only the router, the owners and a clock: no store, no bus, no metrics. What
happened is returned, and told to the world afterwards. Of many that begin at once those that were decided first go first
(``daemon.engine.turns``). Before the patch stands a single question with a time limit: who would serve? An unknown answer never
holds the patch up; only a sure "nobody", or "the same pods", does. Where somebody owns the routes it is told first
(``daemon.engine.handover``). That it stays so is ``daemon.engine.guarding``'s. ``located`` is everywhere what the release's
placement said of its arms.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from config.settings import Limits
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.engine.gitsources import Sources, must_change, sources
from daemon.engine.handover import Claims, HandedOver, Try, claimed, hand_over, reaction_seconds
from daemon.engine.patching import BACKOFF_CAP_SECONDS, Patched, Tries, asked_for
from daemon.engine.turns import Turns
from daemon.errors import Blocked, Forbidden, VerdictdError
from daemon.model import Action, Release, TimedStep
from daemon.placement import Applier, PatchReceipt
from daemon.ports.routing import GitTools, Owner, TrafficRouter, says_ready

log = logging.getLogger(__name__)

BASELINE_CHECKED: Final = "baseline_checked"
PATCH_SENT: Final = "patch_sent"
PATCH_ACKNOWLEDGED: Final = "patch_acknowledged"
NOTHING_TO_TAKE_BACK: Final = "nothing_to_take_back"
TRAFFIC_LEFT: Final = "confirmed"

Hindered = Callable[[], Awaitable[str | None]]
"""Says why something is not to be done any more; null: it is to be done."""

_LOOK_FIRST_SECONDS: Final = 0.005
LOOK_CAP_SECONDS: Final = 0.5
_GOOD_FOR_SECONDS: Final = 1.0
"""How old the answer to who would serve may be when the turn comes; it is asked for once more then."""
_APPLIED_SECONDS: Final = 5.0
"""Within which Argo CD heals what it applies, where it is told to; Flux comes after minutes, and nobody waits for that."""


async def by_nothing() -> None:
    """Nothing stands against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertOutcome:
    """What became of one attempt to take the traffic back.

    Attributes:
        action: ``revert`` (patched, and not seen to have failed), ``blocked`` (nobody else behind the baseline), ``failed``,
            ``none`` (it was hindered).
        steps: the steps with their times.
        attempts: patches tried.
        reason: one sentence for the verdict.
        remarks: what limits it though it succeeded: names of the canary that are not touched, what could not be read.
        reacts_within_seconds: how long whoever owns the routes may take to undo it; 0: nobody is known to.
        is_forbidden: whether nothing was written, for want of rights.
    """

    action: Action
    steps: tuple[TimedStep, ...]
    attempts: int
    reason: str
    remarks: tuple[str, ...] = ()
    reacts_within_seconds: float = 0.0
    is_forbidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverting:
    """The procedure with what it needs: time, the limits, and numbers in [0, 1) for the jitter.

    ``baseline_seconds`` and ``owner_seconds`` are how long is waited for the answers that are wanted before a patch;
    ``owner_told_seconds`` how long one attempt may take to tell an owner on whom the patch depends. ``must_be_ready``: traffic goes
    back only to a baseline that is known to have somebody who is ready; what is not known holds the patch up too.
    """

    clock: Clock
    limits: Limits
    random: Callable[[], float]
    baseline_seconds: float = 1.0
    owner_seconds: float = 1.0
    owner_told_seconds: float = 5.0
    must_be_ready: bool = False

    async def run(
        self,
        router: TrafficRouter,
        release: Release,
        *,
        located: str = "",
        owners: Sequence[Owner] = (),
        git: GitTools | None = None,
        turns: Turns | None = None,
        hindered: Hindered = by_nothing,
    ) -> RevertOutcome:
        """Take all traffic back to the baseline and watch it leave the canary; meanwhile read what in Git must change.

        Never raises a ``VerdictdError``: whatever the mesh answers becomes the outcome. Cancellation passes through. ``turns`` says
        which of many that are taken back at once goes first. ``hindered`` is asked when it is this one's turn, which may be a while
        after its decision: where it gives a reason, nothing is done. What stands before the patch is asked ahead of the turn, and
        once more where that comes so late that the answer is old.
        """
        turns = turns or Turns()
        async with AsyncExitStack() as ahead:
            await ahead.enter_async_context(turns.asking())
            if (why := await hindered()) is not None:
                return _hindered(why)
            asked = await self._asked(router, release, located=located, owners=owners)
            if isinstance(asked, RevertOutcome):
                return asked
            async with turns.turn():
                await ahead.aclose()  # the next one asks
                if (why := await hindered()) is not None:
                    return _hindered(why)
                if self.clock.monotonic() - asked.answered > _GOOD_FOR_SECONDS:
                    asked = await self._asked(router, release, located=located, owners=owners)
                if isinstance(asked, RevertOutcome):
                    return asked
                taken = await self._taken_back(router, release, asked, located=located, owners=owners)
        if isinstance(taken, RevertOutcome):
            return taken
        await turns.calm()
        async with TaskGroup() as group:
            appliers = (part.applier for part in taken.receipt.parts)
            read = group.create_task(sources(git, appliers, seconds=self.owner_seconds))
            action, seen, reason = await self._confirm(router, release, taken.receipt, located=located)
        remarks = (*taken.receipt.remarks, *self._applied(taken.receipt, read.result()))
        told = "; ".join([taken.asked.serves, *taken.owned.said, str(taken.receipt), reason, *remarks])
        return RevertOutcome(
            action=action,
            steps=(*taken.steps, *seen),
            attempts=taken.attempts,
            reason=told,
            remarks=remarks,
            reacts_within_seconds=self.reaction_seconds(taken.asked.claims, taken.receipt),
        )

    async def _asked(
        self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner]
    ) -> "_Asked | RevertOutcome":
        """Look where the traffic would go; the end of it, where that is surely nowhere."""
        try:
            serves, claims = await self.ask(router, release, located=located, owners=owners)
        except Blocked as error:
            step = TimedStep(step=BASELINE_CHECKED, detail=str(error), at=self.clock.now())
            return RevertOutcome(action=Action.BLOCKED, steps=(step,), attempts=0, reason=str(error))
        step = TimedStep(step=BASELINE_CHECKED, detail=serves, at=self.clock.now())
        return _Asked(serves=serves, claims=claims, step=step, answered=self.clock.monotonic())

    async def _taken_back(
        self, router: TrafficRouter, release: Release, asked: "_Asked", *, located: str, owners: Sequence[Owner]
    ) -> "_Taken | RevertOutcome":
        """Tell the owners, patch; what came of it, where that is the end."""
        owned = await self.tell_owners(owners, release, asked.claims, attempt=self._tries.several)
        if owned.failure is not None:
            reason = f"the traffic could not be taken back: {owned.failure}"
            return RevertOutcome(action=Action.FAILED, steps=(asked.step, *owned.steps), attempts=0, reason=reason)
        patched = await self._tries.patch(router, release, located=located)
        steps = (asked.step, *owned.steps, *(receipt_steps(patched.receipt) if patched.receipt is not None else ()))
        if patched.error is not None:
            return _not_taken_back(patched, steps)
        assert patched.receipt is not None  # there would be an error
        return _Taken(asked=asked, owned=owned, receipt=patched.receipt, steps=steps, attempts=patched.attempts)

    @property
    def _tries(self) -> Tries:
        return Tries(clock=self.clock, limits=self.limits, random=self.random)

    def _applied(self, receipt: PatchReceipt, found: Sources) -> tuple[str, ...]:
        """Whose objects come back as they were when they are applied again: what must change for that not to be so."""
        for_seconds = f"until then the traffic is taken back again, for {self.limits.guard_seconds:g} s and no longer"
        by_applier: dict[Applier, list[str]] = {}
        for part in receipt.parts:
            if part.applier is not None and part.failure is None:
                by_applier.setdefault(part.applier, []).append(str(part.object))
        return tuple(f"{', '.join(them)}: {must_change(one, found)}; {for_seconds}" for one, them in by_applier.items())

    def reaction_seconds(self, claims: Claims, receipt: PatchReceipt | None = None) -> float:
        """How long to look whether these owners undo a revert: as the settings say, else as they take; 0: there are none."""
        applied = receipt is not None and any(part.applier for part in receipt.parts)
        slowest = max(reaction_seconds(claims), _APPLIED_SECONDS if applied else 0.0)
        wanted = self.limits.owner_reaction_seconds
        return slowest if wanted is None or not slowest else wanted

    async def ask(self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner]) -> tuple[str, Claims]:
        """Who would serve, and whose the routes are, side by side: a patch waits for the slower of the two.

        Raises ``Blocked``, and nothing else, when surely nobody would serve.
        """
        async with TaskGroup() as group:
            claims = group.create_task(claimed(owners, release, seconds=self.owner_seconds))
            try:
                serves: str | Blocked = await self.ask_baseline(router, release, located=located)
            except Blocked as error:
                serves = error
        if isinstance(serves, Blocked):
            raise serves
        return serves, claims.result()

    async def tell_owners(self, owners: Sequence[Owner], release: Release, claims: Claims, *, attempt: Try) -> HandedOver:
        """Owner first, then the route. Never raises a ``VerdictdError``: what failed is in the answer."""
        return await hand_over(
            owners,
            release,
            claims,
            clock=self.clock,
            seconds=self.owner_seconds,
            told_seconds=self.owner_told_seconds,
            attempt=attempt,
        )

    async def ask_baseline(self, router: TrafficRouter, release: Release, *, located: str) -> str:
        """Who would serve; see ``_baseline``. Raises ``Blocked`` also where somebody must be seen to be ready, and is not."""
        said = await self._baseline(router, release, located=located)
        if self.must_be_ready and not says_ready(said):
            raise Blocked(f"it is not known that the baseline has anybody ready ({said})")
        return said

    async def _baseline(self, router: TrafficRouter, release: Release, *, located: str) -> str:
        """Who would serve, as far as it is known in time. Raises ``Blocked``, and nothing else, when that is surely nobody.

        A defect in looking is one more reason for not knowing: it must not stand before the patch, try after try.
        """
        try:
            async with asyncio.timeout(self.baseline_seconds):
                return await router.check_baseline(release, located=located)
        except Blocked:
            raise
        except TimeoutError:
            return f"the baseline's endpoints were not known within {self.baseline_seconds:g} s"
        except VerdictdError as error:
            return f"the baseline's endpoints could not be asked for ({error})"
        except Exception as error:
            log.exception("who would serve could not be looked at, through a defect of ours")
            return f"the baseline's endpoints could not be looked at, through a defect of verdictd ({type(error).__name__})"

    async def _confirm(
        self, router: TrafficRouter, release: Release, receipt: PatchReceipt, *, located: str
    ) -> tuple[Action, list[TimedStep], str]:
        """Watch the traffic leave. What goes to the canary is taken back again: somebody may be faster than our look."""
        end = self.clock.monotonic() + self.limits.confirm_seconds
        steps: list[TimedStep] = []
        pause = _LOOK_FIRST_SECONDS
        while True:
            try:
                still = await router.canary_gets_traffic(release, located=located)
                if still is None:
                    steps.append(TimedStep(step=TRAFFIC_LEFT, at=self.clock.now(), detail="; ".join(receipt.remarks)))
                    return (
                        Action.REVERT,
                        steps,
                        f"no route {'that could be read' if receipt.unread else 'in force'} sends to the canary",
                    )
                action, reason = Action.FAILED, f"but the canary still gets traffic: {still}"
                steps += await _once_more(router, release, located=located)
            except VerdictdError as error:
                action, reason = Action.REVERT, f"but it could not be seen that the traffic left ({error})"
                pause = pause_after(error, pause)
            if (left := end - self.clock.monotonic()) <= 0:
                return action, steps, reason
            await self.clock.sleep(min(left, pause))
            pause = min(pause * 1.5, LOOK_CAP_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was heard before the patch, and when: ``answered`` is of the monotonic clock."""

    serves: str
    claims: Claims
    step: TimedStep
    answered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """The patch was acknowledged; what was heard before it."""

    asked: _Asked
    owned: HandedOver
    receipt: PatchReceipt
    steps: tuple[TimedStep, ...]
    attempts: int


async def _once_more(router: TrafficRouter, release: Release, *, located: str) -> list[TimedStep]:
    """A second patch beside the one that was acknowledged; when it fails, the next look decides."""
    try:
        receipt = await router.revert(release, located=located)
    except VerdictdError:
        return []
    return receipt_steps(receipt) if receipt.changed else []


def pause_after(error: VerdictdError, pause: float) -> float:
    """Look less often when looking fails, and as a throttling server asks."""
    return max(asked_for(error), min(pause * 2.0, BACKOFF_CAP_SECONDS))


def _hindered(why: str) -> RevertOutcome:
    return RevertOutcome(action=Action.NONE, steps=(), attempts=0, reason=why)


def _not_taken_back(patched: Patched, steps: tuple[TimedStep, ...]) -> RevertOutcome:
    """Not in all objects; what was written in the others stands."""
    blocked = isinstance(patched.error, Blocked) and patched.receipt is None
    reason = f"the traffic could not be taken back ({patched.attempts} tried): {patched.error}"
    if patched.receipt is not None:
        reason += f"; it was elsewhere: {patched.receipt}"
    return RevertOutcome(
        action=Action.BLOCKED if blocked else Action.FAILED,
        steps=steps,
        attempts=patched.attempts,
        reason=reason,
        is_forbidden=isinstance(patched.error, Forbidden) and patched.receipt is None,
    )


def receipt_steps(receipt: PatchReceipt) -> list[TimedStep]:
    """What a receipt adds to the account."""
    if not receipt.changed:
        return [TimedStep(step=NOTHING_TO_TAKE_BACK, at=receipt.acknowledged_at, detail=str(receipt))]
    return [
        TimedStep(step=PATCH_SENT, at=receipt.sent_at, detail=str(receipt)),
        TimedStep(step=PATCH_ACKNOWLEDGED, at=receipt.acknowledged_at),
    ]
