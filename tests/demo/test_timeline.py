"""The timeline puts the traffic's account and the decision record side by side."""

from daemon.demo.acts import ACTS
from daemon.demo.timeline import lines, showed, timeline
from daemon.demo.traffic import Answer, TrafficLog
from tests.demo.samples import BEGAN, promoted, sample, steady, taken_back, traffic


def failing_canary() -> TrafficLog:
    """Good answers from the start, a bad one at 0.5 s, and a last good one that was under way at the patch."""
    return traffic(
        [
            *steady("v3", begin=BEGAN, end=BEGAN + 2.0),
            Answer(BEGAN + 0.5, 0.02, 500, "v3"),
            Answer(BEGAN + 2.0, 0.1, 200, "v3"),
            *steady("v2", begin=BEGAN, end=BEGAN + 9.0),
        ]
    )


def test_a_failing_canary_is_told_from_its_first_failure_to_its_last_answer() -> None:
    samples = ((BEGAN + 0.25, sample()), (BEGAN + 0.75, sample(errors=1)))
    assert lines(timeline(taken_back(samples=samples), failing_canary())) == [
        "first bad response                  +0.000 s",
        "first sample that showed it         +0.230 s",
        "decision                            +1.480 s  evidence 123, needed 100",
        "patch sent                          +1.490 s",
        "patch acknowledged                  +1.500 s",
        "last canary response                +1.580 s  its request left 10 ms before the patch",
        "bad responses served                          1, of 202 canary responses",
    ]


def test_every_answer_of_a_slow_canary_is_a_bad_one() -> None:
    log = traffic([*steady("v4", begin=BEGAN, end=BEGAN + 2.0), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    steps = {step.label: step for step in timeline(taken_back(ACTS[2]), log)}
    assert steps["bad responses served"].detail == "200, of 200 canary responses"
    assert steps["first bad response"].at == BEGAN + 0.02
    assert "first sample that showed it" not in steps


def test_a_promotion_is_told_until_the_old_version_falls_silent() -> None:
    log = traffic([*steady("v1", begin=BEGAN, end=BEGAN + 5.1), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    steps = {step.label: step for step in timeline(promoted(), log)}
    assert steps["pipeline gave it 100 %"].at == BEGAN + 5.1
    assert steps["canary responses"].detail == "898, of them 0 failed"
    assert abs((steps["last response of the old version"].at or 0.0) - (BEGAN + 5.11)) < 0.001


def test_a_run_that_broke_off_has_a_timeline_too() -> None:
    labels = [step.label for step in timeline(taken_back(), traffic([]))]
    assert labels == ["decision", "patch sent", "patch acknowledged", "bad responses served"]
    assert [step.label for step in timeline(promoted(shifted_at=None), traffic([]))] == ["decision", "canary responses"]


def test_a_sample_shows_errors_by_an_error_and_slowness_by_its_means() -> None:
    _, failing, slow = ACTS
    assert not showed(failing, sample(canary_ms=50.0))
    assert showed(failing, sample(errors=1))
    assert not showed(slow, sample(canary_ms=21.0))
    assert showed(slow, sample(canary_ms=26.0))


def test_a_sample_without_an_arm_or_a_histogram_shows_nothing() -> None:
    _, failing, slow = ACTS
    full = sample(errors=1, canary_ms=50.0)
    assert not showed(failing, type(full)(t=1.0, seconds=0.25, baseline=None, canary=full.canary))
    bare = type(full.canary)(requests=10) if full.canary else None
    assert not showed(slow, type(full)(t=1.0, seconds=0.25, baseline=full.baseline, canary=bare))
