"""Objects of the API server that a revert has written, for putting them back: known by their kind, as an ``Undo`` names it."""

from collections.abc import Iterable, Sequence

from daemon.errors import NotFound, Refused
from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource
from daemon.meshes.references import guarded
from daemon.placement import Undo


class KubeDocuments:
    """Objects of these kinds. Implements ``Documents``."""

    def __init__(self, kube: KubeClient, resources: Iterable[Resource]) -> None:
        self._kube = kube
        self._kinds = keys_of(resources)

    async def read(self, undo: Undo) -> Json:
        """See ``Documents.read``."""
        try:
            return await self._kube.get(self._kind(undo), namespace=undo.object.namespace, name=undo.object.name)
        except NotFound as error:
            raise Refused(f"{undo.object} is not there any more") from error

    async def write(self, undo: Undo, document: Json, *, operations: Sequence[Json]) -> None:
        """See ``Documents.write``: the patch is one of the resourceVersion."""
        patch = guarded(document, tests=(), writes=operations, changes=()).operations
        name = {"name": undo.object.name, "namespace": undo.object.namespace}
        await self._kube.patch(self._kind(undo), **name, operations=patch)

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
