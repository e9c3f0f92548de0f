"""What a source hands over: samples by arm and target, in the units and with the metadata of the view they are seen from."""

from dataclasses import replace

import pytest

from daemon.measurements import Watch
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.counters.snapshot import ArmSnapshot
from daemon.telemetry.schema import View
from tests.telemetry.made_up import LINKED

IN_SECONDS = View(
    requests="backend_responses_total",
    latency="backend_duration_seconds",
    unit_ms=1000.0,
    arms=LINKED.views[1].arms,
)
SCHEMA = replace(LINKED, views=(LINKED.views[0], IN_SECONDS))


def release(**arm: str) -> Watch:
    baseline, canary = (ArmSpec(**{field: f"{value}-{version}" for field, value in arm.items()}) for version in ("v1", "v2"))  # type: ignore[arg-type]  # fields of an arm
    return Watch(release_id="-".join(arm), release=Release(service="web", namespace="shop", baseline=baseline, canary=canary))


def collected(release_id: str, *, epoch_offset: float = 0.0) -> ArmSnapshot:
    """What is known of the canary at target ``p`` when each view has shown one request of 2 units, one denial and a date."""
    index = SeriesIndex(SCHEMA)
    index.watch([release(workload="web"), release(service="web")])
    into = Collection(denials_known=True, epoch_offset=epoch_offset)
    pod = {"direction": "inbound", "deployment": "web-v2", "namespace": "shop"}
    client = {"dst_service": "web-v2", "dst_namespace": "shop"}
    shown = [
        ("response_total", pod, 1.0),
        ("response_latency_ms_bucket", {**pod, "le": "2"}, 1.0),
        ("response_latency_ms_bucket", {**pod, "le": "+Inf"}, 1.0),
        ("response_latency_ms_sum", pod, 2.0),
        ("backend_responses_total", client, 1.0),
        ("backend_duration_seconds_bucket", {**client, "le": "2"}, 1.0),
        ("backend_duration_seconds_bucket", {**client, "le": "+Inf"}, 1.0),
        ("backend_duration_seconds_sum", client, 2.0),
        ("inbound_http_authz_deny_total", {}, 7.0),
        ("process_start_time_seconds", {}, 1_000_000.0),
    ]
    for name, labels, value in shown:
        series = index.learn((name, str(labels)), name, labels)
        assert series is not None
        if series.of_target:
            into.add_metadata(series, value, target="p", at=5.0)
        else:
            into.add(series, value, target="p", pod="p", at=5.0, spacing_seconds=1.0)
    snapshot = into.snapshots(index.arms[release_id][1])["p"]
    into.kept = True
    into.let_go()
    assert into.snapshots(index.arms[release_id][1])["p"] == snapshot
    into.kept = False
    into.let_go()
    assert [len(left) for left in (into.builders, into.metadata, into.histograms)] == [0, 0, 0]
    return snapshot


@pytest.mark.parametrize(("release_id", "bound_ms"), [("workload", 2.0), ("service", 2000.0)])
def test_latencies_are_in_the_units_of_their_view(release_id: str, bound_ms: float) -> None:
    (histogram,) = collected(release_id).histograms.values()
    assert (histogram.bounds_ms, histogram.cumulative, histogram.sum_ms) == ((bound_ms,), (1, 1), bound_ms)


def test_what_a_target_says_of_itself_is_of_an_arm_only_where_targets_are_its_pods() -> None:
    pod, client = collected("workload"), collected("service")
    assert (list((pod.denied or {}).values()), pod.born) == ([7], 1_000_000.0)
    assert (client.denied, client.born) == (None, None)


def test_a_date_of_birth_is_brought_to_the_time_of_the_samples() -> None:
    assert collected("workload", epoch_offset=999_990.0).born == 10.0
