"""Who stands behind the arms of a release, asked of Consul, which applies the filters of its resolvers itself."""

from collections.abc import Sequence

from daemon.aio.tasks import TaskGroup
from daemon.errors import VerdictdError
from daemon.meshes.consul import instances, routes
from daemon.meshes.consul.api import ConsulApi
from daemon.meshes.consul.elsewhere import resolver_of
from daemon.meshes.consul.entries import Entry, Target, field
from daemon.meshes.consul.instances import Backing, Chosen
from daemon.meshes.consul.reading import There
from daemon.meshes.consul.routes import Arms

_MOST_SUBSETS = 30


async def of_arms(api: ConsulApi, arms: Arms, there: There) -> tuple[Backing, Backing]:
    """Who stands behind the baseline, and behind the canary. What cannot be asked for is not known, and raises nothing."""
    async with TaskGroup() as group:
        tasks = [group.create_task(_backing(api, one, there)) for one in (arms.baseline, arms.canary)]
    baseline, canary = (task.result() for task in tasks)
    return baseline, canary


async def overlapping(api: ConsulApi, arms: Arms, canary: Backing, there: There) -> tuple[str, ...]:
    """Other subsets of the canary's service that requests are sent to and that choose instances of the canary's among others."""
    resolver = resolver_of(there.entries, arms.canary)
    if resolver is None or not canary.there:
        return ()
    sent_to = _sent_to(there.entries)
    others = [
        Target(service=arms.canary.service, subset=name, namespace=arms.canary.namespace, partition=arms.canary.partition)
        for name in list(field(resolver.body, "subsets") or {})[:_MOST_SUBSETS]
    ]
    wanted = [one for one in others if one in sent_to and not arms.is_canary(one) and not arms.is_baseline(one)]
    async with TaskGroup() as group:
        tasks = [group.create_task(_backing(api, one, there)) for one in wanted]
    shared = ((task.result().target, len(task.result().there & canary.there)) for task in tasks)
    return tuple(f"{target}, which chooses {number} of the canary's instances among others" for target, number in shared if number)


def _sent_to(entries: Sequence[Entry]) -> set[Target]:
    found: set[Target] = set()
    for entry in entries:
        found |= set(routes.served(entry) if entry.kind == "service-splitter" else routes.targets(entry))
        if entry.kind == "service-resolver":
            found.add(entry.target({"service_subset": field(entry.body, "default_subset")}))
    return found


async def _backing(api: ConsulApi, target: Target, there: There) -> Backing:
    resolver = resolver_of(there.entries, target)
    if resolver is None and target.subset and there.hidden:
        return Backing(target=target, chosen=Chosen(expression=None), hidden="; ".join(there.hidden))
    chosen = instances.chosen(target, resolver)
    if chosen.missing:
        return Backing(target=target, chosen=chosen)
    try:
        found = await api.instances(target.service, expression=chosen.expression or "")
    except VerdictdError as error:
        return Backing(target=target, chosen=chosen, hidden=f"some, which could not be asked for ({error})")
    ready = (one for one in found.items if one.takes_requests(only_passing=chosen.only_passing))
    return Backing(
        target=target,
        chosen=chosen,
        there=frozenset(one.name for one in found.items),
        ready=frozenset(one.name for one in ready),
        hidden=found.hidden,
    )
