"""A ServiceSplitter as discovery looks at it: which targets get what part of a service's requests. Pure.

A subset is chosen by a filter over what Consul has registered, so that of its pods no labels are known here. Where Consul has
refused what is written, who gets what is not known either.
"""

from daemon.discovery.picture import Destination, Entry, Picture, Share, percentages
from daemon.kube.forms import require_all
from daemon.kube.resources import Json
from daemon.meshes.consul import routes
from daemon.meshes.consul.entries import DEFAULT, Target
from daemon.meshes.consulkubernetes.mesh import SERVICE_SPLITTERS, ConsulKubernetesMesh
from daemon.meshes.consulkubernetes.spoken import Spoken, is_refused, unsynced
from daemon.meshes.references import identity
from daemon.placement import ObjectName


def picture(settings: ConsulKubernetesMesh, item: Json) -> Picture:
    """What the object sends where. Raises ``Refused``: it is not of a ServiceSplitter's form."""
    require_all(SERVICE_SPLITTERS, [item])
    namespace, name = identity(item)
    spoken = Spoken(mirrored=settings.mirrored_namespaces, partition=settings.partition)
    weighed = list(routes.weighed(spoken.entry(item, resource=SERVICE_SPLITTERS)))
    targets = [_destination(target, spoken=spoken, namespace=namespace) for target, _ in weighed]
    parts = percentages([part for _, part in weighed])
    entry = Entry(
        place="splits",
        shares=tuple(Share(to=to, percent=part) for to, part in zip(targets, parts, strict=True)),
        unclear=f"Consul has refused what is written there: {unsynced(item)}" if is_refused(item) else "",
    )
    return Picture(
        route=ObjectName(kind=SERVICE_SPLITTERS.kind, namespace=namespace, name=name),
        hosts=(name,),
        entries=(entry,) if weighed else (),
    )


def _destination(target: Target, *, spoken: Spoken, namespace: str) -> Destination:
    """A target's service is the Service of its name: of the object's namespace, where Consul's namespaces are no others'."""
    if target.abroad or target.partition != spoken.partition or (not spoken.mirrored and target.namespace != DEFAULT):
        return Destination(host=str(target))
    there = target.namespace if spoken.mirrored else namespace
    return Destination(
        namespace=there,
        host=f"{target.service}.{there}",
        subset=target.subset or "",
        service=target.service,
        labels=None if target.subset else {},
    )
