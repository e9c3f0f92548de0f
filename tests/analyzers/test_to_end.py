"""Releases judged to their ends: side by side what each gives alone, and nobody is asked for a sample that nobody needs."""

from collections.abc import Sequence

from analyzers.counts import Sample
from analyzers.judge import to_end
from analyzers.ruling import Ruling
from tests.analyzers.streams import FAST, World, sample, terms, watch

FAILING, HEALTHY = World(errors=(0.05, 0.001)), World()


def test_each_ends_as_it_does_alone_and_is_asked_for_no_more() -> None:
    one = terms(FAST, ticks=40)
    worlds = [list(world.ticks(seed, 60)) for seed, world in enumerate((FAILING, HEALTHY, FAILING))]
    waiting = [iter(samples) for samples in worlds]
    last: dict[int, Ruling] = {}

    def samples_of(places: Sequence[int]) -> list[Sample]:
        assert places, "nobody is asked for when all have ended"
        return [next(waiting[at]) for at in places]

    for places, samples, rulings in to_end([one] * 3, samples_of):
        assert all(drawn is worlds[at][ruling.tick - 1] for at, drawn, ruling in zip(places, samples, rulings, strict=True))
        last.update(zip(places, rulings, strict=True))
    for at, samples in enumerate(worlds):
        _, alone = watch(one, samples)
        assert (last[at].outcome, last[at].tick, last[at].findings) == (alone.outcome, alone.tick, alone.findings)
        assert len(list(waiting[at])) == len(samples) - alone.tick
    assert [last[at].outcome for at in range(3)] == ["rollback", "inconclusive", "rollback"]


def test_who_has_no_more_samples_is_left_with_the_last_ruling_and_the_others_go_on() -> None:
    ends = {0: 3, 1: 5}
    rounds: list[Sequence[int]] = []

    def samples_of(places: Sequence[int]) -> list[Sample | None]:
        now = len(rounds) + 1
        return [sample(float(now)) if now <= ends[at] else None for at in places]

    for places, _, rulings in to_end([terms()] * 2, samples_of):
        rounds.append(places)
        assert {ruling.outcome for ruling in rulings} == {"continue"}
    assert rounds == [[0, 1]] * 3 + [[1]] * 2


def test_nobody_to_judge_is_nothing_to_ask() -> None:
    def samples_of(places: Sequence[int]) -> list[Sample]:
        raise AssertionError(places)

    assert list(to_end([], samples_of)) == []
