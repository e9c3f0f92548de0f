"""Objects of the API server put back as they were before a revert: each read anew, and written only while it is as it was left.

Whether nobody has changed it is asked by value (``daemon.meshes.undoing``), of the object that is written over: the patch holds
on to its resourceVersion, so that nobody comes in between.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

from daemon.errors import Conflict, NotFound, Refused, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.references import guarded
from daemon.meshes.undoing import applied, differences, put_back, undo_operations
from daemon.placement import PatchedObject, PlannedObject, Undo

_CONFLICTS = 3
"""How often an object that somebody else has written meanwhile is read and looked at anew at once."""


class KubeUndoing:
    """What was taken back in objects of these kinds, put back."""

    def __init__(self, kube: KubeClient, resources: Iterable[Resource]) -> None:
        self._kube = kube
        self._kinds = keys_of(resources)

    async def plan(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """What would be written in these objects, or why nothing can be."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._plan(undo)) for undo in undos]
        return tuple(task.result() for task in tasks)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """Put these objects back; what cannot be is its object's failure."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._restore(undo)) for undo in undos]
        return tuple(task.result() for task in tasks)

    async def _plan(self, undo: Undo) -> PlannedObject:
        part = partial(PlannedObject, object=undo.object, cluster=undo.cluster)
        try:
            item = await self._read(undo)
            operations = undo_operations(item, undo)
            return part(changes=(put_back(operations),), values=differences(item, applied(item, operations)))
        except VerdictdError as error:
            return part(failure=error)

    async def _restore(self, undo: Undo) -> PatchedObject:
        part, conflicts = partial(PatchedObject, object=undo.object), 0
        while True:
            sent_at = time.time()
            try:
                item = await self._read(undo)
                writes = undo_operations(item, undo)
                sent_at = time.time()
                if writes:
                    operations = guarded(item, tests=(), writes=writes, changes=()).operations
                    name = {"name": undo.object.name, "namespace": undo.object.namespace}
                    await self._kube.patch(self._kind(undo), **name, operations=operations)
                return part(changes=(put_back(writes),), sent_at=sent_at, acknowledged_at=time.time())
            except VerdictdError as error:
                if not isinstance(error, Conflict) or conflicts == _CONFLICTS:
                    return part(failure=error, sent_at=sent_at, acknowledged_at=time.time())
                conflicts += 1

    async def _read(self, undo: Undo) -> Json:
        try:
            return await self._kube.get(self._kind(undo), namespace=undo.object.namespace, name=undo.object.name)
        except NotFound as error:
            raise Refused(f"{undo.object} is not there any more") from error

    def _kind(self, undo: Undo) -> Resource:
        if undo.resource not in self._kinds:
            raise Refused(f"{undo.object} is of {undo.resource or 'no API server'}, which is no kind of this mesh's routes")
        return self._kinds[undo.resource]


def key_of(resource: Resource) -> str:
    """``Undo.resource``; with the version where it is written in no other: ``trafficsplits.v1alpha1.split.smi-spec.io``."""
    return f"{resource.plural}.{resource.version}.{resource.group}" if resource.only_version else str(resource)


def keys_of(resources: Iterable[Resource]) -> dict[str, Resource]:
    """The kinds, and each of their earlier versions, by what ``Undo.resource`` may say."""
    return {key_of(one): one for resource in resources for one in (*resource.in_earlier_versions, resource)}
