"""Which pods stand behind an arm in Istio: the endpoints of its Service, those only that carry its subset's labels. Pure.

How many are ready, that surely nobody is there, or why it is not known: what another registry (a ServiceEntry, another cluster)
may know is not known, and neither is what we may not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from daemon.armpods import ArmPods
from daemon.errors import NotFound, VerdictdError
from daemon.kube.endpoints import Endpoint, endpoints
from daemon.kube.resources import Json
from daemon.meshes.backing import Backing, PodSelector, counted
from daemon.meshes.istio.destinationrule import SubsetLabels
from daemon.meshes.istio.hosts import Destination, fits, half_spelled, normal, service_of
from daemon.meshes.members import Read, alone, carries, members, selector_of
from daemon.meshes.references import listed, nearest

# Of the node, the cluster and the network: istio/istio, pilot/pkg/serviceregistry/util/label, ``AugmentLabels``.
ADDED_BY_ISTIO = frozenset(
    {
        "kubernetes.io/hostname",
        "topology.istio.io/cluster",
        "topology.istio.io/network",
        "topology.istio.io/subzone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
"""Labels that endpoints have for Istio, though their pods do not carry them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was read about one arm.

    Attributes:
        subset: the labels of its subset.
        service: the Service behind its host, or why it could not be read; null: not asked, as nothing depends on it.
        slices: the EndpointSlices of the service.
        pods: pods of the service's namespace, all that carry the subset's labels among them; asked for only where there are labels,
            or where each pod was to be known.
        services: the Services of the namespace; asked for only where this one is not there.
        entries: the ServiceEntries that may name the host; asked for only where no Service does, or half of one's name.
    """

    subset: SubsetLabels
    service: Json | VerdictdError | None
    slices: Read = ()
    pods: Read = ()
    services: Read = ()
    entries: Read = ()


def backing_of(arm: Destination, seen: Observed, *, multi_cluster: bool) -> Backing:
    """Who stands behind the arm. In a mesh of several clusters, nobody here is not nobody."""
    found = replace(_backing_of(arm, seen), selector=_pod_selector(arm, seen), note=seen.subset.note)
    if not multi_cluster or seen.subset.missing:
        return found
    found = replace(found, endpoints=None)
    if found.ready or found.unknown:
        return found
    return replace(
        found, ready=None, missing="", unknown="there is nobody in this cluster, and the mesh has others (multi_cluster)"
    )


def arm_pods(arm: Destination, seen: Observed, *, neighbours: Read = ()) -> ArmPods:
    """Who stands behind the arm, pod by pod.

    Args:
        arm: a host, and a subset of it.
        seen: what was read of it; its pods are those that carry its labels, or those that its Service selects.
        neighbours: the Services of its namespace, where another one might select the same pods.
    """
    labels = _chosen_by(seen)
    if unknown := _pods_unknown(arm, seen):
        return ArmPods(labels=labels, unknown=unknown)
    assert not isinstance(seen.slices, VerdictdError)  # they would be unknown
    assert not isinstance(seen.pods, VerdictdError)
    named = {str(pod.get("metadata", {}).get("name")): pod for pod in seen.pods if carries(pod, seen.subset.labels or {})}
    found = members(named, endpoints(seen.slices))
    service = service_of(arm.host)
    only = alone(service[0], [named[one.name] for one in found], neighbours) if service is not None else ""
    return ArmPods(pods=found, labels=labels, service=only)


def with_workloads(found: Backing, entries: Read) -> Backing:
    """An arm that no pod serves, given the WorkloadEntries of its namespace: machines that are no pods may serve it."""
    if isinstance(entries, VerdictdError):
        return replace(found, ready=None, unknown=f"no pod is ready, and the WorkloadEntries could not be read: {entries}")
    wanted = dict(found.selector.chosen) if found.selector is not None else {}
    for entry in entries:
        if carries({"metadata": entry.get("spec", {})}, wanted):
            metadata = entry.get("metadata", {})
            named = f"{metadata.get('namespace')}/{metadata.get('name')}"
            return replace(found, ready=None, unknown=f"no pod is ready, but WorkloadEntry {named} has its labels")
    return found


def _backing_of(arm: Destination, seen: Observed) -> Backing:
    if service_of(arm.host) is None:
        return _outside(arm, seen)
    if seen.subset.missing:
        return Backing(arm=arm, missing=seen.subset.missing)
    if isinstance(seen.slices, VerdictdError):
        return Backing(arm=arm, unknown=f"its EndpointSlices could not be read: {seen.slices}")
    behind = endpoints(seen.slices)
    if not behind and (without := _without_endpoints(arm, seen)) is not None:
        return without
    if unknown := labels_unknown(seen, behind):
        return Backing(arm=arm, unknown=unknown)
    return counted(arm, _of_subset(seen, behind))


def labels_unknown(seen: Observed, behind: Mapping[str, Endpoint]) -> str:
    """Why it cannot be told which endpoints are of the arm's subset; empty when it can, or when all of them are."""
    if seen.subset.labels is None:
        return seen.subset.unknown
    if not seen.subset.labels:
        return ""
    if added := ADDED_BY_ISTIO & seen.subset.labels.keys():
        return f"its subset asks for labels that Istio adds by itself and pods do not carry ({listed(added)})"
    if isinstance(seen.pods, VerdictdError):
        return f"its pods could not be read: {seen.pods}"
    if any(one.pod is None for one in behind.values()):
        return "some of its endpoints are no pods, and have no labels that can be read"
    return ""


def _pods_unknown(arm: Destination, seen: Observed) -> str:
    """Why it is not known which pods are the arm's; empty where it is."""
    if service_of(arm.host) is None:
        return f"{arm.host} is no Kubernetes service"
    if isinstance(seen.slices, VerdictdError):
        return f"its EndpointSlices could not be read: {seen.slices}"
    if isinstance(seen.pods, VerdictdError):
        return f"its pods could not be read: {seen.pods}"
    behind = endpoints(seen.slices)
    if behind and not any(one.pod for one in behind.values()):
        return "its endpoints are no pods"
    return seen.subset.missing or labels_unknown(seen, behind)


def _chosen_by(seen: Observed) -> Mapping[str, str]:
    service = None if isinstance(seen.service, VerdictdError) else selector_of(seen.service)
    return {**(service or {}), **(seen.subset.labels or {})}


def _of_subset(seen: Observed, behind: Mapping[str, Endpoint]) -> Mapping[str, Endpoint]:
    if not seen.subset.labels or isinstance(seen.pods, VerdictdError):
        return behind
    wanted = {one.pod for one in behind.values()}
    found = (pod for pod in seen.pods if pod.get("metadata", {}).get("name") in wanted)
    names = {pod["metadata"]["name"] for pod in found if carries(pod, seen.subset.labels)}
    return {address: one for address, one in behind.items() if one.pod in names}


def _outside(arm: Destination, seen: Observed) -> Backing:
    if entry := _named_by_entries(arm, seen.entries):
        return Backing(arm=arm, unknown=entry)
    half = half_spelled(arm.host)
    if half is not None and isinstance(seen.service, dict):
        right = f"{half[0]}.{half[1]}.svc"
        return Backing(arm=arm, missing=f"Istio takes {arm.host} for a host outside the cluster: write {right}.cluster.local")
    return Backing(arm=arm, unknown=f"{arm.host} is no Kubernetes service")


def _without_endpoints(arm: Destination, seen: Observed) -> Backing | None:
    """An arm whose Service has no endpoints at all, where that does not mean that its pods are gone."""
    if isinstance(seen.service, NotFound):
        name, namespace = service_of(arm.host) or ("", "")
        if entry := _named_by_entries(arm, seen.entries):
            return Backing(arm=arm, unknown=entry)
        there = [] if isinstance(seen.services, VerdictdError) else [str(one["metadata"]["name"]) for one in seen.services]
        told = f" ({nearest(name, there)})" if not isinstance(seen.services, VerdictdError) else ""
        return Backing(arm=arm, missing=f"there is no Service {name} in namespace {namespace}{told}")
    if isinstance(seen.service, VerdictdError):
        return Backing(arm=arm, unknown=f"its Service could not be read: {seen.service}")
    if selector_of(seen.service) is None:
        return Backing(arm=arm, unknown=f"{arm.host} is a Service that selects no pods")
    return None


def _named_by_entries(arm: Destination, entries: Read) -> str:
    """Why a host that no Service has may be served all the same; empty when nothing says so."""
    if isinstance(entries, VerdictdError):
        return f"no Service is {arm.host}, and the ServiceEntries could not be read: {entries}"
    for entry in entries:
        metadata = entry.get("metadata", {})
        namespace = str(metadata.get("namespace", ""))
        if any(fits(normal(str(host), namespace=namespace), arm.host) for host in entry.get("spec", {}).get("hosts") or ()):
            return f"{arm.host} is of ServiceEntry {namespace}/{metadata.get('name')}"
    return ""


def _pod_selector(arm: Destination, seen: Observed) -> PodSelector | None:
    service = service_of(arm.host)
    if service is None or seen.subset.labels is None:
        return None
    selector = None if isinstance(seen.service, VerdictdError) else selector_of(seen.service)
    chosen = None if selector is None else (service[1], frozenset(selector.items()))
    return PodSelector(host=arm.host, labels=frozenset(seen.subset.labels.items()), selector=chosen)
