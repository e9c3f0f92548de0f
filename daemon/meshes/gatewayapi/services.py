"""The two Services that are a release's arms for the Gateway API, and what must be known to point a route from one at the other.

Arms are Services there and nothing smaller. The canary's pods may have other names: Services that choose by the same labels are the
canary too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from daemon.errors import VerdictdError
from daemon.kube.resources import Json
from daemon.meshes.backing import PodSelector
from daemon.meshes.members import Read, selector_of
from daemon.meshes.ports import Port, same_port
from daemon.meshes.references import identity

_CORE = ("", "core")  # both are written for the core group


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ServiceName:
    """A Service of the cluster."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """``web-v2.shop``, as DNS has it."""
        return f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Routes of a kind, in a namespace, that may name the baseline from there."""

    kind: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePair:
    """The arms of a release.

    Attributes:
        baseline, canary: the Services that the release names.
        aliases: Services that choose the canary's pods by the same labels as the canary.
        ports: of the baseline, the canary and the aliases, by ``str(ServiceName)``; of one that could not be read there are none.
        grants: who may name the baseline from another namespace; null: that could not be read.
    """

    baseline: ServiceName
    canary: ServiceName
    aliases: tuple[ServiceName, ...] = ()
    ports: Mapping[str, tuple[Port, ...]] = field(default_factory=dict)
    grants: tuple[Grant, ...] | None = None

    def is_canary(self, service: ServiceName | None) -> bool:
        """Whether this is the canary, by its name or by another one."""
        return service is not None and (service == self.canary or service in self.aliases)

    def baseline_port(self, number: int, *, of: ServiceName) -> int | None:
        """The baseline's port that serves what this port of a canary does, by ``same_port``; null where that is not clear.

        Where the ports could not be read it is the same number, as it mostly is.
        """
        there = self.ports.get(str(self.baseline))
        return number if there is None else same_port(number, named=self.ports.get(str(of), ()), there=there)

    def may_name_baseline(self, *, kind: str, namespace: str) -> bool:
        """Whether a route of this kind on a Gateway may name the baseline; where that is not known, it may."""
        if namespace == self.baseline.namespace or self.grants is None:
            return True
        return Grant(kind=kind, namespace=namespace) in self.grants


class Services:
    """The Services of some namespaces, as far as they could be read. ``read``: by namespace."""

    def __init__(self, read: Mapping[str, Read]) -> None:
        self._read = read
        found = [one for there in read.values() if not isinstance(there, VerdictdError) for one in there]
        self._named = {ServiceName(namespace=identity(one)[0], name=identity(one)[1]): one for one in found}

    def get(self, name: ServiceName) -> Json | None:
        """The Service of this name; null where it is not there, or not known."""
        return self._named.get(name)

    def of(self, namespace: str) -> Read:
        """All of a namespace, or why they could not be read; none of one that was not asked for."""
        return self._read.get(namespace, ())

    def choosing(self, name: ServiceName) -> PodSelector:
        """Which pods are its own by definition, as far as that is known."""
        selector = selector_of(self.get(name))
        chosen = None if selector is None else (name.namespace, frozenset(selector.items()))
        return PodSelector(host=str(name), labels=frozenset(), selector=chosen)

    @property
    def unread(self) -> tuple[str, ...]:
        """Which could not be read, each with why, for a person."""
        failed = [(namespace, there) for namespace, there in self._read.items() if isinstance(there, VerdictdError)]
        return tuple(f"the Services of namespace {namespace}: {error}" for namespace, error in failed)

    def __iter__(self) -> Iterator[ServiceName]:
        """Those that could be read."""
        return iter(self._named)


def service_named(reference: Json, *, namespace: str) -> ServiceName | None:
    """The Service that a reference of an object in this namespace names; null where it is of another kind."""
    if (reference.get("group") or "") not in _CORE or (reference.get("kind") or "Service") != "Service":
        return None
    return ServiceName(namespace=str(reference.get("namespace") or namespace), name=str(reference.get("name", "")))
