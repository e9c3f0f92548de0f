"""Documents put back as they were before a revert, wherever a mesh keeps them: each read anew, and written only while it is as it
was left.

Whether nobody has changed it is asked by value (``daemon.meshes.undoing``), of the document that is written over: the write holds
on to the version that was read, so that nobody comes in between.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from daemon.errors import Conflict, VerdictdError
from daemon.meshes.references import Json
from daemon.meshes.undoing import applied, differences, put_back, undo_operations
from daemon.placement import PatchedObject, PlannedObject, Undo

_CONFLICTS: Final = 3
"""How often a document that somebody else has written meanwhile is read and looked at anew at once."""


class Documents(Protocol):
    """Where they are kept."""

    async def read(self, undo: Undo) -> Json:
        """The document as it is now. Raises ``Refused`` where it is gone, or none of this mesh's."""
        ...

    async def write(self, undo: Undo, document: Json, *, operations: Sequence[Json]) -> None:
        """Apply a JSON Patch to it, as it was read. Raises ``Conflict`` where somebody else has written it since."""
        ...


class DocumentUndoing:
    """What was taken back in the documents of one place, put back."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def plan(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """What would be written in these documents, or why nothing can be."""
        return tuple(await asyncio.gather(*map(self._plan, undos)))

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """Put these documents back; what cannot be is its document's failure."""
        return tuple(await asyncio.gather(*map(self._restore, undos)))

    async def _plan(self, undo: Undo) -> PlannedObject:
        part = partial(PlannedObject, object=undo.object, cluster=undo.cluster)
        try:
            document = await self._documents.read(undo)
            operations = undo_operations(document, undo)
            return part(changes=(put_back(operations),), values=differences(document, applied(document, operations)))
        except VerdictdError as error:
            return part(failure=error)

    async def _restore(self, undo: Undo) -> PatchedObject:
        part, conflicts = partial(PatchedObject, object=undo.object), 0
        while True:
            sent_at = time.time()
            try:
                document = await self._documents.read(undo)
                operations = undo_operations(document, undo)
                sent_at = time.time()
                if operations:
                    await self._documents.write(undo, document, operations=operations)
                return part(changes=(put_back(operations),), sent_at=sent_at, acknowledged_at=time.time())
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
                conflicts += 1
