"""Arms that no route tells apart: pods of the same application, of which some have a change of the mesh itself, or of two versions.

A new sidecar or control plane reaches the pods that were restarted for it, a policy those that it selects, or one namespace.
Requests come to them as to their neighbours, so that they can be compared, and nothing can be taken back: what would change
traffic is blocked with what to do instead. Pods are compared within their workloads: one that has pods in one arm only is left
out, since its requests would be compared with another application's.

Where both arms name the workload and the hash of its template, or a workload each, the application is what differs: so is a
rolling update, and a second workload behind one Service.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from daemon.armpods import ArmPods, PodsByArm
from daemon.errors import Blocked, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, SERVICES, Json
from daemon.meshes.gatewayapi import arms as naming
from daemon.meshes.members import arm_pod, carries, selector_of, workloads
from daemon.meshes.references import identity, listed
from daemon.model import ArmSpec, Release
from daemon.placement import BY_HAND, PatchReceipt, Placement
from daemon.pods.watchedpod import watched_pod

PROXIES = frozenset({"istio-proxy", "linkerd-proxy", "consul-dataplane", "envoy-sidecar", "envoy"})
"""Containers that a mesh adds: these are what may differ."""
TEMPLATE_HASH = "pod-template-hash"
"""By which a Deployment's ReplicaSets tell their pods apart."""
NOT_TAKEN_BACK = f"no route tells these pods apart: {BY_HAND}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What chooses an arm's pods.

    Attributes:
        namespace: theirs.
        labels: that each has, the Service's selector among them.
        workload: that each is of; null: of any.
    """

    namespace: str
    labels: Mapping[str, str]
    workload: str | None

    def has(self, pod: Json) -> bool:
        """Whether the pod is chosen. What a mesh writes of a pod is a label in some of its versions, an annotation in others."""
        metadata = pod.get("metadata", {})
        known = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
        named = self.workload is None or self.workload in workloads(pod)
        return named and identity(pod)[0] == self.namespace and carries({"metadata": {"labels": known}}, self.labels)

    def __str__(self) -> str:
        """``istio.io/rev=1-25 of web``."""
        chosen = ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items())) or "any labels"
        return chosen + (f" of {self.workload}" if self.workload else "")


def are_versions(baseline: Choice, canary: Choice) -> bool:
    """Whether the arms are two versions of one application by their own words, and not one with a change of the mesh."""
    if None in (baseline.workload, canary.workload):
        return False
    hashes = [one.labels.get(TEMPLATE_HASH) for one in (baseline, canary)]
    return baseline.workload != canary.workload or (None not in hashes and hashes[0] != hashes[1])


class PodsRouter:
    """Implements ``TrafficRouter`` for releases whose arms are pods. ``kube``: a client of their cluster."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``: there is no route, and an arm without pods is not there yet."""
        baseline = await self._choice(release.baseline, release, path="$.baseline.service")
        canary = await self._choice(release.canary, release, path="$.canary.service")
        there = [pod for one in sorted({baseline.namespace, canary.namespace}) for pod in await self._pods(one)]
        return placed(there, baseline=baseline, canary=canary)

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """Always ``Blocked``."""
        raise Blocked(NOT_TAKEN_BACK)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """Always ``Blocked``."""
        raise Blocked(NOT_TAKEN_BACK)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """Always ``Blocked``: pods are sent requests as long as they are there."""
        raise Blocked(NOT_TAKEN_BACK)

    async def _choice(self, arm: ArmSpec, release: Release, *, path: str) -> Choice:
        """An arm may name a Service, whose pods then are meant, and may be of another namespace."""
        version = {} if arm.version is None else {"version": arm.version}
        if arm.service is None:
            return Choice(namespace=release.namespace, labels={**version, **arm.labels}, workload=arm.workload)
        service = naming.service(arm, release, path=path)
        found = await self._kube.list(SERVICES, namespace=service.namespace)
        selector = selector_of(next((one for one in found.items if identity(one)[1] == service.name), None))
        if selector is None:
            raise NotFound(f"there is no Service {service.name} in namespace {service.namespace} that selects pods")
        return Choice(namespace=service.namespace, labels={**selector, **version, **arm.labels}, workload=arm.workload)

    async def _pods(self, namespace: str) -> Sequence[Json]:
        return (await self._kube.list(PODS, namespace=namespace)).items


def placed(there: Iterable[Json], *, baseline: Choice, canary: Choice) -> Placement:
    """The pods of both arms among these. Whatever is the canary's is not the baseline's, so that this may be all the others.

    Raises:
        NotFound: an arm has no pods, or no workload has pods in both.
        InvalidInput: the arms differ in the application too, and do not say that they are versions of it.
    """
    running = [pod for pod in there if not watched_pod(pod).ended]
    new = [pod for pod in running if canary.has(pod)]
    old = [pod for pod in running if baseline.has(pod) and not canary.has(pod)]
    for name, pods, choice in (("canary", new, canary), ("baseline", old, baseline)):
        if not pods:
            raise NotFound(f"the {name} has no pods: none of the {len(running)} there has {choice}{_instead(running, choice)}")
    if are_versions(baseline, canary):
        return _placed(old, new, account=f"{len(old)} pods of {baseline} beside the canary's {len(new)}, of {canary}")
    both = _by_workload(old).keys() & _by_workload(new).keys()
    if not both:
        raise NotFound(
            "no workload has pods in both arms, so that applications would be compared: "
            f"the baseline's are of {listed(_by_workload(old))}, the canary's of {listed(_by_workload(new))}"
        )
    old, new = ([pod for pod in pods if _workload(pod) in both] for pods in (old, new))
    _require_one_application(old, new)
    left = sorted({_workload(pod) for pod in running if baseline.has(pod) or canary.has(pod)} - both)
    account = f"{len(old)} pods beside the canary's {len(new)}, of {listed(both)}"
    return _placed(old, new, account=account + (f"; left out, with pods in one arm only: {listed(left)}" if left else ""))


def _placed(old: Sequence[Json], new: Sequence[Json], *, account: str) -> Placement:
    return Placement(routes=(), canary_percent=0.0, baseline=account, pods=PodsByArm(baseline=_arm(old), canary=_arm(new)))


def _workload(pod: Json) -> str:
    return workloads(pod)[0]


def _by_workload(pods: Iterable[Json]) -> Counter[str]:
    return Counter(_workload(pod) for pod in pods)


def _require_one_application(old: Sequence[Json], new: Sequence[Json]) -> None:
    """Raises ``InvalidInput`` where a workload's own containers are of other images in one arm than in the other."""
    for workload in sorted(_by_workload(new)):
        before, after = ({image for pod in pods if _workload(pod) == workload for image in _images(pod)} for pods in (old, new))
        if before != after:
            told = f"{listed(f'{name}: {image}' for name, image in before - after) or 'less'}, the canary's "
            raise InvalidInput(
                f"the pods of {workload} are not of one application version: the baseline's run {told}"
                f"{listed(f'{name}: {image}' for name, image in after - before) or 'less'}",
                path="$.canary",
                fix="wait until both arms run the same application; what is new in it is released by the strategy of its route",
            )


def _images(pod: Json) -> set[tuple[str, str]]:
    """The application's containers and their images."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    return {(str(one.get("name")), str(one.get("image"))) for one in containers if one.get("name") not in PROXIES}


def _arm(pods: Iterable[Json]) -> ArmPods:
    """By their names alone: no labels choose them, since the baseline is what is left of its own."""
    found = [(pod, watched_pod(pod)) for pod in pods]
    made = [arm_pod(pod, address=seen.address, ready=seen.ready and not seen.leaving) for pod, seen in found]
    return ArmPods(pods=tuple(sorted(made, key=lambda one: (one.namespace, one.name))))


def _instead(pods: Iterable[Json], choice: Choice) -> str:
    """What stands under the labels that were asked for, for whoever has mistyped one."""
    known = [{**(one["metadata"].get("annotations") or {}), **(one["metadata"].get("labels") or {})} for one in pods]
    values = {key: sorted({str(one[key]) for one in known if key in one}) for key in sorted(choice.labels)}
    told = [f"{key} is {listed(there)}" for key, there in values.items() if there and there != [choice.labels[key]]]
    return f" ({'; '.join(told)})" if told else ""
