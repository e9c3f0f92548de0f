"""The users of the service as the demo sees them: their process, what each answer was, and that as curves over time.

The log of the answers, one line each, is the demo's own witness, which verdictd has no part in.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from daemon.aio.process import of_module
from daemon.aio.tasks import background
from daemon.demo.children import Child, child

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and its answer.

    Attributes:
        start: when the request was sent, in seconds since 1970.
        seconds: how long the answer took.
        status: of the answer; 0 when there was none.
        version: who answered, from the header ``x-version``; empty when the edge itself did, or nobody.
    """

    start: float
    seconds: float
    status: int
    version: str

    @property
    def end(self) -> float:
        """When the answer was there, in seconds since 1970."""
        return self.start + self.seconds

    @property
    def failed(self) -> bool:
        """A server error, or no answer."""
        return self.status >= 500 or self.status == NO_ANSWER


def write(answer: Answer) -> str:
    """The answer as a line, without its end."""
    return f"{answer.start:.4f} {answer.seconds:.5f} {answer.status} {answer.version or '-'}"


def read(line: str) -> Answer:
    """The answer of a line. Raises ``ValueError`` when it is not one."""
    start, seconds, status, version = line.split()
    return Answer(start=float(start), seconds=float(seconds), status=int(status), version="" if version == "-" else version)


@dataclass(slots=True)
class TrafficLog:
    """All answers so far, in the order in which they came."""

    _answers: list[Answer] = field(default_factory=list)
    _ends: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Take one more. They come nearly in order of their ends; a straggler is put where it belongs."""
        at = len(self._ends)
        while at and self._ends[at - 1] > answer.end:
            at -= 1
        self._ends.insert(at, answer.end)
        self._answers.insert(at, answer)

    def __len__(self) -> int:
        """Number of answers."""
        return len(self._answers)

    def __iter__(self) -> Iterator[Answer]:
        """In order of their ends."""
        return iter(self._answers)

    def between(self, begin: float, end: float) -> list[Answer]:
        """Answers that ended in ``[begin, end)``, seconds since 1970."""
        return self._answers[bisect_left(self._ends, begin) : bisect_left(self._ends, end)]


# Much longer than the generator's patience with one answer: the machine may be busy with other things.
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Users:
    """Running users. ``traffic`` grows with every answer, some 50 ms behind."""

    process: Child
    traffic: TrafficLog


@asynccontextmanager
async def users(*, url: str, rate: float, seed: int, folder: Path, host: str = "") -> AsyncIterator[Users]:
    """Send requests for the length of a ``with`` block. At its end the answers under way are waited for and counted.

    ``host``: what they call the service; empty: as the URL has it.
    """
    argv = of_module("daemon.demo.load", "--url", url, "--rate", f"{rate:g}", "--seed", str(seed))
    argv += ["--host", host] if host else []
    traffic, complete = TrafficLog(), asyncio.Event()
    async with (
        child("load generator", argv, log=folder / "load.log", stdout=True) as process,
        background(_collect(process, traffic, complete)),
    ):
        try:
            yield Users(process=process, traffic=traffic)
        finally:
            process.terminate()
            async with asyncio.timeout(_END_SECONDS):
                await complete.wait()


async def _collect(process: Child, traffic: TrafficLog, complete: asyncio.Event) -> None:
    """Take the answers until the generator closes its end."""
    stdout = process.process.stdout
    try:
        while stdout is not None and (line := await stdout.readline()):
            traffic.add(read(line.decode()))
    except ValueError as error:
        raise process.failed(f"wrote something that is not an answer: {error}") from error
    finally:
        complete.set()


STEP_SECONDS = 0.25
# A rate needs more answers than a share to be told from chance.
SHARE_SECONDS = 0.5
RATE_SECONDS = 2.0
_FEW = 20

Curve = tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCurves:
    """One version's curves; null where it answered (nearly) nothing.

    Attributes:
        share: of all answers, in percent.
        error_rate: failed answers, in percent of its own.
        p50_ms: median latency.
    """

    share: Curve
    error_rate: Curve
    p50_ms: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """VersionCurves by version. Point ``i`` is ``at[i]`` seconds after ``begin``, over a window around it."""

    begin: float
    at: tuple[float, ...]
    versions: dict[str, VersionCurves]


def series(traffic: TrafficLog, *, versions: Sequence[str], begin: float, end: float) -> Series:
    """VersionCurves of some versions from ``begin`` to ``end``, seconds since 1970."""
    points = max(1, int((end - begin) / STEP_SECONDS))
    at = tuple(round((i + 0.5) * STEP_SECONDS, 3) for i in range(points))
    wide, narrow = _windows(traffic, begin, at, RATE_SECONDS), _windows(traffic, begin, at, SHARE_SECONDS)
    return Series(begin=begin, at=at, versions={version: _curves(version, narrow=narrow, wide=wide) for version in versions})


def _windows(traffic: TrafficLog, begin: float, at: Sequence[float], seconds: float) -> list[list[Answer]]:
    return [traffic.between(begin + t - seconds / 2, begin + t + seconds / 2) for t in at]


def _curves(version: str, *, narrow: list[list[Answer]], wide: list[list[Answer]]) -> VersionCurves:
    own = [[a for a in window if a.version == version] for window in wide]
    return VersionCurves(
        share=tuple(100.0 * sum(a.version == version for a in window) / len(window) if window else None for window in narrow),
        error_rate=tuple(100.0 * sum(a.failed for a in o) / len(o) if len(o) >= _FEW else None for o in own),
        p50_ms=tuple(1000.0 * median(a.seconds for a in o) if len(o) >= _FEW else None for o in own),
    )
