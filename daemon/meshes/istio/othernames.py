"""Other names of the canary's pods: a subset of the same labels, another Service that chooses them, an ExternalName of one. Pure.

A name whose pods are all the canary's is the canary. One that has pods of the canary's among others is not: whoever points it at
the baseline takes the others' traffic too. Only where the others are the baseline's is that the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from daemon.errors import VerdictdError
from daemon.kube.resources import Json
from daemon.meshes.backing import Backing, PodSelector
from daemon.meshes.istio.destinationrule import Subsets, subset_labels
from daemon.meshes.istio.hosts import Arms, Destination, Shared, normal, service_of
from daemon.meshes.members import Read, carries, selector_of
from daemon.meshes.references import identity

_MOST_ALIASES = 4
"""An ExternalName may name another one; somewhere that ends."""

Views = Callable[[str], Mapping[str, Subsets]]
"""Gives, for a host, what each namespace of clients goes by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherNames:
    """What was found.

    Attributes:
        aliases: names whose pods are all the canary's.
        among: names with pods of the canary's among others.
        unread: names of which that is not known, with why, for a person.
    """

    aliases: tuple[Destination, ...] = ()
    among: frozenset[Destination] = frozenset()
    unread: tuple[str, ...] = ()


class Names:
    """Tells which pods a destination is.

    Args:
        namespace: of the arms' Services, outside of which no Service chooses their pods.
        services: all of this namespace, or why they could not be read.
    """

    def __init__(self, *, namespace: str, services: Read) -> None:
        self._namespace = namespace
        self._unread = f"the Services of namespace {namespace}: {services}" if isinstance(services, VerdictdError) else ""
        self._services = {} if isinstance(services, VerdictdError) else {identity(one)[1]: one for one in services}

    def may_choose(self, named: Destination, *, canary: PodSelector) -> bool:
        """Whether its Service may choose pods of the canary's, whatever its subset is; also where that is not known."""
        whole = self._whole(named.host, canary)
        return whole is not None and not (isinstance(whole, PodSelector) and whole.is_apart(canary))

    def choosing(self, named: Destination, *, canary: PodSelector, views: Views) -> PodSelector | str | None:
        """By what it chooses; a string: why that is not known; null: surely no pods of the canary's.

        ``views``: what clients go by.
        """
        whole = self._whole(named.host, canary)
        if not isinstance(whole, PodSelector):
            return whole
        subset = subset_labels(replace(named, host=whole.host), views(whole.host))
        if subset.labels is None:
            return f"which pods {named} is: {subset.unknown}" if subset.unknown else None
        return replace(whole, labels=frozenset(subset.labels.items()))

    def _whole(self, named: str, canary: PodSelector) -> PodSelector | str | None:
        host = self._followed(named)
        service = service_of(host)
        if service is None or service[1] != self._namespace:
            return None
        if self._unread:
            return self._unread
        selector = selector_of(self._services.get(service[0]))
        if selector is None and host != canary.host:
            return None
        chosen = None if selector is None else (self._namespace, frozenset(selector.items()))
        return PodSelector(host=host, labels=frozenset(), selector=chosen)

    def _followed(self, host: str) -> str:
        """What the host is an ExternalName of, as istiod follows it; else itself."""
        for _ in range(_MOST_ALIASES):
            service = service_of(host)
            item = self._services.get(service[0]) if service is not None and service[1] == self._namespace else None
            spec = (item or {}).get("spec") or {}
            if spec.get("type") != "ExternalName":
                return host
            host = normal(str(spec.get("externalName") or ""), namespace=self._namespace)
        return host


def other_names(
    named: Iterable[Destination],
    *,
    arms: Arms,
    canary: PodSelector | None,
    pods: Sequence[Json] | None,
    names: Names,
    views: Views,
) -> OtherNames:
    """Those of these destinations that are not the arms by their own names.

    Args:
        named: what routes send to, or what of it may be the canary.
        arms: of the release, by name.
        canary: which pods are the canary's by definition; null: it is not known.
        pods: those that are the canary's now; null: it is not known.
        names: tells which pods a destination is.
        views: what clients go by.
    """
    aliases: list[Destination] = []
    among: set[Destination] = set()
    unread: list[str] = []
    for one in dict.fromkeys(named):
        if canary is None or arms.is_canary(one) or arms.is_baseline(one):
            continue
        other = names.choosing(one, canary=canary, views=views)
        if isinstance(other, str):
            unread.append(other)
        elif other is not None and (other.is_same(canary) or other.is_within(canary)):
            aliases.append(one)
        elif other is not None and _has_some(other, canary, pods):
            among.add(one)
    return OtherNames(aliases=tuple(aliases), among=frozenset(among), unread=tuple(dict.fromkeys(unread)))


def completed(arms: Arms, found: OtherNames, *, baseline: Backing, canary: Backing, host: frozenset[str] | None) -> Arms:
    """The arms with the names that were found; what both share is known where all pods of their host are theirs.

    ``host``: the endpoints of the host that both arms are subsets of; null: they have a host each, or that is not known.
    """
    mine, others = canary.endpoints, baseline.endpoints
    if host is None or not mine or not others or not baseline.ready or host != mine | others:
        return replace(arms, aliases=found.aliases, shared=())
    percent = 100.0 * (canary.ready or 0) / (baseline.ready + (canary.ready or 0))
    shared = sorted((one for one in found.among if one.host == arms.canary.host), key=str)
    return replace(arms, aliases=found.aliases, shared=tuple(Shared(named=one, percent=percent) for one in shared if percent > 0))


def _has_some(other: PodSelector, canary: PodSelector, pods: Sequence[Json] | None) -> bool:
    """Whether the name has pods of the canary's: by definition, or because one that is there is of both."""
    if other.is_apart(canary):
        return False
    if canary.is_within(other):
        return True
    if other.whole is None and other.host != canary.host:
        return False
    return any(carries(pod, dict(other.chosen)) for pod in pods or ())
