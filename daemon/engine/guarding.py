"""That a revert stays so: one that failed is gone on with, and one that somebody undoes is done again.

Both are loops with an end of their own (``limits.insist_seconds``, ``limits.guard_seconds``), since what takes the traffic days
later may be another version, of which the evidence says nothing. Each further try asks anew who would serve and who owns the
routes, as the first one did (``daemon.engine.reverting``): both may have changed since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from config.settings import Limits
from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.engine.handover import once
from daemon.engine.patching import asked_for, first_to_retry
from daemon.engine.reverting import LOOK_CAP_SECONDS, NOTHING_TO_TAKE_BACK, Reverting, pause_after, receipt_steps
from daemon.errors import NotFound, VerdictdError
from daemon.model import Release, TimedStep
from daemon.placement import PatchReceipt
from daemon.ports.routing import Owner, TrafficRouter

GIVEN_UP: Final = "given_up"
PUT_BACK: Final = "put_back"
GUARD_ENDED: Final = "guard_ended"

_GUARD_FIRST_SECONDS: Final = 0.2
_STEPS_KEPT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """The loops, over the procedure that they repeat."""

    reverting: Reverting

    async def keep_retrying(
        self, router: TrafficRouter, release: Release, *, located: str = "", owners: Sequence[Owner] = ()
    ) -> tuple[TimedStep, ...]:
        """Go on, for ``limits.insist_seconds``, with a revert that ``run`` had to give up: a bad canary is still serving.

        Ends when a patch of all that is left is acknowledged, or when there is no route any more; the caller cancels it when a
        newer release comes. Before each try it looks again who would serve: the baseline may have gone, or come back, since. Not
        without end: what takes the traffic days later may be another version, of which the evidence says nothing.
        Never raises a ``VerdictdError``.
        """
        end = self._clock.monotonic() + self._limits.insist_seconds
        steps: list[TimedStep] = []
        for pause in pauses():
            try:
                receipt = await self._again(router, release, located=located, owners=owners, steps=steps)
                if not receipt.failed:
                    return (*steps, *receipt_steps(receipt))
                steps += receipt_steps(receipt)
                raise first_to_retry(receipt.failed)
            except NotFound as error:
                return (*steps, TimedStep(step=NOTHING_TO_TAKE_BACK, at=self._clock.now(), detail=str(error)))
            except VerdictdError as error:
                if (left := end - self._clock.monotonic()) <= 0:
                    return (*steps, TimedStep(step=GIVEN_UP, at=self._clock.now(), detail=str(error)))
                await self._clock.sleep(min(left, max(pause, asked_for(error))))
        raise AssertionError("pauses never end")

    async def reassert(
        self,
        router: TrafficRouter,
        release: Release,
        *,
        located: str = "",
        owners: Sequence[Owner] = (),
        until: Callable[[], bool] = lambda: False,
    ) -> tuple[TimedStep, ...]:
        """For ``limits.guard_seconds`` look whether somebody gives the canary traffic again, and take it back each time.

        Ends sooner, before the next look, when ``until`` says so. Never raises a ``VerdictdError``. Looks often at first and
        after every find, more rarely while nothing happens. What has nowhere to go any more is left where it is. The last step
        says how often it happened and what failed last; of the single times only the first few are kept.
        """
        end = self._clock.monotonic() + self._limits.guard_seconds
        steps: list[TimedStep] = []
        pause, times, failed, last = _GUARD_FIRST_SECONDS, 0, 0, ""
        while (left := end - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, pause * (0.5 + self.reverting.random())))
            if until():
                break
            try:
                found = await self._reasserted(router, release, located=located, owners=owners, steps=steps)
            except VerdictdError as error:
                failed, last = failed + 1, f", the last one: {error}"
                pause = pause_after(error, pause)
                continue
            if found is None:
                pause = min(pause * 1.5, LOOK_CAP_SECONDS)
                continue
            times += 1
            pause = _GUARD_FIRST_SECONDS
            if times <= _STEPS_KEPT:
                steps.append(TimedStep(step=PUT_BACK, at=self._clock.now(), detail=found))
        detail = f"put back {times} times and taken back each time; {failed} looks failed{last}"
        return (*steps, TimedStep(step=GUARD_ENDED, at=self._clock.now(), detail=detail))

    async def _reasserted(
        self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner], steps: list[TimedStep]
    ) -> str | None:
        """Which route gave the canary traffic again, if any did; it is taken back already."""
        found = await router.canary_gets_traffic(release, located=located)
        if found is None:
            return None
        return found if (await self._again(router, release, located=located, owners=owners, steps=steps)).changed else None

    async def _again(
        self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner], steps: list[TimedStep]
    ) -> PatchReceipt:
        """One more try. Raises ``Blocked`` where nobody would serve, and why an owner that undoes patches cannot be told."""
        await self.reverting.ask_baseline(router, release, located=located)
        owned = await self.reverting.tell_owners(owners, release, attempt=once)
        if owned.failure is not None:
            raise owned.failure
        steps += owned.steps[: max(0, _STEPS_KEPT - len(steps))]
        return await router.revert(release, located=located)

    @property
    def _clock(self) -> Clock:
        return self.reverting.clock

    @property
    def _limits(self) -> Limits:
        return self.reverting.limits
