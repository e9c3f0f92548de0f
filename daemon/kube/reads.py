"""How objects are read where nobody cares by which question: one by its name, and all of a namespace or those with certain labels.

What reads by this can be told to ask for itself (``OwnReads``), as a revert does, or together with others
(``daemon.kube.sharedreads``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.kube.client import KubeClient
from daemon.kube.resources import Json, Resource, selector_of_either

Labels = Mapping[str, str]


class Reads(Protocol):
    """Reads one cluster as it is now. Raises as ``KubeClient``."""

    async def one(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """An object."""
        ...

    async def all(self, resource: Resource, *, namespace: str | None = None, either: Sequence[Labels] = ()) -> Sequence[Json]:
        """Those of a namespace, or of the cluster; with ``either`` all that carry one of these sets of labels, and maybe others."""
        ...


@dataclass(frozen=True, slots=True)
class OwnReads:
    """Each question is asked by itself, at once. Implements ``Reads``."""

    kube: KubeClient

    async def one(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """See ``Reads.one``."""
        return await self.kube.get(resource, namespace=namespace, name=name)

    async def all(self, resource: Resource, *, namespace: str | None = None, either: Sequence[Labels] = ()) -> Sequence[Json]:
        """See ``Reads.all``."""
        return (await self.kube.list(resource, namespace=namespace, labels=selector_of_either(either))).items
