"""Which pods stand behind an arm of the Gateway API: the endpoints of its Service. Pure.

How many are ready, that surely nobody is there, or why it is not known.
"""

from dataclasses import dataclass, replace

from daemon.armpods import ArmPods
from daemon.errors import VerdictdError
from daemon.kube.endpoints import endpoints
from daemon.meshes.backing import Backing, counted
from daemon.meshes.gatewayapi.services import ServiceName, Services
from daemon.meshes.members import Read, alone, members, selector_of
from daemon.meshes.references import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was read about an arm.

    Attributes:
        services: of the arms' namespaces.
        slices: the EndpointSlices of its Service.
        pods: those that its Service selects; asked for only where each was to be known.
    """

    services: Services
    slices: Read
    pods: Read = ()


def backings(arms: tuple[ServiceName, ServiceName], seen: tuple[Observed, Observed]) -> tuple[Backing, Backing]:
    """Who stands behind baseline and canary; of a baseline whose Service chooses the canary's pods too, that is said."""
    baseline, canary = (_backing(arm, one) for arm, one in zip(arms, seen, strict=True))
    shared = (baseline.endpoints or frozenset()) & (canary.endpoints or frozenset())
    if shared and baseline.selector is not None and canary.selector is not None and baseline.selector.is_nested(canary.selector):
        note = f"Service {arms[0]} chooses pods of the canary's too: {len(shared)} of its {len(baseline.endpoints or ())}"
        baseline = replace(baseline, note=f"{note}, which will get their part of what goes back")
    return baseline, canary


def arm_pods(arm: ServiceName, seen: Observed) -> ArmPods:
    """Who stands behind the arm, pod by pod."""
    service = seen.services.get(arm)
    labels = selector_of(service) or {}
    for what, read in (("Services", seen.services.of(arm.namespace)), ("EndpointSlices", seen.slices), ("pods", seen.pods)):
        if isinstance(read, VerdictdError):
            return ArmPods(labels=labels, unknown=f"its {what} could not be read: {read}")
    assert not isinstance(seen.slices, VerdictdError)  # it would be unknown
    assert not isinstance(seen.pods, VerdictdError)
    behind = endpoints(seen.slices)
    if behind and not any(one.pod for one in behind.values()):
        return ArmPods(labels=labels, unknown="its endpoints are no pods")
    named = {str(pod.get("metadata", {}).get("name")): pod for pod in seen.pods}
    found = members(named, behind)
    neighbours = seen.services.of(arm.namespace)
    return ArmPods(pods=found, labels=labels, service=alone(arm.name, [named[one.name] for one in found], neighbours))


def _backing(arm: ServiceName, seen: Observed) -> Backing:
    selector = seen.services.choosing(arm)
    there = seen.services.of(arm.namespace)
    if isinstance(seen.slices, VerdictdError):
        return Backing(arm=arm, selector=selector, unknown=f"its EndpointSlices could not be read: {seen.slices}")
    behind = endpoints(seen.slices)
    if not behind:
        if isinstance(there, VerdictdError):
            return Backing(arm=arm, selector=selector, unknown=f"its Service could not be read: {there}")
        if (service := seen.services.get(arm)) is None:
            names = [str(one.get("metadata", {}).get("name")) for one in there]
            said = f"there is no Service {arm.name} in namespace {arm.namespace} ({nearest(arm.name, names)})"
            return Backing(arm=arm, selector=selector, missing=said)
        if selector_of(service) is None:
            return Backing(arm=arm, selector=selector, unknown=f"{arm} is a Service that selects no pods")
    return counted(arm, behind, selector=selector)
