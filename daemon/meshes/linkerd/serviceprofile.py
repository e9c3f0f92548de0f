"""Linkerd's ServiceProfile: where its ``dstOverrides`` name the canary, and the JSON Patch that takes the traffic back. Pure.

A profile is named by the Service whose requests it is about, as DNS has it in full, and so are its
backends. Weights are quantities.
"""

from collections.abc import Iterator

from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.references import Plan, identity
from daemon.meshes.smi import splits
from daemon.meshes.smi.forms import ServiceProfile
from daemon.meshes.smi.splits import Backend, Rename, Split, backend, service_of
from daemon.placement import ObjectName, RouteReference

SERVICE_PROFILES = Resource(
    group="linkerd.io",
    version="v1alpha2",
    plural="serviceprofiles",
    kind="ServiceProfile",
    earlier=("v1alpha1",),
    form=ServiceProfile,
)


def references(item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
    """The object, where it names the canary, with a weight of 0 too."""
    return splits.references(read(item), arms=arms, renamed=_renamed)


def revert(item: Json, *, arms: ServicePair) -> Plan:
    """The canary's weight goes to the baseline; every other destination and field stays as it is.

    Raises:
        Refused: the canary gets traffic, and its weight cannot be moved.
    """
    return splits.revert(item, read(item), arms=arms, renamed=_renamed)


def read(item: Json) -> Split:
    """As it is."""
    namespace, name = identity(item)
    spec = item.get("spec")
    return Split(
        object=ObjectName(kind=SERVICE_PROFILES.kind, namespace=namespace, name=name),
        root=_service(name),
        backends=tuple(_backends(spec.get("dstOverrides") if isinstance(spec, dict) else None)),
        quantities=True,
    )


def _backends(listed: object) -> Iterator[Backend]:
    for index, raw in enumerate(listed) if isinstance(listed, list) else ():
        if isinstance(raw, dict):
            service = _service(str(raw.get("authority", "")).partition(":")[0])
            yield backend(raw, pointer=f"/spec/dstOverrides/{index}", named_by="authority", service=service)


def _service(host: str) -> ServiceName | None:
    """Of a host in full; of a shorter one it is not known whether it is a Service."""
    return service_of(host, namespace="") if ".svc" in host.lower() else None


def _renamed(one: Backend, arms: ServicePair) -> Rename:
    """The rest of the name stays, and the port becomes the baseline's that serves the same."""
    host, _, port = one.name.partition(":")
    _, _, *rest = host.split(".")
    written = ".".join((arms.baseline.name, arms.baseline.namespace, *rest))
    if not port:
        return Rename(written=written)
    number = arms.baseline_port(int(port), of=one.service) if port.isdecimal() and one.service is not None else None
    if number is None:
        return Rename(refusal=f"which port of {arms.baseline} serves what {one.name} does is not clear")
    return Rename(written=f"{written}:{number}")
