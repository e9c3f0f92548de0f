"""Only the traffic proves an outcome."""

from daemon.demo.acts import ACTS, objections
from daemon.demo.traffic import Answer
from daemon.model import Outcome
from tests.demo.samples import BEGAN, promoted, steady, taken_back, traffic


def test_a_promoted_canary_that_answers_everything_is_proven() -> None:
    log = traffic([*steady("v1", begin=BEGAN, end=BEGAN + 5.1), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    assert objections(promoted(), log) == []


def test_one_answer_of_the_old_version_long_after_the_promotion_is_an_objection() -> None:
    log = traffic([*steady("v2", begin=BEGAN, end=BEGAN + 9.0), Answer(BEGAN + 8.0, 0.02, 200, "v1")])
    assert objections(promoted(), log) == ["v2: 1 of 339 answers after its promotion came from elsewhere"]


def test_requests_under_way_at_the_switch_are_no_objection() -> None:
    """They were sent before it, though their answers come after the time to settle."""
    log = traffic([*steady("v2", begin=BEGAN, end=BEGAN + 9.0), Answer(BEGAN + 5.0, 3.0, 200, "v1")])
    assert objections(promoted(), log) == []


def test_a_verdict_that_is_not_the_expected_one_is_an_objection() -> None:
    problem = objections(promoted(outcome=Outcome.INCONCLUSIVE), traffic([]))
    assert problem == ["v2: the verdict is inconclusive, not promote (because <of> & this)"]


def test_a_promotion_that_nobody_carried_out_is_an_objection() -> None:
    assert objections(promoted(shifted_at=None), traffic([])) == ["v2: was never given 100 %"]


def test_a_canary_that_falls_silent_after_the_patch_is_proven() -> None:
    log = traffic([*steady("v3", begin=BEGAN, end=BEGAN + 2.02), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    assert objections(taken_back(), log) == []


def test_a_canary_that_answers_on_is_an_objection() -> None:
    log = traffic([*steady("v3", begin=BEGAN, end=BEGAN + 4.0), *steady("v2", begin=BEGAN, end=BEGAN + 9.0)])
    (problem,) = objections(taken_back(), log)
    assert problem.startswith("v3: 148 answers after it was taken back, the last one 1.99 s after")


def test_silence_of_everybody_proves_nothing() -> None:
    log = traffic(steady("v3", begin=BEGAN, end=BEGAN + 2.0))
    assert objections(taken_back(), log) == ["v3: only 0 answers of v2 were seen afterwards"]


def test_a_canary_that_never_answered_was_not_taken_back() -> None:
    log = traffic(steady("v2", begin=BEGAN, end=BEGAN + 9.0))
    assert objections(taken_back(), log) == ["v3: never answered a request, so nothing was taken back"]


def test_a_short_look_proves_nothing() -> None:
    assert objections(taken_back(ended=BEGAN + 3.02), traffic([])) == ["v3: watched for only 1.0 s after the patch"]


def test_a_rollback_without_a_patch_is_an_objection() -> None:
    played = promoted(outcome=Outcome.ROLLBACK)
    acted = type(played)(act=ACTS[1], release_id="web-1", began=BEGAN, ended=BEGAN + 9.0, record=played.record, settle_seconds=0.5)
    assert objections(acted, traffic([])) == ["v3: the record tells of no acknowledged patch (action none)"]
