"""Who holds which slot: one value that all replicas change by compare-and-set, so that no two can believe different things. Pure.

Each change is made of the value before it and takes a number, larger than all before; a slot's is that of the change which gave it
to its holder. It stands in whatever the holder writes, and who has a smaller one has come too late. A slot that nobody holds goes
at once, one that a living replica holds only by that replica's own change.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from daemon.replicas.slots import SLOTS, shared_out


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """Who holds a slot (empty: nobody), and since which change."""

    holder: str = ""
    number: int = 0


NOBODY: Final = Holding()


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        number: of the newest change.
        members: the replicas that share the work, in the order in which they joined.
        slots: one for each.
    """

    number: int = 0
    members: tuple[str, ...] = ()
    slots: tuple[Holding, ...] = (NOBODY,) * SLOTS

    def __post_init__(self) -> None:
        """Refuse another number of slots, and holders that are no members."""
        if len(self.slots) != SLOTS or not {one.holder for one in self.slots} <= {"", *self.members}:
            raise ValueError(f"no table of {SLOTS} slots that are held by members")

    def held_by(self, member: str) -> frozenset[int]:
        """The slots that a member holds."""
        return frozenset(slot for slot, one in enumerate(self.slots) if one.holder == member)

    def due_from(self, member: str) -> frozenset[int]:
        """Those of them that others should have."""
        wanted = self._wanted(self.members)
        return frozenset(slot for slot in self.held_by(member) if wanted[slot] != member)

    def joined_by(self, member: str) -> "Table":
        """With one more, who gets what nobody holds; the rest is the others' to hand over."""
        return self._changed(members=(*self.members, member), free=())

    def without(self, gone: Collection[str]) -> "Table":
        """Without those who have stopped, or are surely dead. What they held is the others' at once."""
        free = [slot for slot, one in enumerate(self.slots) if one.holder in gone]
        return self._changed(members=tuple(member for member in self.members if member not in gone), free=free)

    def handed_over(self, slots: Collection[int]) -> "Table":
        """With these slots, whose holder has left off, at those who should have them."""
        return self._changed(members=self.members, free=slots)

    def _changed(self, *, members: tuple[str, ...], free: Collection[int]) -> "Table":
        number = self.number + 1
        wanted = self._wanted(members)

        def changed(slot: int, one: Holding) -> Holding:
            to = wanted[slot] or ""
            return one if to == one.holder or (one.holder and slot not in free) else Holding(to, number)

        return Table(number=number, members=members, slots=tuple(changed(slot, one) for slot, one in enumerate(self.slots)))

    def _wanted(self, members: Sequence[str]) -> list[str | None]:
        return shared_out([one.holder or None for one in self.slots], members)
