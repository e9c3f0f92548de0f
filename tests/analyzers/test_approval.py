"""What is found good waits for a person where the policy says so: it is watched on, and nothing but a person promotes it."""

import msgspec
import pytest
from msgspec.structs import replace as replaced

from analyzers.approval import waited
from analyzers.counts import Sample, Signal
from analyzers.judge import JudgeState, Terms, fold, start, to_end
from analyzers.ruling import Ruling
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, terms

TICKS = 150
FAST = Policy(promotion=Promotion(min_requests=500, min_seconds=20.0), warmup_seconds=0.0)
HEALTHY = list(World().ticks(3, TICKS))
BAD = list(World(errors=(0.2, 0.001)).ticks(5, 60))
WAITS = msgspec.structs.replace(FAST, on_promote="wait", approval_seconds=60.0)


def watched(one: Terms, samples: list[Sample], *, restarted: bool = False) -> list[Ruling]:
    """Every ruling to the final one; ``restarted``: the state is kept and read back between each two ticks."""
    state, found = start(one), list[Ruling]()
    for sample in samples:
        [(state, ruling)] = fold([one], [JudgeState.restore(state.save()) if restarted else state], [sample])
        found.append(ruling)
        if ruling.outcome != "continue":
            break
    return found


def last(policy: Policy, samples: list[Sample], *, ticks: int = TICKS) -> Ruling:
    return watched(terms(policy, ticks=ticks), samples)[-1]


GOOD = last(FAST, HEALTHY)


def moved(samples: list[Sample], seconds: float) -> list[Sample]:
    return [replaced(one, t=one.t + seconds) for one in samples]


def test_what_would_be_promoted_waits_and_says_since_when_and_for_whom() -> None:
    assert GOOD.outcome == "promote"
    found = watched(terms(WAITS, ticks=TICKS), HEALTHY[: GOOD.tick])
    ruling = found[-1]
    assert (ruling.outcome, ruling.good_since, ruling.findings, ruling.fixed_horizon) == ("continue", GOOD.t, (), None)
    assert ruling.reason == f"found good after {GOOD.t:.0f} s, and a person is to say whether it is promoted; {GOOD.reason}"
    assert ruling.found == ("promote", GOOD.t)
    assert [one.good_since for one in found[:-1]] == [None] * (GOOD.tick - 1)
    assert found[0].found == ("continue", found[0].t)


@pytest.mark.parametrize("restarted", [False, True])
def test_it_waits_past_the_window_and_is_inconclusive_in_the_end_and_never_promoted(restarted: bool) -> None:
    window = GOOD.tick + 10
    found = watched(terms(WAITS, ticks=window), HEALTHY + moved(HEALTHY, float(TICKS)), restarted=restarted)
    assert {one.outcome for one in found[:-1]} == {"continue"}
    assert (found[-1].outcome, found[-1].t) == ("inconclusive", GOOD.t + 60.0)
    assert found[-1].reason.startswith(f"found good after {GOOD.t:.0f} s, and no person has said within 60 s that it be promoted; ")
    assert found[-1].findings
    assert found[-1].found == ("promote", GOOD.t)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("window", [TICKS, GOOD.tick])
def test_a_canary_that_turns_bad_while_it_waits_is_rolled_back(window: int, restarted: bool) -> None:
    waiting = HEALTHY[: GOOD.tick + 30]
    found = watched(terms(WAITS, ticks=window), waiting + moved(BAD, waiting[-1].t), restarted=restarted)
    ruling = found[-1]
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    assert ruling.tick <= GOOD.tick + 30 + 15, "it is found as soon as it would be in a watch that goes on"
    assert ruling.found == ("rollback", ruling.t)
    [(_, [_], [again])] = list(to_end([terms(WAITS, ticks=window)], _next(waiting + moved(BAD, waiting[-1].t))))[-1:]
    assert (again.outcome, again.tick, again.reason) == (ruling.outcome, ruling.tick, ruling.reason), "a replay says the same"


def _next(samples: list[Sample]):  # type: ignore[no-untyped-def]  # as `to_end` asks
    left = iter(samples)
    return lambda places: [next(left, None) for _ in places]


def test_what_is_not_found_good_ends_as_it_would_without_a_person() -> None:
    for samples in (BAD, HEALTHY[:15]):
        bare, waits = (watched(terms(policy, ticks=15), samples) for policy in (FAST, WAITS))
        assert [(one.outcome, one.reason) for one in waits] == [(one.outcome, one.reason) for one in bare]


def test_while_something_holds_a_promotion_nobody_is_asked_and_who_waits_goes_on_waiting() -> None:
    holds = Signal(kind="not_ready", about="canary", effect="holds", words="it holds")
    held = [replaced(one, signals=(holds,)) for one in HEALTHY]
    assert [one.good_since for one in watched(terms(WAITS, ticks=TICKS), held[: GOOD.tick + 5])] == [None] * (GOOD.tick + 5)
    found = watched(terms(WAITS, ticks=GOOD.tick), HEALTHY[: GOOD.tick] + held[GOOD.tick : GOOD.tick + 5])
    assert {(one.outcome, one.good_since) for one in found[GOOD.tick - 1 :]} == {("continue", GOOD.t)}
    assert found[-1].reason.endswith("it holds (while it is so nothing is promoted)")


def test_who_waits_is_nothing_to_the_others_of_its_batch_and_a_state_without_a_person_is_kept_as_before() -> None:
    ours = [terms(FAST, ticks=TICKS), terms(WAITS, ticks=TICKS), terms(FAST, ticks=TICKS)]
    states = [start(one) for one in ours]
    outcomes = list[str]()
    for sample in HEALTHY[: GOOD.tick]:
        folded = fold(ours, states, [sample] * 3)
        states, outcomes = [state for state, _ in folded], [ruling.outcome for _, ruling in folded]
    assert outcomes == ["promote", "continue", "promote"]
    bare, waits, other = (state.save() for state in states)
    assert bare == other
    assert waits != bare
    assert JudgeState.restore(waits).good_since == GOOD.t
    assert JudgeState.restore(bare).good_since is None


def test_a_rollback_is_one_though_the_time_for_a_person_is_over() -> None:
    late = msgspec.structs.replace(GOOD, outcome="rollback", leg="errors", t=10_000.0)
    assert waited(late, good_since=1.0, approval_seconds=2.0).outcome == "rollback"
