"""An arm's pods: what chooses them, and the names by which telemetry calls them, workload and canonical revision. Pure.

The names are worked out by Istio's rules (istio/istio, pkg/kube/util.go ``GetWorkloadMetaFromPod`` and pkg/kube/labels), since it
is Istio that writes them into its proxies' metrics. Rollouts of Argo have their own name there since 1.22; before, each of
their ReplicaSets had: both names are given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from daemon.armpods import ArmPod
from daemon.errors import VerdictdError
from daemon.kube.endpoints import Endpoint
from daemon.kube.resources import Json

Read = Sequence[Json] | VerdictdError
"""Objects, or why they could not be read."""

REVISION_LABELS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""What a pod's canonical revision is taken from, in this order."""
NO_REVISION = "latest"

_WORKLOAD_NAME = "service.istio.io/workload-name"
_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
_OF_A_CRON_JOB = re.compile(r"(.+)-\d{8,10}")


def members(named: Mapping[str, Json], behind: Mapping[str, Endpoint]) -> tuple[ArmPod, ...]:
    """Those of these pods that have endpoints; one with several addresses once."""
    found: dict[str, ArmPod] = {}
    for address, one in sorted(behind.items()):
        if one.pod is None or one.pod not in named:
            continue
        before = found.get(one.pod)
        found[one.pod] = arm_pod(
            named[one.pod],
            address=address if before is None else before.address,
            ready=one.ready or (before is not None and before.ready),
        )
    return tuple(found[name] for name in sorted(found))


def arm_pod(pod: Json, *, address: str, ready: bool) -> ArmPod:
    """The pod as telemetry may call it."""
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


def alone(service: str, pods: Sequence[Json], neighbours: Read) -> str:
    """This Service, where no other one of its namespace selects any of these pods; empty also where nobody looked."""
    if isinstance(neighbours, VerdictdError) or not neighbours:
        return ""
    others = (one for one in neighbours if one.get("metadata", {}).get("name") != service)
    return "" if any(_selects(one, pods) for one in others) else service


def selector_of(service: Json | None) -> Mapping[str, str] | None:
    """By what a Service chooses its pods; null when it has none of its own."""
    spec = (service or {}).get("spec") or {}
    return None if spec.get("type") == "ExternalName" else spec.get("selector") or None


def carries(pod: Json, labels: Mapping[str, str]) -> bool:
    """Whether an object has all these labels."""
    carried = pod.get("metadata", {}).get("labels") or {}
    return all(carried.get(key) == value for key, value in labels.items())


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


def _of_replica_set(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    for key in _HASHES:
        if (value := labels.get(key)) and name.endswith(f"-{value}"):
            template = name.removesuffix(f"-{value}")
            return (template,) if key == _HASHES[0] else (template, name)
    return (name,)


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


def _selects(service: Json, pods: Iterable[Json]) -> bool:
    selector = selector_of(service)
    return selector is not None and any(carries(pod, selector) for pod in pods)
