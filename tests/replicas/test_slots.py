"""Slots are shared out evenly, with no move that could be spared."""

from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from daemon.replicas.slots import SLOTS, shared_out, slot_of

MEMBERS = st.lists(st.sampled_from("abcdefg"), unique=True)
HOLDERS = st.lists(st.sampled_from([None, *"abcdefgh"]), min_size=1, max_size=40)


@given(HOLDERS, MEMBERS.filter(bool))
def test_every_slot_has_a_member_and_no_two_members_differ_by_more_than_one(holders: list[str | None], members: list[str]) -> None:
    wanted = shared_out(holders, members)
    counts = [wanted.count(member) for member in members]
    assert sum(counts) == len(holders)
    assert max(counts) - min(counts) <= 1


@given(HOLDERS, MEMBERS.filter(bool))
def test_no_even_sharing_moves_fewer_slots(holders: list[str | None], members: list[str]) -> None:
    members = members[:4]
    moved = sum(before != after for before, after in zip(holders, shared_out(holders, members), strict=True))
    least, more = divmod(len(holders), len(members))
    kept = [
        sum(min(holders.count(member), least + (place < more)) for place, member in enumerate(order))
        for order in permutations(members)
    ]
    assert moved == len(holders) - max(kept)


@given(HOLDERS, MEMBERS)
def test_what_is_shared_out_stays_as_it_is(holders: list[str | None], members: list[str]) -> None:
    wanted = shared_out(holders, members)
    assert shared_out(wanted, members) == wanted


def test_without_members_nobody_should_hold_anything() -> None:
    assert shared_out(["a", None], []) == [None, None]


def test_a_replica_that_joins_takes_its_part_and_leaves_the_others_what_they_have() -> None:
    two = shared_out([None] * SLOTS, ["a", "b"])
    three = shared_out(two, ["a", "b", "c"])
    assert {before: after for before, after in zip(two, three, strict=True) if after != "c"} == {"a": "a", "b": "b"}
    assert three.count("c") == SLOTS // 3
    assert [three.count(member) for member in "ab"] == [43, 43]


def test_a_services_slot_is_the_same_in_every_version_and_three_replicas_share_5000_services_evenly() -> None:
    assert [slot_of("shop", name) for name in ("web", "cart", "pay")] == GOLDEN
    thirds = shared_out([None] * SLOTS, ["a", "b", "c"])
    having = [thirds[slot_of(f"team-{index % 40}", f"service-{index}")] for index in range(5000)]
    shares = [having.count(member) / 5000 for member in "abc"]
    assert max(shares) <= 0.4
    assert all(slot_of("shop", f"web-{index}") in range(SLOTS) for index in range(100))
    assert any(slot_of("shop", one) != slot_of("shop", other) for one, other in pairwise(("web", "cart", "pay")))


GOLDEN = [82, 50, 76]
