"""Properties of folding: it is pure, finite, the same in any batch, and the same after a restart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analyzers.counts import Arm, Latency, Pod, Sample
from analyzers.judge import CHUNK, JudgeState, fold, start
from analyzers.layout import Rows
from analyzers.ruling import Ruling
from config.policy import DenialTolerance, Policy, Tolerances
from tests.analyzers.streams import ISTIO_MS, World, latency, sample, terms, watch

SMALL = (1.0, 2.0, 4.0)
COUNTS = st.one_of(st.integers(0, 30), st.just(10**12))


@st.composite
def arms(draw: st.DrawFn) -> Arm | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    requests = draw(COUNTS)
    errors = draw(st.integers(0, requests))
    counts = tuple(draw(st.lists(COUNTS, min_size=4, max_size=4)))
    slow = Latency(counts=counts, sum_ms=draw(st.floats(0, 1e15))) if draw(st.booleans()) else None
    pods = None
    if slow is not None and draw(st.booleans()):
        halves = [
            Latency(counts=tuple(count // 2 + extra * (count % 2) for count in counts), sum_ms=slow.sum_ms / 2) for extra in (0, 1)
        ]
        pods = {
            f"p{at}": Pod(requests=requests // 2, latency=half, age_seconds=draw(st.sampled_from([None, 5.0, 500.0])))
            for at, half in enumerate(halves)
        }
    return Arm(requests=requests, errors=errors, denied=draw(st.integers(0, 5)), latency=slow, pods=pods)


@st.composite
def streams(draw: st.DrawFn) -> list[Sample]:
    number = draw(st.integers(1, 8))
    return [Sample(t=float(t), seconds=1.0, baseline=draw(arms()), canary=draw(arms()), gap=None) for t in range(1, number + 1)]


def _numbers(ruling: Ruling) -> list[float]:
    values = [ruling.evidence, *(leg.e_value for leg in ruling.legs.values())]
    for finding in ruling.findings:
        values += [finding.e_value, *(value for value in (finding.tolerance,) if value is not None)]
        ends = [value for value in (finding.low, finding.high) if value is not None]
        assert ends == sorted(ends)
        assert np.isfinite(ends).all()
        assert finding.effect is None or np.isfinite(finding.effect)
        assert "nan" not in finding.sentence
        assert "inf" not in finding.sentence
    assert "nan" not in ruling.reason
    return [abs(value) for value in values]


@settings(max_examples=60, deadline=None)
@given(stream=streams(), strict=st.booleans())
def test_any_stream_stays_finite_and_survives_a_restart_at_every_tick(stream: list[Sample], strict: bool) -> None:
    policy = Policy(evidence="strict" if strict else "balanced")
    one = terms(policy, bounds_ms=SMALL, ticks=6)
    never_stopped, restarted = start(one), start(one)
    for tick in stream:
        ((never_stopped, ruling),) = fold([one], [never_stopped], [tick])
        ((restarted, again),) = fold([one], [JudgeState.restore(restarted.save())], [tick])
        assert ruling == again
        assert np.isfinite(_numbers(ruling)).all()
        assert min(_numbers(ruling)) >= 0.0
        assert np.isfinite(never_stopped.row).all()
    assert never_stopped.save() == restarted.save()


@pytest.mark.broad
@settings(max_examples=25, deadline=None)
@given(many=st.lists(streams(), min_size=2, max_size=6), data=st.data())
def test_a_batch_gives_what_one_by_one_gives(many: list[list[Sample]], data: st.DataObject) -> None:
    """Releases that differ in bounds, horizon and policy, folded together and apart, to the last bit."""
    kinds = [
        terms(bounds_ms=SMALL),
        terms(bounds_ms=ISTIO_MS, ticks=90),
        terms(Policy(alpha=0.05), bounds_ms=SMALL),
        terms(bounds_ms=()),
    ]
    chosen = [data.draw(st.sampled_from(kinds)) for _ in many]
    states = [start(one) for one in chosen]
    apart = [start(one) for one in chosen]
    for place in range(min(map(len, many))):
        ticks = [stream[place] for stream in many]
        together = fold(chosen, states, ticks)
        states = [state for state, _ in together]
        for at, (state, ruling) in enumerate(together):
            ((apart[at], alone),) = fold([chosen[at]], [apart[at]], [ticks[at]])
            assert ruling == alone
            assert (state.row == apart[at].row).all()


def test_what_is_found_of_a_release_does_not_depend_on_those_beside_it() -> None:
    """Beside one with denials and nearly all of the traffic: no shortcut that a whole batch takes may change a number."""
    one = terms(Policy(tolerances=Tolerances(denied=DenialTolerance(above_baseline=0.02))), bounds_ms=SMALL)
    slow = Latency(counts=(0, 5, 2, 1), sum_ms=20.0), Latency(counts=(9, 0, 0, 1), sum_ms=30.0)
    quiet = sample(1.0, canary=(8, 0), baseline=(10, 0), slow=slow)
    loud = replace(sample(1.0, baseline=(1, 0), slow=slow[::-1]), canary=Arm(requests=10, denied=7, latency=slow[1]))
    [(alone, _)], [(beside, _), _] = fold([one], [start(one)], [quiet]), fold([one] * 2, [start(one)] * 2, [quiet, loud])
    assert (alone.row == beside.row).all()


def test_a_batch_larger_than_a_chunk_keeps_its_order() -> None:
    one = terms(bounds_ms=())
    batch = [sample(1.0, canary=(50, place % 7)) for place in range(CHUNK + 5)]
    results = fold([one] * len(batch), [start(one)] * len(batch), batch)
    effects = [ruling.legs["errors"].effect for _, ruling in results]
    assert effects == [pytest.approx((place % 7) / 50) for place in range(CHUNK + 5)]


def test_an_empty_batch_is_empty() -> None:
    assert fold([], [], []) == []


def test_folding_does_not_change_the_state_it_is_given() -> None:
    one = terms()
    begun = start(one)
    before = begun.save()
    fold([one], [begun], list(World().ticks(1, 1)))
    assert begun.save() == before


def test_a_gap_folds_nothing_but_time_goes_on() -> None:
    one = terms(bounds_ms=())
    gap = Sample(t=1.0, seconds=1.0, baseline=None, canary=Arm(requests=50, errors=50), gap="scrape failed")
    state, ruling = watch(one, [gap])
    assert ruling.tick == 1
    assert ruling.evidence == pytest.approx(1.0)
    assert Rows(state.row[None]).counts[0, 0].sum() == 0.0


@pytest.mark.parametrize(
    "broken",
    [
        Arm(requests=50, errors=51),
        Arm(requests=-50, errors=0),
        Arm(requests=50, errors=-1),
        Arm(requests=50, denied=-2),
    ],
)
def test_impossible_counts_make_a_gap(broken: Arm) -> None:
    one = terms(bounds_ms=())
    _, ruling = watch(one, [Sample(t=1.0, seconds=1.0, baseline=Arm(requests=950), canary=broken)])
    assert ruling.evidence == pytest.approx(1.0)
    assert ruling.legs["errors"].effect is None


@pytest.mark.parametrize(
    "broken",
    [latency((1, 2, 3)), latency((5, -1, 3, 2)), latency((0, 0, 0, 0))],
    ids=["another number of buckets", "negative", "empty"],
)
def test_an_impossible_histogram_leaves_the_errors_judged(broken: Latency) -> None:
    one = terms(bounds_ms=SMALL)
    good = latency((5, 5, 5, 5))
    _, ruling = watch(one, [sample(1.0, canary=(50, 3), slow=(broken, good))])
    assert ruling.legs["typical"].e_value == pytest.approx(1.0)
    assert ruling.legs["errors"].e_value > 10.0


def test_a_sum_that_is_no_number_idles_the_mean_only() -> None:
    one = terms(bounds_ms=SMALL)
    _, ruling = watch(one, [sample(1.0, slow=(latency((5, 20, 20, 5), float("nan")), latency((100, 20, 20, 5))))])
    assert ruling.legs["typical"].effect is None
    assert ruling.legs["typical"].e_value > 1.0


def test_bounds_may_become_known_late_and_may_change() -> None:
    """Errors are judged from the start; latency from when its bounds are known; other bounds begin new histograms."""
    unknown, known, other = terms(bounds_ms=()), terms(bounds_ms=SMALL), terms(bounds_ms=(1.0, 2.0, 8.0))
    slow = (latency((0, 0, 20, 30)), latency((300, 400, 200, 50)))
    state = start(unknown)
    ((state, first),) = fold([unknown], [state], [sample(1.0, canary=(50, 2), slow=slow)])
    assert first.legs["typical"].e_value == pytest.approx(1.0)
    assert first.legs["errors"].e_value > 1.0
    ((state, second),) = fold([known], [state], [sample(2.0, slow=slow)])
    assert second.legs["typical"].e_value > 10.0
    assert Rows(state.row[None]).baseline.sum() == 950.0
    ((state, third),) = fold([other], [state], [sample(3.0, slow=slow)])
    assert third.legs["typical"].e_value > second.legs["typical"].e_value
    assert Rows(state.row[None]).baseline.sum() == 950.0


def test_latency_that_comes_later_than_its_requests_is_folded_when_it_comes() -> None:
    """A proxy that merges histograms every 5 s: four ticks bring none, the fifth brings all."""
    one = terms(bounds_ms=SMALL)
    slow = (latency((40, 90, 80, 40), 4000.0), latency((1500, 2000, 1000, 250)))
    stream = [sample(float(t), slow=slow if t % 5 == 0 else (None, None)) for t in range(1, 21)]
    _, ruling = watch(one, stream)
    assert ruling.outcome == "rollback"
    assert (ruling.tick, ruling.leg) == (15, "typical")


def test_a_saved_state_that_is_damaged_or_from_another_version_is_refused() -> None:
    data = watch(terms(), World().ticks(3, 3))[0].save()
    with pytest.raises(ValueError, match="cut short"):
        JudgeState.restore(data[:20])
    with pytest.raises(ValueError, match="cut short"):
        JudgeState.restore(data[:-100])
    with pytest.raises(ValueError, match="another version"):
        JudgeState.restore(b"vdj0" + data[4:])


def test_the_same_samples_give_the_same_ruling() -> None:
    one = terms()
    first, second = (watch(one, World(errors=(0.02, 0.001)).ticks(5, 300)) for _ in range(2))
    assert first[1] == second[1]
    assert first[0].save() == second[0].save()
