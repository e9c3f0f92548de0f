"""A mesh that nobody has, in one module, as a package of somebody else would bring it.

It has two kinds of routes: a Split sends shares to Services, a Redirect sends everything to one.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from config.settings import KubeMesh
from daemon.errors import Blocked, InvalidInput, NotFound
from daemon.kube.client import KubeClient
from daemon.kube.endpoints import endpoints
from daemon.kube.resources import ENDPOINT_SLICES, Json, Resource
from daemon.kube.rights import Right
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.meshes.kind import MeshKind, Router
from daemon.meshes.kuberouter import KubeRouter
from daemon.meshes.kuberoutes import Behind, Objects, ReadObjects
from daemon.meshes.references import Name, Plan, guarded, identity
from daemon.model import Release
from daemon.placement import ObjectName, RouteChange, RouteReference
from daemon.telemetry.schema import View

SPLITS = Resource(group="made-up.example", version="v1", plural="splits", kind="Split")
REDIRECTS = Resource(group="made-up.example", version="v1", plural="redirects", kind="Redirect")


class MadeUpMesh(KubeMesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="made-up", tag_field="kind"):
    """A mesh that nobody has."""

    zone: Annotated[str, Meta(min_length=1, description="Where it would be.")] = "nowhere"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The Services of both arms."""

    baseline: str
    canary: str


def named(resource: Resource, item: Json) -> ObjectName:
    namespace, name = identity(item)
    return ObjectName(kind=resource.kind, namespace=namespace, name=name)


class Splits:
    """Implements ``Routes``."""

    resource = SPLITS

    def references(self, item: Json, *, arms: Pair) -> tuple[RouteReference, ...]:
        weights = {one["service"]: one["weight"] for one in item["spec"]["backends"]}
        if arms.canary not in weights:
            return ()
        percent = 100.0 * weights[arms.canary] / (sum(weights.values()) or 1)
        return (RouteReference(object=named(SPLITS, item), kind="weight", percent=percent),)

    def revert(self, item: Json, *, arms: Pair) -> Plan:
        backends = item["spec"]["backends"]
        at = {one["service"]: index for index, one in enumerate(backends)}
        moved = backends[at[arms.canary]]["weight"]
        if not moved:
            return Plan(operations=(), changes=())
        weights = {arms.canary: 0, arms.baseline: backends[at[arms.baseline]]["weight"] + moved}
        return guarded(
            item,
            tests=[{"op": "test", "path": f"/spec/backends/{at[arm]}/service", "value": arm} for arm in weights],
            writes=[{"op": "add", "path": f"/spec/backends/{at[arm]}/weight", "value": value} for arm, value in weights.items()],
            changes=[RouteChange(detail=f"weight {moved} of {arms.canary} -> {arms.baseline}")],
        )

    def delegates(self, item: Json) -> tuple[Name, ...]:
        return tuple((str(one["namespace"]), str(one["name"])) for one in item["spec"].get("delegates", ()))

    def meant(self, items: Sequence[Json], *, arms: Pair) -> str:
        there = sorted({one["service"] for item in items for one in item["spec"]["backends"]} - {arms.baseline})
        return f"; Splits name {', '.join(there)}" if there else ""


class Redirects:
    """Implements ``Routes``."""

    resource = REDIRECTS

    def references(self, item: Json, *, arms: Pair) -> tuple[RouteReference, ...]:
        here = item["spec"]["to"] == arms.canary
        return (RouteReference(object=named(REDIRECTS, item), kind="pin", percent=100.0),) if here else ()

    def revert(self, item: Json, *, arms: Pair) -> Plan:
        writes = [{"op": "replace", "path": "/spec/to", "value": arms.baseline}] if item["spec"]["to"] == arms.canary else []
        return guarded(item, tests=[], writes=writes, changes=[RouteChange(detail=f"{arms.canary} -> {arms.baseline}")])

    def delegates(self, item: Json) -> tuple[Name, ...]:
        del item
        return ()

    def meant(self, items: Sequence[Json], *, arms: Pair) -> str:
        del items, arms
        return ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """Implements ``Survey``."""

    arms: Pair
    ready: int

    async def behind(self) -> Behind[Pair]:
        if not self.ready:
            raise NotFound(f"nobody stands behind {self.arms.baseline}")
        return Behind(account=f"{self.ready} ready endpoints", located=self.arms.canary)


class ServiceArms:
    """Arms are Services. Implements ``Arms``."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    def canary(self, arms: Pair) -> str:
        return arms.canary

    async def survey(self, release: Release, *, objects: Objects) -> Surveyed:
        del objects
        return Surveyed(arms=_pair(release), ready=await self._ready(release))

    def as_located(self, release: Release, *, located: str) -> Pair | None:
        del located
        return _pair(release)

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> Pair:
        del located, objects
        return _pair(release)

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        del located, objects
        if not (ready := await self._ready(release)):
            raise Blocked("nobody is there")
        return f"{ready} ready endpoints"

    async def _ready(self, release: Release) -> int:
        wanted = f"kubernetes.io/service-name={_pair(release).baseline}"
        slices = await self._kube.list(ENDPOINT_SLICES, namespace=release.namespace, labels=wanted)
        return sum(one.ready for one in endpoints(slices.items).values())


def _pair(release: Release) -> Pair:
    if release.baseline.service is None or release.canary.service is None:
        raise InvalidInput("an arm is a Service", path="$.canary.service", fix="name it")
    return Pair(baseline=release.baseline.service, canary=release.canary.service)


def _router(settings: MadeUpMesh, /, *, kube: KubeClient, name: str) -> Router:
    del settings, name
    return made_up_router(kube)


def made_up_router(kube: KubeClient) -> KubeRouter[Pair]:
    return KubeRouter(kube, routes=[Splits(), Redirects()], arms=ServiceArms(kube))


def _right(scope: Any, *verbs: Any, of: tuple[Resource, ...], purpose: str) -> Right:
    return Right(verbs=verbs, resources=of, scopes=(scope,), purpose=purpose)


VIEW = View(requests="made_up_requests_total", latency="made_up_latency_ms", arms=ISTIO.views[0].arms)

MADE_UP = MeshKind(
    settings=MadeUpMesh,
    router=_router,
    telemetry=dataclasses.replace(ISTIO, name="made-up", views=(VIEW,)),
    rights=(
        _right("everywhere", "get", "list", of=(SPLITS, REDIRECTS), purpose="find made-up routes"),
        _right("watched", "list", of=(ENDPOINT_SLICES,), purpose="who stands behind"),
        _right("enforced", "patch", of=(SPLITS, REDIRECTS), purpose="take made-up traffic back"),
    ),
    connections=3,
    routes="Splits and Redirects",
    arms="`service`",
    proven="nothing",
)
