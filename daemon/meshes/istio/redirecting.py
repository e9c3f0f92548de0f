"""Pointing a VirtualService's entries at the baseline where it does not stand beside them. Pure.

The entry keeps its weight, and whatever in it tells no version. What does tell one goes with the name: the port, an authority that
is rewritten to the canary's, the request headers of the entry where the object says elsewhere which the baseline's are. What else
is kept and may tell a version is listed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from daemon.meshes.istio.hosts import Arms, normal, spelled
from daemon.meshes.istio.routes import Route, Target, domain_in, routes
from daemon.meshes.ports import same_port
from daemon.meshes.references import Json, identity, listed, write
from daemon.placement import RouteChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is written in one route, or why that cannot be done."""

    tests: tuple[Json, ...] = ()
    writes: tuple[Json, ...] = ()
    changes: tuple[RouteChange, ...] = ()
    refusal: str = ""


class Around:
    """What an object says of the baseline, whichever of its routes is asked about: read once, since there may be a thousand."""

    def __init__(self, virtual_service: Json, arms: Arms) -> None:
        self.namespace, _ = identity(virtual_service)
        self._virtual_service = virtual_service
        self._arms = arms

    @cached_property
    def domain(self) -> str:
        """The cluster's, as the object or the release writes it; else empty."""
        return domain_in(self._virtual_service) or self._arms.domain

    def baselines(self, protocol: str) -> Sequence[Target]:
        """Its entries of the baseline by this protocol."""
        return self._baselines.get(protocol, ())

    def baseline_ports(self, protocol: str) -> Sequence[Json | None]:
        """On which ports it sends to the baseline by this protocol, each once; null for an entry that does not say."""
        return self._ports.get(protocol, ())

    @cached_property
    def _ports(self) -> dict[str, list[Json | None]]:
        # A port is an object, which no set takes.
        each = {protocol: [one.raw["destination"].get("port") for one in found] for protocol, found in self._baselines.items()}
        return {protocol: list({repr(port): port for port in ports}.values()) for protocol, ports in each.items()}

    @cached_property
    def _baselines(self) -> dict[str, list[Target]]:
        found: dict[str, list[Target]] = {}
        for route in routes(self._virtual_service):
            found.setdefault(route.protocol, []).extend(one for one in route.targets if self._arms.is_baseline(one.named))
        return found


def redirect(route: Route, targets: Sequence[Target], arms: Arms, around: Around) -> Step:
    """These entries of the route name the baseline from now on."""
    if refusals := [why for target in targets if (why := _why_not(route, target, arms, around))]:
        return Step(refusal=refusals[0])
    baseline = next(iter(around.baselines(route.protocol)), None)
    authority = _authority(route, arms, around)
    headers = [] if baseline is None else [one for target in targets for one in _request_headers(target, like=baseline)]
    kept = _kept(route, [] if baseline is not None else targets)
    named = " and ".join(dict.fromkeys(str(target.named) for target in targets))
    said = [*(["the authority too"] if authority else []), *(["request headers as the baseline's"] if headers else []), *kept]
    detail = f"destination {named} -> {arms.baseline}" + "".join(f", {words}" for words in said)
    return Step(
        tests=tuple(map(same, targets)),
        writes=(
            *(write(f"{target.pointer}/destination", _to_baseline(route, target, arms, around)) for target in targets),
            *authority,
            *headers,
        ),
        changes=(RouteChange(place=route.place, detail=detail),),
    )


def same(target: Target) -> Json:
    """That it still is what was read."""
    return {"op": "test", "path": f"{target.pointer}/destination", "value": target.raw["destination"]}


def _to_baseline(route: Route, target: Target, arms: Arms, around: Around) -> Json:
    before: Json = target.raw["destination"]
    after = {key: value for key, value in before.items() if key != "subset"}
    if arms.baseline.subset is not None:
        after["subset"] = arms.baseline.subset
    if target.named.host == arms.baseline.host:
        return after
    like = str(before.get("host", ""))
    after["host"] = spelled(arms.baseline.host, like=like, namespace=around.namespace, domain=around.domain)
    port = _port(route, target, arms, around)
    after.pop("port", None)
    return {**after, "port": port} if port else after


def _port(route: Route, target: Target, arms: Arms, around: Around) -> Json | None:
    """Another Service may listen elsewhere: the object itself says where, if it names the baseline; else the Services do."""
    before: Json | None = target.raw["destination"].get("port")
    if target.named.host == arms.baseline.host:
        return before
    ports = around.baseline_ports(route.protocol)
    if ports:
        return before if before in ports else ports[0]
    there, named = arms.ports.get(arms.baseline.host), arms.ports.get(target.named.host, ())
    number = (before or {}).get("number", named[0].number if len(named) == 1 else None)
    if there is None or number is None or (before is None and len(there) == 1):
        return before
    found = same_port(number, named=named, there=there)
    return None if found is None else {"number": found}


def _why_not(route: Route, target: Target, arms: Arms, around: Around) -> str:
    """Why this entry cannot name the baseline, where that is sure; else empty."""
    before = target.raw["destination"].get("port")
    if before is None or around.baseline_ports(route.protocol) or _port(route, target, arms, around) is not None:
        return ""
    there = ", ".join(str(one.number) for one in arms.ports.get(arms.baseline.host, ()))
    here = f"{before.get('number')} of {target.named.host}"
    return f"which port of {arms.baseline.host} serves what {here} does is not clear ({there or 'none'})"


def _authority(route: Route, arms: Arms, around: Around) -> list[Json]:
    """The canary's name as the authority of requests would be a name that the baseline need not know."""
    rewrite = route.raw.get("rewrite")
    before = str(rewrite.get("authority") or "") if isinstance(rewrite, dict) else ""
    host, colon, port = before.partition(":")
    if not before or arms.canary.host == arms.baseline.host or normal(host, namespace=around.namespace) != arms.canary.host:
        return []
    after = spelled(arms.baseline.host, like=host, namespace=around.namespace, domain=around.domain)
    return [write(f"{route.pointer}/rewrite/authority", f"{after}{colon}{port}")]


def _request_headers(target: Target, *, like: Target) -> Iterable[Json]:
    """The request headers that the object gives the baseline elsewhere: the canary's own may send a request on to the canary."""
    before = (target.raw.get("headers") or {}).get("request")
    after = (like.raw.get("headers") or {}).get("request")
    if before == after:
        return
    pointer = f"{target.pointer}/headers"
    if after is None:
        yield {"op": "remove", "path": f"{pointer}/request"}
    elif target.raw.get("headers"):
        yield write(f"{pointer}/request", after)
    else:
        yield write(pointer, {"request": after})


def _kept(route: Route, targets: Iterable[Target]) -> list[str]:
    """The request headers that stay as they are, and may tell the version that they were meant for."""
    found: list[str] = []
    for holder in (route.raw, *(target.raw for target in targets)):
        request = (holder.get("headers") or {}).get("request") or {}
        found += [str(name) for verb in ("set", "add") for name in request.get(verb) or {}]
    return [f"with request headers kept as they are ({listed(dict.fromkeys(found))})"] if found else []
