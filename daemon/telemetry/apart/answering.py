"""The sampler's side: it reads when it is told to, and ends with the line."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import assert_never

from daemon.measurements import Watch
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.apart.words import Begin, Done, Forget, Line, Read, Readings, Watching, in_frames

Opening = Callable[[Begin], AbstractAsyncContextManager[Telemetry]]


async def answer(line: Line, opening: Opening) -> None:
    """Open what the first word says, and answer until the line is closed. Raises as ``opening`` does, and as ``Line``."""
    first = await line.heard()
    if not isinstance(first, Begin):
        return
    async with opening(first) as telemetry:
        await _Sampler(line, telemetry).run()


class _Sampler:
    def __init__(self, line: Line, telemetry: Telemetry) -> None:
        self._line = line
        self._telemetry = telemetry
        self._watches: dict[str, Watch] = {}

    async def run(self) -> None:
        while (word := await self._line.heard()) is not None:
            match word:
                case Watching():
                    for release_id in word.gone:
                        self._watches.pop(release_id, None)
                    self._watches |= {watch.release_id: watch for watch in word.watches}
                case Forget():
                    self._watches.pop(word.release_id, None)
                    self._telemetry.forget(word.release_id)
                case Read():
                    await self._read()
                case Begin() | Readings() | Done():
                    raise ValueError(f"a sampler is not told {type(word).__name__}")
                case _:
                    assert_never(word)

    async def _read(self) -> None:
        readings = await self._telemetry.read(list(self._watches.values()))
        for some in in_frames(list(readings.items())):
            await self._line.say(Readings(dict(some)))
        await self._line.say(Done(self._telemetry.failure, self._telemetry.wait_seconds))
