"""An owner that nobody has, in one module, as a package of somebody else would bring it.

A Gardener object names the service whose routes it tends; as long as it is not told to stop, it puts back what others write there.
"""

from daemon.delivery.ownerkind import OwnerKind
from daemon.errors import NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from daemon.kube.rights import Right
from daemon.meshes.references import identity
from daemon.model import Release
from daemon.placement import ObjectName
from daemon.ports.routing import Claim, Owner

GARDENERS = Resource(group="made-up.example", version="v1", plural="gardeners", kind="Gardener")


class Gardener:
    """Implements ``Owner``."""

    name = "gardener"

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def claims(self, release: Release) -> Claim | None:
        try:
            listing = await self._kube.list(GARDENERS, namespace=release.namespace)
        except NotFound:  # the cluster does not know the kind
            return None
        for item in listing.items:
            if item["spec"]["tends"] == release.service:
                namespace, name = identity(item)
                return Claim(
                    object=ObjectName(kind=GARDENERS.kind, namespace=namespace, name=name),
                    state="aborted" if item["spec"].get("stopped") else "active",
                    puts_back=not item["spec"].get("lazy", False),
                    reacts_within_seconds=item["spec"].get("reacts", 0.0),
                )
        return None

    async def abort(self, release: Release, claim: Claim) -> str:
        del release
        operations = [{"op": "add", "path": "/spec/stopped", "value": True}]
        await self._kube.patch(GARDENERS, namespace=claim.object.namespace, name=claim.object.name, operations=operations)
        return "stopped"


def _owner(kube: KubeClient, /) -> Owner:
    return Gardener(kube)


GARDENER = OwnerKind(
    name="gardener",
    owner=_owner,
    rights=(
        Right(verbs=("list",), resources=(GARDENERS,), scopes=("watched",), purpose="who tends the routes"),
        Right(verbs=("patch",), resources=(GARDENERS,), scopes=("enforced",), purpose="have it stop"),
    ),
)
