"""Istio: traffic is taken back by patching every VirtualService that names the canary, in whatever namespace it is.

The first patch of a revert goes to the objects that are known from looking before, each read anew: one GET and one PATCH
instead of a listing of the cluster. Looking whether the canary still gets traffic is a listing, so that an object that
has come since is found, and taken back by the next call.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from daemon.errors import Forbidden, InvalidInput, NotFound, TransientError, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.endpoints import ready_endpoints
from daemon.kube.resources import DESTINATION_RULES, VIRTUAL_SERVICES, Json
from daemon.kube.sharing import Shared
from daemon.meshes import destinationrule, virtualservice
from daemon.meshes.istiohosts import Arms, Destination, normal, service_of
from daemon.meshes.uses import largest_percent, with_traffic
from daemon.model import ArmSpec, Release
from daemon.ports import PatchReceipt, Placement

_REMEMBERED = 20_000

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    changes: tuple[str, ...]
    sent_at: float
    acknowledged_at: float


class IstioRouter:
    """The routes of one cluster's mesh. Implements ``TrafficRouter``."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._everything = Shared(lambda: kube.list(VIRTUAL_SERVICES))
        self._arms: dict[bytes, Arms] = {}
        self._known: dict[Arms, tuple[Name, ...]] = {}

    async def close(self) -> None:
        """Nothing to close here: the client belongs to whoever made it."""

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be a VirtualService of the release's namespace."""
        arms = await self._arms_of(release)
        if release.route is not None:
            await self._kube.get(VIRTUAL_SERVICES, namespace=release.namespace, name=release.route)
        objects, scope = await self._naming(arms, release)
        found = [use for one in objects for use in virtualservice.uses(one, arms=arms)]
        if not found:
            raise NotFound(f"no VirtualService in {scope} names the canary, {arms.canary}, as destination or mirror")
        return Placement(routes=tuple(str(use) for use in found), canary_percent=largest_percent(found))

    async def baseline_ready(self, release: Release) -> int | None:
        """See ``TrafficRouter.baseline_ready``: ready endpoints of the service, those of the subset's pods only."""
        arms = await self._arms_of(release)
        service = service_of(arms.baseline.host)
        if service is None:
            return None
        labels: Mapping[str, str] | None = release.baseline.labels
        if arms.baseline.subset is not None:
            labels = (await self._subsets(arms.baseline.host, release)).get(arms.baseline.subset)
        if labels is None:
            return None
        return await ready_endpoints(self._kube, service=service[0], namespace=service[1], labels=labels)

    async def take_back(self, release: Release) -> PatchReceipt:
        """See ``TrafficRouter.take_back``. With several objects each is tried, whatever becomes of the others."""
        arms = await self._arms_of(release)
        written = await self._patch_all(await self._read_known(arms), arms)
        if not written:
            written = await self._patch_all((await self._naming(arms, release))[0], arms)
        if not written:
            now = time.time()
            return PatchReceipt(changed=False, detail="no route gives the canary anything", sent_at=now, acknowledged_at=now)
        return PatchReceipt(
            changed=True,
            detail="; ".join(change for one in written for change in one.changes),
            sent_at=min(one.sent_at for one in written),
            acknowledged_at=max(one.acknowledged_at for one in written),
        )

    async def canary_gets_traffic(self, release: Release) -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: as the API server has it now; proxies follow within a push of istiod."""
        arms = await self._arms_of(release)
        objects, _ = await self._naming(arms, release)
        return with_traffic(use for one in objects for use in virtualservice.uses(one, arms=arms))

    async def _naming(self, arms: Arms, release: Release) -> tuple[list[Json], str]:
        """Every VirtualService that names the canary, and where we looked: everywhere, or as far as we may."""
        try:
            objects, scope = list((await self._everything()).items), "any namespace"
        except Forbidden:
            scope = f"namespace {release.namespace} (and delegates; the rest of the cluster may not be read)"
            objects = list((await self._kube.list(VIRTUAL_SERVICES, namespace=release.namespace)).items)
            objects += await self._delegates(objects)
        naming = [one for one in objects if virtualservice.uses(one, arms=arms)]
        _remember(self._known, arms, tuple(virtualservice.identity(one) for one in naming))
        return naming, scope

    async def _delegates(self, objects: Sequence[Json]) -> list[Json]:
        """The objects that these hand requests on to, as far as we may read them."""
        have = {virtualservice.identity(one) for one in objects}
        wanted = {name for one in objects for name in virtualservice.delegates(one)} - have
        return await self._read(sorted(wanted))

    async def _read_known(self, arms: Arms) -> list[Json]:
        return await self._read(self._known.get(arms, ()))

    async def _read(self, names: Iterable[Name]) -> list[Json]:
        """Each object as it is now; one that is gone, or that we may not read, is left out."""
        gets = [self._kube.get(VIRTUAL_SERVICES, namespace=namespace, name=name) for namespace, name in names]
        results = await _all(gets)
        for result in results:
            if isinstance(result, TransientError):
                raise result
        return [result for result in results if isinstance(result, dict)]

    async def _patch_all(self, objects: Sequence[Json], arms: Arms) -> list[_Written]:
        """Patch every object at the same time. An error that can be tried again is raised before one that cannot."""
        plans = [(virtualservice.identity(one), virtualservice.take_back(one, arms=arms)) for one in objects]
        results = await _all([self._patch(name, plan) for name, plan in plans if plan.operations])
        errors = sorted((one for one in results if isinstance(one, VerdictdError)), key=lambda e: not isinstance(e, TransientError))
        if errors:
            raise errors[0]
        return [one for one in results if isinstance(one, _Written)]

    async def _patch(self, name: Name, plan: virtualservice.Plan) -> _Written:
        sent_at = time.time()
        await self._kube.patch(VIRTUAL_SERVICES, namespace=name[0], name=name[1], operations=plan.operations)
        return _Written(changes=plan.changes, sent_at=sent_at, acknowledged_at=time.time())

    async def _arms_of(self, release: Release) -> Arms:
        """The arms as Istio names them; subsets that the release leaves out are looked up once, by labels or version."""
        key = msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))
        if key not in self._arms:
            _remember(self._arms, key, await self._resolve(release))
        return self._arms[key]

    async def _resolve(self, release: Release) -> Arms:
        hosts = {
            name: normal(arm.service or release.service, namespace=release.namespace)
            for name, arm in (("baseline", release.baseline), ("canary", release.canary))
        }
        one_host = hosts["baseline"] == hosts["canary"]
        arms = Arms(
            baseline=await self._destination(release.baseline, "baseline", hosts["baseline"], one_host, release),
            canary=await self._destination(release.canary, "canary", hosts["canary"], one_host, release),
        )
        if arms.baseline == arms.canary:
            raise InvalidInput(
                f"baseline and canary are both {arms.canary}",
                path="$.canary",
                fix="give the canary a subset, or a service of its own",
            )
        return arms

    async def _destination(self, arm: ArmSpec, name: str, host: str, one_host: bool, release: Release) -> Destination:  # noqa: FBT001  private, one caller
        """Two arms on one host are told apart by their subsets; an arm whose service is named outright may go without."""
        if arm.subset is not None or not one_host or (arm.service is not None and not arm.labels and arm.version is None):
            return Destination(host=host, subset=arm.subset)
        known = await self._subsets(host, release)
        subset = destinationrule.subset_of(arm, known)
        if subset is None:
            there = ", ".join(sorted(known)) or "there are none"
            raise NotFound(f"the {name} is no subset of {host} by its labels or version ({there}): name {name}.subset")
        return Destination(host=host, subset=subset)

    async def _subsets(self, host: str, release: Release) -> dict[str, Mapping[str, str]]:
        """Labels by subset name, from the rules of the release's namespace and of the service's own."""
        service = service_of(host)
        namespaces = dict.fromkeys([release.namespace, *([service[1]] if service else [])])
        rules = [rule for one in namespaces for rule in (await self._kube.list(DESTINATION_RULES, namespace=one)).items]
        return destinationrule.subsets(rules, host=host)


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T | VerdictdError]:
    """Await all at the same time; one that fails does not end the others."""

    async def settled(call: Coroutine[Any, Any, T]) -> T | VerdictdError:
        try:
            return await call
        except VerdictdError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(settled(call)) for call in calls]
    return [task.result() for task in tasks]


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the newest; what is forgotten is only looked up again."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
