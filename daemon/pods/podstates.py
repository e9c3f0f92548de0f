"""How the arms' pods are, known at every reading, whoever counts the requests."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from daemon.aio.clock import Clock
from daemon.measurements import PodsState, Reading, Watch
from daemon.pods.podsignals import signals_of
from daemon.pods.podsofarms import PodsOfArms

_PATIENCE_SECONDS = 0.5


class PodStates(Protocol):
    """How the pods of releases are."""

    async def look(self, watches: Sequence[Watch]) -> None:
        """Look at them anew. Raises nothing: what cannot be seen is not known."""
        ...

    def state(self, release_id: str) -> PodsState | None:
        """How they were when they were last looked at; null where that was not known."""
        ...


class WatchedStates:
    """``PodStates`` of pods that nobody else looks for. A listing that takes long is not waited for: a tick has more to do."""

    def __init__(self, arms: PodsOfArms) -> None:
        self._arms = arms
        self._states: Mapping[str, PodsState] = {}

    async def look(self, watches: Sequence[Watch]) -> None:
        """See ``PodStates``."""
        self._states = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                self._states = await self._arms.states(watches)

    def state(self, release_id: str) -> PodsState | None:
        """See ``PodStates``."""
        return self._states.get(release_id)


class PodSignals:
    """``SignalSource`` of what ``states`` say of the pods."""

    def __init__(self, states: PodStates, *, clock: Clock) -> None:
        self._states = states
        self._clock = clock

    async def look(self, watches: Sequence[Watch]) -> None:
        """See ``SignalSource``."""
        await self._states.look(watches)

    def into(self, watch: Watch, reading: Reading) -> Reading:
        """See ``SignalSource``."""
        state = self._states.state(watch.release_id)
        if state is None:
            return reading
        signals = signals_of(state, now=self._clock.now())
        return msgspec.structs.replace(reading, pods=state, signals=(*reading.signals, *signals))
