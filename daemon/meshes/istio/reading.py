"""What must be read of a cluster to know who stands behind two arms: in two rounds, each all at the same time.

The first round needs the arms' hosts only; the second, the labels that the rules of the first give the arms' subsets. A revert
waits for it, so nothing is asked that nothing depends on: each question at the same time is a connection. Whatever cannot be
read stays in its place as the error that says why: what that means is decided in ``daemon.meshes.istio.pods``.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.aio.tasks import TaskGroup
from daemon.errors import NotFound, VerdictdError
from daemon.kube.endpoints import SERVICE_NAME
from daemon.kube.forms import require_all, well_formed
from daemon.kube.reads import Reads
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json
from daemon.meshes.istio import destinationrule
from daemon.meshes.istio.destinationrule import Labels, Rules, SubsetLabels, looked_everywhere, subset_labels
from daemon.meshes.istio.hosts import Arms, Destination, half_spelled, service_of
from daemon.meshes.istio.mesh import DESTINATION_RULES, SERVICE_ENTRIES, WORKLOAD_ENTRIES
from daemon.meshes.istio.pods import Observed
from daemon.meshes.members import Read, selector_of
from daemon.meshes.routereading import settled

AskRules = Callable[[str], Coroutine[Any, Any, Sequence[Json]]]
"""Gives the DestinationRules of a namespace, as they are now."""

_NO_SERVICE = NotFound("it is no host of a Kubernetes service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """The first round: rules by namespace; by host, its EndpointSlices and, where the arms have two hosts, its Service."""

    rules: Rules
    slices: Mapping[str, Read]
    services: Mapping[str, Json | VerdictdError]


async def rules(ask: AskRules, *, hosts: Collection[str], clients: Sequence[str], root: str) -> Rules:
    """The rules that clients of these namespaces may go by for these hosts. The root namespace is asked only where it counts."""
    namespaces = {one for host in hosts for one in destinationrule.namespaces_asked(host, clients=clients, root=root)}
    asked = sorted(namespaces - ({root} - set(clients)))
    found = dict(zip(asked, await settled(ask(one) for one in asked), strict=True))
    views = [destinationrule.subsets_for(one, found, host=host, root=root) for one in clients for host in hosts]
    if root in namespaces - found.keys() and not all(view.rules or view.unread for view in views):
        (found[root],) = await settled([ask(root)])
    return found


async def discover(
    reads: Reads, ask: AskRules, *, hosts: Collection[str], ruled: Collection[str], clients: Sequence[str], root: str
) -> Discovered:
    """The first round. ``ruled``: the hosts whose subsets matter. Raises nothing: what failed is in its place."""
    asked = tuple(dict.fromkeys(hosts))
    # Of one host the subsets tell the arms apart, whatever its Service is.
    told_apart = asked if len(asked) > 1 else ()
    async with TaskGroup() as group:
        listed = group.create_task(rules(ask, hosts=ruled, clients=clients, root=root))
        sliced = group.create_task(settled(_slices(reads, host) for host in asked))
        served = group.create_task(_services(reads, told_apart))
    return Discovered(
        rules=listed.result(),
        slices=dict(zip(asked, sliced.result(), strict=True)),
        services=served.result(),
    )


async def observe(
    reads: Reads, arms: Arms, *, discovered: Discovered, clients: Sequence[str], root: str, each_pod: bool = False
) -> tuple[Observed, Observed]:
    """The second round, and where a Service is not there a third: all that is to be known of baseline and canary.

    With ``each_pod`` the pods of an arm without a subset are read as well: a watch asks for them, a revert does not.

    Raises nothing either.
    """
    both = (arms.baseline, arms.canary)
    subsets = [_subset(arm, discovered, clients=clients, root=root) for arm in both]
    subsets[0] = await _looked_everywhere(reads, arms.baseline, subsets[0])
    empty = [arm.host for arm in both if not discovered.slices[arm.host]]
    async with TaskGroup() as group:
        listed = group.create_task(_pods(reads, both, _choosing(both, subsets, discovered) if each_pod else subsets, without=empty))
        # By which labels a Service chooses says also which pods will be an arm's that are not there yet.
        wanted = {arm.host for arm in both} if each_pod else set(empty)
        served = group.create_task(_services(reads, sorted(wanted - discovered.services.keys())))
    services = {**discovered.services, **served.result()}
    lost = [host for host in empty if isinstance(services[host], NotFound) or half_spelled(host)]
    entries, there = await asyncio.gather(_entries(reads, lost), _neighbours(reads, lost))
    baseline, canary = (
        Observed(
            subset=subset,
            service=services.get(arm.host),
            slices=discovered.slices[arm.host],
            pods=listed.result().get(_namespace(arm.host), ()),
            services=there.get(_namespace(arm.host), ()),
            entries=entries,
        )
        for arm, subset in zip(both, subsets, strict=True)
    )
    return baseline, canary


async def workloads(reads: Reads, arm: Destination) -> Read:
    """The WorkloadEntries of the arm's namespace: machines that its Service may choose as it chooses pods."""
    try:
        return require_all(WORKLOAD_ENTRIES, await reads.all(WORKLOAD_ENTRIES, namespace=_namespace(arm.host)))
    except NotFound:
        return ()
    except VerdictdError as error:
        return error


async def neighbours(reads: Reads, arms: Arms) -> Read:
    """The Services of the canary's namespace: another one may choose the same pods."""
    found = await _neighbours(reads, [arms.canary.host])
    return found.get(_namespace(arms.canary.host), ())


def _choosing(arms: Sequence[Destination], subsets: Sequence[SubsetLabels], discovered: Discovered) -> list[SubsetLabels]:
    """By which labels to list the pods of each arm: its subset's, or where it has none its Service's own."""
    found = []
    for arm, subset in zip(arms, subsets, strict=True):
        service = discovered.services.get(arm.host)
        own = None if subset.labels or isinstance(service, VerdictdError) else selector_of(service)
        found.append(SubsetLabels(labels=own) if own else subset)
    return found


def _subset(arm: Destination, discovered: Discovered, *, clients: Sequence[str], root: str) -> SubsetLabels:
    views = {client: destinationrule.subsets_for(client, discovered.rules, host=arm.host, root=root) for client in clients}
    return subset_labels(arm, views)


async def _looked_everywhere(reads: Reads, baseline: Destination, found: SubsetLabels) -> SubsetLabels:
    """Before the baseline's subset is surely missing, the whole cluster is asked: a slow way, that mostly ends without a patch."""
    if not found.missing:
        return found
    (listed,) = await settled([reads.all(DESTINATION_RULES)])
    if isinstance(listed, VerdictdError):
        return looked_everywhere(baseline, found, listed)
    rules, misread = well_formed(DESTINATION_RULES, listed)
    there = looked_everywhere(baseline, found, rules)
    return SubsetLabels(unknown=f"{found.missing}; {misread[0]}") if there.missing and misread else there


async def _pods(
    reads: Reads, arms: Sequence[Destination], subsets: Sequence[SubsetLabels], *, without: Collection[str]
) -> dict[str, Read]:
    """By namespace, pods that carry the labels of either arm's subset, in one listing."""
    wanted: dict[str, list[Labels]] = {}
    for arm, subset in zip(arms, subsets, strict=True):
        if subset.labels and arm.host not in without:
            wanted.setdefault(_namespace(arm.host), []).append(subset.labels)
    found = await settled(reads.all(PODS, namespace=one, either=labels) for one, labels in wanted.items())
    return dict(zip(wanted, found, strict=True))


async def _services(reads: Reads, hosts: Collection[str]) -> dict[str, Json | VerdictdError]:
    asked = tuple(dict.fromkeys(hosts))
    return dict(zip(asked, await settled(_service(reads, host) for host in asked), strict=True))


async def _service(reads: Reads, host: str) -> Json:
    named = service_of(host) or half_spelled(host)
    if named is None:
        raise _NO_SERVICE
    return await reads.one(SERVICES, namespace=named[1], name=named[0])


async def _slices(reads: Reads, host: str) -> Sequence[Json]:
    service = service_of(host)
    if service is None:
        return ()
    return await reads.all(ENDPOINT_SLICES, namespace=service[1], either=({SERVICE_NAME: service[0]},))


async def _entries(reads: Reads, lost: Collection[str]) -> Read:
    """The ServiceEntries of the whole cluster, where a host may be in one: any namespace may name any host."""
    if not lost:
        return ()
    try:
        return require_all(SERVICE_ENTRIES, await reads.all(SERVICE_ENTRIES))
    except NotFound:
        return ()
    except VerdictdError as error:
        return error


async def _neighbours(reads: Reads, lost: Collection[str]) -> dict[str, Read]:
    """By namespace, the Services that there are where one is not."""
    asked = tuple(dict.fromkeys(_namespace(host) for host in lost if service_of(host)))
    return dict(zip(asked, await settled(reads.all(SERVICES, namespace=one) for one in asked), strict=True))


def _namespace(host: str) -> str:
    service = service_of(host)
    return service[1] if service is not None else ""
