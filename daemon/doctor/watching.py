"""Releases watched for a while as the daemon would, all of one source together, until enough is known or the time is over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from analyzers.counts import Arm, Sample
from analyzers.fitness import ENOUGH
from daemon.aio.clock import Clock
from daemon.doctor.witness import Witness
from daemon.measurements import Reading, Watch
from daemon.offline.plan.seen import Seen
from daemon.ports.telemetry import Telemetry

ENOUGH_TICKS = 2
"""Counted readings, so that a sample was seen to come and something was subtracted."""
_FOR_BUCKETS_SECONDS = 10.0
"""For so much of counted time it is waited for the latencies that tell what buckets can, where samples are near each other."""
_LAST_WORDS = 4
"""A reason that was given so often in a row is taken for the last one, where it is none that passes."""
_PASSING = ("first reading", "first sight", "no new scrape", "vanished", "of before the watch", "unequal clocks")
_FAILURES = 2
_LEAST_SECONDS = 0.2

Progress = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """What was read of one release.

    Attributes:
        seen: what was counted.
        counted: in how many readings.
        last: the newest reading.
        bounds_ms: of its latency buckets; null before they are known.
        ageless: pods that served and whose age is not known.
        repeated: how often the last reason was given in a row.
    """

    seen: Seen = field(default_factory=Seen)
    counted: int = 0
    last: Reading = field(default_factory=lambda: Reading(seconds=0.0))
    bounds_ms: tuple[float, ...] | None = None
    ageless: set[str] = field(default_factory=set)
    repeated: int = 0

    def add(self, reading: Reading) -> None:
        """One more."""
        self.repeated = self.repeated + 1 if reading.gap and reading.gap == self.last.gap else 1
        self.last = reading
        self.bounds_ms = reading.bounds_ms or self.bounds_ms
        if reading.gap:
            return
        self.counted += 1
        self.ageless = {name for arm in (reading.baseline, reading.canary) for name in _ageless(arm)}
        sample = Sample(t=0.0, seconds=reading.seconds, baseline=reading.baseline, canary=reading.canary)
        self.seen = self.seen.plus(sample)

    @property
    def settled(self) -> bool:
        """Whether waiting longer would tell no more."""
        gap = self.last.gap or ""
        hopeless = bool(gap) and self.repeated >= _LAST_WORDS and not passes(gap)
        shown = sum(self.seen.counts) >= ENOUGH or self.seen.seconds >= _FOR_BUCKETS_SECONDS
        return (self.counted >= ENOUGH_TICKS and shown) or hopeless


def passes(gap: str) -> bool:
    """Whether this reason for counting nothing is over as soon as there are newer samples."""
    return any(word in gap for word in _PASSING)


def _ageless(arm: Arm | None) -> list[str]:
    pods = {} if arm is None or arm.pods is None else arm.pods
    return [name for name, pod in pods.items() if pod.age_seconds is None]


async def watch(
    telemetry: Telemetry, watches: Sequence[Watch], witness: Witness, *, seconds: float, clock: Clock, progress: Progress
) -> Mapping[str, Tally]:
    """Read them tick by tick, as often as the daemon would; by release id."""
    tallies = {one.release_id: Tally() for one in watches}
    until, failures = clock.monotonic() + seconds, 0
    while True:
        for release_id, reading in (await telemetry.read(watches)).items():
            tallies[release_id].add(reading)
        failures = failures + 1 if witness.failure is not None else 0
        left = until - clock.monotonic()
        if left <= 0.0 or failures >= _FAILURES or all(one.settled for one in tallies.values()):
            return tallies
        waiting = sum(not one.settled for one in tallies.values())
        progress(f"watching {waiting} of {len(tallies)} releases, {left:.0f} s at most")
        wait = telemetry.wait_seconds
        await clock.sleep(min(left, max(_LEAST_SECONDS, telemetry.tick_seconds if wait is None else wait)))
