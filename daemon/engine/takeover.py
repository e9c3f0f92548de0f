"""Services that come to this replica, and go from it: what was kept of them is taken up, or what is under way is left off.

What is given up in order is finished as far as that is a matter of moments, and written; what is lost is dropped where it is, since
another may have it already. Either way nobody hears a verdict: whoever has the service next goes on from what was kept.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from daemon.aio.tasks import TaskGroup
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.engine.supervisor import Supervisor
from daemon.model import Release
from daemon.ports.sharing import Sharing

Recover = Callable[[Callable[[Release], bool]], Awaitable[None]]
"""Takes up what was kept of releases of which the function says that they are ours."""

FINISH_SECONDS: Final = 2.0
"""For reverts that are under way, and for releases that are being admitted."""
_FLUSH_SECONDS: Final = 0.5


class Takeover:
    """Implements ``Moves``. Its tasks belong to ``group``.

    Args:
        admissions: the tasks of those that are being admitted.
    """

    def __init__(
        self,
        sharing: Sharing,
        state: EngineState,
        *,
        supervisor: Supervisor,
        admissions: Callable[[], list[asyncio.Task[str | Exception]]],
        recover: Recover,
        group: TaskGroup,
    ) -> None:
        self._sharing = sharing
        self._tenure = state.tenure
        self._registry = state.registry
        self._checkpoints = state.checkpoints
        self._supervisor = supervisor
        self._admissions = admissions
        self._recover = recover
        self._meter = state.ports.meter
        self._recorder = state.ports.recorder
        self._group = group
        self._held: frozenset[int] = frozenset()
        self._times = Counter[int]()
        self._taking_up: dict[asyncio.Task[None], frozenset[int]] = {}

    def gained(self, slots: AbstractSet[int]) -> None:
        """See ``Moves``. They can be asked for once all that was kept of them is known."""
        self._held |= slots
        for slot in slots:
            self._times[slot] += 1
        earlier = [task for task, of in self._taking_up.items() if of & slots]
        times = {slot: self._times[slot] for slot in slots}
        task = self._group.create_task(self._take_up(times, after=earlier), name="taking over")
        self._taking_up[task] = frozenset(slots)
        task.add_done_callback(self._taking_up.pop)

    async def give_up(self, slots: AbstractSet[int]) -> None:
        """See ``Moves``."""
        self._tenure.leaves(slots)
        self._held -= slots
        await self._finish(slots)
        leaving = self._of(slots)
        for session in leaving:
            self._leave(session)
        await self._checkpoints.flush(seconds=_FLUSH_SECONDS)
        for session in leaving:
            self._checkpoints.drop(session.release_id)

    def lost(self, slots: AbstractSet[int]) -> None:
        """See ``Moves``."""
        self._tenure.leaves(slots)
        self._held -= slots
        for session in self._of(slots):
            self._leave(session)
            self._checkpoints.drop(session.release_id)

    async def _take_up(self, times: Mapping[int, int], *, after: Sequence[asyncio.Task[None]]) -> None:
        """Slots, each as it was gained for this time: what went and came again meanwhile is the next one's to take up."""

        def still() -> frozenset[int]:
            return frozenset(slot for slot, time in times.items() if slot in self._held and self._times[slot] == time)

        if after:
            await asyncio.wait(after)
        await self._recover(lambda release: self._sharing.slot_of(release) in still())
        self._tenure.takes_up(still())

    async def _finish(self, slots: AbstractSet[int]) -> None:
        """Wait for reverts under way, and for what is being admitted, which is known then."""
        if waited_for := [*self._supervisor.reverts(self._of(slots)), *self._admissions()]:
            await asyncio.wait(waited_for, timeout=FINISH_SECONDS)

    def _leave(self, session: Session) -> None:
        self._registry.leave(session.release_id)
        self._meter.left(session.release_id)
        if self._recorder is not None:
            self._recorder.close(session.release_id)
        self._supervisor.leave(session)

    def _of(self, slots: AbstractSet[int]) -> list[Session]:
        return [session for session in self._registry.running() if self._sharing.slot_of(session.release) in slots]
