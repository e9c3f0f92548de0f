"""A telemetry source that stands in for another: for releases whose proxies cannot be read themselves, while they cannot.

The one decision: nothing is counted twice. Two sources count the same requests at different times, so that what the other one
says is taken only from where the last one ended: of the first reading of either after a change, nothing is counted (it is where
counting starts), and what reaches back behind what was counted already is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from config.policy import Failures
from daemon.aio.clock import Clock
from daemon.measurements import Reading, Watch
from daemon.model import Release
from daemon.ports.telemetry import Telemetry
from daemon.standing import Standing

PATIENCE_SECONDS = 5.0
"""How long a release whose proxies cannot be read waits for them."""
_PHASES = 2.0
"""Targets that are scraped by somebody else have phases of their own: a reading reaches back by up to twice what it covers."""


@dataclass(slots=True, kw_only=True)
class _Followed:
    """What is remembered of a release.

    Attributes:
        failing_since: since when the first source cannot read it; null while it can.
        away: it is read from the second source.
        joined: of the second source something was counted already.
        counted_until: the newest counters that were used of either, in seconds since 1970.
    """

    failing_since: float | None = None
    away: bool = False
    joined: bool = False
    counted_until: float = 0.0


class FallbackTelemetry:
    """``Telemetry`` of two sources.

    Args:
        first: what is read as long as it can be.
        second: what stands in for it.
        unreached: the releases that the first could not read at its last reading, with the reason.
        name: of the first source, for people.
        instead: of the second one.
    """

    def __init__(
        self,
        first: Telemetry,
        second: Telemetry,
        *,
        unreached: Callable[[], Mapping[str, str]],
        name: str,
        instead: str,
        clock: Clock,
    ) -> None:
        self._first, self._second = first, second
        self._unreached = unreached
        self._instead = instead
        self._clock = clock
        self._standing = Standing(f"reading {name} directly", now=clock.now)
        self._releases: dict[str, _Followed] = {}
        self._asked_at = -second.tick_seconds
        self._failure: str | None = None

    @property
    def tick_seconds(self) -> float:
        """The sampling interval, of the first source."""
        return self._first.tick_seconds

    @property
    def wait_seconds(self) -> float | None:
        """As the first source says."""
        return self._first.wait_seconds

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        return self._first.split

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        """What one of them never tells: a release may be read from either."""
        return tuple(dict.fromkeys((*self._first.cannot_tell(failures), *self._second.cannot_tell(failures))))

    def cannot_count(self, release: Release) -> str | None:
        """Why one of them never counts it: a release may be read from either."""
        return self._first.cannot_count(release) or self._second.cannot_count(release)

    def timed(self, release: Release) -> bool:
        """Whether either tells latencies: those are then waited for."""
        return self._first.timed(release) or self._second.timed(release)

    @property
    def failure(self) -> str | None:
        """Why the last reading brought nothing at all, from neither source."""
        return self._failure

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id. Never raises for a source that fails."""
        readings = dict(await self._first.read(watches))
        unreached = self._unreached()
        self._failure = self._first.failure
        now = self._clock.monotonic()
        # One may end, and be forgotten, while either is asked: it is no reading then, and nothing of it is kept.
        for release_id, reading in readings.items():
            self._follow(release_id, reading, unreached.get(release_id), now=now)
        away = [watch for watch in watches if watch.release_id in readings and self._releases[watch.release_id].away]
        if away:
            instead = await self._read_second(away)
            readings = {release_id: reading for release_id, reading in readings.items() if release_id in self._releases}
            there = [watch.release_id for watch in away if watch.release_id in readings]
            readings |= {release_id: self._stood_in(release_id, instead, unreached) for release_id in there}
        self._say(away, unreached)
        for release_id, reading in readings.items():
            if reading.gap is None and reading.at is not None:
                self._releases[release_id].counted_until = reading.at
        return readings

    def forget(self, release_id: str) -> None:
        """The release has ended."""
        self._releases.pop(release_id, None)
        self._first.forget(release_id)
        self._second.forget(release_id)

    def _follow(self, release_id: str, reading: Reading, reason: str | None, *, now: float) -> None:
        """Decide by which source a release is read from now on."""
        one = self._releases.setdefault(release_id, _Followed())
        if one.away:
            if reason is None and reading.gap is None and (reading.at or 0.0) - reading.seconds >= one.counted_until:
                one.away, one.joined, one.failing_since = False, False, None
                self._second.forget(release_id)
        elif reason is None:
            one.failing_since = None
        else:
            one.failing_since = now if one.failing_since is None else one.failing_since
            if now - one.failing_since >= PATIENCE_SECONDS:
                one.away = True
                # What it counts when it comes back begins then: the time until then is counted by the other one.
                self._first.forget(release_id)

    async def _read_second(self, away: Sequence[Watch]) -> Mapping[str, Reading]:
        """What the second source says, as often as it is meant to be asked; between that, nothing."""
        now = self._clock.monotonic()
        if now - self._asked_at < self._second.tick_seconds:
            return {}
        self._asked_at = now
        readings = await self._second.read(away)
        self._failure = self._second.failure
        return readings

    def _stood_in(self, release_id: str, instead: Mapping[str, Reading], unreached: Mapping[str, str]) -> Reading:
        one = self._releases[release_id]
        reading = instead.get(release_id) or _nothing(f"{self._instead} is asked every {self._second.tick_seconds:g} s")
        if reading.gap is None and not one.joined:
            one.joined = reading.at is not None and reading.at - _PHASES * reading.seconds >= one.counted_until
            if not one.joined:
                reading = _nothing(f"{self._instead} covers what was counted of the proxies themselves")
        why = unreached.get(release_id, "they answer again, and are counted from where this source ends")
        return msgspec.structs.replace(reading, fallback=f"read from {self._instead} instead of the proxies: {why}")

    def _say(self, away: Sequence[Watch], unreached: Mapping[str, str]) -> None:
        """Once for the source, however many releases it is about."""
        if not away:
            self._standing.works()
        elif (reason := next((unreached[one.release_id] for one in away if one.release_id in unreached), None)) is not None:
            self._standing.fails(f"{reason}; {self._instead} is read instead, for {len(away)} releases")


def _nothing(reason: str) -> Reading:
    return Reading(seconds=0.0, gap=reason)
