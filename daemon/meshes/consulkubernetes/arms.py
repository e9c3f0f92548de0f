"""The arms of Consul on Kubernetes: named by the release and by resolvers, and the Services of their names.

Which pods a subset is only Consul can tell, whose filters are expressions over what it has registered. Of a whole Service it is
known here whether anybody is ready; of a subset, whether anybody could be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.errors import Blocked, InvalidInput, NotFound, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.endpoints import endpoints, of_service
from daemon.kube.resources import ENDPOINT_SLICES
from daemon.meshes.consul import arms as naming
from daemon.meshes.consul import instances, routes
from daemon.meshes.consul.elsewhere import elsewhere, resolver_of
from daemon.meshes.consul.entries import Entry
from daemon.meshes.consul.instances import Backing
from daemon.meshes.consul.routes import Arms
from daemon.meshes.consulkubernetes.spoken import Spoken, unsynced
from daemon.meshes.kuberoutes import Behind, Objects, ReadObjects, decode, encode
from daemon.meshes.references import identity
from daemon.model import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The arms as they were when a watch began, and the fields of the same names of ``Placement``."""

    arms: Arms
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class ConsulArms:
    """Implements ``daemon.meshes.kuberoutes.Arms``."""

    def __init__(self, kube: KubeClient, spoken: Spoken) -> None:
        self._kube = kube
        self._spoken = spoken

    def canary(self, arms: Arms) -> str:
        """See ``Arms.canary``."""
        return str(arms.canary)

    async def survey(self, release: Release, *, objects: Objects) -> "ConsulSurvey":
        """See ``Arms.survey``."""
        entries = self._spoken.entries(objects)
        arms = naming.resolved(self._spoken.named(release), entries)
        self._spoken.refuse_doubles(objects, arms=arms)
        return ConsulSurvey(arms=arms, entries=tuple(entries), release=release, source=self)

    def as_located(self, release: Release, *, located: str) -> Arms | None:
        """See ``Arms.as_located``."""
        if (before := decode(located, kind=Located)) is not None:
            return before.arms
        named = self._spoken.named(release)
        return named if naming.is_outright(named) else None

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> Arms:
        """See ``Arms.now``."""
        if (known := self.as_located(release, located=located)) is not None:
            return known
        return naming.resolved(self._spoken.named(release), self._spoken.entries(await objects()))

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        """See ``TrafficRouter.check_baseline``: by resolvers, and by the endpoints of the Service of the baseline's name."""
        entries = self._spoken.entries(await objects())
        try:
            arms = await self.now(release, located=located, objects=objects)
        except InvalidInput as error:
            raise Blocked(f"there is nothing that the traffic could go back to: {error}") from error
        if harm := missing(arms, entries) or same(arms, entries):
            raise Blocked(f"{harm}: there is nothing to go back to")
        ready = await self.ready(arms, release)
        if ready == 0 and not _backing(arms, entries)[0].chosen.otherwise:
            nobody = f"none behind Service {arms.baseline.service} of {release.namespace} is ready"
            raise Blocked(
                f"the baseline has no ready endpoints ({nobody}): taking the traffic back would answer errors to all of it"
            )
        return account(arms, ready)

    async def ready(self, arms: Arms, release: Release) -> int | str:
        """How many endpoints of the baseline's Service are ready, or why that is not known."""
        service, namespace = arms.baseline.service, release.namespace
        try:
            slices = (await self._kube.list(ENDPOINT_SLICES, namespace=namespace, labels=of_service(service))).items
        except VerdictdError as error:
            return f"its EndpointSlices could not be read: {error}"
        if not slices:
            return f"no Service {service} of namespace {namespace} has any"
        return sum(one.ready for one in endpoints(slices).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulSurvey:
    """What was read of a release's arms. Implements ``Survey``."""

    arms: Arms
    entries: tuple[Entry, ...]
    release: Release
    source: ConsulArms

    async def behind(self) -> Behind[Arms]:
        """See ``Survey.behind``."""
        if absent := missing(self.arms, self.entries):
            raise NotFound(f"the baseline, {self.arms.baseline}, is not there: {absent}")
        if double := same(self.arms, self.entries):
            raise InvalidInput(double, path="$.canary.subset", fix="give the canary's subset a filter of its own")
        others = elsewhere(self.entries, arms=self.arms)
        unread = tuple(
            f"what Consul has of {entry.raw.get('kind')} {'/'.join(identity(entry.raw))}, which is not synced: {why}"
            for entry in self.entries
            if routes.names_canary(entry, arms=self.arms) and (why := unsynced(entry.raw))
        )
        return Behind(
            account=account(self.arms, await self.source.ready(self.arms, self.release)),
            located=encode(Located(arms=self.arms, elsewhere=others, unread=unread)),
            elsewhere=others,
            unread=unread,
        )


def account(arms: Arms, ready: int | str) -> str:
    """What is known of who would serve, in a line."""
    if isinstance(ready, str):
        return f"how many endpoints the baseline has is not known: {ready}"
    told = f"{ready} ready endpoints behind Service {arms.baseline.service}"
    return told + (
        f", of all its subsets; which of them are {arms.baseline.subset} is Consul's to tell" if arms.baseline.subset else ""
    )


def missing(arms: Arms, entries: Sequence[Entry]) -> str:
    """That there is no such baseline, where that is sure; else empty."""
    # A resolver that is no resource may be an entry that somebody has written in Consul itself.
    return "" if resolver_of(entries, arms.baseline) is None else _backing(arms, entries)[0].chosen.missing


def same(arms: Arms, entries: Sequence[Entry]) -> str:
    """That both arms are the same instances, where that is sure; else empty."""
    return instances.same(*_backing(arms, entries)) or ""


def _backing(arms: Arms, entries: Sequence[Entry]) -> tuple[Backing, Backing]:
    baseline, canary = (
        Backing(target=one, chosen=instances.chosen(one, resolver_of(entries, one))) for one in (arms.baseline, arms.canary)
    )
    return baseline, canary
