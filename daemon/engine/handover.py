"""Owner first, then the route: whoever writes a release's routes by itself is told to give the canary up before they are patched.

An owner that cannot be asked in time is as good as none: an unknown answer never holds a patch up. One that says the routes are
its own and cannot be told decides what follows: where it surely leaves alone what others write, the routes are patched all the
same; else they are not. It would undo the patch within a moment, or take it for the beginning of another attempt, so that all
which helps is to tell it again. Telling has its bounds: each attempt one, and where the patch does not depend on it all of them
together no more time than a claim has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.errors import Defect, Refused, TimedOut, VerdictdError
from daemon.model import Release, TimedStep
from daemon.packages import defects_of
from daemon.ports.routing import Claim, Owner

log = logging.getLogger(__name__)

OWNER_TOLD: Final = "owner_told"
OWNER_NOT_TOLD: Final = "owner_not_told"

Claims = Mapping[str, Claim | str]
"""By the owner's name, its word, or why that is not known."""

Try = Callable[[Callable[[], Awaitable[str]]], Awaitable[str | VerdictdError]]
"""Calls once or several times, and gives the answer or the last error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What the owners did before a patch. ``failure``: the routes must not be patched, and why."""

    steps: tuple[TimedStep, ...] = ()
    said: tuple[str, ...] = ()
    failure: VerdictdError | None = None


def reaction_seconds(claims: Claims) -> float:
    """How long the slowest of these owners may take to undo a revert, or to end as what it was told to be; 0: there is none."""
    return max((claim.reacts_within_seconds for claim in claims.values() if isinstance(claim, Claim)), default=0.0)


async def claimed(owners: Sequence[Owner], release: Release, *, seconds: float) -> Claims:
    """By the owner's name, what it says of the release's routes, or why that is not known; who claims nothing is left out."""
    async with TaskGroup() as group:
        tasks = {owner.name: group.create_task(_claim(owner, release, seconds=seconds)) for owner in owners}
    return {name: claim for name, task in tasks.items() if (claim := task.result()) is not None}


async def hand_over(
    owners: Sequence[Owner], release: Release, claims: Claims, *, clock: Clock, seconds: float, told_seconds: float, attempt: Try
) -> HandedOver:
    """Tell all that claim the routes to give the canary up, each on its own.

    Args:
        owners, release, claims: who was asked, about what, and what they said.
        clock: dates the steps.
        seconds: how long is waited for an owner that surely undoes nothing to be told.
        told_seconds: how long one attempt to tell may take.
        attempt: how often it is tried.
    """
    async with TaskGroup() as group:
        tasks = [
            group.create_task(
                _tell(owner, release, claims[owner.name], clock=clock, seconds=seconds, told_seconds=told_seconds, attempt=attempt)
            )
            for owner in owners
            if owner.name in claims
        ]
    told = [task.result() for task in tasks]
    return HandedOver(
        steps=tuple(step for one in told for step in one.steps),
        said=tuple(words for one in told for words in one.said),
        failure=next((one.failure for one in told if one.failure is not None), None),
    )


async def once(call: Callable[[], Awaitable[str]]) -> str | VerdictdError:
    """A ``Try`` of one."""
    try:
        return await call()
    except VerdictdError as error:
        return error


async def _claim(owner: Owner, release: Release, *, seconds: float) -> Claim | str | None:
    try:
        async with asyncio.timeout(seconds):
            with defects_of(f"owner {owner.name}"):
                return await owner.claims(release)
    except TimeoutError:
        return f"whether {owner.name} owns the routes was not known within {seconds:g} s"
    except VerdictdError as error:
        _log(error, owner, "an owner could not be asked, through a defect of its adapter")
        return f"whether {owner.name} owns the routes could not be asked ({error})"


async def _tell(
    owner: Owner, release: Release, claim: Claim | str, *, clock: Clock, seconds: float, told_seconds: float, attempt: Try
) -> HandedOver:
    if isinstance(claim, str):
        return HandedOver(said=(claim,))
    who = f"{owner.name} ({claim.object})"
    if claim.state == "aborted":
        return HandedOver(said=(f"{who} has given the canary up already",))
    try:
        async with asyncio.timeout(None if claim.puts_back else seconds):
            answer = await attempt(lambda: _aborted(owner, release, claim, seconds=told_seconds))
    except TimeoutError:
        answer = TimedOut(f"{owner.name} was not told within {seconds:g} s")
    if isinstance(answer, str):
        step = TimedStep(step=OWNER_TOLD, at=clock.now(), detail=f"{who}: {answer}")
        return HandedOver(steps=(step,), said=(f"{who} was told to give the canary up",))
    said = f"{who} could not be told to give the canary up ({answer})"
    steps = (TimedStep(step=OWNER_NOT_TOLD, at=clock.now(), detail=said),)
    if not claim.puts_back:
        return HandedOver(steps=steps, said=(said,))
    return HandedOver(steps=steps, failure=Refused(f"{said}; the routes are its own, and it would undo what is written there"))


async def _aborted(owner: Owner, release: Release, claim: Claim, *, seconds: float) -> str:
    """Raises a ``VerdictdError`` also for a defect of the adapter, which must not end a revert."""
    try:
        async with asyncio.timeout(seconds):
            with defects_of(f"owner {owner.name}"):
                return await owner.abort(release, claim)
    except VerdictdError as error:
        _log(error, owner, "an owner could not be told, through a defect of its adapter")
        raise
    except TimeoutError as error:
        raise TimedOut(f"{owner.name} did not answer within {seconds:g} s") from error


def _log(error: VerdictdError, owner: Owner, message: str) -> None:
    if isinstance(error, Defect):
        log.error(message, extra={"owner": owner.name}, exc_info=error.__cause__)
