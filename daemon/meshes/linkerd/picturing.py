"""The objects that steer Linkerd's traffic as discovery looks at them, each kind by its own reader. Pure."""

from daemon.discovery.picture import Picture
from daemon.kube.forms import require_all
from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi import picturing as gateway_api
from daemon.meshes.linkerd import serviceprofile
from daemon.meshes.linkerd.kinds import SPLITS, is_authorization
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.references import identity
from daemon.meshes.smi import picturing as smi
from daemon.meshes.smi import trafficsplit
from daemon.placement import ObjectName


def picture(kind: Resource, item: Json) -> Picture:
    """What the object sends where: nothing, of one that says only who may call. Raises ``Refused``: it is not of its form."""
    if kind.kind in {SERVICE_PROFILES.kind, SPLITS.kind}:
        require_all(kind, [item])
        return smi.picture(serviceprofile.read(item) if kind.kind == SERVICE_PROFILES.kind else trafficsplit.read(item))
    if is_authorization(item):
        namespace, name = identity(item)
        return Picture(route=ObjectName(kind=kind.kind, namespace=namespace, name=name))
    return gateway_api.picture(kind, item)
