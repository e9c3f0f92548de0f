"""Istio's router: its VirtualServices are planned for, its DestinationRules say what the arms are.

Rules are read by the namespaces of the clients that are sent to the arms. During a revert they are waited for only a moment:
what the arms were when the watch began is kept with the session.
"""

import asyncio
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from daemon.aio.singleflight import SingleFlight
from daemon.armpods import PodsByArm
from daemon.errors import Blocked, InvalidInput, NotFound, TransientError, VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import Json
from daemon.meshes import backing
from daemon.meshes.backing import Backing
from daemon.meshes.istio import arms as naming
from daemon.meshes.istio import pods, reading, routes, virtualservice
from daemon.meshes.istio.arms import Located
from daemon.meshes.istio.destinationrule import Rules
from daemon.meshes.istio.hosts import Arms, half_spelled
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES
from daemon.meshes.istio.pods import Observed
from daemon.meshes.istio.reading import Discovered
from daemon.meshes.kuberouter import KubeRouter, remember
from daemon.meshes.kuberoutes import Behind, Objects, ReadObjects, decode, encode
from daemon.meshes.references import Name, Plan
from daemon.model import Release
from daemon.placement import RouteReference

RULES_SECONDS = 1.0
"""How long a patch waits for rules, where it is known what the arms were: traffic that goes wrong meanwhile is harm."""

_CLOSE = 0.8


class IstioRouter(KubeRouter[Arms]):
    """The routes of one cluster's mesh. Implements ``TrafficRouter``.

    Args:
        kube: a client of the cluster.
        root_namespace: where the mesh's own rules are, Istio's ``rootNamespace``.
        multi_cluster: whether arms may have pods in other clusters, which cannot be seen here.
    """

    def __init__(self, kube: KubeClient, *, root_namespace: str = "istio-system", multi_cluster: bool = False) -> None:
        arms = IstioArms(kube, root_namespace=root_namespace, multi_cluster=multi_cluster)
        super().__init__(kube, routes=[VirtualServices()], arms=arms)


class VirtualServices:
    """VirtualServices as routes. Implements ``Routes``."""

    resource = VIRTUAL_SERVICES

    def references(self, item: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
        """See ``Routes.references``."""
        return virtualservice.references(item, arms=arms)

    def revert(self, item: Json, *, arms: Arms) -> Plan:
        """See ``Routes.revert``."""
        return virtualservice.revert(item, arms=arms)

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """See ``Routes.delegates``."""
        return routes.delegates(item)

    def meant(self, items: Sequence[Json], *, arms: Arms) -> str:
        """See ``Routes.meant``: a destination that is nearly the canary."""
        named = {str(one): one for item in items for one in routes.destinations(item)}
        close = difflib.get_close_matches(str(arms.canary), sorted(named), n=1, cutoff=_CLOSE)
        if not close:
            return ""
        outside = ", which Istio takes for a host outside the cluster" if half_spelled(named[close[0]].host) else ""
        return f"; the nearest that is named is {close[0]}{outside}"


class IstioArms:
    """The arms by DestinationRules, and their pods. Implements ``daemon.meshes.kuberoutes.Arms``; see ``IstioRouter``."""

    def __init__(self, kube: KubeClient, *, root_namespace: str, multi_cluster: bool) -> None:
        self._kube = kube
        self._root = root_namespace
        self._multi_cluster = multi_cluster
        self._rules: dict[str, SingleFlight[Listing]] = {}

    def canary(self, arms: Arms) -> str:
        """See ``Arms.canary``."""
        return str(arms.canary)

    async def survey(self, release: Release, *, objects: Objects) -> "IstioSurvey":
        """See ``Arms.survey``."""
        clients = _clients(objects, release)
        discovered = await self._discover(release, clients)
        arms = self._resolved(release, discovered.rules, clients, before=None)
        return IstioSurvey(arms=arms, clients=clients, discovered=discovered, source=self)

    def as_located(self, release: Release, *, located: str) -> Arms | None:
        """See ``Arms.as_located``."""
        before = decode(located, kind=Located)
        return before.arms if before is not None else naming.named_outright(release)

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> Arms:
        """See ``Arms.now``."""
        before = decode(located, kind=Located)
        if (named := naming.named_outright(release)) is not None:
            return named
        clients = before.clients if before is not None else _clients(await objects(), release)
        ruled = naming.ruled_hosts(release)
        try:
            async with asyncio.timeout(None if before is None else RULES_SECONDS):
                rules = await reading.rules(self._rules_of, hosts=ruled, clients=clients, root=self._root)
        except TimeoutError:
            assert before is not None  # there was no limit otherwise
            return before.arms
        return self._resolved(release, rules, clients, before=before)

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        """See ``TrafficRouter.check_baseline``: by rules, Services, EndpointSlices and pods as they are now."""
        before = decode(located, kind=Located)
        clients = before.clients if before is not None else _clients(await objects(), release)
        discovered = await self._discover(release, clients)
        rules = discovered.rules
        try:
            arms = self._resolved(release, rules, clients, before=before)
        except (InvalidInput, NotFound) as error:
            lost = isinstance(error, InvalidInput) or not naming.has_baseline(release, rules, clients=clients, root=self._root)
            if _unread(rules) or not lost:
                raise
            raise Blocked(f"there is nothing that the traffic could go back to: {error}") from error
        seen = await reading.observe(self._kube, arms, discovered=discovered, clients=clients, root=self._root)
        baseline, canary = await self._backings(arms, *seen)
        harm = backing.harm(baseline, canary, convicted=before.canary if before is not None else None)
        if harm is not None:
            raise Blocked(harm)
        return backing.account(baseline, canary)

    async def behind(self, arms: Arms, discovered: Discovered, clients: Sequence[str]) -> tuple[Backing, Backing, PodsByArm]:
        """Who stands behind the baseline, who behind the canary, and both pod by pod."""
        (baseline, canary), beside = await asyncio.gather(
            reading.observe(self._kube, arms, discovered=discovered, clients=clients, root=self._root, each_pod=True),
            reading.neighbours(self._kube, arms),
        )
        backings = await self._backings(arms, baseline, canary)
        members = PodsByArm(
            baseline=pods.arm_pods(arms.baseline, baseline, neighbours=beside),
            canary=pods.arm_pods(arms.canary, canary, neighbours=beside),
        )
        return *backings, members

    async def _backings(self, arms: Arms, baseline: Observed, canary: Observed) -> tuple[Backing, Backing]:
        behind = pods.backing_of(arms.baseline, baseline, multi_cluster=self._multi_cluster)
        if behind.ready == 0:
            behind = pods.with_workloads(behind, await reading.workloads(self._kube, arms.baseline))
        return behind, pods.backing_of(arms.canary, canary, multi_cluster=self._multi_cluster)

    def _resolved(self, release: Release, rules: Rules, clients: Sequence[str], *, before: Located | None) -> Arms:
        """The arms by these rules; where rules could not be read, which must not stop a revert, the arms as they were before.

        Raises as ``arms.resolve``; where it is not known what the arms were, also why rules could not be read just now.
        """
        if (named := naming.named_outright(release)) is not None:
            return named
        try:
            canary = None if before is None else before.arms.canary.subset
            return naming.resolve(release, rules, clients=clients, root=self._root, before=canary)
        except NotFound as error:
            if before is not None and _unread(rules):
                return before.arms
            for there in rules.values():
                if isinstance(there, TransientError):
                    raise there from error  # "not found" would be final: nothing would be tried again
            raise

    async def _discover(self, release: Release, clients: Sequence[str]) -> Discovered:
        hosts = tuple(naming.hosts(release).values())
        ruled = naming.ruled_hosts(release)
        return await reading.discover(self._kube, self._rules_of, hosts=hosts, ruled=ruled, clients=clients, root=self._root)

    async def _rules_of(self, namespace: str) -> Sequence[Json]:
        """A thousand guarded releases of a namespace ask for them at the same time."""
        if namespace not in self._rules:
            remember(self._rules, namespace, SingleFlight(partial(self._kube.list, DESTINATION_RULES, namespace=namespace)))
        return (await self._rules[namespace]()).items


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioSurvey:
    """What was read of a release's arms. Implements ``Survey``."""

    arms: Arms
    clients: tuple[str, ...]
    discovered: Discovered
    source: IstioArms

    async def behind(self) -> Behind:
        """See ``Survey.behind``."""
        baseline, canary, members = await self.source.behind(self.arms, self.discovered, self.clients)
        if baseline.missing:
            raise NotFound(f"the baseline, {self.arms.baseline}, is not there: {baseline.missing}")
        if (same := backing.same_pods(baseline, canary)) is not None:
            raise InvalidInput(same, path="$.canary", fix="wait until the canary has pods of its own, or name those it has")
        located = Located(arms=self.arms, clients=self.clients, canary=canary.selector)
        return Behind(account=backing.account(baseline, canary), located=encode(located), pods=members)


def _clients(objects: Objects, release: Release) -> tuple[str, ...]:
    routes: Iterable[Json] = objects.get(VIRTUAL_SERVICES, ())
    return naming.clients(routes, among=naming.hosts(release).values(), otherwise=release.namespace)


def _unread(rules: Rules) -> bool:
    return any(isinstance(there, VerdictdError) for there in rules.values())
