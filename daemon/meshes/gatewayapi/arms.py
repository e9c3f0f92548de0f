"""Which Services a release's two arms are, by what it says and by the Services that there are. Pure.

What was seen of them when a watch began is kept with the session, as a string: a restart must not forget who is convicted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from daemon.errors import InvalidInput, VerdictdError
from daemon.kube.resources import Json
from daemon.meshes.backing import PodSelector
from daemon.meshes.gatewayapi.services import Grant, ServiceName, ServicePair, Services
from daemon.meshes.members import Read
from daemon.meshes.ports import ports_of
from daemon.model import ArmSpec, Release

_FIX = "name the arm's Service, as web-v2 or web-v2.shop.svc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The arms, which pods are under suspicion, and what of ``Behind`` a later process must say."""

    arms: ServicePair
    canary: PodSelector | None
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def named(release: Release) -> ServicePair:
    """The Services that the release names; a baseline that is not named is the released Service itself.

    Raises:
        InvalidInput: an arm is no Service, or both are the same.
    """
    if release.canary.service is None:
        raise InvalidInput("is not given: an arm of the Gateway API is a Service", path="$.canary.service", fix=_FIX)
    baseline = service(release.baseline, release, path="$.baseline.service")
    canary = service(release.canary, release, path="$.canary.service")
    if baseline == canary:
        raise InvalidInput(f"baseline and canary are both {canary}", path="$.canary.service", fix="give it a Service of its own")
    return ServicePair(baseline=baseline, canary=canary)


def service(arm: ArmSpec, release: Release, *, path: str) -> ServiceName:
    """The arm's Service, or the released one: ``web``, or as DNS has it in full.

    Raises:
        InvalidInput: it is written otherwise; half of DNS' name might as well be the name of something else.
    """
    written = arm.service or release.service
    name, *rest = written.lower().rstrip(".").split(".")
    if not rest:
        return ServiceName(namespace=release.namespace, name=name)
    if len(rest) >= 2 and rest[1] == "svc":
        return ServiceName(namespace=rest[0], name=name)
    raise InvalidInput(f"{written!r} is not the name of a Service", path=path, fix=_FIX)


def completed(arms: ServicePair, *, services: Services, grants: Read) -> ServicePair:
    """The arms with all that the cluster says of them.

    Args:
        arms: as named.
        services: of the arms' namespaces.
        grants: the ReferenceGrants of the baseline's namespace.
    """
    aliases = _aliases(arms, services)
    known = {one: found for one in (arms.baseline, arms.canary, *aliases) if (found := services.get(one)) is not None}
    return replace(
        arms,
        aliases=aliases,
        ports={str(one): ports_of(found) for one, found in known.items()},
        grants=None if isinstance(grants, VerdictdError) else tuple(_granted(grants, arms.baseline)),
    )


def _aliases(arms: ServicePair, services: Services) -> tuple[ServiceName, ...]:
    """Other Services of the canary's namespace that choose its pods by the same labels. The baseline is none, whatever it is."""
    canary = services.choosing(arms.canary)
    others = sorted(one for one in services if one.namespace == arms.canary.namespace and one not in (arms.canary, arms.baseline))
    return tuple(one for one in others if canary.is_same(services.choosing(one)))


def _granted(grants: Iterable[Json], baseline: ServiceName) -> Iterable[Grant]:
    for grant in grants:
        spec = grant.get("spec") or {}
        to = [one for one in spec.get("to") or () if not one.get("group") and one.get("kind") == "Service"]
        if any(one.get("name") in (None, "", baseline.name) for one in to):
            for one in spec.get("from") or ():
                yield Grant(kind=str(one.get("kind")), namespace=str(one.get("namespace")))
