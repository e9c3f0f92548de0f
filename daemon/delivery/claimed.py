"""What owners that are objects of the API server are asked and told by, whichever kind they are of."""

from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from daemon.aio.singleflight import SingleFlight
from daemon.errors import NotFound, Refused, VerdictdError
from daemon.kube.resources import Json, Resource, metadata_of
from daemon.model import Release
from daemon.ports.routing import Claim

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient, Listing

T = TypeVar("T")


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """Which object it is, and in which version it was read."""

    name: str
    namespace: str = ""
    resource_version: str = ""


class ByNamespace:
    """The objects of a kind in a namespace, as they are now: asked once for all the releases that ask at the same time."""

    def __init__(self, kube: "KubeClient", resource: Resource) -> None:
        self._kube = kube
        self._resource = resource
        self._asking: dict[str, SingleFlight[Listing]] = {}

    async def of(self, namespace: str) -> Sequence[Json]:
        """None where the cluster does not know the kind. Raises as ``KubeClient.list``."""
        asking = self._asking.get(namespace)
        if asking is None:
            asking = self._asking[namespace] = SingleFlight(partial(self._kube.list, self._resource, namespace=namespace))
        try:
            return (await asking()).items
        except NotFound:
            return ()
        finally:
            if not asking.is_wanted:
                # Namespaces come and go with what is tried in them: of one that nobody asks about nothing is kept.
                self._asking.pop(namespace, None)


def read(item: Json, *, kind: type[T]) -> T:
    """What of an object is of interest here. Raises ``Refused`` for one that is not of this kind's form."""
    try:
        return msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        name = metadata_of(item).get("name")
        raise Refused(f"{item.get('kind', 'the object')} {name}: {error}") from error


def readable(items: Iterable[Json], *, kind: type[T]) -> tuple[list[T], VerdictdError | None]:
    """Those of these objects that can be read, and why another one cannot: it need not be about the same release."""
    found: list[T] = []
    unsure: VerdictdError | None = None
    for item in items:
        try:
            found.append(read(item, kind=kind))
        except Refused as error:
            unsure = unsure or error
    return found, unsure


def foremost(claims: Sequence[Claim], *, unsure: VerdictdError | None) -> Claim | None:
    """Of several that claim the same routes one that goes on; null: none does. Raises ``unsure`` where that is not known."""
    if not claims and unsure is not None:
        raise unsure
    return min(claims, key=lambda claim: claim.state != "active", default=None)


def services_of(release: Release) -> frozenset[str]:
    """The names of the Services that a release is about, in its own namespace."""
    named = (release.service, release.baseline.service, release.canary.service)
    return frozenset(name for one in named if one and (name := in_namespace(one, namespace=release.namespace)))


def in_namespace(host: str, *, namespace: str) -> str:
    """The Service of a namespace that a host names, as ``web``, ``web.shop`` or ``web.shop.svc.cluster.local``; empty: none."""
    name, _, rest = host.partition(".")
    return name if not rest or rest.split(".")[0] == namespace else ""


def names_any(names: Container[str], *services: str) -> bool:
    """Whether one of these Services is among the names; an empty one is none."""
    return any(one and one in names for one in services)


def unchanged(metadata: Metadata) -> Json:
    """The operation that begins a patch which holds only for the object that was read: 409 when it has changed since."""
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.resource_version}
