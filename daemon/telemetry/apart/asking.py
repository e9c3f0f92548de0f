"""``Telemetry`` whose readings come from a sampler.

It is started at the first reading, and again at a later one where it has ended or does not answer: a tick without it is a gap
that says why, and its counting begins anew then, as after a start of the daemon.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Self

from daemon.aio.clock import Clock
from daemon.measurements import Reading, Watch
from daemon.telemetry.apart.sampler import Sampler
from daemon.telemetry.apart.words import Done, Forget, Read, Readings, Watching, in_frames
from daemon.telemetry.rest import Rest
from daemon.telemetry.schema import Schema
from daemon.telemetry.telling import Telling

_LONGEST_PAUSE_SECONDS: Final = 15.0


class SampledApart(Telling):
    """``Telemetry`` of a sampler, an async context manager.

    Args:
        start: starts one.
        schema: of what it reads.
        tick_seconds: the sampling interval.
        answer_seconds: the longest wait for all readings of a tick.
        clock: of the daemon.

    Attributes:
        starts: how many were started.
        wait_seconds: see ``Telemetry``.
    """

    def __init__(
        self, start: Callable[[], Awaitable[Sampler]], *, schema: Schema, tick_seconds: float, answer_seconds: float, clock: Clock
    ) -> None:
        super().__init__(schema)
        self.starts = 0
        self.wait_seconds: float | None = None
        self._start = start
        self._tick_seconds = tick_seconds
        self._answer_seconds = answer_seconds
        self._rest = Rest(clock, borne=1)
        self._failure: str | None = None
        self._sampler: Sampler | None = None
        self._sent: dict[str, Watch] = {}
        self._forgotten: set[str] = set()

    async def __aenter__(self) -> Self:
        """Nothing is started before somebody asks."""
        return self

    async def __aexit__(self, *raised: object) -> None:
        """End the sampler."""
        await self._end()

    @property
    def tick_seconds(self) -> float:
        """See ``Telemetry``."""
        return self._tick_seconds

    @property
    def failure(self) -> str | None:
        """See ``Telemetry``."""
        return self._failure

    @property
    def pid(self) -> int | None:
        """The sampler's process id; null while there is none."""
        sampler = self._sampler  # who writes metrics asks from another thread
        return None if sampler is None else sampler.pid

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """See ``Telemetry``."""
        if self._rest.times and not self._rest.over:
            return self._gaps(watches, self._rest.reason)
        try:
            async with asyncio.timeout(self._answer_seconds):
                readings = await self._asked(watches)
        except TimeoutError:
            return await self._failed(watches, f"the sampler did not answer within {self._answer_seconds:g} s")
        except (OSError, ValueError) as error:
            return await self._failed(watches, f"the sampler cannot be talked to: {error}")
        except BaseException:
            await self._end()  # half an answer is on the line
            raise
        self._rest.answered()
        return readings

    def forget(self, release_id: str) -> None:
        """See ``Telemetry``. Said at the next reading, also of one that is not watched any more: the sampler remembers it."""
        self._forgotten.add(release_id)

    async def _asked(self, watches: Sequence[Watch]) -> dict[str, Reading]:
        # Those that are forgotten from here on may be among ``watches``, and are told after these.
        forgotten, self._forgotten = self._forgotten, set()
        if self._sampler is None:
            self._sent, forgotten = {}, set()
            self._sampler = await self._start()
            self.starts += 1
        line = self._sampler.line
        await self._tell(watches, forgotten=forgotten)
        await line.say(Read())
        found: dict[str, Reading] = {}
        while True:
            match await line.heard():
                case Readings(readings=some):
                    found |= some
                case Done(failure=failure, wait_seconds=wait_seconds):
                    self._failure, self.wait_seconds = failure, wait_seconds
                    return found
                case None:
                    raise ConnectionResetError("it has ended")
                case word:
                    raise ValueError(f"it says {type(word).__name__}")

    async def _tell(self, watches: Sequence[Watch], *, forgotten: AbstractSet[str]) -> None:
        """What has changed since it was last told."""
        assert self._sampler is not None  # only somebody who is there is told
        line, sent = self._sampler.line, self._sent
        for release_id in forgotten:
            sent.pop(release_id, None)
            await line.say(Forget(release_id))
        # Who looks at a release's pods makes the same value anew.
        changed = [watch for watch in watches if (known := sent.get(watch.release_id)) is not watch and known != watch]
        gone = sent.keys() - {watch.release_id for watch in watches}
        await line.say(Watching(gone=list(gone)))
        for some in in_frames(changed):
            await line.say(Watching(watches=list(some)))
        self._sent = {watch.release_id: watch for watch in watches}

    async def _failed(self, watches: Sequence[Watch], reason: str) -> Mapping[str, Reading]:
        """Another one is started: at the next tick, and later and later where that does not help."""
        await self._end()
        self._rest.failed(reason, first_seconds=self._tick_seconds, cap_seconds=max(self._tick_seconds, _LONGEST_PAUSE_SECONDS))
        return self._gaps(watches, reason)

    def _gaps(self, watches: Sequence[Watch], reason: str) -> Mapping[str, Reading]:
        self._failure, self.wait_seconds = reason, None
        return {watch.release_id: Reading(seconds=0.0, gap=reason) for watch in watches}

    async def _end(self) -> None:
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            await sampler.end()
