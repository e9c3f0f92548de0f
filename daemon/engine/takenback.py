"""What the reverts of a release have written, kept with it so that a person can undo them: each value as it was before the first.

It is kept as far as it fits beside everything else that is kept of a release; where it does not, the record says so.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from daemon.engine.session import Session
from daemon.placement import Undo, ValueChange

UNDO_NOT_KEPT: Final = "undo_not_kept"
_MOST_BYTES: Final = 256 * 1024
"""A thousand rules. A release that cannot be kept at all would be worse than one that cannot be undone."""


def noted(session: Session, undos: Iterable[Undo], *, now: float) -> Session:
    """The session with these as well. ``now`` is in seconds since 1970."""
    if any(mark.step == UNDO_NOT_KEPT for mark in session.marks):
        return session
    together = joined(session.undos, undos)
    size = len(msgspec.json.encode(together))
    if size > _MOST_BYTES:
        said = f"what was written is {size >> 10} KiB, more than the {_MOST_BYTES >> 10} that are kept: it cannot be undone"
        return replace(session, undos=()).marked(UNDO_NOT_KEPT, at=now, detail=said)
    return replace(session, undos=together)


def joined(earlier: Iterable[Undo], later: Iterable[Undo]) -> tuple[Undo, ...]:
    """Both, one for each object: what stood there before the first, and what stands there since the last."""
    found: dict[tuple[str, str, str, str], Undo] = {}
    for one in (*earlier, *later):
        before = found.get(_which(one))
        found[_which(one)] = one if before is None else msgspec.structs.replace(one, values=_values(before, one))
    return tuple(found.values())


def _which(undo: Undo) -> tuple[str, str, str, str]:
    return undo.cluster, undo.resource or undo.object.kind, undo.object.namespace, undo.object.name


def _values(earlier: Undo, later: Undo) -> tuple[ValueChange, ...]:
    found = {one.path: one for one in earlier.values}
    for one in later.values:
        first = found.get(one.path, one)
        found[one.path] = msgspec.structs.replace(one, before=first.before)
    return tuple(found.values())
