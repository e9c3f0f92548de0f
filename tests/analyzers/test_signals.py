"""What stands beside the counts puts a ruling off and never makes one; without it every ruling is what it was, to the bit."""

import pytest
from msgspec.structs import replace

from analyzers.counts import Effect, Sample, Signal
from analyzers.judge import JudgeState, Terms, fold, start
from analyzers.ruling import Ruling
from analyzers.signals import heeded
from tests.analyzers.streams import FAST, World, terms, watch

FAILING, HEALTHY = World(errors=(0.05, 0.001)), World()


def signal(effect: Effect, words: str = "istiod rejects its configuration") -> Signal:
    return Signal(kind="rejected", about="mesh", effect=effect, words=words)


def beside(sample: Sample, *effects: Effect) -> Sample:
    return replace(sample, signals=tuple(signal(effect, f"it {effect}") for effect in effects))


def rulings(one: Terms, samples: list[Sample]) -> tuple[JudgeState, list[Ruling]]:
    """Every ruling, also those after the first final one."""
    state, found = start(one), []
    for sample in samples:
        [(state, ruling)] = fold([one], [state], [sample])
        found.append(ruling)
    return state, found


@pytest.mark.parametrize("effects", [("says",), ("holds",), ("says", "holds")])
@pytest.mark.parametrize("world", [FAILING, HEALTHY])
def test_what_does_not_excuse_changes_no_number_of_the_judge(world: World, effects: tuple[Effect, ...]) -> None:
    samples = list(world.ticks(1, 12))
    bare, told = rulings(terms(FAST), samples), rulings(terms(FAST), [beside(one, *effects) for one in samples])
    assert told[0].save() == bare[0].save()
    assert [(one.evidence, one.t) for one in told[1]] == [(one.evidence, one.t) for one in bare[1]]


def test_what_stands_beside_one_release_is_nothing_to_the_others_of_its_batch() -> None:
    one, sample = terms(FAST), next(iter(FAILING.ticks(1, 1)))
    [(alone, ruled)] = fold([one], [start(one)], [sample])
    results = fold([one] * 3, [start(one)] * 3, [sample, beside(sample, "excuses"), sample])
    assert [results[at][0].save() == alone.save() for at in range(3)] == [True, False, True]
    assert [results[at][1].reason == ruled.reason for at in range(3)] == [True, False, True]


def test_where_nothing_stands_beside_it_a_ruling_is_what_it_was() -> None:
    _, ruling = watch(terms(FAST), list(FAILING.ticks(1, 60)))
    assert heeded(ruling, (), window_seconds=1.0) is ruling


def test_it_is_said_while_the_watch_goes_on_and_when_it_ends() -> None:
    samples = [beside(one, "says") for one in FAILING.ticks(1, 60)]
    _, early = watch(terms(FAST), samples[:1])
    assert (early.outcome, early.reason.endswith("; it says")) == ("continue", True)
    _, ruling = watch(terms(FAST), samples)
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    assert ruling.reason.endswith("; it says")


@pytest.mark.broad
def test_a_canary_that_is_held_is_not_promoted_until_nothing_holds_it_any_more() -> None:
    samples = list(HEALTHY.ticks(3, 600))
    _, bare = watch(terms(ticks=600), samples)
    assert bare.outcome == "promote"
    held = [beside(one, "holds") if number < bare.tick + 20 else one for number, one in enumerate(samples)]
    _, during = watch(terms(ticks=600), held[: bare.tick])
    assert (during.outcome, during.findings, during.fixed_horizon) == ("continue", (), None)
    assert during.reason == "everything asked for promotion is shown, but it holds (while it is so nothing is promoted)"
    _, after = watch(terms(ticks=600), held)
    assert (after.outcome, after.tick) == ("promote", bare.tick + 21)


def test_a_canary_that_is_held_to_the_end_is_inconclusive_and_the_verdict_says_by_what() -> None:
    _, bare = watch(terms(ticks=600), HEALTHY.ticks(3, 600))
    _, ruling = watch(terms(ticks=bare.tick), [beside(one, "holds") for one in HEALTHY.ticks(3, 600)])
    assert (ruling.outcome, ruling.tick) == ("inconclusive", bare.tick)
    assert ruling.reason.startswith(f"no decision after {bare.t:.0f} s: everything asked for promotion is shown, but it holds")
    assert ruling.findings
    assert ruling.fixed_horizon is not None


def test_what_only_holds_convicts_as_ever() -> None:
    _, bare = watch(terms(FAST), FAILING.ticks(1, 60))
    _, held = watch(terms(FAST), [beside(one, "holds") for one in FAILING.ticks(1, 60)])
    assert (held.outcome, held.tick, held.findings) == (bare.outcome, bare.tick, bare.findings) != ("continue", 0, ())


def test_while_it_is_excused_nobody_is_convicted_and_what_was_seen_then_convicts_nobody_later() -> None:
    samples = list(FAILING.ticks(1, 60))
    excused = [beside(one, "excuses") if number < 30 else one for number, one in enumerate(samples)]
    _, during = watch(terms(FAST, ticks=60), excused[:30])
    assert (during.outcome, during.evidence) == ("continue", 1.0)
    assert "it excuses (while it is so nothing is judged)" in during.reason
    _, after = watch(terms(FAST, ticks=60), excused)
    _, fresh = watch(terms(FAST, ticks=60), [replace(one, t=one.t - 30.0) for one in samples[30:]])
    assert (after.outcome, after.leg) == ("rollback", "errors")
    assert after.tick - 30 == fresh.tick


def test_evidence_of_before_does_not_convict_while_it_is_excused() -> None:
    one, samples = terms(FAST, ticks=60), list(FAILING.ticks(1, 60))
    _, bare = watch(one, samples)
    last = bare.tick - 1
    state, _ = rulings(one, samples[: bare.tick])
    [(_, excused)] = fold([one], [state], [beside(samples[last], "excuses")])
    assert (excused.outcome, excused.leg, excused.findings) == ("continue", None, ())
    assert excused.reason.startswith("it looks bad (")
    late = beside(replace(samples[last], t=60.0), "excuses")
    [(_, over)] = fold([one], [state], [late])
    assert (over.outcome, over.leg) == ("inconclusive", None)
    assert {finding.standing for finding in over.findings} & {"convicts"} == set()
    assert "outside" in {finding.standing for finding in over.findings}


@pytest.mark.broad
def test_nobody_is_promoted_while_it_is_excused() -> None:
    samples = list(HEALTHY.ticks(3, 600))
    _, bare = watch(terms(ticks=600), samples)
    _, excused = watch(terms(ticks=600), [*samples[: bare.tick - 1], *(beside(one, "excuses") for one in samples[bare.tick - 1 :])])
    assert (excused.outcome, excused.tick) == ("inconclusive", 600)
