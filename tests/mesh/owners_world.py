"""Real controllers that step the weights of a VirtualService, on a real API server: Argo Rollouts and Flagger.

There are no nodes and no controller manager: ``becoming_ready`` writes what these would, that all pods of a workload are ready.
Who serves is written by hand too, since nothing makes pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from daemon.aio.tasks import background
from daemon.delivery.flagger import CANARIES
from daemon.kube.client import KubeClient
from daemon.kube.resources import ENDPOINT_SLICES, ROLLOUTS, SERVICES, Resource
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.model import ArmSpec, Release
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import until

Json = dict[str, Any]
Beside = Sequence[tuple[Resource, Json]]

DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
REPLICA_SETS = Resource(group="apps", version="v1", plural="replicasets", kind="ReplicaSet")
ROLE_BINDINGS = Resource(group="rbac.authorization.k8s.io", version="v1", plural="rolebindings", kind="RoleBinding")
NAMESPACES = "/api/v1/namespaces"

_LABELS = {"app": "web"}
_WITHIN_SECONDS = 60.0
_POLL_SECONDS = 0.1
_TICK_SECONDS = 10.0
"""A look that has changed nothing by then, as of a workload that is not ready, is over."""
_SETTLING_SECONDS = 0.5
"""What a look writes after its last change of the status."""


@dataclass(slots=True)
class Weights:
    """The canary's weight, each time the route was written, and when (seconds of the monotonic clock)."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    @property
    def now(self) -> int:
        """As it was written last."""
        return self.seen[-1][1] if self.seen else 0

    def since(self, start: float) -> list[int]:
        """What was written since then, each weight once until there is another one."""
        return [weight for weight, _ in itertools.groupby(weight for at, weight in self.seen if at >= start)]

    async def until(self, holds: Callable[[Weights], bool]) -> None:
        """Wait until what was seen is so: a watch may be told of a write later than whoever reads what was written."""
        try:
            await until(lambda: _is(holds(self)), within=_WITHIN_SECONDS)
        except TimeoutError:
            raise AssertionError([weight for _, weight in self.seen]) from None


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A release in a namespace of its own whose route a controller steps: the canary has some traffic."""

    release: Release
    weights: Weights
    owner: Callable[[], Awaitable[Json]]
    """Reads the Rollout or the Canary."""
    tick: Callable[[], Awaitable[None]]
    """Has the controller look again now."""


async def create(api: KubeApiServer, resource: Resource, namespace: str, item: Json) -> None:
    version = f"{resource.group}/{resource.version}" if resource.group else resource.version
    body = {"apiVersion": version, "kind": resource.kind, **item}
    async with api.session() as session, session.post(resource.path(namespace=namespace), json=body) as response:
        assert response.status == 201, await response.text()


async def bind(api: KubeApiServer, role: str, namespace: str) -> None:
    """One of the manifest's roles, to the daemon's account."""
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": ROLE_BINDINGS.group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "verdictd", "namespace": "verdictd"}],
    }
    await create(api, ROLE_BINDINGS, namespace, binding)


async def merge(api: KubeApiServer, path: str, document: Json) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    async with api.session() as session, session.patch(path, data=json.dumps(document), headers=headers) as response:
        assert response.status == 200, await response.text()


@contextlib.asynccontextmanager
async def becoming_ready(api: KubeApiServer, kube: KubeClient, resource: Resource) -> AsyncIterator[None]:
    """As long as it is entered, all pods of these workloads are ready as soon as there are to be some."""

    async def write() -> None:
        while True:
            for item in (await kube.list(resource)).items:
                wanted = _all_ready(item)
                if any(item.get("status", {}).get(key, 0) != value for key, value in wanted.items()):
                    await merge(api, f"{resource.path(**_at(item))}/status", {"status": wanted})
            await asyncio.sleep(_POLL_SECONDS)

    async with background(write()):
        yield


@contextlib.asynccontextmanager
async def argo_release(
    api: KubeApiServer, kube: KubeClient, namespace: str, *, analysis: Json | None = None, beside: Beside = ()
) -> AsyncIterator[Owned]:
    """A Rollout that gives its second version 10 % and waits, with this analysis and these objects ``beside`` it."""
    await _namespace(api, namespace, baseline="web-stable", canary="web-canary")
    for resource, item in beside:
        await create(api, resource, namespace, item)
    await create(api, VIRTUAL_SERVICES, namespace, route_with(0))
    routing = {"istio": {"virtualService": {"name": "web"}}}
    canary: Json = {"canaryService": "web-canary", "stableService": "web-stable", "trafficRouting": routing}
    canary |= {"analysis": analysis} if analysis is not None else {}
    strategy = {"canary": {**canary, "steps": [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]}}
    await create(api, ROLLOUTS, namespace, {"metadata": {"name": "web"}, "spec": {**workload("v1"), "strategy": strategy}})

    async def rollout() -> Json:
        return await kube.get(ROLLOUTS, namespace=namespace, name="web")

    async def tick() -> None:
        """It is told of every change of an object."""
        await merge(api, ROLLOUTS.path(namespace=namespace, name="web"), {"metadata": {"annotations": {"at": str(time.time())}}})

    await _until(lambda status: status.get("phase") == "Healthy", rollout)
    async with watched(api, namespace) as weights:
        await merge(api, ROLLOUTS.path(namespace=namespace, name="web"), {"spec": {"template": workload("v2")["template"]}})
        await weights.until(lambda seen: seen.now == 10)
        await _until(lambda status: status.get("phase") == "Paused", rollout)
        yield Owned(release=arms_release(namespace), weights=weights, owner=rollout, tick=tick)


@contextlib.asynccontextmanager
async def flagger_release(
    api: KubeApiServer, kube: KubeClient, namespace: str, *, analysis: Json | None = None, beside: Beside = ()
) -> AsyncIterator[Owned]:
    """A Canary whose analysis, with this in it, has given its second version 10 %, and these objects ``beside`` it."""
    await _namespace(api, namespace, baseline="web-primary", canary="web-canary")
    for resource, item in beside:
        await create(api, resource, namespace, item)
    await create(api, DEPLOYMENTS, namespace, {"metadata": {"name": "web"}, "spec": workload("v1")})
    analysis = {"interval": "600s", "threshold": 3, "maxWeight": 50, "stepWeight": 10, "metrics": [], **(analysis or {})}
    spec = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "service": {"port": 80},
        "analysis": analysis,
    }
    await create(api, CANARIES, namespace, {"metadata": {"name": "web"}, "spec": spec})
    path = CANARIES.path(namespace=namespace, name="web")
    intervals = itertools.count(601)

    async def canary() -> Json:
        return await kube.get(CANARIES, namespace=namespace, name="web")

    async def tick() -> None:
        """A new interval begins with a tick, at once."""
        await merge(api, path, {"spec": {"analysis": {"interval": f"{next(intervals)}s"}}})

    await _ticked(tick, lambda status: status.get("phase") == "Initialized", canary)
    async with watched(api, namespace) as weights:
        await merge(api, DEPLOYMENTS.path(namespace=namespace, name="web"), {"spec": {"template": workload("v2")["template"]}})
        await _ticked(tick, lambda status: status.get("canaryWeight") == 10, canary)
        yield Owned(release=arms_release(namespace, baseline="web-primary"), weights=weights, owner=canary, tick=tick)


@contextlib.asynccontextmanager
async def git_release(api: KubeApiServer, namespace: str) -> AsyncIterator[Owned]:
    """A route that is applied as Flux's kustomize-controller applies it, on the server's side, with 10 % for the canary."""
    await namespaced(api, namespace)
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    route = {**route_with(10), "metadata": {"name": "web", "labels": labels}}
    item = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", **route}
    path = f"{VIRTUAL_SERVICES.path(namespace=namespace, name='web')}?fieldManager=kustomize-controller&force=true"

    async def apply() -> None:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        async with api.session() as session, session.patch(path, data=json.dumps(item), headers=headers) as response:
            assert response.status in {200, 201}, await response.text()

    async def nobody() -> Json:
        return {}

    await apply()
    async with watched(api, namespace) as weights:
        await weights.until(lambda seen: seen.now == 10)
        yield Owned(release=arms_release(namespace), weights=weights, owner=nobody, tick=apply)


async def _ticked(tick: Callable[[], Awaitable[None]], holds: Callable[[Json], bool], read: Callable[[], Awaitable[Json]]) -> None:
    """Have the controller look again until its object says so; one look after the other, each seen by what it changes."""

    async def status() -> Json:
        found: Json = (await read()).get("status", {})
        return found

    async with asyncio.timeout(2 * _WITHIN_SECONDS):
        while not holds(before := await status()):
            await tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    while await status() == before:
                        await asyncio.sleep(_POLL_SECONDS)
            await asyncio.sleep(_SETTLING_SECONDS)


async def _until(holds: Callable[[Json], bool], read: Callable[[], Awaitable[Json]]) -> None:
    async def held() -> bool:
        return holds((await read()).get("status", {}))

    await until(held, within=_WITHIN_SECONDS)


async def _is(value: bool) -> bool:
    return value


async def namespaced(api: KubeApiServer, namespace: str) -> None:
    """A namespace with both Services, whose pods are apart from the beginning."""
    await _namespace(api, namespace, baseline="web-stable", canary="web-canary", apart=True)


async def _namespace(api: KubeApiServer, namespace: str, *, baseline: str, canary: str, apart: bool = False) -> None:
    """With a Service for each arm, unless the controller makes them, and somebody ready behind each; the daemon may act there.

    The Services' pods are ``apart`` from the beginning, unless it is the controller that tells them apart.
    """
    async with api.session() as session, session.post(NAMESPACES, json={"metadata": {"name": namespace}}) as response:
        assert response.status == 201, await response.text()
    for role in ("verdictd-observe", "verdictd-enforce"):
        await bind(api, role, namespace)
    for number, name in enumerate((baseline, canary), start=1):
        if baseline != "web-primary":
            spec = {"selector": {**_LABELS, **({"arm": name} if apart else {})}, "ports": [{"name": "http", "port": 80}]}
            await create(api, SERVICES, namespace, {"metadata": {"name": name}, "spec": spec})
        labels = {"kubernetes.io/service-name": name}
        endpoint = {"addresses": [f"10.9.0.{number}"], "conditions": {"ready": True}}
        item = {"metadata": {"name": f"{name}-1", "labels": labels}, "addressType": "IPv4", "endpoints": [endpoint]}
        await create(api, ENDPOINT_SLICES, namespace, item)


def arms_release(namespace: str, *, baseline: str = "web-stable") -> Release:
    """Of the two Services of the namespace."""
    return Release(service="web", namespace=namespace, baseline=ArmSpec(service=baseline), canary=ArmSpec(service="web-canary"))


def workload(version: str) -> Json:
    """Spec of a Rollout or a Deployment."""
    container = {"name": "web", "image": f"example.com/web:{version}"}
    template = {"metadata": {"labels": _LABELS}, "spec": {"containers": [container]}}
    return {"replicas": 2, "selector": {"matchLabels": _LABELS}, "template": template}


def route_with(canary_weight: int) -> Json:
    """A route whose canary is a Service of its own."""
    weights = {"web-stable": 100 - canary_weight, "web-canary": canary_weight}
    targets = [{"destination": {"host": host}, "weight": weight} for host, weight in weights.items()]
    return {"metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": [{"name": "primary", "route": targets}]}}


def _at(item: Json) -> dict[str, str]:
    return {"namespace": item["metadata"]["namespace"], "name": item["metadata"]["name"]}


def _all_ready(item: Json) -> Json:
    replicas = item["spec"].get("replicas", 1)
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), replicas)
    if "strategy" in item["spec"]:  # a Deployment's
        counts["updatedReplicas"] = replicas
    return {"observedGeneration": item["metadata"]["generation"], **counts}


@contextlib.asynccontextmanager
async def watched(api: KubeApiServer, namespace: str) -> AsyncIterator[Weights]:
    """All that is written to the namespace's route, as it happens."""
    weights = Weights()

    async def watch() -> None:
        url = f"{VIRTUAL_SERVICES.path(namespace=namespace)}?watch=true"
        async with api.session() as session, session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as response:
            async for line in response.content:
                targets = json.loads(line)["object"]["spec"]["http"][0]["route"]
                canary = [one.get("weight", 0) for one in targets if one["destination"]["host"].endswith("-canary")]
                weights.seen.append((time.monotonic(), sum(canary)))

    async with background(watch()):
        yield weights
