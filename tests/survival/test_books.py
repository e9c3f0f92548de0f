"""The books find each way in which a promise can be broken, and nothing where all were kept."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from config.policy import Policy
from daemon.engine.tenure import HELD
from daemon.model import Action, ArmSpec, Outcome, Record, Release, TimedStep, Verdict
from daemon.placement import ObjectName, Undo
from tests.hand.samples import verdict
from tests.survival.books import Books, Entry, Left, Replay, faults

RELEASE = Release(service="web", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
ROLLBACK = verdict("a")
PROMOTION = verdict("a", outcome=Outcome.PROMOTE, action=Action.NONE, meaning="promote", leg=None)
UNDO = Undo(object=ObjectName(kind="HTTPRoute", namespace="shop", name="web"), values=())


def record(said: Verdict, **changes: Any) -> Record:
    fields = {"bounds_ms": (), "sample_digest": "5d", "fixed_horizon": None, "marks": ()}
    return Record(verdict=said, release=RELEASE, policy=Policy(), **{**fields, **changes})


def entry(said: Verdict, **changes: Any) -> Entry:
    kept = said.outcome is Outcome.ROLLBACK
    fields: dict[str, Any] = {
        "bad": kept,
        "left": Left(percent=0.0 if kept else 50.0, answers=not kept),
        "record": record(said),
        "replay": Replay(outcome=said.outcome, ticks=said.ticks, digest="5d"),
    }
    return Entry(release_id=said.release_id, percent=50.0, **{**fields, **changes})


def found(said: Verdict, **changes: Any) -> list[str]:
    return faults(Books(entries={"a": entry(said, **changes)}, published=[said]))


@pytest.mark.parametrize("said", [ROLLBACK, PROMOTION])
def test_where_every_promise_was_kept_there_is_no_fault(said: Verdict) -> None:
    assert found(said) == []


def test_each_accepted_release_has_one_verdict_and_nothing_else_has_any() -> None:
    kept = {"a": entry(ROLLBACK)}
    assert faults(Books(entries=kept, published=[])) == ["a: 0 verdicts"]
    assert faults(Books(entries=kept, published=[ROLLBACK, ROLLBACK])) == ["a: 2 verdicts"]
    assert faults(Books(entries=kept, published=[ROLLBACK, verdict("b")])) == ["b: a verdict of what nobody sent"]


def test_the_record_says_what_the_stream_says() -> None:
    assert found(ROLLBACK, record=None) == ["a: there is no record"]
    other = record(msgspec.structs.replace(ROLLBACK, reason="another"))
    assert found(ROLLBACK, record=other) == [f"a: the stream says rollback ({ROLLBACK.reason}), the record rollback"]


def test_one_of_those_that_had_it_told_its_verdict_and_none_wrote_its_record_who_had_lost_it() -> None:
    def held(*numbers: int) -> Record:
        marks = tuple(TimedStep(step=HELD, at=1.0, detail=f"replica a, number {number}") for number in numbers)
        return record(ROLLBACK, marks=marks)

    assert found(ROLLBACK, record=held(3, 7), number=3) == []
    assert found(ROLLBACK, record=held(3, 7), number=7) == []
    assert found(ROLLBACK, record=held(3, 7), number=5) == [
        "a: its verdict was told under the number 5, and it was held under [3, 7]"
    ]
    [lost] = found(ROLLBACK, record=held(7, 3), number=3)
    assert lost == "a: whoever had lost it wrote its record: it was held under the numbers [7, 3]"
    assert found(ROLLBACK, record=held(7)) == ["a: its verdict was told by who knew of no other replica"]


def test_the_recording_replays_to_the_verdict() -> None:
    good = Replay(outcome="rollback", ticks=7, digest="5d")
    assert found(ROLLBACK, replay=None) == ["a: there is no recording"]
    assert found(ROLLBACK, replay=replace(good, outcome=None, reason="line 3")) == ["a: the recording cannot be used: line 3"]
    assert found(ROLLBACK, replay=replace(good, digest="00")) == [
        "a: the recording is not the one that the record has the digest of"
    ]
    again = "a: judged again it is rollback at tick 8, and was rollback at tick 7"
    assert found(ROLLBACK, replay=replace(good, ticks=8)) == [again]
    late = msgspec.structs.replace(ROLLBACK, by="deadline")
    assert found(late, record=record(late), replay=replace(good, outcome=None)) != []
    assert found(late, record=record(late), replay=replace(good, outcome="inconclusive")) == []


def test_no_bad_canary_is_promoted_or_has_traffic() -> None:
    assert found(ROLLBACK, left=Left(percent=0.0, answers=True)) == [
        f"a: a bad canary has traffic: 0 % in the routes, answers: True (rollback: {ROLLBACK.reason})"
    ]
    [promoted, served] = found(PROMOTION, bad=True)
    assert promoted == f"a: a bad canary was promoted: {PROMOTION.reason}"
    assert served.startswith("a: a bad canary has traffic: 50 % in the routes, answers: True")
    held = verdict("a", outcome=Outcome.INCONCLUSIVE, action=Action.NONE)
    assert found(held, bad=True, left=Left(percent=0.0, answers=False)) == []
    assert found(held, bad=True, left=Left(percent=50.0, answers=True)) != []


def test_no_good_canary_is_taken_back_and_none_that_was_promoted() -> None:
    assert found(ROLLBACK, bad=False) == [f"a: a good canary was taken back: rollback, 0 % are left ({ROLLBACK.reason})"]
    moved = found(PROMOTION, left=Left(percent=0.0, answers=False))
    assert [one.split(":")[1] for one in moved] == [" a good canary was taken back", " it was promoted, and reverted too"]
    assert found(PROMOTION, record=record(PROMOTION, undos=(UNDO,))) == [
        "a: it was promoted, and reverted too: none, 50 % are left"
    ]
    assert found(PROMOTION, left=None) == ["a: it never ended"]
