"""An arm's pods as Istio's telemetry calls them: the names of their workloads, and their canonical revision. Pure.

Both are worked out by Istio's own rules (istio/istio, pkg/kube/util.go ``GetWorkloadMetaFromPod`` and pkg/kube/labels), since it is
Istio that writes them into its proxies' metrics. Rollouts of Argo have their own name there since 1.22; before, each of their
ReplicaSets had: both names are given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from daemon.armpods import ArmPod, ArmPods
from daemon.errors import VerdictdError
from daemon.kube.endpoints import Endpoint, endpoints
from daemon.kube.resources import Json
from daemon.meshes.istio.hosts import Destination, service_of
from daemon.meshes.istio.pods import Observed, Read, carries, labels_unknown, selector_of

REVISION_LABELS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""What a pod's canonical revision is taken from, in this order."""
NO_REVISION = "latest"

_WORKLOAD_NAME = "service.istio.io/workload-name"
_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
_OF_A_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


def arm_pods(arm: Destination, seen: Observed, *, neighbours: Read = ()) -> ArmPods:
    """Who stands behind the arm, pod by pod.

    Args:
        arm: a host, and a subset of it.
        seen: what was read of it; its pods are those that carry its labels, or those that its Service selects.
        neighbours: the Services of its namespace, where another one might select the same pods.
    """
    labels = _chosen_by(seen)
    if unknown := _unknown(arm, seen):
        return ArmPods(labels=labels, unknown=unknown)
    assert not isinstance(seen.slices, VerdictdError)  # they would be unknown
    assert not isinstance(seen.pods, VerdictdError)
    named = {str(pod.get("metadata", {}).get("name")): pod for pod in seen.pods if carries(pod, seen.subset.labels or {})}
    found = _pods(named, endpoints(seen.slices))
    alone = _alone(service_of(arm.host), [named[one.name] for one in found], neighbours)
    return ArmPods(pods=found, labels=labels, service=alone)


def workloads(pod: Json) -> tuple[str, ...]:
    """The names that Istio's metrics may have for the pod's workload, that of newer versions first."""
    metadata = pod.get("metadata") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    if named := labels.get(_WORKLOAD_NAME):
        return (named,)
    own = str(metadata.get("name", ""))
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    # What was not made from a template is asked for no owner.
    if owner is None or not metadata.get("generateName"):
        return (own,)
    kind, name = owner.get("kind"), str(owner.get("name", ""))
    if kind == "ReplicaSet":
        return _of_replica_set(name, labels)
    if kind == "ReplicationController" and (config := labels.get("deploymentconfig")):
        return (config,)
    if kind == "Job" and (job := _OF_A_CRON_JOB.fullmatch(name)):
        return (job[1],)
    return (name or own,)


def revision(labels: Mapping[str, str]) -> str:
    """The canonical revision of a pod with these labels."""
    return next((value for key in REVISION_LABELS if (value := labels.get(key))), NO_REVISION)


def _unknown(arm: Destination, seen: Observed) -> str:
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


def _of_replica_set(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    for key in _HASHES:
        if (value := labels.get(key)) and name.endswith(f"-{value}"):
            template = name.removesuffix(f"-{value}")
            return (template,) if key == _HASHES[0] else (template, name)
    return (name,)


def _pods(named: Mapping[str, Json], behind: Mapping[str, Endpoint]) -> tuple[ArmPod, ...]:
    """Those of these pods that have endpoints; one with several addresses once."""
    found: dict[str, ArmPod] = {}
    for address, one in sorted(behind.items()):
        if one.pod is None or one.pod not in named:
            continue
        before = found.get(one.pod)
        found[one.pod] = _pod(
            named[one.pod],
            address=address if before is None else before.address,
            ready=one.ready or (before is not None and before.ready),
        )
    return tuple(found[name] for name in sorted(found))


def _pod(pod: Json, *, address: str, ready: bool) -> ArmPod:
    metadata, labels = pod["metadata"], pod["metadata"].get("labels") or {}
    return ArmPod(
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace", "")),
        address=address,
        ready=ready,
        workloads=workloads(pod),
        revision=revision(labels),
        version=str(labels.get("version", "")),
        started_at=_started_at(pod),
    )


def _started_at(pod: Json) -> float | None:
    """When the pod's oldest container that runs began: it is anew what was restarted."""
    status = pod.get("status") or {}
    began = [
        str(since)
        for container in status.get("containerStatuses") or ()
        if (since := ((container.get("state") or {}).get("running") or {}).get("startedAt"))
    ]
    try:
        return min(datetime.fromisoformat(one).timestamp() for one in began) if began else None
    except ValueError:
        return None


def _chosen_by(seen: Observed) -> Mapping[str, str]:
    service = None if isinstance(seen.service, VerdictdError) else selector_of(seen.service)
    return {**(service or {}), **(seen.subset.labels or {})}


def _alone(service: tuple[str, str] | None, pods: Sequence[Json], neighbours: Read) -> str:
    """The arm's Service, where no other one of its namespace selects any of these pods; empty also where nobody looked."""
    if service is None or isinstance(neighbours, VerdictdError) or not neighbours:
        return ""
    others = (one for one in neighbours if one.get("metadata", {}).get("name") != service[0])
    return "" if any(_selects(one, pods) for one in others) else service[0]


def _selects(service: Json, pods: Iterable[Json]) -> bool:
    selector = selector_of(service)
    return selector is not None and any(carries(pod, selector) for pod in pods)
