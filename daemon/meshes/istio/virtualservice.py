"""Istio's VirtualService: where it names the canary, and the JSON Patch that takes the traffic back. Pure.

The patch names single fields by their index, so that whatever else is in the object stays: lists are atomic for merge
patches. It tests the identity of every destination whose weight it writes.
"""

from collections.abc import Iterable, Sequence

from daemon.errors import Refused
from daemon.meshes.istio import redirecting
from daemon.meshes.istio.hosts import Arms
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.redirecting import Around, Step
from daemon.meshes.istio.routes import MIRROR_SHARES, Mirror, Route, Target, dicts, is_delegate, routes
from daemon.meshes.references import Json, Plan, guarded, identity, write
from daemon.placement import ObjectName, RouteChange, RouteReference


def references(virtual_service: Json, *, arms: Arms) -> tuple[RouteReference, ...]:
    """Every place that names the canary, those with a weight of 0 included; with why, where it cannot be pointed elsewhere."""
    namespace, name = identity(virtual_service)
    item = ObjectName(kind=VIRTUAL_SERVICES.kind, namespace=namespace, name=name)
    around = Around(virtual_service, arms)
    found: list[RouteReference] = []
    for route in routes(virtual_service):
        named = [target for target in route.targets if arms.is_canary(target.named)]
        both = [target for target in route.targets if arms.shared_percent(target.named) > 0] if arms.shared else []
        mirrors = [mirror for mirror in route.mirrors if arms.is_canary(mirror.named)]
        if not named and not both and not mirrors:
            continue  # as nearly all routes of a cluster
        refusal = _shift(route, arms, around).refusal or _unshare(route, arms, around).refusal
        place = route.place + (" (no weights)" if route.is_without_weights else "")
        place += f" (it stays: {refusal})" if refusal else ""
        if named:
            percent = sum(route.percent(target) for target in named)
            alone = len(named) == len(route.targets)
            found.append(RouteReference(object=item, place=place, kind="pin" if alone else "weight", percent=percent))
        if shared := sum(route.percent(one) * arms.shared_percent(one.named) / 100.0 for one in both):
            found.append(RouteReference(object=item, place=place, kind="shared", percent=shared))
        found += [RouteReference(object=item, place=route.place, kind="mirror", percent=one.percent) for one in mirrors]
    return tuple(found)


def revert(virtual_service: Json, *, arms: Arms) -> Plan:
    """All that goes to the canary goes to the baseline; every other route and field stays as it is.

    Raises:
        Refused: nothing can be written here though the canary gets traffic: the weights that would be written are none (the API
            server itself takes negative ones), or no port of the baseline's is surely the right one.
    """
    around = Around(virtual_service, arms)
    steps: list[Step] = []
    refusals: list[str] = []
    for route in routes(virtual_service):
        shift, unshare = _shift(route, arms, around), _unshare(route, arms, around)
        all_moved = bool(shift.writes) and _only_by_canary(route, arms)
        steps += [shift, unshare, _drop_mirrors(route, arms, virtual_service, all_moved=all_moved)]
        refusals += [f"{route.place}: {one.refusal}" for one in (shift, unshare) if one.refusal]
    writes = [one for step in steps for one in step.writes]
    if refusals and not writes:
        raise Refused("; ".join(refusals))
    return guarded(
        virtual_service,
        tests=[one for step in steps for one in step.tests],
        writes=writes,
        changes=[one for step in steps for one in step.changes],
    )


def _shift(route: Route, arms: Arms, around: Around) -> Step:
    canaries = [target for target in route.targets if arms.is_canary(target.named)]
    moved = sum(route.share(target) for target in canaries)
    if moved == 0:
        return Step()
    # Of several entries the one that serves: another one may be a leftover that nobody stands behind.
    beside = [target for target in route.targets if arms.is_baseline(target.named)]
    baseline = max(beside, key=route.share, default=None)
    if baseline is None:
        return redirecting.redirect(route, canaries, arms, around)
    emptied = {target.pointer for target in canaries}
    weights = [
        0 if target.pointer in emptied else route.share(target) + (moved if target is baseline else 0) for target in route.targets
    ]
    if min(weights) < 0 or sum(weights) <= 0:
        return Step(refusal=f"the weights would become {weights}: mend the VirtualService")
    return Step(
        tests=tuple(map(redirecting.same, route.targets)),
        writes=tuple(write(f"{target.pointer}/weight", weight) for target, weight in zip(route.targets, weights, strict=True)),
        changes=(RouteChange(place=route.place, detail=f"weight {moved} of {_names(canaries)} -> {baseline.named}"),),
    )


def _unshare(route: Route, arms: Arms, around: Around) -> Step:
    """What goes to the pods of both arms together goes to the baseline's alone."""
    shared = [one for one in route.targets if arms.shared_percent(one.named) > 0 and route.share(one) > 0]
    return redirecting.redirect(route, shared, arms, around) if shared else Step()


def _only_by_canary(route: Route, arms: Arms) -> bool:
    """Whether all that the baseline will get by this route was the canary's."""
    return not any(route.share(target) > 0 for target in route.targets if arms.is_baseline(target.named))


def _drop_mirrors(route: Route, arms: Arms, virtual_service: Json, *, all_moved: bool) -> Step:
    """Copies to the canary end; and those to the baseline, where it gets from now on the very requests that are copied."""
    doubled = {one for one in route.mirrors if all_moved and arms.is_baseline(one.named) and one.percent > 0}
    dropped = [one for one in route.mirrors if one in doubled or (arms.is_canary(one.named) and one.percent > 0)]
    if not dropped:
        return Step()
    why = {one: ", which would get these requests twice from now on," if one in doubled else "" for one in dropped}
    return Step(
        # A route that does not say where copies go takes it from the object that hands requests on to it: it keeps saying it.
        writes=tuple(_silenced(dropped)) if is_delegate(virtual_service) else tuple(_removed(route, dropped)),
        changes=tuple(RouteChange(place=route.place, detail=f"mirror to {one.named}{why[one]} removed") for one in dropped),
    )


def _silenced(dropped: Iterable[Mirror]) -> Iterable[Json]:
    return (write(one.share, {"value": 0}) for one in dropped)


def _removed(route: Route, dropped: Sequence[Mirror]) -> list[Json]:
    """From the end, so that no removal moves what a later one names."""
    pointers = [one.pointer for one in dropped]
    single = f"{route.pointer}/mirror"
    if len(pointers) == len(dicts(route.raw.get("mirrors"))) and single not in pointers:
        pointers = [f"{route.pointer}/mirrors"]
    shares = [f"{route.pointer}/{key}" for key in MIRROR_SHARES if single in pointers and key in route.raw]
    return [{"op": "remove", "path": pointer} for pointer in (*pointers[::-1], *shares)]


def _names(targets: Iterable[Target]) -> str:
    return " and ".join(dict.fromkeys(str(target.named) for target in targets))
