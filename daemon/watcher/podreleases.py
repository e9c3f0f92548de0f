"""A release by pods, as it is announced: of a rolling update and of a second Deployment it says the same, and has its id alike."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from daemon import names
from daemon.discovery.updates import HASH, Template, Update
from daemon.events.announced import origin
from daemon.kube.resources import PODS
from daemon.meshes.podarms import PROXIES
from daemon.model import Release
from daemon.releasecheck import decode_release
from daemon.watcher.annotations import POLICY, WATCH
from daemon.watcher.looking import UNSAID_POLICY
from daemon.watcher.reading import Cluster, annotations_of

_AMBIENT: Final = ("ambient.istio.io/redirection", "enabled")


def release_by_pods(
    service: str, update: Update, *, namespace: str, mesh: str, policy: str | None, baseline: str, canary: str
) -> Release:
    """What is announced of it. ``baseline`` and ``canary`` are the Deployments' names."""
    said: dict[str, object] = {
        "service": service,
        "namespace": namespace,
        "mesh": mesh,
        "strategy": "pods",
        "policy": policy or UNSAID_POLICY,
        "observe": True,
        "baseline": _arm(baseline, update.old),
        "canary": _arm(canary, update.new),
    }
    if update.artifact:
        said["artifact"] = update.artifact
    return decode_release(said)


def release_id_of(service: str, attempt: object) -> str:
    """The same for the same attempt, however often it is found, by whichever daemon."""
    return names.new_release_id(service, origin=origin("/watched", msgspec.json.encode(attempt).decode()))


async def is_counted(update: Update, *, cluster: Cluster, namespace: str) -> bool:
    """Whether a mesh counts what the new pods are asked. Raises ``VerdictdError``."""
    pods = await cluster.within(PODS, namespace=namespace, labels=f"{HASH}={update.new.hash}")
    return any(map(_has_proxy, pods))


def of_its_watch(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """What is written on a Deployment about how it is watched; its arms are nobody's to name."""
    return {key: value for key, value in annotations.items() if key in {WATCH, POLICY}}


def _arm(workload: str, template: Template) -> dict[str, object]:
    return {"workload": workload, "labels": {HASH: template.hash}}


def _has_proxy(pod: Any) -> bool:
    """Beside it, or for it."""
    spec, annotations = pod.get("spec") or {}, annotations_of(pod)
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return annotations.get(_AMBIENT[0]) == _AMBIENT[1] or any(one.get("name") in PROXIES for one in containers)
