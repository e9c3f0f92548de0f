"""A table of who holds what: every change leaves each slot with one holder at most, and with a number that only grows."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.replicas.slots import SLOTS
from daemon.replicas.table import NOBODY, Holding, Table

Change = Callable[[Table], Table]


def handed_over(table: Table) -> Table:
    for member in table.members:
        if due := table.due_from(member):
            table = table.handed_over(due)
    return table


STEPS = st.lists(st.tuples(st.sampled_from(["join", "gone", "hand over"]), st.sampled_from("abcde")), max_size=12)


@given(STEPS)
def test_whatever_comes_a_slot_changes_its_holder_only_with_a_larger_number_and_never_from_a_living_one_that_has_it(
    steps: list[tuple[str, str]],
) -> None:
    table = Table()
    for what, who in steps:
        before = table
        given_up = frozenset[int]()
        if what == "join" and who not in table.members:
            table = table.joined_by(who)
        elif what == "gone" and who in table.members:
            table, given_up = table.without({who}), table.held_by(who)
        elif what == "hand over":
            given_up = table.due_from(who)
            table = table.handed_over(given_up)
        else:
            continue
        assert table.number == before.number + 1
        for slot, (one, other) in enumerate(zip(before.slots, table.slots, strict=True)):
            if one != other:
                assert one.holder == "" or slot in given_up
                assert other.number == table.number
        assert all(one.holder for one in table.slots) == bool(table.members)
    settled = handed_over(table)
    counts = [len(settled.held_by(member)) for member in settled.members]
    assert not counts or max(counts) - min(counts) <= 1


def test_the_first_has_everything_and_the_second_what_the_first_hands_over() -> None:
    alone = Table().joined_by("a")
    assert alone.held_by("a") == frozenset(range(SLOTS))
    both = alone.joined_by("b")
    assert both.held_by("b") == frozenset()
    assert len(both.due_from("a")) == SLOTS // 2
    shared = handed_over(both)
    assert (len(shared.held_by("a")), len(shared.held_by("b"))) == (SLOTS // 2, SLOTS // 2)
    assert {one.number for one in shared.slots} == {1, 3}
    assert shared.due_from("a") == shared.due_from("b") == frozenset()


def test_what_a_dead_one_held_is_the_others_at_once_and_a_last_one_leaves_nobody() -> None:
    shared = handed_over(Table().joined_by("a").joined_by("b"))
    assert shared.without({"b"}).held_by("a") == frozenset(range(SLOTS))
    assert shared.without({"a", "b"}).slots == (Holding("", shared.number + 1),) * SLOTS


def test_a_table_survives_being_kept_and_one_that_cannot_be_is_refused() -> None:
    shared = handed_over(Table(number=41).joined_by("a").joined_by("b"))
    assert msgspec.json.decode(msgspec.json.encode(shared), type=Table) == shared
    for wrong in (b'{"slots":[]}', msgspec.json.encode({"slots": [["stranger", 1]] * SLOTS})):
        with pytest.raises(msgspec.ValidationError, match="held by members"):
            msgspec.json.decode(wrong, type=Table)
    assert Table().slots[0] == NOBODY
