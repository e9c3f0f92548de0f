"""How long releases are looked at: no longer than it tells anything, and no longer than was said."""

from collections.abc import Mapping, Sequence

import pytest

from analyzers.counts import Arm, Latency, Pod
from daemon.doctor.watching import Tally, watch
from daemon.doctor.witness import Witness
from daemon.errors import Unavailable
from daemon.measurements import Reading, Watch
from daemon.meshes.istio.telemetry import SCHEMA
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.series import SeriesIndex
from tests.hand.clock import HandClock

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
WATCH = Watch(release_id="one", release=RELEASE)
COUNTED = Reading(seconds=5.0, baseline=Arm(requests=90), canary=Arm(requests=10))


class Silent:
    """A source that never answers."""

    timing = Timing(tick_seconds=5.0, stale_after_seconds=30.0, patience_seconds=10.0)
    wait_seconds: float | None = None

    async def collect(self) -> Collection:
        raise Unavailable("nobody is there")


class Told:
    """Telemetry that says what a test wrote, and the last of it for ever."""

    tick_seconds = 5.0
    wait_seconds: float | None = None
    split = True
    failure: str | None = None

    def __init__(self, *readings: Reading, witness: Witness | None = None) -> None:
        self.readings = list(readings)
        self.asked = 0
        self._witness = witness

    def cannot_count(self, release: Release) -> str | None:
        return None

    def timed(self, release: Release) -> bool:
        return True

    def cannot_tell(self, failures: object) -> Sequence[str]:
        return ()

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self.asked += 1
        if self._witness is not None:
            with pytest.raises(Unavailable):
                await self._witness.collect()
        return {one.release_id: self.readings.pop(0) if len(self.readings) > 1 else self.readings[0] for one in watches}

    def forget(self, release_id: str) -> None:
        pass


def gap(reason: str) -> Reading:
    return Reading(seconds=0.0, gap=reason)


async def watched(telemetry: Told, *, seconds: float = 60.0, witness: Witness | None = None) -> tuple[Tally, list[str]]:
    said: list[str] = []
    tallies = await watch(
        telemetry,
        [WATCH],
        witness or Witness(Silent(), SeriesIndex(SCHEMA), SCHEMA),
        seconds=seconds,
        clock=HandClock(),
        progress=said.append,
    )
    return tallies["one"], said


async def test_two_readings_that_were_counted_are_enough() -> None:
    telemetry = Told(gap("first reading: counting starts here"), COUNTED)
    tally, said = await watched(telemetry)
    assert telemetry.asked == 3
    assert (tally.counted, tally.seen.baseline_requests, tally.seen.canary_requests) == (2, 180, 20)
    assert said == ["watching 1 of 1 releases, 60 s at most", "watching 1 of 1 releases, 55 s at most"]


async def test_where_samples_are_near_each_other_it_is_waited_for_what_the_buckets_can_tell() -> None:
    def reading(latencies: int) -> Reading:
        latency = Latency(counts=(latencies, 0), sum_ms=10.0 * latencies)
        return Reading(
            seconds=1.0, baseline=Arm(requests=90, latency=latency), canary=Arm(requests=10, latency=latency), bounds_ms=(10.0,)
        )

    enough, few = Told(reading(70)), Told(reading(1))
    await watched(enough)
    await watched(few)
    assert (enough.asked, few.asked) == (3, 10)


async def test_a_reason_that_stays_the_same_is_the_last_word_and_one_that_passes_is_not() -> None:
    stays, passes = Told(gap("baseline: no series yet")), Told(gap("canary: no new scrape of web-v2-0 yet"))
    await watched(stays)
    await watched(passes)
    assert (stays.asked, passes.asked) == (4, 13)


async def test_a_source_that_does_not_answer_is_asked_once_more() -> None:
    witness = Witness(Silent(), SeriesIndex(SCHEMA), SCHEMA)
    telemetry = Told(gap("nobody is there"), witness=witness)
    await watched(telemetry, witness=witness)
    assert telemetry.asked == 2
    assert str(witness.failure) == "nobody is there"
    assert (witness.store, witness.pace, witness.wait_seconds) == (None, None, None)


async def test_pods_whose_age_nobody_tells_are_remembered() -> None:
    pods = {"web-v2-0": Pod(requests=10), "web-v2-1": Pod(requests=0, age_seconds=4.0)}
    tally, _ = await watched(Told(Reading(seconds=5.0, baseline=Arm(requests=90), canary=Arm(requests=10, pods=pods))))
    assert tally.ageless == {"web-v2-0"}
