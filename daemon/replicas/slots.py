"""Which services go together, and which replica should have which: pure.

A service falls into one of a fixed number of slots by a hash of its name, so that rivals of one service are never apart and what is
kept of who holds what does not grow with the services. Slots are shared out from how they are held now, not from a hash of the
members: no two members differ by more than one slot, and no fewer moves would do.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

SLOTS: Final = 128
"""Never changed: what is kept says who holds which by number."""


def slot_of(namespace: str, service: str) -> int:
    """The slot of a service, from 0; the same in every process and version."""
    return int.from_bytes(hashlib.sha256(f"{namespace}/{service}".encode()).digest()[:8]) % SLOTS


def shared_out(holders: Sequence[str | None], members: Sequence[str]) -> list[str | None]:
    """Who should hold each slot.

    Args:
        holders: who holds each slot now; null: nobody. One who is no member counts as nobody.
        members: in an order that all replicas know, at least as long as it stays the same; none: nobody should hold anything.

    Returns:
        For each slot its member. Whoever holds too much keeps the first ones.
    """
    if not members:
        return [None] * len(holders)
    held = {member: [slot for slot, holder in enumerate(holders) if holder == member] for member in members}
    least, more = divmod(len(holders), len(members))
    # Who has most keeps one more than the others, where it does not come out even: that is a move less.
    by_most = sorted(members, key=lambda member: -len(held[member]))
    room = {member: least + (place < more) for place, member in enumerate(by_most)}
    wanted: list[str | None] = [None] * len(holders)
    for member, slots in held.items():
        for slot in slots[: room[member]]:
            wanted[slot] = member
            room[member] -= 1
    takers = [member for member in members for _ in range(room[member])]
    for slot, taker in zip((slot for slot, member in enumerate(wanted) if member is None), takers, strict=True):
        wanted[slot] = taker
    return wanted
