"""Istio: traffic is taken back by patching every VirtualService that names the canary, in whatever namespace it is.

The first patch of a revert goes to the objects that are known from looking before, each read anew: one GET and one PATCH
instead of a listing of the cluster. Looking whether the canary still gets traffic is a listing, so that an object that
has come since is found, and taken back by the next call. What an arm is, is never remembered: it is read each time.
"""

import asyncio
import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from daemon.aio.singleflight import SingleFlight
from daemon.errors import Blocked, Forbidden, InvalidInput, NotFound, TransientError, VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import DESTINATION_RULES, VIRTUAL_SERVICES, Json
from daemon.meshes import backing, istioarms, istiolocated, istioreading, virtualservice
from daemon.meshes.backing import Backing
from daemon.meshes.destinationrule import Rules
from daemon.meshes.istiohosts import Arms, half_spelled
from daemon.meshes.istiolocated import Located
from daemon.meshes.istioreading import Ground, settled
from daemon.meshes.uses import largest_percent, with_traffic
from daemon.model import Release
from daemon.ports import PatchReceipt, Placement

RULES_SECONDS = 1.0
"""How long a patch waits for rules, where it is known what the arms were: traffic that goes wrong meanwhile is harm."""

_REMEMBERED = 20_000
_CLOSE = 0.8

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
    """The routes of one cluster's mesh. Implements ``TrafficRouter``.

    Args:
        kube: a client of the cluster.
        root_namespace: where the mesh's own rules are, Istio's ``rootNamespace``.
        multi_cluster: whether arms may have pods in other clusters, which cannot be seen here.
    """

    def __init__(self, kube: KubeClient, *, root_namespace: str = "istio-system", multi_cluster: bool = False) -> None:
        self._kube = kube
        self._root = root_namespace
        self._multi_cluster = multi_cluster
        self._everything = SingleFlight(lambda: kube.list(VIRTUAL_SERVICES))
        self._rules: dict[str, SingleFlight[Listing]] = {}
        self._known: dict[bytes, tuple[Name, ...]] = {}

    async def close(self) -> None:
        """Nothing to close here: the client belongs to whoever made it."""

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be a VirtualService of the release's namespace."""
        if release.route is not None:
            await self._kube.get(VIRTUAL_SERVICES, namespace=release.namespace, name=release.route)
        objects, scope = await self._objects(release)
        clients = _clients(objects, release)
        ground = await self._ground(release, clients)
        arms = self._resolved(release, ground.rules, clients, before=None)
        found = [use for one in self._naming(objects, arms, release) for use in virtualservice.uses(one, arms=arms)]
        if not found:
            raise NotFound(_not_named(arms, objects, scope))
        baseline, canary = await self._backings(arms, ground, clients)
        if baseline.missing:
            raise NotFound(f"the baseline, {arms.baseline}, is not there: {baseline.missing}")
        if (same := backing.same_pods(baseline, canary)) is not None:
            raise InvalidInput(same, path="$.canary", fix="wait until the canary has pods of its own, or name those it has")
        return Placement(
            routes=tuple(str(use) for use in found),
            canary_percent=largest_percent(found),
            baseline=backing.account(baseline, canary),
            located=istiolocated.encode(Located(arms=arms, clients=clients, canary=canary.meaning)),
        )

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``: by rules, Services, EndpointSlices and pods as they are now."""
        before = istiolocated.decode(located)
        clients = before.clients if before is not None else _clients((await self._objects(release))[0], release)
        ground = await self._ground(release, clients)
        try:
            arms = self._resolved(release, ground.rules, clients, before=before)
        except (InvalidInput, NotFound) as error:
            lost = isinstance(error, InvalidInput) or not istioarms.has_baseline(
                release, ground.rules, clients=clients, root=self._root
            )
            if _unread(ground.rules) or not lost:
                raise
            raise Blocked(f"there is nothing that the traffic could go back to: {error}") from error
        baseline, canary = await self._backings(arms, ground, clients)
        harm = backing.harm(baseline, canary, convicted=before.canary if before is not None else None)
        if harm is not None:
            raise Blocked(harm)
        return backing.account(baseline, canary)

    async def take_back(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.take_back``. With several objects each is tried, whatever becomes of the others."""
        arms = await self._arms(release, before=istiolocated.decode(located))
        written = await self._patch_all(await self._read(self._known.get(_key(release), ())), arms)
        if not written:
            objects, _ = await self._objects(release)
            written = await self._patch_all(self._naming(objects, arms, release), arms)
        if not written:
            now = time.time()
            return PatchReceipt(changed=False, detail="no route gives the canary anything", sent_at=now, acknowledged_at=now)
        return PatchReceipt(
            changed=True,
            detail="; ".join(change for one in written for change in one.changes),
            sent_at=min(one.sent_at for one in written),
            acknowledged_at=max(one.acknowledged_at for one in written),
        )

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: as the API server has it now; proxies follow within a push of istiod."""
        arms = await self._arms(release, before=istiolocated.decode(located))
        objects, _ = await self._objects(release)
        naming = self._naming(objects, arms, release)
        return with_traffic(use for one in naming for use in virtualservice.uses(one, arms=arms))

    async def _objects(self, release: Release) -> tuple[list[Json], str]:
        """Every VirtualService, and where we looked: everywhere, or as far as we may."""
        try:
            return list((await self._everything()).items), "any namespace"
        except Forbidden:
            scope = f"namespace {release.namespace} (and delegates; the rest of the cluster may not be read)"
            objects = list((await self._kube.list(VIRTUAL_SERVICES, namespace=release.namespace)).items)
            return objects + await self._delegates(objects), scope

    def _naming(self, objects: Iterable[Json], arms: Arms, release: Release) -> list[Json]:
        """Those that name the canary; they are remembered for the first patch."""
        naming = [one for one in objects if virtualservice.uses(one, arms=arms)]
        _remember(self._known, _key(release), tuple(virtualservice.identity(one) for one in naming))
        return naming

    async def _delegates(self, objects: Sequence[Json]) -> list[Json]:
        """The objects that these hand requests on to, as far as we may read them."""
        have = {virtualservice.identity(one) for one in objects}
        wanted = {name for one in objects for name in virtualservice.delegates(one)} - have
        return await self._read(sorted(wanted))

    async def _read(self, names: Iterable[Name]) -> list[Json]:
        """Each object as it is now; one that is gone, or that we may not read, is left out."""
        results = await settled(self._kube.get(VIRTUAL_SERVICES, namespace=namespace, name=name) for namespace, name in names)
        for result in results:
            if isinstance(result, TransientError):
                raise result
        return [result for result in results if isinstance(result, dict)]

    async def _patch_all(self, objects: Sequence[Json], arms: Arms) -> list[_Written]:
        """Patch every object at the same time. An error that can be tried again is raised before one that cannot."""
        plans = [(virtualservice.identity(one), virtualservice.take_back(one, arms=arms)) for one in objects]
        results = await settled(self._patch(name, plan) for name, plan in plans if plan.operations)
        errors = sorted((one for one in results if isinstance(one, VerdictdError)), key=lambda e: not isinstance(e, TransientError))
        if errors:
            raise errors[0]
        return [one for one in results if isinstance(one, _Written)]

    async def _patch(self, name: Name, plan: virtualservice.Plan) -> _Written:
        sent_at = time.time()
        await self._kube.patch(VIRTUAL_SERVICES, namespace=name[0], name=name[1], operations=plan.operations)
        return _Written(changes=plan.changes, sent_at=sent_at, acknowledged_at=time.time())

    async def _arms(self, release: Release, *, before: Located | None) -> Arms:
        """The arms as Istio names them now; as they were before, where the rules do not come in time."""
        if (named := istioarms.named_outright(release)) is not None:
            return named
        clients = before.clients if before is not None else _clients((await self._objects(release))[0], release)
        ruled = istioarms.ruled_hosts(release)
        try:
            async with asyncio.timeout(None if before is None else RULES_SECONDS):
                rules = await istioreading.rules(self._rules_of, hosts=ruled, clients=clients, root=self._root)
        except TimeoutError:
            assert before is not None  # there was no limit otherwise
            return before.arms
        return self._resolved(release, rules, clients, before=before)

    def _resolved(self, release: Release, rules: Rules, clients: Sequence[str], *, before: Located | None) -> Arms:
        """The arms by these rules; where rules could not be read, which must not stop a revert, the arms as they were before.

        Raises as ``istioarms.resolve``; where it is not known what the arms were, also why rules could not be read just now.
        """
        if (named := istioarms.named_outright(release)) is not None:
            return named
        try:
            canary = None if before is None else before.arms.canary.subset
            return istioarms.resolve(release, rules, clients=clients, root=self._root, before=canary)
        except NotFound as error:
            if before is not None and _unread(rules):
                return before.arms
            for there in rules.values():
                if isinstance(there, TransientError):
                    raise there from error  # "not found" would be final: nothing would be tried again
            raise

    async def _rules_of(self, namespace: str) -> Sequence[Json]:
        """A thousand guarded releases of a namespace ask for them at the same time."""
        if namespace not in self._rules:
            _remember(self._rules, namespace, SingleFlight(lambda: self._kube.list(DESTINATION_RULES, namespace=namespace)))
        return (await self._rules[namespace]()).items

    async def _ground(self, release: Release, clients: Sequence[str]) -> Ground:
        hosts = tuple(istioarms.hosts(release).values())
        ruled = istioarms.ruled_hosts(release)
        return await istioreading.ground(self._kube, self._rules_of, hosts=hosts, ruled=ruled, clients=clients, root=self._root)

    async def _backings(self, arms: Arms, ground: Ground, clients: Sequence[str]) -> tuple[Backing, Backing]:
        """Who stands behind the baseline, and who behind the canary."""
        baseline, canary = await istioreading.seen(self._kube, arms, ground=ground, clients=clients, root=self._root)
        behind = backing.backing_of(arms.baseline, baseline, multi_cluster=self._multi_cluster)
        if behind.ready == 0:
            behind = backing.with_workloads(behind, await istioreading.workloads(self._kube, arms.baseline))
        return behind, backing.backing_of(arms.canary, canary, multi_cluster=self._multi_cluster)


def _key(release: Release) -> bytes:
    return msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))


def _clients(objects: Iterable[Json], release: Release) -> tuple[str, ...]:
    return istioarms.clients(objects, among=istioarms.hosts(release).values(), otherwise=release.namespace)


def _unread(rules: Rules) -> bool:
    return any(isinstance(there, VerdictdError) for there in rules.values())


def _not_named(arms: Arms, objects: Iterable[Json], scope: str) -> str:
    """What was looked for and where, and what is written there that may be meant."""
    named = {str(one): one for item in objects for one in virtualservice.destinations(item)}
    close = difflib.get_close_matches(str(arms.canary), sorted(named), n=1, cutoff=_CLOSE)
    hint = f"; the nearest that is named is {close[0]}" if close else ""
    if close and half_spelled(named[close[0]].host):
        hint += ", which Istio takes for a host outside the cluster"
    return f"no VirtualService in {scope} names the canary, {arms.canary}, as destination or mirror{hint}"


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the newest; what is forgotten is only looked up again."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
