"""SMI's TrafficSplit, v1alpha1 to v1alpha4: where it names the canary, and the JSON Patch that takes the traffic back. Pure.

All versions have the same words. In v1alpha1 weights are quantities, which are text or numbers; from v1alpha2 on they are numbers,
and only whole ones are written: a fraction, which some definitions take, is why Open Service Mesh follows no split any more.
What v1alpha1 does not know it drops without a word, and a weight that is text is taken by no other version. So an object is written
in the version that it was read in, and in v1alpha1 only where one of its weights is text.
"""

import dataclasses
from collections.abc import Iterator

from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.references import Plan, identity
from daemon.meshes.smi import splits
from daemon.meshes.smi.forms import TrafficSplit
from daemon.meshes.smi.splits import Backend, Rename, Split, backend, service_of
from daemon.placement import ObjectName, RouteReference

TRAFFIC_SPLITS = Resource(
    group="split.smi-spec.io",
    version="v1alpha4",
    plural="trafficsplits",
    kind="TrafficSplit",
    earlier=("v1alpha3", "v1alpha2", "v1alpha1"),
    form=TrafficSplit,
)
WITH_QUANTITIES = TRAFFIC_SPLITS.in_earlier_versions[-1]
"""In v1alpha1."""


def references(item: Json, *, arms: ServicePair) -> tuple[RouteReference, ...]:
    """The object, where it names the canary, with a weight of 0 too."""
    return splits.references(read(item), arms=arms, renamed=_renamed(item))


def revert(item: Json, *, arms: ServicePair) -> Plan:
    """The canary's weight goes to the baseline; every other backend and field stays as it is.

    Raises:
        Refused: the canary gets traffic, and its weight cannot be moved.
    """
    split = read(item)
    plan = splits.revert(item, split, arms=arms, renamed=_renamed(item))
    return dataclasses.replace(plan, through=WITH_QUANTITIES if split.quantities and not split.matched else None)


def read(item: Json) -> Split:
    """As it is."""
    namespace, name = identity(item)
    spec = item.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    backends = tuple(_backends(spec.get("backends"), namespace))
    return Split(
        object=ObjectName(kind=TRAFFIC_SPLITS.kind, namespace=namespace, name=name),
        root=service_of(str(spec.get("service", "")), namespace=namespace),
        backends=backends,
        matched=bool(spec.get("matches")),
        quantities=any(isinstance(one.raw.get("weight"), str) for one in backends),
    )


def _backends(listed: object, namespace: str) -> Iterator[Backend]:
    for index, raw in enumerate(listed) if isinstance(listed, list) else ():
        if isinstance(raw, dict):
            service = service_of(str(raw.get("service", "")), namespace=namespace)
            yield backend(raw, pointer=f"/spec/backends/{index}", named_by="service", service=service)


def _renamed(item: Json) -> splits.Renamed:
    namespace, _ = identity(item)

    def renamed(one: Backend, arms: ServicePair) -> Rename:
        """As the entry is written: with the namespace, and what follows it, or without."""
        baseline = arms.baseline
        if one.service is not None and (lacking := _lacking(one.service, arms)):
            return Rename(refusal=f"{baseline} has no port {lacking}, which {one.service} has: it would be left out in silence")
        _, *rest = one.name.split(".")
        if rest:
            return Rename(written=".".join((baseline.name, baseline.namespace, *rest[1:])))
        if baseline.namespace != namespace:
            return Rename(refusal=f"it names Services of its own namespace, and {baseline} is none")
        return Rename(written=baseline.name)

    return renamed


def _lacking(canary: ServiceName, arms: ServicePair) -> str:
    """The ports that the baseline has not, as far as both are known; a split says none of its own."""
    has, needed = arms.ports.get(str(arms.baseline)), arms.ports.get(str(canary), ())
    if has is None:
        return ""
    numbers = {port.number for port in has}
    return ", ".join(str(port.number) for port in needed if port.number not in numbers)
