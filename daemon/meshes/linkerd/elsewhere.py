"""What may still send to the canary in a mesh of Linkerd though it is not touched: by routes, by splits, and past both. Pure.

A ServiceProfile stands before every HTTPRoute of its Service. One without destinations of its own has requests go to the Service
itself, which mostly chooses the pods of every version.
"""

from collections.abc import Iterable, Iterator

from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.elsewhere import chooses_among_others
from daemon.meshes.gatewayapi.elsewhere import elsewhere as by_routes
from daemon.meshes.gatewayapi.rules import parents
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.kuberoutes import Objects
from daemon.meshes.linkerd import serviceprofile
from daemon.meshes.linkerd.kinds import HTTP_LIKE, SPLITS, is_authorization
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.smi import trafficsplit
from daemon.meshes.smi.elsewhere import elsewhere as by_splits
from daemon.meshes.smi.splits import Split


def elsewhere(objects: Objects, /, *, arms: ServicePair, released: ServiceName, services: Services) -> tuple[str, ...]:
    """See ``daemon.meshes.gatewayapi.elsewhere.elsewhere``."""
    routes = {kind: [one for one in objects.get(kind, ()) if not is_authorization(one)] for kind in HTTP_LIKE}
    profiles = [serviceprofile.read(item) for item in objects.get(SERVICE_PROFILES, ())]
    splits = [trafficsplit.read(item) for item in objects.get(SPLITS, ())]
    attached = {parent for listed in routes.values() for route in listed for parent in parents(route)}
    found = (
        *by_routes(routes, arms=arms, released=released, services=services),
        *by_splits([*splits, *profiles], arms=arms, released=released, services=services),
        *_before_routes(profiles, attached & {arms.baseline, arms.canary, released, *arms.aliases}, arms, services),
    )
    return tuple(dict.fromkeys(found))


def copied_from(profile: Split, splits: Iterable[Json]) -> str:
    """The TrafficSplit that linkerd-smi's adaptor copies into this profile, as a person is told it; or nothing."""
    for one in map(trafficsplit.read, splits):
        if one.root == profile.root and one.object.namespace == profile.object.namespace:
            return f"linkerd-smi, from TrafficSplit {one.object}"
    return ""


def _before_routes(
    profiles: Iterable[Split], attached: set[ServiceName | None], arms: ServicePair, services: Services
) -> Iterator[str]:
    for one in profiles:
        if one.root is None or one.root not in attached or any(backend.weight != 0 for backend in one.backends):
            continue
        if chooses_among_others(one.root, arms=arms, services=services):
            said = f"goes to Service {one.root}, which chooses pods of the canary's among others"
            yield f"{one.object} (it stands before the HTTPRoutes of {one.root}: what they split {said})"
