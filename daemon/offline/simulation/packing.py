"""Counts as the samples that the judge reads. The only loop over releases here; it is kept flat, since it is what costs."""

from collections.abc import Sequence

from analyzers.counts import Arm, Latency, Pod, Sample
from daemon.offline.simulation.drawing import Drawn, DrawnTick
from daemon.offline.simulation.world import OLD_SECONDS, World


def _arms(drawn: Drawn, places: Sequence[int], *, age_seconds: float | None, told_apart: bool) -> list[Arm | None]:
    """Arms of the chosen releases; null where the telemetry is missing."""
    requests, errors, denied = (part.sum(1).tolist() for part in (drawn.requests, drawn.errors, drawn.denied))
    present = drawn.present.tolist()
    counts, sums = (drawn.counts.sum(1).tolist(), drawn.sums.sum(1).tolist()) if drawn.flushed else ([], [])
    pods = _pods(drawn, places, age_seconds=age_seconds) if told_apart else None
    return [
        Arm(
            requests=requests[at],
            errors=errors[at],
            denied=denied[at],
            latency=Latency(counts=tuple(counts[at]), sum_ms=sums[at]) if drawn.flushed else None,
            pods=None if pods is None else pods[place],
        )
        if present[at]
        else None
        for place, at in enumerate(places)
    ]


def _pods(drawn: Drawn, places: Sequence[int], *, age_seconds: float | None) -> list[dict[str, Pod]]:
    requests, errors, denied = (part.tolist() for part in (drawn.requests, drawn.errors, drawn.denied))
    counts, sums = drawn.counts.tolist(), drawn.sums.tolist()
    flushed = drawn.flushed
    return [
        {
            f"pod-{pod}": Pod(
                requests=asked,
                errors=failed,
                denied=refused,
                latency=Latency(counts=tuple(hist), sum_ms=total) if flushed else None,
                age_seconds=age_seconds,
            )
            for pod, (asked, failed, refused, hist, total) in enumerate(
                zip(requests[at], errors[at], denied[at], counts[at], sums[at], strict=True)
            )
        }
        for at in places
    ]


def samples(world: World, tick: DrawnTick, places: Sequence[int]) -> list[Sample]:
    """One sample for each chosen release, in the order of ``places``."""
    seconds = world.traffic.tick_seconds
    t = tick.number * seconds
    young = t if world.pods.ages else None
    old = t + OLD_SECONDS if world.pods.ages else None
    baseline_age = young if world.unsteady.cold_baseline else old
    apart = world.pods.told_apart
    canaries = _arms(tick.canary, places, age_seconds=young, told_apart=apart)
    baselines = _arms(tick.baseline, places, age_seconds=baseline_age, told_apart=apart)
    return [
        Sample(
            t=t,
            seconds=seconds,
            baseline=baseline,
            canary=canary,
            gap=None if canary and baseline else "simulated: no telemetry",
            weight=tick.weight,
        )
        for canary, baseline in zip(canaries, baselines, strict=True)
    ]
