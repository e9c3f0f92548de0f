"""What telemetry says of pods' ages reaches the judge: a fresh pod's latency is not judged, its errors are."""

import pytest

from analyzers.counts import Sample
from analyzers.judge import fold, start, terms_of
from analyzers.ruling import Ruling
from config.policy import Policy
from tests.telemetry.prometheus.test_source import LATENCY, NAME, UPTIME, Scene, scene

TICKS = 40
BOUNDS_MS = (10.0, 100.0)


def scrape(it: Scene, tick: int, *, age: float, slow: bool, failing: int) -> None:
    """Both arms serve alike but for what the test changes in the canary; the baseline is an hour old."""
    it.clock.time += 1
    for arm, born in (("web-v1", 3600.0), ("web-v2", age)):
        canary = arm == "web-v2"
        count = 1000 + 50 * tick
        late = count // 2 if canary and slow else 0
        it.exporter.add(NAME, it.clock.time, count, destination_workload=arm)
        for le, below in (("10", count - late), ("100", count), ("+Inf", count)):
            it.exporter.add(f"{LATENCY}_bucket", it.clock.time, below, destination_workload=arm, le=le)
        it.exporter.add(f"{LATENCY}_sum", it.clock.time, 5 * count + 50 * late, destination_workload=arm)
        if canary and failing:
            it.exporter.add(NAME, it.clock.time, failing * tick, destination_workload=arm, response_code="503")
        it.exporter.says_of_itself(UPTIME, it.clock.time, born + tick, pod=arm)


async def judged(*, age: float, slow: bool = False, failing: int = 0) -> Ruling:
    """The ruling on a watch whose every sample came through Prometheus."""
    terms = terms_of(Policy(warmup_seconds=60.0), tick_seconds=1.0, window_seconds=300.0, weight=None, bounds_ms=BOUNDS_MS)
    state, ruling = start(terms), None
    async with scene() as it:
        for tick in range(TICKS):
            scrape(it, tick, age=age, slow=slow, failing=failing)
            reading = await it.read()
            sample = Sample(t=float(tick), seconds=1.0, baseline=reading.baseline, canary=reading.canary, gap=reading.gap)
            ((state, ruling),) = fold([terms], [state], [sample])
            if ruling.outcome != "continue":
                return ruling
    assert ruling is not None
    return ruling


@pytest.mark.parametrize("slow", [False, True])
async def test_a_fresh_pods_latency_is_not_judged(slow: bool) -> None:
    assert (await judged(age=5.0, slow=slow)).outcome == "continue"


async def test_the_same_latency_of_a_pod_that_is_warm_is() -> None:
    ruling = await judged(age=600.0, slow=True)
    assert ruling.outcome == "rollback"
    assert ruling.leg in {"typical", "slow_end"}


async def test_a_fresh_pods_errors_are_judged() -> None:
    ruling = await judged(age=5.0, slow=True, failing=5)
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
