"""Istio's names of destinations, in one form that can be compared. Pure.

A VirtualService may write ``web``, ``web.shop.svc.cluster.local`` or a host of another kind; a name without a dot belongs
to the namespace of the object that it stands in. The cluster's domain is left out of the comparison, so that it need not
be configured.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from daemon.meshes.ports import Port

DEFAULT_DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One arm as Istio knows it: a host as ``normal`` gives it, and the subset (null: the host as a whole)."""

    host: str
    subset: str | None = None

    def __str__(self) -> str:
        """``host`` or ``host subset v2``."""
        return self.host if self.subset is None else f"{self.host} subset {self.subset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Another name, of both arms' pods together and of nobody else's. ``percent``: the canary's part of those that are ready."""

    named: Destination
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Where the traffic goes back to, and from where.

    Attributes:
        baseline, canary: as the release has them.
        aliases: other names of pods that are all the canary's.
        shared: names of both arms' pods; what goes there can go to the baseline alone.
        ports: of the Services of both hosts, as far as they are known.
        domain: the cluster's, where the release says one.
    """

    baseline: Destination
    canary: Destination
    aliases: tuple[Destination, ...] = ()
    shared: tuple[Shared, ...] = ()
    ports: Mapping[str, tuple[Port, ...]] = field(default_factory=dict)
    domain: str = ""

    def is_canary(self, destination: Destination) -> bool:
        """Whether this is the canary, by its name or by another one: a canary with a host of its own is so in every subset."""
        if _names(destination, self.canary, exactly=self.canary.host == self.baseline.host):
            return True
        return (
            bool(self.aliases)
            and any(_names(destination, alias, exactly=False) for alias in self.aliases)
            and not self.is_baseline(destination)
        )

    def is_baseline(self, destination: Destination) -> bool:
        """Whether this is the baseline."""
        return _names(destination, self.baseline, exactly=self.canary.host == self.baseline.host)

    def shared_percent(self, destination: Destination) -> float:
        """The canary's part of what goes to a name that is both arms', in percent; 0 for any other name."""
        return next((one.percent for one in self.shared if one.named == destination), 0.0)

    def is_same_pair(self, other: "Arms") -> bool:
        """Whether both are the same two destinations, whatever else is known of them."""
        return (self.baseline, self.canary) == (other.baseline, other.canary)


@functools.lru_cache(maxsize=10_000)
def normal(host: str, *, namespace: str) -> str:
    """``service.namespace.svc`` for a Kubernetes service however it is written; any other host, and a wildcard, in lower case."""
    host = host.lower().rstrip(".")
    if host.startswith("*"):
        return host
    if "." not in host:
        return f"{host}.{namespace}.svc"
    parts = host.split(".")
    return ".".join(parts[:3]) if len(parts) >= 3 and parts[2] == "svc" else host


def service_of(host: str) -> tuple[str, str] | None:
    """Service and namespace of a host as ``normal`` gives it; null for a host that is no Kubernetes service."""
    parts = host.split(".")
    return (parts[0], parts[1]) if len(parts) == 3 and parts[2] == "svc" else None


def half_spelled(host: str) -> tuple[str, str] | None:
    """Service and namespace of ``web.shop``: people write it, Istio takes it for a host outside the cluster."""
    parts = host.split(".")
    return (parts[0], parts[1]) if len(parts) == 2 else None


def domain_of(host: str) -> str | None:
    """The cluster's domain, where a host is written with it: what follows ``.svc.``."""
    _, found, domain = host.lower().rstrip(".").partition(".svc.")
    return domain if found and domain else None


def fits(pattern: str, host: str, *, domains: Iterable[str] = (DEFAULT_DOMAIN,)) -> bool:
    """Whether a host, or a wildcard such as ``*.shop.svc.cluster.local``, is this one. Both as ``normal`` gives them.

    A wildcard is compared with the host under each of these domains: which one the cluster has is not known.
    """
    if not pattern.startswith("*"):
        return pattern == host
    spelled = [f"{host}.{domain}" for domain in domains] if service_of(host) else [host]
    return any(one.endswith(pattern[1:]) for one in spelled)


def spelled(host: str, *, like: str, namespace: str, domain: str = "") -> str:
    """Write a normal host the way its neighbour ``like`` is written in an object of this namespace.

    ``domain``: the cluster's, where the neighbour is written without one; empty: Kubernetes' own.
    """
    service = service_of(host)
    if service is None:
        return host
    if "." not in like and service[1] == namespace:
        return service[0]
    return f"{host}.{domain_of(like) or domain or DEFAULT_DOMAIN}"


def _names(destination: Destination, arm: Destination, *, exactly: bool) -> bool:
    if destination.host != arm.host:
        return False
    return destination.subset == arm.subset or (arm.subset is None and not exactly)
