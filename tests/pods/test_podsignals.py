"""What pods tell beside the counts: it holds a canary, and says of a baseline what is the matter."""

import pytest

from analyzers.counts import Signal
from daemon.measurements import ArmState, ContainerEnd, PodsState
from daemon.pods.podsignals import CALM_SECONDS, signals_of

WELL = ArmState(pods=2, ready=2)
NOW = 1_000_000.0


def of_canary(state: ArmState, *, now: float = NOW) -> dict[str, str]:
    found = signals_of(PodsState(baseline=WELL, canary=state), now=now)
    assert {(one.about, one.effect) for one in found} <= {("canary", "holds")}
    return {one.kind: one.words for one in found}


def end(pod: str, reason: str, *, ago: float = 10.0, container: str = "web") -> ContainerEnd:
    return ContainerEnd(pod=pod, container=container, reason=reason, at=NOW - ago)


def test_of_pods_that_are_well_nothing_is_told() -> None:
    assert of_canary(WELL) == {}
    assert of_canary(ArmState(pods=0, ready=0)) == {}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (ArmState(pods=3, ready=2), {"not_ready": "1 of 3 pods of the canary are not ready"}),
        (
            ArmState(pods=3, ready=2, troubles=("v2-0: ImagePullBackOff",)),
            {"not_ready": "1 of 3 pods of the canary are not ready (v2-0: ImagePullBackOff)"},
        ),
        (
            ArmState(pods=1, ready=0, restarts=4, troubles=("v2-0: CrashLoopBackOff",), ends=(end("v2-0", "Error", ago=900.0),)),
            {
                "crash_loop": "pods of the canary (v2-0) crash in a loop",
                "not_ready": "1 of 1 pods of the canary are not ready",
            },
        ),
        (
            ArmState(pods=2, ready=2, restarts=2, ends=(end("v2-0", "OOMKilled"), end("v2-1", "Error", container="istio-proxy"))),
            {
                "out_of_memory": "pods of the canary (v2-0 (container web)) ran out of memory within 5 min and were killed",
                "restarted": "pods of the canary (v2-1 (container istio-proxy, Error)) were restarted within 5 min",
            },
        ),
        (
            ArmState(pods=5, ready=5, restarts=5, ends=tuple(end(f"v2-{number}", "Completed") for number in range(5))),
            {
                "restarted": "pods of the canary (v2-0 (container web, Completed), v2-1 (container web, Completed), "
                "v2-2 (container web, Completed) and 2 more) were restarted within 5 min"
            },
        ),
    ],
)
def test_each_trouble_is_told_in_words(state: ArmState, told: dict[str, str]) -> None:
    assert of_canary(state) == told


def test_a_restart_holds_until_the_canary_has_been_calm_for_a_while() -> None:
    state = ArmState(pods=1, ready=1, restarts=1, ends=(end("v2-0", "OOMKilled", ago=0.0),))
    assert of_canary(state, now=NOW + CALM_SECONDS - 1.0).keys() == {"out_of_memory"}
    assert of_canary(state, now=NOW + CALM_SECONDS) == {}


def test_the_baselines_troubles_are_only_said() -> None:
    state = PodsState(baseline=ArmState(pods=2, ready=1), canary=WELL)
    words = "1 of 2 pods of the baseline are not ready"
    assert signals_of(state, now=NOW) == (Signal(kind="not_ready", about="baseline", effect="says", words=words),)
