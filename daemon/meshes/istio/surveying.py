"""The arms of a release in Istio, their other names, and who stands behind them, from what the cluster says now.

Rules are read by the namespaces of the clients that are sent to the arms. During a revert they are waited for only a moment:
what the arms were when the watch began is kept with the session. Other names of the canary's pods are looked for whenever a
release is located; a revert takes them as they were seen then, and looks anew only at what its own questions bring.

Releases that are located at the same time ask together: what each gets was read after it asked. So do those that are taken back at
the same time, apart from the others, whose listings need not be quick. What the arms are by the rules that a revert's look at the
baseline has read is not asked again for the patch that follows it at once.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from daemon.aio.singleflight import SingleFlight
from daemon.armpods import PodsByArm
from daemon.errors import Blocked, InvalidInput, NotFound, TransientError, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.endpoints import endpoints
from daemon.kube.forms import Misread, well_formed
from daemon.kube.reads import Reads
from daemon.kube.resources import Json
from daemon.kube.sharedreads import SharedReads
from daemon.meshes import backing
from daemon.meshes.backing import Backing, PodSelector
from daemon.meshes.istio import arms as naming
from daemon.meshes.istio import destinationrule, pods, reading
from daemon.meshes.istio.arms import Located
from daemon.meshes.istio.destinationrule import Rules
from daemon.meshes.istio.elsewhere import Place, elsewhere, places
from daemon.meshes.istio.hosts import Arms, Destination, service_of
from daemon.meshes.istio.mesh import DESTINATION_RULES, VIRTUAL_SERVICES
from daemon.meshes.istio.othernames import Names, Views, completed, other_names
from daemon.meshes.istio.pods import Observed
from daemon.meshes.istio.reading import Discovered
from daemon.meshes.kuberouter import remember
from daemon.meshes.kuberoutes import Behind, Objects, ReadObjects, decode, encode
from daemon.meshes.members import Read, carries
from daemon.meshes.ports import Port, ports_of
from daemon.meshes.references import identity, listed
from daemon.model import Release

RULES_SECONDS = 1.0
"""How long a patch waits for rules, where it is known what the arms were: traffic that goes wrong meanwhile is harm."""

LOOKED_SECONDS = 1.0
"""How old the rules may be that were read before a patch, to see who would serve, and by which it is planned."""


class IstioArms:
    """The arms by DestinationRules, and their pods. Implements ``daemon.meshes.kuberoutes.Arms``; see ``IstioRouter``."""

    def __init__(self, kube: KubeClient, *, root_namespace: str, multi_cluster: bool) -> None:
        self._kube = kube
        self._urgent = SharedReads(kube, names_alone=True)
        self._shared = SharedReads(kube)
        self._root = root_namespace
        self._multi_cluster = multi_cluster
        self._rules: dict[str, SingleFlight[Sequence[Json]]] = {}
        self._looked: dict[bytes, tuple[float, Arms]] = {}
        self._misread: dict[str, list[Misread]] = {}
        self._seen: dict[bytes, Arms] = {}

    def canary(self, arms: Arms) -> str:
        """See ``Arms.canary``."""
        return str(arms.canary)

    async def survey(self, release: Release, *, objects: Objects) -> "IstioSurvey":
        """See ``Arms.survey``."""
        clients = _clients(objects, release)
        discovered = await self._discover(self._shared, release, clients)
        arms = self._resolved(release, discovered.rules, clients, before=None)
        return IstioSurvey(release=release, arms=arms, clients=clients, discovered=discovered, objects=objects, source=self)

    def as_located(self, release: Release, *, located: str) -> Arms | None:
        """See ``Arms.as_located``."""
        before = decode(located, kind=Located)
        known = before.arms if before is not None else naming.named_outright(release)
        return None if known is None else self._with_names(release, known, before)

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> Arms:
        """See ``Arms.now``."""
        before = decode(located, kind=Located)
        if (named := naming.named_outright(release)) is not None:
            return self._with_names(release, named, before)
        if (looked := self._just_looked(release)) is not None:
            return self._with_names(release, looked, before)
        clients = before.clients if before is not None else _clients(await objects(), release)
        ruled = naming.ruled_hosts(release)
        try:
            async with asyncio.timeout(None if before is None else RULES_SECONDS):
                rules = await reading.rules(self._rules_of, hosts=ruled, clients=clients, root=self._root)
        except TimeoutError:
            assert before is not None  # there was no limit otherwise
            return self._with_names(release, before.arms, before)
        return self._with_names(release, self._resolved(release, rules, clients, before=before), before)

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        """See ``TrafficRouter.check_baseline``: by rules, Services, EndpointSlices and pods as they are now."""
        before = decode(located, kind=Located)
        clients = before.clients if before is not None else _clients(await objects(), release)
        asked_at = time.monotonic()
        discovered = await self._discover(self._urgent, release, clients)
        rules = discovered.rules
        try:
            arms = self._resolved(release, rules, clients, before=before)
        except (InvalidInput, NotFound) as error:
            lost = isinstance(error, InvalidInput) or not naming.has_baseline(release, rules, clients=clients, root=self._root)
            if _unread(rules) or not lost:
                raise
            raise Blocked(f"there is nothing that the traffic could go back to: {error}") from error
        seen = await reading.observe(self._urgent, arms, discovered=discovered, clients=clients, root=self._root)
        baseline, canary = await self._backings(self._urgent, arms, *seen)
        harm = backing.harm(baseline, canary, convicted=before.canary if before is not None else None)
        if harm is not None:
            raise Blocked(harm)
        known = self._with_names(release, arms, before)
        again = self._named_again(known, discovered, clients, baseline=baseline, canary=canary)
        remember(self._seen, _key(release), again)
        if not _unread(rules):
            remember(self._looked, _key(release), (asked_at, arms))
        return backing.account(baseline, canary) + _no_longer_shared(known, again)

    async def behind(self, survey: "IstioSurvey") -> Behind[Arms]:
        """See ``Survey.behind``."""
        arms, discovered, clients = survey.arms, survey.discovered, survey.clients
        used = tuple(places(survey.objects))
        (seen_baseline, seen_canary), services = await asyncio.gather(
            reading.observe(self._shared, arms, discovered=discovered, clients=clients, root=self._root, each_pod=True),
            reading.neighbours(self._shared, arms),
        )
        baseline, canary = await self._backings(self._shared, arms, seen_baseline, seen_canary)
        if baseline.missing:
            raise NotFound(f"the baseline, {arms.baseline}, is not there: {baseline.missing}")
        if (same := backing.same_pods(baseline, canary)) is not None:
            raise InvalidInput(same, path="$.canary", fix="wait until the canary has pods of its own, or name those it has")
        names = Names(namespace=_namespace(arms), services=services)
        candidates = _candidates(used, names, canary.selector)
        found = other_names(
            candidates,
            arms=arms,
            canary=canary.selector,
            pods=_carrying(seen_canary.pods, canary),
            names=names,
            views=self._views(await self._further_rules(survey, candidates), clients),
        )
        arms = replace(arms, ports=_ports(arms, found.aliases, services))
        arms = completed(arms, found, baseline=baseline, canary=canary, host=_host_endpoints(discovered, arms))
        remember(self._seen, _key(survey.release), arms)
        others = elsewhere(used, arms=arms, among=found.among, baseline=baseline, canary=canary)
        misread = [str(one) for namespace in discovered.rules for one in self._misread.get(namespace, ())]
        unread = (*found.unread, *misread, *_canary_unknown(arms, canary))
        kept = replace(arms, shared=())
        located = Located(arms=kept, clients=clients, canary=canary.selector, elsewhere=others, unread=unread)
        beside = services if arms.baseline.host != arms.canary.host else ()
        return Behind(
            account=backing.account(baseline, canary),
            arms=arms,
            located=encode(located),
            pods=PodsByArm(
                baseline=pods.arm_pods(arms.baseline, seen_baseline, neighbours=beside),
                canary=pods.arm_pods(arms.canary, seen_canary, neighbours=beside),
            ),
            elsewhere=others,
            unread=unread,
        )

    def _with_names(self, release: Release, arms: Arms, before: Located | None) -> Arms:
        """These two with the other names that were last seen of them; what was kept with the session, where nobody has looked."""
        seen = self._seen.get(_key(release)) or (before.arms if before is not None else None)
        return seen if seen is not None and seen.is_same_pair(arms) else arms

    def _named_again(
        self, known: Arms, discovered: Discovered, clients: Sequence[str], *, baseline: Backing, canary: Backing
    ) -> Arms:
        """The same by the rules and the pods that there are now; names by Services as they were seen when the release was located.

        A revert waits for it: no more is read than the baseline's check needs.
        """
        host = _host_endpoints(discovered, known)
        if host is None or _unread(discovered.rules):
            return replace(known, shared=())
        views = self._views(discovered.rules, clients)
        subsets = {name for view in views(known.canary.host).values() for name in view.labels}
        named = [Destination(host=known.canary.host), *(Destination(host=known.canary.host, subset=one) for one in sorted(subsets))]
        names = Names(namespace=_namespace(known), services=())
        found = other_names(named, arms=replace(known, aliases=()), canary=canary.selector, pods=None, names=names, views=views)
        services = tuple(one for one in known.aliases if one.host != known.canary.host)
        found = replace(found, aliases=(*found.aliases, *services))
        return completed(known, found, baseline=baseline, canary=canary, host=host)

    async def _further_rules(self, survey: "IstioSurvey", candidates: Iterable[Destination]) -> Rules:
        """What the subsets of other hosts mean, where one of these is such; mostly none is, and nothing is asked."""
        known = {survey.arms.baseline.host, survey.arms.canary.host} if naming.ruled_hosts(survey.release) else set()
        hosts = sorted({one.host for one in candidates if one.subset is not None} - known)
        if not hosts:
            return survey.discovered.rules
        further = await reading.rules(self._rules_of, hosts=hosts, clients=survey.clients, root=self._root)
        return {**further, **survey.discovered.rules}

    def _views(self, rules: Rules, clients: Sequence[str]) -> Views:
        return lambda host: {one: destinationrule.subsets_for(one, rules, host=host, root=self._root) for one in clients}

    async def _backings(self, reads: Reads, arms: Arms, baseline: Observed, canary: Observed) -> tuple[Backing, Backing]:
        behind = pods.backing_of(arms.baseline, baseline, multi_cluster=self._multi_cluster)
        if behind.ready == 0:
            behind = pods.with_workloads(behind, await reading.workloads(reads, arms.baseline))
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

    async def _discover(self, reads: Reads, release: Release, clients: Sequence[str]) -> Discovered:
        hosts = tuple(naming.hosts(release).values())
        ruled = naming.ruled_hosts(release)
        return await reading.discover(reads, self._rules_of, hosts=hosts, ruled=ruled, clients=clients, root=self._root)

    async def _rules_of(self, namespace: str) -> Sequence[Json]:
        """A thousand guarded releases of a namespace ask for them at the same time."""
        if namespace not in self._rules:
            remember(self._rules, namespace, SingleFlight(partial(self._listed_rules, namespace)))
        return await self._rules[namespace]()

    async def _listed_rules(self, namespace: str) -> Sequence[Json]:
        """One listing. Which of its rules can be read is worked out once for all who get it."""
        listing = await self._kube.list(DESTINATION_RULES, namespace=namespace)
        rules, self._misread[namespace] = well_formed(DESTINATION_RULES, listing.items)
        return destinationrule.Listed(rules)

    def _just_looked(self, release: Release) -> Arms | None:
        """What the arms are by a look at the baseline that no patch has followed yet; null where it is older than a moment."""
        looked_at, arms = self._looked.pop(_key(release), (0.0, None))
        return arms if time.monotonic() - looked_at <= LOOKED_SECONDS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioSurvey:
    """What was read of a release's arms. Implements ``Survey``."""

    release: Release
    arms: Arms
    clients: tuple[str, ...]
    discovered: Discovered
    objects: Objects
    source: IstioArms

    async def behind(self) -> Behind[Arms]:
        """See ``Survey.behind``."""
        return await self.source.behind(self)


def _clients(objects: Objects, release: Release) -> tuple[str, ...]:
    routes: Iterable[Json] = objects.get(VIRTUAL_SERVICES, ())
    return naming.clients(routes, among=naming.hosts(release).values(), otherwise=release.namespace)


def _unread(rules: Rules) -> bool:
    return any(isinstance(there, VerdictdError) for there in rules.values())


def _candidates(used: Iterable[Place], names: Names, canary: PodSelector | None) -> list[Destination]:
    """What routes send to that may be the canary's pods."""
    named = dict.fromkeys(one.use.named for one in used)
    return [] if canary is None else [one for one in named if names.may_choose(one, canary=canary)]


def _no_longer_shared(before: Arms, now: Arms) -> str:
    """The end of a line, where a name that was both arms' has come to have others' pods too; else empty."""
    left = {one.named for one in now.shared}
    lost = [str(one.named) for one in before.shared if one.named not in left]
    return f"; {listed(lost)} has pods of others by now: it may still reach the canary, and is not touched" if lost else ""


def _canary_unknown(arms: Arms, canary: Backing) -> tuple[str, ...]:
    """That other names of the canary's pods could not be looked for."""
    if canary.selector is not None or service_of(arms.canary.host) is None:
        return ()
    return (f"which pods the canary, {arms.canary}, is: {canary.unknown or canary.missing}",)


def _carrying(pods: Read, arm: Backing) -> Sequence[Json] | None:
    if isinstance(pods, VerdictdError) or arm.selector is None:
        return None
    return [one for one in pods if carries(one, dict(arm.selector.chosen))]


def _ports(arms: Arms, aliases: Sequence[Destination], services: Read) -> dict[str, tuple[Port, ...]]:
    """Of the Services that are arms, where there are several."""
    named = {one.host: service_of(one.host) for one in (arms.baseline, arms.canary, *aliases)}
    if isinstance(services, VerdictdError) or len(named) == 1:
        return {}
    there = {identity(one): one for one in services}
    return {host: ports_of(there[name[1], name[0]]) for host, name in named.items() if name and (name[1], name[0]) in there}


def _namespace(arms: Arms) -> str:
    """Of the canary's Service; empty for a host that is none."""
    return (service_of(arms.canary.host) or ("", ""))[1]


def _key(release: Release) -> bytes:
    return msgspec.json.encode((release.service, release.namespace, release.baseline, release.canary))


def _host_endpoints(discovered: Discovered, arms: Arms) -> frozenset[str] | None:
    """All that stands behind the one host whose subsets the arms are; null where they have a host each, or it is not known."""
    slices = discovered.slices.get(arms.canary.host, ())
    if arms.baseline.host != arms.canary.host or isinstance(slices, VerdictdError):
        return None
    return frozenset(one.pod or address for address, one in endpoints(slices).items())
