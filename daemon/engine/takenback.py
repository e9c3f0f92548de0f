"""What the reverts of a release write, kept with it so that a person can undo them: each value as it was before the first.

What a patch is about to change is kept before it is sent (an intent), since a daemon may die, or an answer be lost, when the patch
has been carried out. Of an intent that no receipt has answered the route itself says whether it was: it is in force where the
values are those that it would leave. It is all kept as far as it fits beside everything else that is kept of a release; where it
does not, the record says so.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from daemon.engine.reverting import Hindered, by_nothing
from daemon.engine.session import Session
from daemon.model import Action
from daemon.placement import PlannedObject, Undo, ValueChange

UNDO_NOT_KEPT: Final = "undo_not_kept"
_MOST_BYTES: Final = 256 * 1024
"""A thousand rules. A release that cannot be kept at all would be worse than one that cannot be undone."""

Which = tuple[str, str, str, str]
"""Which object: its cluster, resource, namespace and name."""


async def _nowhere(intents: tuple[Undo, ...]) -> None:
    del intents


async def _at_once() -> bool:
    """Nobody has to be asked."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoLog:
    """Where it goes what a revert is about to change, and what it has changed. By default nowhere.

    Attributes:
        allowed: returns when it may be written, and owners told; called before each time that this is done. True: what was asked
            before may be old by now. Raises ``Unavailable`` where it may not now, ``Blocked`` where it may not any more.
        hindered: asked when it is the revert's turn in a cluster: why it is not to be any more; null: it is to be.
        intends: is told before a patch what it may change, and returns when that is safe. The patch does not wait long for it.
        changed: is told what was changed; intents of the same objects are answered by it.
        settled: is told of which intents nothing is to be kept: they were not carried out, or are told to ``changed``.
        intents: those that were kept before and are not answered.
    """

    allowed: Callable[[], Awaitable[bool]] = _at_once
    hindered: Hindered = by_nothing
    intends: Callable[[tuple[Undo, ...]], Awaitable[None]] = _nowhere
    changed: Callable[[tuple[Undo, ...]], None] = lambda undos: None
    settled: Callable[[tuple[Undo, ...]], None] = lambda intents: None
    intents: tuple[Undo, ...] = ()

    def of_cluster(self, name: str, *, several: bool) -> "UndoLog":
        """The part of one of a mesh's clusters: what is told says which, where there are several."""
        cluster = name if several else ""

        def there(undos: tuple[Undo, ...]) -> tuple[Undo, ...]:
            return tuple(msgspec.structs.replace(one, cluster=cluster) for one in undos)

        return UndoLog(
            allowed=self.allowed,
            hindered=self.hindered,
            intends=lambda intents: self.intends(there(intents)),
            changed=lambda undos: self.changed(there(undos)),
            settled=lambda intents: self.settled(there(intents)),
            intents=tuple(one for one in self.intents if one.cluster == cluster),
        )


def intents_of(planned: Iterable[PlannedObject]) -> tuple[Undo, ...]:
    """What it takes to undo what would be written."""
    return tuple(
        Undo(object=one.object, values=one.values, resource=one.resource) for one in planned if one.values and one.failure is None
    )


def noted(session: Session, undos: Iterable[Undo], *, now: float) -> Session:
    """The session with these as well; they answer its intents of the same objects. ``now`` is in seconds since 1970."""
    undos = tuple(undos)
    session = settled(session, undos)
    if any(mark.step == UNDO_NOT_KEPT for mark in session.marks):
        return session
    together = joined(session.undos, undos)
    if (size := _bytes(together)) > _MOST_BYTES:
        said = f"what was written is {size >> 10} KiB, more than the {_MOST_BYTES >> 10} that are kept: it cannot be undone"
        return replace(session, undos=()).marked(UNDO_NOT_KEPT, at=now, detail=said)
    return replace(session, undos=together)


def intended(session: Session, intents: Iterable[Undo]) -> Session:
    """The session with these intents, in the place of earlier ones of the same objects: those were not carried out.

    What is too much is not kept before, and said when it is done.
    """
    found = {which(one): one for one in (*session.intents, *intents)}
    kept = tuple(found.values())
    return session if _bytes((*session.undos, *kept)) > _MOST_BYTES else replace(session, intents=kept)


def settled(session: Session, intents: Iterable[Undo]) -> Session:
    """The session without its intents of these objects."""
    answered = {which(one) for one in intents}
    return replace(session, intents=tuple(one for one in session.intents if which(one) not in answered))


def undos_of(session: Session) -> tuple[Undo, ...]:
    """All that may have to be undone, for the record: where a revert has failed, what nobody could see whether it was done too.

    Whoever undoes it looks at each value first.
    """
    failed = session.verdict is not None and session.verdict.action is Action.FAILED
    return joined(session.undos, session.intents) if failed else session.undos


def joined(earlier: Iterable[Undo], later: Iterable[Undo]) -> tuple[Undo, ...]:
    """Both, one for each object: what stood there before the first, and what stands there since the last."""
    found: dict[Which, Undo] = {}
    for one in (*earlier, *later):
        before = found.get(which(one))
        found[which(one)] = one if before is None else msgspec.structs.replace(one, values=_values(before, one))
    return tuple(found.values())


def which(undo: Undo) -> Which:
    """The object that it is about."""
    return undo.cluster, undo.resource or undo.object.kind, undo.object.namespace, undo.object.name


def _bytes(undos: tuple[Undo, ...]) -> int:
    return len(msgspec.json.encode(undos))


def _values(earlier: Undo, later: Undo) -> tuple[ValueChange, ...]:
    found = {one.path: one for one in earlier.values}
    for one in later.values:
        first = found.get(one.path, one)
        found[one.path] = msgspec.structs.replace(one, before=first.before)
    return tuple(found.values())
