"""What must be read of a cluster to know who the arms are and who stands behind them: all of it at the same time.

A revert waits for it. Whatever cannot be read stays in its place as the error that says why.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from daemon.aio.singleflight import SingleFlight
from daemon.errors import NotFound
from daemon.kube.client import KubeClient, Listing
from daemon.kube.endpoints import of_service
from daemon.kube.forms import require_all
from daemon.kube.resources import ENDPOINT_SLICES, PODS, SERVICES, Json, Resource, selector_of_either
from daemon.meshes.gatewayapi.arms import completed
from daemon.meshes.gatewayapi.mesh import REFERENCE_GRANTS
from daemon.meshes.gatewayapi.pods import Observed
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.kuberouter import remember
from daemon.meshes.members import Read, selector_of
from daemon.meshes.routereading import settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """The arms with all that the cluster says of them, the Services of their namespaces, and the EndpointSlices of both."""

    arms: ServicePair
    services: Services
    slices: tuple[Read, Read]

    @property
    def observed(self) -> tuple[Observed, Observed]:
        """Of the baseline and of the canary, without the pods."""
        baseline, canary = (Observed(services=self.services, slices=slices) for slices in self.slices)
        return baseline, canary


class Reader:
    """Reads one cluster; what a thousand releases ask at the same time is asked once. ``on_gateways``: whether grants matter."""

    def __init__(self, kube: KubeClient, *, on_gateways: bool = True) -> None:
        self._kube = kube
        self._on_gateways = on_gateways
        self._shared: dict[tuple[Resource, str], SingleFlight[Listing]] = {}

    async def discover(self, arms: ServicePair) -> Discovered:
        """Who the arms are. Raises nothing: what failed is in its place."""
        namespaces = tuple(dict.fromkeys((arms.baseline.namespace, arms.canary.namespace)))
        services, slices, grants = await asyncio.gather(
            settled(self._listed(SERVICES, namespace) for namespace in namespaces),
            settled(self._slices(arm) for arm in (arms.baseline, arms.canary)),
            settled([self._grants(arms.baseline.namespace)]),
        )
        there = Services(dict(zip(namespaces, services, strict=True)))
        return Discovered(
            arms=completed(arms, services=there, grants=grants[0]),
            services=there,
            slices=(slices[0], slices[1]),
        )

    async def each_pod(self, found: Discovered) -> tuple[Observed, Observed]:
        """The same with the pods that the Services of both arms select."""
        both = (found.arms.baseline, found.arms.canary)
        baseline, canary = await settled(self._pods(arm, found.services) for arm in both)
        return (
            Observed(services=found.services, slices=found.slices[0], pods=baseline),
            Observed(services=found.services, slices=found.slices[1], pods=canary),
        )

    async def _pods(self, arm: ServiceName, services: Services) -> Sequence[Json]:
        selector = selector_of(services.get(arm))
        if not selector:
            return ()
        return (await self._kube.list(PODS, namespace=arm.namespace, labels=selector_of_either([selector]))).items

    async def _slices(self, arm: ServiceName) -> Sequence[Json]:
        return (await self._kube.list(ENDPOINT_SLICES, namespace=arm.namespace, labels=of_service(arm.name))).items

    async def _grants(self, namespace: str) -> Sequence[Json]:
        """Where there is no such thing there are none."""
        if not self._on_gateways:
            return ()
        try:
            return require_all(REFERENCE_GRANTS, await self._listed(REFERENCE_GRANTS, namespace))
        except NotFound:
            return ()

    async def _listed(self, kind: Resource, namespace: str) -> Sequence[Json]:
        key = (kind, namespace)
        if key not in self._shared:
            remember(self._shared, key, SingleFlight(partial(self._kube.list, kind, namespace=namespace)))
        return (await self._shared[key]()).items
