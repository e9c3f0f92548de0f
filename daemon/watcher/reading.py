"""What stands around routes, read when a change of one is looked at: Services, workloads, and the controllers that own them.

Reading is cheap beside watching all of it for ever: routes change some times a day. What may not be read is said, and then nothing
that was found may take traffic back; what could not be read for now is asked again, since nothing missing is taken for not there.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from daemon.delivery.ownerkind import Owning
from daemon.discovery.owned import Owned
from daemon.discovery.picture import Labels
from daemon.discovery.surroundings import Surroundings, Workload, selectors, workload
from daemon.errors import NotFound, PermanentError, Refused, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.listwatch import ApiSource, Source
from daemon.kube.resources import REPLICA_SETS, SERVICES, WORKLOADS, Json, Resource, metadata_of

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What was read.

    Attributes:
        surroundings: as discovery takes it.
        annotations: of Services, by namespace and name.
    """

    surroundings: Surroundings = field(default_factory=Surroundings)
    annotations: Mapping[tuple[str, str], Labels] = field(default_factory=dict)


def together(parts: Sequence[Around]) -> Around:
    """What stands in several namespaces, as one."""
    return Around(
        surroundings=Surroundings(
            services={key: labels for one in parts for key, labels in one.surroundings.services.items()},
            workloads=tuple(found for one in parts for found in one.surroundings.workloads),
            owned=tuple(found for one in parts for found in one.surroundings.owned),
            unread=tuple(dict.fromkeys(said for one in parts for said in one.surroundings.unread)),
        ),
        annotations={key: labels for one in parts for key, labels in one.annotations.items()},
    )


async def around(kube: KubeClient, namespace: str, *, owning: Sequence[Owning]) -> Around:
    """What stands in a namespace.

    Raises:
        TransientError: the API server does not say now.
    """
    unread: list[str] = []
    services = await _listed(kube, SERVICES, namespace, unread)
    owned: list[Owned] = []
    for one in owning:
        owned += _read(await _listed(kube, one.resource, namespace, unread), one.read, one.resource, unread)
    workloads: list[Workload] = []
    for resource in WORKLOADS:
        made = partial(workload, kind=resource.kind)
        workloads += _read(await _listed(kube, resource, namespace, unread), made, resource, unread)
    if any(one.owner.kind == "Rollout" for one in owned):
        # Both arms of a Rollout are ReplicaSets of one object; all others are made by what was read already.
        sets = [one for one in await _listed(kube, REPLICA_SETS, namespace, unread) if _is_of_rollout(one)]
        workloads += _read(sets, partial(workload, kind=REPLICA_SETS.kind), REPLICA_SETS, unread)
    chosen: dict[tuple[str, str], Labels] = {}
    for found in _read(services, lambda one: selectors([one]), SERVICES, unread):
        chosen |= found
    return Around(
        surroundings=Surroundings(services=chosen, workloads=tuple(workloads), owned=tuple(owned), unread=tuple(unread)),
        annotations={(namespace, str(metadata_of(one).get("name"))): annotations_of(one) for one in services},
    )


async def listed(kube: KubeClient, resource: Resource) -> Sequence[Json] | VerdictdError:
    """All objects of a kind, none where the cluster does not know it, or why they may not be read. Raises as ``around``."""
    try:
        return (await kube.list(resource)).items
    except NotFound:
        return ()
    except PermanentError as error:
        return error


def annotations_of(item: Json) -> Labels:
    """An object's annotations, those that are text."""
    found = metadata_of(item).get("annotations")
    return {str(key): value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


async def _listed(kube: KubeClient, resource: Resource, namespace: str, unread: list[str]) -> Sequence[Json]:
    try:
        return (await kube.list(resource, namespace=namespace)).items
    except NotFound:
        return ()  # the cluster has no such kind
    except PermanentError as error:
        unread.append(f"{resource} of {namespace} could not be read: {error}")
        return ()


def _read(items: Iterable[Json], read: Callable[[Json], T], resource: Resource, unread: list[str]) -> list[T]:
    found = []
    for item in items:
        metadata = metadata_of(item)
        which = f"{resource.kind} {metadata.get('namespace')}/{metadata.get('name')}"
        try:
            found.append(read(item))
        except Refused as error:
            unread.append(f"{which}: {error}")
        except Exception as error:  # the rest is read all the same
            log.exception("an object cannot be read, through a defect", extra={"object": which})
            unread.append(f"{which} cannot be read, through a defect ({type(error).__name__})")
    return found


def _is_of_rollout(item: Json) -> bool:
    references = metadata_of(item).get("ownerReferences") or ()
    wanted = (item.get("spec") or {}).get("replicas", 1)
    return bool(wanted) and any(isinstance(one, dict) and one.get("kind") == "Rollout" for one in references)


class Cluster:
    """What the source asks of one cluster. Tests play one by hand."""

    def __init__(self, kube: KubeClient, *, owning: Sequence[Owning]) -> None:
        self._kube = kube
        self.owning = owning

    def source(self, resource: Resource, namespace: str | None) -> Source:
        """Where objects of a kind are listed and watched."""
        return ApiSource(kube=self._kube, resource=resource, namespace=namespace)

    async def around(self, namespace: str) -> Around:
        """What stands in a namespace. Raises ``VerdictdError``: that is not known now."""
        return await around(self._kube, namespace, owning=self.owning)

    async def beside(self, resource: Resource) -> Mapping[Resource, Sequence[Json] | VerdictdError]:
        """All objects of a kind that says what is meant in routes. Raises as ``around``."""
        return {resource: await listed(self._kube, resource)}

    async def within(self, resource: Resource, *, namespace: str, labels: str = "") -> Sequence[Json]:
        """The objects of a kind in a namespace, those with these labels. Raises ``VerdictdError``: they are not known now."""
        return (await self._kube.list(resource, namespace=namespace, labels=labels)).items
