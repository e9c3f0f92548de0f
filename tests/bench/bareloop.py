"""What taking many releases back costs at the least: a loop of nothing but their GETs and PATCHes, on the same API server.

Each route is read and patched under its resourceVersion, as a revert does it, so many at a time as reverts have their turn.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiohttp import ClientSession

from daemon.engine.turns import PLACES
from tests.bench import fleet
from tests.hand.istio_objects import Json
from tests.servers.kube_apiserver import KubeApiServer

FIRST = 20
"""So many are looked at by themselves: nobody is to wait for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """Seconds from the beginning until each patch was acknowledged, in order; and how much of a CPU this process used."""

    seconds: Sequence[float]
    cpu_seconds: float


async def shared_out(api: KubeApiServer, numbers: Iterable[int]) -> Bare:
    """Give the canary of each service its share of the traffic: as many questions as it takes to take them all back."""
    done, places = list[float](), asyncio.Semaphore(PLACES)
    async with api.session() as session:
        began, cpu = time.monotonic(), time.process_time()

        async def one(number: int) -> None:
            async with places:
                await _patched(session, number)
            done.append(time.monotonic() - began)

        await asyncio.gather(*map(one, numbers))
        return Bare(seconds=done, cpu_seconds=time.process_time() - cpu)


async def _patched(session: ClientSession, number: int) -> None:
    path, at_first = fleet.route(number)
    async with session.get(path) as response:
        response.raise_for_status()
        found: Json = await response.json()
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/http", "value": at_first["spec"]["http"]},
    ]
    async with session.patch(path, json=operations, headers={"Content-Type": "application/json-patch+json"}) as response:
        response.raise_for_status()
        await response.read()
