"""Which destinations a release's two arms are for Istio, and which clients are sent to them. Pure.

What a release names outright, a subset or a service of its own, is taken as it is. Arms told apart by version or labels are
looked up in the rules, each time anew: a subset means other pods tomorrow. What was seen of them when a watch began is kept with
the session, as a string: a restart must not forget who is convicted, and a newer release with the same arms has nothing to say
about the older one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from daemon.errors import InvalidInput, NotFound
from daemon.meshes.backing import PodSelector
from daemon.meshes.istio import destinationrule, routes
from daemon.meshes.istio.destinationrule import Labels, Rules
from daemon.meshes.istio.hosts import Arms, Destination, domain_of, normal
from daemon.meshes.references import Json, identity
from daemon.model import ArmSpec, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Whose rules count, what the arms were, which pods are under suspicion, and what of ``Behind`` a later process must say."""

    arms: Arms
    clients: tuple[str, ...]
    canary: PodSelector | None
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def hosts(release: Release) -> dict[str, str]:
    """The hosts of ``baseline`` and ``canary``, as ``istiohosts.normal`` gives them."""
    arms = {"baseline": release.baseline, "canary": release.canary}
    return {name: normal(arm.service or release.service, namespace=release.namespace) for name, arm in arms.items()}


def ruled_hosts(release: Release) -> tuple[str, ...]:
    """The hosts of which it matters what their subsets mean: of two whole hosts, none."""
    found = hosts(release)
    if found["baseline"] == found["canary"]:
        return (found["canary"],)
    arms = {"baseline": release.baseline, "canary": release.canary}
    return tuple(found[name] for name, arm in arms.items() if arm.subset is not None)


def named_outright(release: Release) -> Arms | None:
    """The arms, where the release itself says which they are; null when the rules must be asked."""
    found = hosts(release)
    one_host = found["baseline"] == found["canary"]
    if one_host and any(_needs_rules(arm) for arm in (release.baseline, release.canary)):
        return None
    return _checked(
        Arms(
            baseline=Destination(host=found["baseline"], subset=release.baseline.subset),
            canary=Destination(host=found["canary"], subset=release.canary.subset),
            domain=_domain(release),
        )
    )


def resolve(release: Release, rules: Rules, *, clients: Iterable[str], root: str, before: str | None = None) -> Arms:
    """The arms of a release that does not name them outright.

    ``before`` is the subset that the canary was. Where no rule has it any more, what a route still sends there is answered 503:
    all the more reason to take it back.

    Raises:
        NotFound: no subset, or more than one, fits what the release says of an arm.
        InvalidInput: both arms are the same destination.
    """
    host = hosts(release)["canary"]
    known, unread = _known(host, rules, clients=clients, root=root)
    baseline = _subset(release.baseline, name="baseline", host=host, known=known, unread=unread)
    try:
        canary = _subset(release.canary, name="canary", host=host, known=known, unread=unread)
    except NotFound:
        if before is None or before in known or unread:
            raise
        canary = before
    arms = Arms(
        baseline=Destination(host=host, subset=baseline), canary=Destination(host=host, subset=canary), domain=_domain(release)
    )
    return _checked(arms)


def has_baseline(release: Release, rules: Rules, *, clients: Iterable[str], root: str) -> bool:
    """Whether the baseline is known by these rules, whatever is wrong with the canary."""
    host = hosts(release)["canary"]
    known, unread = _known(host, rules, clients=clients, root=root)
    try:
        _subset(release.baseline, name="baseline", host=host, known=known, unread=unread)
    except NotFound:
        return False
    return True


def clients(objects: Iterable[Json], *, among: Iterable[str], otherwise: str) -> tuple[str, ...]:
    """Namespaces whose proxies are sent to one of these hosts: where the gateways are, and the objects for sidecars.

    Sidecars of other namespaces are sent there as well, but their own namespaces have rules for a foreign host only by a wish
    that nobody can guess.
    """
    wanted = set(among)
    found: list[str] = []
    for one in objects:
        namespace, _ = identity(one)
        if wanted & {named.host for named in routes.destinations(one)}:
            gateways = one.get("spec", {}).get("gateways") or ["mesh"]
            found += [str(name).rpartition("/")[0] or namespace for name in gateways]
    return tuple(dict.fromkeys(found)) or (otherwise,)


def _domain(release: Release) -> str:
    """The cluster's domain, where the release writes a Service with it."""
    written = (release.baseline.service, release.canary.service, release.service)
    return next((domain for host in written if host and (domain := domain_of(host))), "")


def _known(host: str, rules: Rules, *, clients: Iterable[str], root: str) -> tuple[dict[str, Labels], list[str]]:
    """The subsets that these clients know, the first one's first, and what could not be read of them."""
    known: dict[str, Labels] = {}
    unread: list[str] = []
    for client in clients:
        seen = destinationrule.subsets_for(client, rules, host=host, root=root)
        unread += [seen.unread] if seen.unread else []
        for name, labels in seen.labels.items():
            known.setdefault(name, labels)
    return known, unread


def _needs_rules(arm: ArmSpec) -> bool:
    """Two arms on one host are told apart by their subsets; an arm whose service is named outright may go without."""
    return arm.subset is None and (arm.service is None or bool(arm.labels) or arm.version is not None)


def _subset(arm: ArmSpec, *, name: str, host: str, known: Mapping[str, Labels], unread: list[str]) -> str | None:
    if not _needs_rules(arm):
        return arm.subset
    subset = destinationrule.subset_of(arm, known)
    if subset is None:
        there = ", ".join(sorted(known)) or "there are none"
        more = "".join(f"; {one}" for one in dict.fromkeys(unread))
        raise NotFound(f"the {name} is no subset of {host} by its labels or version ({there}): name {name}.subset{more}")
    return subset


def _checked(arms: Arms) -> Arms:
    if arms.baseline == arms.canary:
        raise InvalidInput(
            f"baseline and canary are both {arms.canary}",
            path="$.canary",
            fix="give the canary a subset, or a service of its own",
        )
    return arms
