"""Whose series are while releases come and go: the same as if all were worked out anew, and at the cost of what has changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.measurements import Watch
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.series import Series, SeriesIndex
from daemon.telemetry.identification import identify as really_identify
from tests.telemetry.support import workloads

ARMS = [
    ArmSpec(workload="web-v1"),
    ArmSpec(workload="web-v2"),
    ArmSpec(workload="web-v1", version="v1"),
    ArmSpec(workload="web-v1", version="v2"),
    ArmSpec(service="web"),
]
LABELS = [
    {"destination_workload": workload, "destination_version": version, "destination_service_name": "web"}
    for workload in ("web-v1", "web-v2", "else")
    for version in ("v1", "v2")
]


def learn(index: SeriesIndex, labels: dict[str, str]) -> Series:
    common = {"reporter": "destination", "destination_workload_namespace": "default", "response_code": "200", "instance": "p"}
    learnt = index.learn(str(labels), "istio_requests_total", {**common, **labels})
    assert learnt is not None
    return learnt


def whose(index: SeriesIndex, labels: dict[str, str]) -> set[tuple[str, int]]:
    known = index[str(labels)]
    assert known is not None
    return {(arm.release_id, arm.arm) for arm in known.label_set.arms}


def watches(chosen: dict[str, tuple[int, int]]) -> list[Watch]:
    return [
        Watch(release_id=release_id, release=Release(service="web", namespace="default", baseline=ARMS[one], canary=ARMS[other]))
        for release_id, (one, other) in chosen.items()
    ]


_ARM = st.integers(0, len(ARMS) - 1)
_CHOSEN = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(_ARM, _ARM))


@given(st.lists(st.tuples(_CHOSEN, st.sets(st.integers(0, len(LABELS) - 1)), st.booleans()), min_size=1, max_size=6))
def test_whatever_comes_and_goes_series_are_whose_they_would_be_anew(
    steps: list[tuple[dict[str, tuple[int, int]], set[int], bool]],
) -> None:
    index, met = SeriesIndex(ISTIO), set[int]()
    for chosen, more, forgotten in steps:
        if forgotten:
            met.clear()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("daemon.telemetry.counters.series._FORGET_ABOVE", 0)
                index.tidy(0)
        for number in more:
            learn(index, LABELS[number])
        met |= more
        index.watch(watches(chosen))
        anew = SeriesIndex(ISTIO)
        anew.watch(watches(chosen))
        for number in met:
            learn(anew, LABELS[number])
            assert whose(index, LABELS[number]) == whose(anew, LABELS[number])
        asked = [{view: set(selectors) for view, selectors in one.selectors.items()} for one in (index, anew)]
        assert asked[0] == asked[1]
        assert (index.unknowable, index.known) == (anew.unknowable, anew.known)
        assert index.arms.keys() == anew.arms.keys()


def test_a_release_that_begins_or_ends_costs_nothing_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    identified: list[str] = []

    def identify(view: object, release: Release, *args: object, **options: object) -> object:
        identified.append(str(release.canary.workload))
        return really_identify(view, release, *args, **options)  # type: ignore[arg-type]  # as it was asked

    monkeypatch.setattr("daemon.telemetry.counters.series.identify", identify)
    index = SeriesIndex(ISTIO)
    many = [workloads(f"web-{n}", baseline=f"web-{n}-v1", canary=f"web-{n}-v2") for n in range(50)]
    index.watch(many)
    known = learn(index, LABELS[0] | {"destination_workload": "web-7-v2"})
    arms = known.label_set.arms
    met = dict(index.series)
    identified.clear()
    index.watch([*many, workloads("new", baseline="new-v1", canary="new-v2")])
    index.watch(many[1:])
    assert identified == ["new-v2"]
    assert known.label_set.arms is arms
    assert index.series == met
    assert "web-0" not in index.arms


def test_a_series_that_is_nobodys_any_more_is_nobodys_target_and_comes_back_with_its_release() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([workloads()])
    known = learn(index, LABELS[2])
    assert whose(index, LABELS[2]) == {("web-1", 1)}
    index.watch([])
    assert known.label_set.arms == ()
    index.watch([workloads("again")])
    assert whose(index, LABELS[2]) == {("again", 1)}
