"""Who stands behind an arm: how many of its pods are ready, that surely nobody does, or why it is not known. Pure.

An arm is pods, not a name: the endpoints of its Service, those only that carry its subset's labels. *Surely nobody* needs all
of it read: what another registry (a ServiceEntry, another cluster) may know is not known, and neither is what we may not read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daemon.errors import NotFound, VerdictdError
from daemon.kube.endpoints import Endpoint, endpoints
from daemon.meshes.destinationrule import Labels
from daemon.meshes.istiohosts import Destination, fits, half_spelled, normal, service_of
from daemon.meshes.meaning import Meaning, SubsetMeaning
from daemon.meshes.uses import listed, nearest

Json = dict[str, Any]
Read = Sequence[Json] | VerdictdError
"""Objects, or why they could not be read."""

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
class Seen:
    """What was read about one arm.

    Attributes:
        subset: its subset's meaning.
        service: the Service behind its host, or why it could not be read; null: not asked, as nothing depends on it.
        slices: the EndpointSlices of the service.
        pods: pods of the service's namespace, all that carry the subset's labels among them; asked for only where there are labels.
        services: the Services of the namespace; asked for only where this one is not there.
        entries: the ServiceEntries that may name the host; asked for only where no Service does, or half of one's name.
    """

    subset: SubsetMeaning
    service: Json | VerdictdError | None
    slices: Read = ()
    pods: Read = ()
    services: Read = ()
    entries: Read = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Who stands behind an arm.

    Attributes:
        ready: endpoints that would be sent to; null when it is not known.
        endpoints: its pods (or addresses, where there are no pods), ready or not; null when they are not known.
        meaning: which pods are its own by definition, as far as it is known.
        missing: that the subset or the Service surely is not there, in words; else empty.
        unknown: why it is not known; else empty.
        note: what else should be said of it.
    """

    arm: Destination
    ready: int | None = None
    endpoints: frozenset[str] | None = None
    meaning: Meaning | None = None
    missing: str = ""
    unknown: str = ""
    note: str = ""


def backing_of(arm: Destination, seen: Seen, *, multi_cluster: bool) -> Backing:
    """Who stands behind the arm. In a mesh of several clusters, nobody here is not nobody."""
    found = replace(_backing_of(arm, seen), meaning=_meaning(arm, seen), note=seen.subset.note)
    if not multi_cluster or seen.subset.missing:
        return found
    found = replace(found, endpoints=None)
    if found.ready or found.unknown:
        return found
    return replace(
        found, ready=None, missing="", unknown="there is nobody in this cluster, and the mesh has others (multi_cluster)"
    )


def with_workloads(found: Backing, entries: Read) -> Backing:
    """An arm that no pod serves, given the WorkloadEntries of its namespace: machines that are no pods may serve it."""
    if isinstance(entries, VerdictdError):
        return replace(found, ready=None, unknown=f"no pod is ready, and the WorkloadEntries could not be read: {entries}")
    wanted = dict(found.meaning.chosen) if found.meaning is not None else {}
    for entry in entries:
        if _carries({"metadata": entry.get("spec", {})}, wanted):
            metadata = entry.get("metadata", {})
            named = f"{metadata.get('namespace')}/{metadata.get('name')}"
            return replace(found, ready=None, unknown=f"no pod is ready, but WorkloadEntry {named} has its labels")
    return found


def harm(baseline: Backing, canary: Backing, *, convicted: Meaning | None = None) -> str | None:
    """Why traffic must not be sent to the baseline, where that is sure. ``convicted``: what the canary was when located."""
    if baseline.missing:
        return f"{baseline.missing}; taking the traffic back would answer errors to all of it"
    if (same := same_pods(baseline, canary)) is not None and not _was_given_back(baseline, canary, convicted):
        return f"{same}: there is nothing to go back to"
    if baseline.meaning is not None and convicted is not None and baseline.meaning.is_same(convicted):
        return f"{baseline.arm} has come to mean the canary's pods since they were located: going back would give them everything"
    if baseline.ready == 0:
        behind = f"none of the {len(baseline.endpoints)} behind it is ready" if baseline.endpoints else "no pod is behind it"
        return f"the baseline has no ready endpoints ({behind}): taking the traffic back would answer errors to all of it"
    return None


def same_pods(baseline: Backing, canary: Backing) -> str | None:
    """That both arms are the same pods, where that is sure: by what chooses them, or because they are."""
    said = f"baseline ({baseline.arm}) and canary ({canary.arm}) are the same pods"
    one, other = baseline.meaning, canary.meaning
    if one is not None and other is not None and one.is_same(other):
        return f"{said} ({one})"
    # A whole service beside a part of it has the same pods for a moment, while the rest of it is not there.
    nested = one is not None and other is not None and one.is_nested(other)
    if baseline.endpoints and baseline.endpoints == canary.endpoints and not nested:
        return f"{said} ({listed(baseline.endpoints)})"
    return None


def _was_given_back(baseline: Backing, canary: Backing, convicted: Meaning | None) -> bool:
    """Both arms choose the same pods, and none that was convicted: as a controller leaves them that undid the release first."""
    if baseline.meaning is None or canary.meaning is None or convicted is None:
        return False
    return baseline.meaning.is_same(canary.meaning) and baseline.meaning.is_apart(convicted)


def account(baseline: Backing, canary: Backing) -> str:
    """What is known of who would serve, in a line."""
    if baseline.ready is None:
        told = f"how many endpoints the baseline has is not known: {baseline.unknown or baseline.missing}"
    else:
        told = f"{baseline.ready} ready endpoints"
        told += "" if canary.ready is None else f" (the canary has {canary.ready})"
    return told + (f"; {baseline.note}" if baseline.note else "")


def _backing_of(arm: Destination, seen: Seen) -> Backing:
    if service_of(arm.host) is None:
        return _outside(arm, seen)
    if seen.subset.missing:
        return Backing(arm=arm, missing=seen.subset.missing)
    if isinstance(seen.slices, VerdictdError):
        return Backing(arm=arm, unknown=f"its EndpointSlices could not be read: {seen.slices}")
    behind = endpoints(seen.slices)
    if not behind and (without := _without_endpoints(arm, seen)) is not None:
        return without
    if unknown := _labels_unknown(seen, behind):
        return Backing(arm=arm, unknown=unknown)
    return _counted(arm, _of_subset(seen, behind).items())


def _labels_unknown(seen: Seen, behind: Mapping[str, Endpoint]) -> str:
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


def _of_subset(seen: Seen, behind: Mapping[str, Endpoint]) -> Mapping[str, Endpoint]:
    if not seen.subset.labels or isinstance(seen.pods, VerdictdError):
        return behind
    names = {pod.get("metadata", {}).get("name") for pod in seen.pods if _carries(pod, seen.subset.labels)}
    return {address: one for address, one in behind.items() if one.pod in names}


def _outside(arm: Destination, seen: Seen) -> Backing:
    if entry := _named_by_entries(arm, seen.entries):
        return Backing(arm=arm, unknown=entry)
    half = half_spelled(arm.host)
    if half is not None and isinstance(seen.service, dict):
        right = f"{half[0]}.{half[1]}.svc"
        return Backing(arm=arm, missing=f"Istio takes {arm.host} for a host outside the cluster: write {right}.cluster.local")
    return Backing(arm=arm, unknown=f"{arm.host} is no Kubernetes service")


def _without_endpoints(arm: Destination, seen: Seen) -> Backing | None:
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
    if _selector(seen.service) is None:
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


def _counted(arm: Destination, behind: Iterable[tuple[str, Endpoint]]) -> Backing:
    """A pod counts once, however many addresses it has."""
    kept = [(one.pod or address, one.ready) for address, one in behind]
    return Backing(arm=arm, ready=len({name for name, ready in kept if ready}), endpoints=frozenset(name for name, _ in kept))


def _meaning(arm: Destination, seen: Seen) -> Meaning | None:
    service = service_of(arm.host)
    if service is None or seen.subset.labels is None:
        return None
    selector = None if isinstance(seen.service, VerdictdError) else _selector(seen.service)
    chosen = None if selector is None else (service[1], frozenset(selector.items()))
    return Meaning(host=arm.host, labels=frozenset(seen.subset.labels.items()), selector=chosen)


def _selector(service: Json | None) -> Labels | None:
    """By what a Service chooses its pods; null when it has none of its own."""
    spec = (service or {}).get("spec") or {}
    return None if spec.get("type") == "ExternalName" else spec.get("selector") or None


def _carries(pod: Json, labels: Labels) -> bool:
    carried = pod.get("metadata", {}).get("labels") or {}
    return all(carried.get(key) == value for key, value in labels.items())
