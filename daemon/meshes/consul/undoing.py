"""Config entries put back as they were before a revert: each read anew, and written only while it is as it was left.

Whether nobody has changed it is asked by value (``daemon.meshes.undoing``), of the entry that is written over: the write is a
check-and-set by its index, so that nobody comes in between.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import get_args

from daemon.errors import Conflict, NotFound, Refused, VerdictdError
from daemon.meshes.consul.api import ConsulApi, modify_index
from daemon.meshes.consul.entries import Entry, EntryKind
from daemon.meshes.references import Json
from daemon.meshes.routereading import settled
from daemon.meshes.undoing import applied, differences, put_back, undo_operations
from daemon.placement import PatchedObject, PlannedObject, Undo

_CONFLICTS = 3
"""How often an entry that somebody else has written meanwhile is read and looked at anew at once."""


class ConsulUndoing:
    """What was taken back in the entries of one Consul, put back."""

    def __init__(self, api: ConsulApi) -> None:
        self._api = api

    async def plan(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """What would be written in these entries, or why nothing can be."""
        found = await settled(self._undone(undo) for undo in undos)
        return tuple(_planned(undo, one) for undo, one in zip(undos, found, strict=True))

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """Put these entries back; what cannot be is its entry's failure."""
        parts = await settled(self._restore(undo) for undo in undos)
        return tuple(one for one in parts if isinstance(one, PatchedObject))

    async def _restore(self, undo: Undo) -> PatchedObject:
        part, conflicts = partial(PatchedObject, object=undo.object), 0
        while True:
            sent_at = time.time()
            try:
                entry, operations = await self._undone(undo)
                sent_at = time.time()
                if operations:
                    await self._api.write(applied(entry.raw, operations), index=modify_index(entry))
                return part(changes=(put_back(operations),), sent_at=sent_at, acknowledged_at=time.time())
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
                conflicts += 1

    async def _undone(self, undo: Undo) -> tuple[Entry, tuple[Json, ...]]:
        """The entry as it is now, and what puts it back."""
        kinds: dict[str, EntryKind] = {kind: kind for kind in get_args(EntryKind)}
        if undo.resource or undo.object.kind not in kinds:
            raise Refused(f"{undo.object} is a {undo.object.kind}, which is no config entry that routes")
        try:
            entry = await self._api.entry(kinds[undo.object.kind], undo.object.name)
        except NotFound as error:
            raise Refused(f"{undo.object} is not there any more") from error
        return entry, undo_operations(entry.raw, undo)


def _planned(undo: Undo, found: tuple[Entry, tuple[Json, ...]] | VerdictdError) -> PlannedObject:
    if isinstance(found, VerdictdError):
        return PlannedObject(object=undo.object, failure=found, cluster=undo.cluster)
    entry, operations = found
    values = differences(entry.raw, applied(entry.raw, operations))
    return PlannedObject(object=undo.object, changes=(put_back(operations),), values=values, cluster=undo.cluster)
