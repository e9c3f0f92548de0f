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
from daemon.engine.handover import claimed
from daemon.engine.patching import asked_for
from daemon.engine.reasserting import STEPS_KEPT, Guard, Undone, once_more
from daemon.engine.reverting import NOTHING_TO_TAKE_BACK, TRAFFIC_LEFT, Reverting, receipt_steps
from daemon.errors import NotFound, Unavailable, VerdictdError
from daemon.model import Release, TimedStep
from daemon.ports.routing import Owner, TrafficRouter

GIVEN_UP: Final = "given_up"

_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 0.8)
"""However long a server was away, the patch is there within a second of its return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What became of a revert that was looked at on: whether it stays."""

    steps: tuple[TimedStep, ...]
    stays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """The loops, over the procedure that they repeat."""

    reverting: Reverting

    async def keep_retrying(
        self, router: TrafficRouter, release: Release, *, located: str = "", owners: Sequence[Owner] = ()
    ) -> tuple[TimedStep, ...]:
        """Go on, for ``limits.insist_seconds``, with a revert that ``run`` had to give up: a bad canary is still serving.

        Ends when no route in force sends to the canary, with ``TRAFFIC_LEFT`` where all of them could be read; the caller cancels
        it when a newer release comes. Before each try it looks again who would serve: the baseline may have gone, or come back,
        since. Not without end: what takes the traffic days later may be another version, of which the evidence says nothing.
        Never raises a ``VerdictdError``.
        """
        end = self._clock.monotonic() + self._limits.insist_seconds
        steps: list[TimedStep] = []
        for pause in pauses(_RETRY_SECONDS):
            try:
                done, is_known = await self._tried(router, release, located=located, owners=owners, steps=steps)
                if (still := await router.canary_gets_traffic(release, located=located)) is None:
                    seen = [TimedStep(step=TRAFFIC_LEFT, at=self._clock.now())] if is_known else []
                    return (*steps, *done, *seen)
                written = [one for one in done if one.step != NOTHING_TO_TAKE_BACK]
                steps += written[: max(0, STEPS_KEPT - len(steps))]
                raise Unavailable(f"the canary still gets traffic: {still}; {'; '.join(one.detail for one in done if one.detail)}")
            except VerdictdError as error:
                if (left := end - self._clock.monotonic()) <= 0:
                    return (*steps, TimedStep(step=GIVEN_UP, at=self._clock.now(), detail=str(error)))
                await self._clock.sleep(min(left, max(pause, asked_for(error))))
        raise AssertionError("pauses never end")

    async def _tried(
        self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner], steps: list[TimedStep]
    ) -> tuple[list[TimedStep], bool]:
        """What one more try did, and whether it could read all there is. That nothing was found to write is no proof by itself."""
        try:
            _, receipt = await once_more(self.reverting, router, release, located=located, owners=owners, steps=steps)
        except NotFound as error:
            return [TimedStep(step=NOTHING_TO_TAKE_BACK, at=self._clock.now(), detail=str(error))], True
        if receipt.failure is not None:
            steps += receipt_steps(receipt)
            raise receipt.failure
        return receipt_steps(receipt), not receipt.unread

    async def reassert(
        self,
        router: TrafficRouter,
        release: Release,
        *,
        located: str = "",
        owners: Sequence[Owner] = (),
        until: Callable[[], bool] = lambda: False,
        undone: Undone = lambda step: None,
    ) -> tuple[TimedStep, ...]:
        """For ``limits.guard_seconds`` look whether somebody gives the canary traffic again, and take it back each time.

        Longer where an owner of the routes takes longer to react. Ends sooner, before the next look, when ``until`` says so. Never
        raises a ``VerdictdError``. What has nowhere to go any more is left where it is. The last step says how often it happened,
        by whom and when last, and what failed last.
        """
        guard = self._guard(router, release, located=located, owners=owners, undone=undone)
        if self._limits.guard_seconds > 0:
            reaction_seconds = await self._owners_seconds(guard)
            await guard.stand(seconds=max(self._limits.guard_seconds, reaction_seconds), until=until)
        return (*guard.steps, guard.end())

    async def hold(
        self,
        router: TrafficRouter,
        release: Release,
        *,
        quiet_seconds: float,
        located: str = "",
        owners: Sequence[Owner] = (),
    ) -> Held:
        """Look on until nobody has undone the revert for so long, and take the traffic back each time.

        Not without end: the traffic that somebody puts back for ``limits.guard_seconds`` will be put back again. Never raises a
        ``VerdictdError``.
        """
        guard = self._guard(router, release, located=located, owners=owners, undone=lambda step: None)
        await self._owners_seconds(guard)
        end = self._clock.monotonic() + max(self._limits.guard_seconds, quiet_seconds)
        while True:
            before = guard.times
            await guard.stand(seconds=quiet_seconds, until=lambda: False)
            if guard.times == before:
                return Held(steps=(*guard.steps, guard.end()), stays=True)
            if self._clock.monotonic() >= end:
                return Held(steps=(*guard.steps, guard.end()), stays=False)

    def _guard(self, router: TrafficRouter, release: Release, *, located: str, owners: Sequence[Owner], undone: Undone) -> Guard:
        return Guard(reverting=self.reverting, router=router, release=release, located=located, owners=owners, undone=undone)

    async def _owners_seconds(self, guard: Guard) -> float:
        """How long the owners take to react; the guard knows then whose the routes are."""
        claims = await claimed(guard.owners, guard.release, seconds=self.reverting.owner_seconds)
        guard.heard(claims)
        return self.reverting.reaction_seconds(claims)

    @property
    def _clock(self) -> Clock:
        return self.reverting.clock

    @property
    def _limits(self) -> Limits:
        return self.reverting.limits
