"""What may still send to the canary's pods, and is not touched: each place, for a person. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from daemon.meshes.backing import Backing
from daemon.meshes.istio import beside, routes
from daemon.meshes.istio.hosts import Arms, Destination
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.routes import Use
from daemon.meshes.kuberoutes import Objects
from daemon.meshes.references import identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that sends something somewhere: in which object, whether that is the mesh's own kind, and what it sends where."""

    name: str
    is_own: bool
    use: Use


def places(objects: Objects) -> Iterator[Place]:
    """Every place of these objects, in their order."""
    for resource, items in objects.items():
        is_own = resource == VIRTUAL_SERVICES
        for item in items:
            name = ("" if is_own else f"{resource.kind} ") + "/".join(identity(item))
            for use in routes.uses(item) if is_own else beside.uses(item):
                yield Place(name=name, is_own=is_own, use=use)


def elsewhere(
    used: Iterable[Place], *, arms: Arms, among: Collection[Destination], baseline: Backing, canary: Backing
) -> tuple[str, ...]:
    """In the order of the objects, each place once; the baseline first, where it has pods of the canary's itself.

    Args:
        used: every place of the routes that may be read.
        arms: of the release.
        among: names with pods of the canary's among others.
        baseline, canary: who stands behind them.
    """
    found = list(_in_baseline(baseline, canary))
    for place in used:
        if said := _why(place, arms, among):
            use = place.use
            found.append(f"{place.name} {use.place} ({'copies to ' if use.copies else ''}{use.named}, {said})")
    return tuple(dict.fromkeys(found))


def _why(place: Place, arms: Arms, among: Collection[Destination]) -> str:
    """Why this place may send to the canary, and is not touched; empty where it does not, or is."""
    named = place.use.named
    if named in among:
        touched = arms.shared_percent(named) > 0 and not place.use.copies and place.is_own
        return "" if touched else "which has pods of the canary's among others"
    if not place.is_own and arms.is_canary(named) and beside.service_pair(arms) is None:
        return "which is the canary; no Service is the baseline"
    return ""


def _in_baseline(baseline: Backing, canary: Backing) -> Iterator[str]:
    both = (baseline.endpoints or frozenset()) & (canary.endpoints or frozenset())
    if both:
        yield f"the baseline itself ({baseline.arm}): {len(both)} of its {len(baseline.endpoints or ())} pods are the canary's"
