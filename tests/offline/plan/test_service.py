"""What is known of a service: from figures, histograms and recordings; and the distribution behind a histogram."""

from pathlib import Path

import numpy as np
import pytest

from analyzers.counts import Arm, Latency, Sample
from config.policy import ErrorTolerance, Policy, Tolerances
from daemon.errors import InvalidInput
from daemon.offline.plan.latency import Histogram, stretched
from daemon.offline.plan.regressions import Regression, fraction, parsed, usual
from daemon.offline.plan.seen import Seen, of_recording
from daemon.offline.plan.service import Service
from daemon.offline.plan.trying import End, cell
from daemon.offline.simulation import shapes
from daemon.offline.simulation.world import ISTIO_MS, Change
from tests.offline.replay.recorded import FAILING, PROMPT, record


def lognormal(median_ms: float, p99_ms: float) -> Histogram:
    chance, _, _ = shapes.lognormal(median_ms=median_ms, p99_ms=p99_ms).buckets(np.log(np.array(ISTIO_MS)), np.array(0.0))
    return Histogram(bounds_ms=ISTIO_MS, counts=tuple((1e5 * chance).tolist()))


@pytest.mark.parametrize(("median_ms", "p99_ms"), [(40.0, 240.0), (60.0, 360.0), (7.0, 900.0)])
def test_the_distribution_behind_coarse_buckets_is_found_again(median_ms: float, p99_ms: float) -> None:
    truth = shapes.lognormal(median_ms=median_ms, p99_ms=p99_ms)
    found = lognormal(median_ms, p99_ms)
    for share in (0.05, 0.5, 0.95, 0.99, 0.999):
        assert found.shape.quantile_ms(share) == pytest.approx(truth.quantile_ms(share), rel=0.01)
    assert found.shape.mean_ms == pytest.approx(truth.mean_ms, rel=0.02)


def test_a_stretched_tail_moves_p99_by_its_factor_and_leaves_the_rest() -> None:
    histogram = lognormal(40.0, 240.0)
    for tail in (1.0, 1.5, 3.0):
        slower = stretched(histogram, tail)
        assert slower.quantile_ms(0.99) == pytest.approx(240.0 * tail, rel=0.01)
        for share in (0.1, 0.5, 0.9):
            assert slower.quantile_ms(share) == pytest.approx(histogram.shape.quantile_ms(share), rel=0.01)


@pytest.mark.parametrize("counts", [(0.0, 10.0, 0.0, 0.0), (0.0, 0.0, 0.0, 9.0), (5.0, 0.0, 0.0, 5.0), (1e9, 1.0, 0.0, 1.0)])
def test_odd_histograms_have_a_distribution_too(counts: tuple[float, ...]) -> None:
    histogram = Histogram(bounds_ms=(10.0, 100.0, 1000.0), counts=counts)
    for shape in (histogram.shape, stretched(histogram, 2.0)):
        assert 0.0 < shape.quantile_ms(0.5) <= shape.quantile_ms(0.99) < float("inf")
        assert np.isfinite(shape.curves).all()


@pytest.mark.parametrize("counts", [(1.0,), (0.0, 0.0), (-1.0, 2.0)])
def test_what_is_no_histogram_is_refused(counts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        _ = Histogram(bounds_ms=(10.0,), counts=counts).shape


def test_a_recording_shows_its_service(tmp_path: Path) -> None:
    """Its baseline's failures and latencies, whatever became of the canary."""
    [path] = record(tmp_path, change=FAILING, ticks=60)
    service, recording = of_recording(path)
    assert recording.header.policy == PROMPT
    assert service.rps == pytest.approx(1000.0, rel=0.02)
    assert (service.weight, service.tick_seconds, service.split, service.bounds_ms) == (5.0, 1.0, True, ISTIO_MS)
    assert service.errors == pytest.approx(0.001, abs=0.0006)
    assert service.median_ms == pytest.approx(40.0, rel=0.03)
    assert service.p99_ms == pytest.approx(240.0, rel=0.06)


def test_without_a_configured_weight_it_is_what_was_seen(tmp_path: Path) -> None:
    [path] = record(tmp_path, change=Change(), ticks=20)
    path.write_bytes(path.read_bytes().replace(b',"weight":5', b"", 1))
    service, _ = of_recording(path)
    assert service.weight == pytest.approx(5.0, abs=0.5)


def test_too_little_is_said_to_be_so() -> None:
    seen = Seen().plus(Sample(t=1.0, seconds=1.0, baseline=None, canary=None, gap="x"))
    assert seen == Seen()
    bare = seen.plus(Sample(t=1.0, seconds=1.0, baseline=Arm(requests=9, latency=None), canary=None))
    for one in (seen, bare):
        with pytest.raises(InvalidInput, match="were not seen"):
            one.service(source="x", bounds_ms=(1.0,), split=True, tick_seconds=1.0, weight=None)


def test_what_was_seen_and_could_be_no_service_is_refused() -> None:
    """Every request failed: nothing can be said of what is normal."""
    latency = Latency(counts=(3, 5), sum_ms=9.0)
    seen = Seen().plus(Sample(t=1.0, seconds=1.0, baseline=Arm(requests=9, errors=9, latency=latency), canary=None))
    with pytest.raises(InvalidInput, match="errors is a share"):
        seen.service(source="x", bounds_ms=(1.0,), split=False, tick_seconds=1.0, weight=None)


def test_ticks_without_latency_count_for_the_rest() -> None:
    seen = Seen()
    for latency in (None, Latency(counts=(3, 5), sum_ms=9.0), None, Latency(counts=(1, 0), sum_ms=2.0)):
        seen = seen.plus(Sample(t=1.0, seconds=2.0, baseline=Arm(requests=90, errors=9, denied=10, latency=latency), canary=None))
    service = seen.service(source="x", bounds_ms=(50.0,), split=False, tick_seconds=2.0, weight=7.0)
    assert (service.rps, service.errors, service.denied, service.weight) == (50.0, 0.1, 0.1, 7.0)
    assert seen.counts == (4, 5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rps": 0.0}, "rps"),
        ({"weight": 100.0}, "weight"),
        ({"errors": 1.0}, "errors"),
        ({"denied": -0.1}, "denied"),
        ({"median_ms": 300.0}, "median"),
        ({"tick_seconds": 0.1}, "tick"),
        ({"rps": float("nan")}, "rps"),
        ({"bounds_ms": (5.0, 5.0)}, "bounds_ms"),
        ({"bounds_ms": ()}, "bounds_ms"),
        ({"burst": 0}, "burst"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
def test_what_could_be_no_service_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Service(**({"rps": 10.0, "weight": 5.0, "median_ms": 40.0, "p99_ms": 240.0} | wrong))  # type: ignore[arg-type] # as wrong


def test_the_usual_regressions_lie_beyond_the_tolerances() -> None:
    service = Service(rps=10.0, weight=5.0, errors=0.001, median_ms=40.0, p99_ms=240.0)
    found = [(one.kind, one.size) for one in usual(service, Policy())]
    assert found == [
        ("errors", 0.01), ("errors", 0.02), ("errors", 0.05), ("errors", 0.2),
        ("latency", 1.2), ("latency", 1.5), ("latency", 2.0), ("p99", 1.5), ("p99", 2.0),
    ]  # fmt: skip
    failing = Service(rps=10.0, weight=5.0, errors=0.04, denied=0.01, median_ms=40.0, p99_ms=240.0)
    kinds = usual(failing, Policy(tolerances=Tolerances(errors=ErrorTolerance(above_baseline=0.1))))
    assert [one.size for one in kinds if one.kind == "errors"] == [0.2, 0.5, 1.0]
    assert [one.size for one in kinds if one.kind == "denied"] == [0.02]
    assert kinds[-1].label(failing) == "denied 1 % -> 2 %"
    assert kinds[-1].change == Change(denied=0.02)


def test_regressions_are_written_as_kind_and_size() -> None:
    assert [parsed(text) for text in ("errors=2%", "denied=0.01", "latency=1.3", "p99=2")] == [
        Regression(kind="errors", size=0.02),
        Regression(kind="denied", size=0.01),
        Regression(kind="latency", size=1.3),
        Regression(kind="p99", size=2.0),
    ]
    assert fraction("0.5%") == 0.005
    for wrong in ("errors", "errors=much", "speed=2", "latency=0.9", "errors=2", "p99=nan", "latency=inf"):
        with pytest.raises(InvalidInput, match="write errors=2%"):
            parsed(wrong)


def test_quantiles_are_over_all_releases_and_know_their_errors() -> None:
    found = [End(outcome="rollback", seconds=float(one)) for one in range(1, 61)]
    missed = [End(outcome="promote", seconds=60.0)] * 40
    one = cell([*found, *missed], wanted="rollback")
    assert (one.rolled_back.value, one.promoted.value, one.inconclusive.value) == (0.6, 0.4, 0.0)
    assert (one.median.seconds, one.median.error) == (50.0, 5.0)
    assert (one.p90.seconds, one.p90.error) == (None, None)
    assert one.rolled_back.error == pytest.approx(0.049, abs=0.001)
    assert one.inconclusive.error > 0.0
    none = cell(missed, wanted="rollback")
    assert (none.median.seconds, none.median.error) == (None, None)
