"""Everything the acts are played in: the versions, the edge, the users, verdictd and the pipeline, ended in reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.aio.tasks import background
from daemon.demo.acts import ACTS, HEALTHY
from daemon.demo.backends import Backend, backends
from daemon.demo.edge import Edge, edge
from daemon.demo.pipeline import Pipeline, pipeline
from daemon.demo.users import Users, users
from daemon.demo.watchdog import Watchdog, watchdog


@dataclass(frozen=True, slots=True)
class World:
    """All parts, running."""

    backends: dict[str, Backend]
    edge: Edge
    watchdog: Watchdog
    pipeline: Pipeline
    users: Users


@asynccontextmanager
async def world(*, folder: Path, rate: float, seed: int, run: str) -> AsyncIterator[World]:
    """Run everything for the length of a ``with`` block; a child that dies meanwhile ends the block with ``DemoError``.

    Args:
        folder: takes settings, logs and state.
        rate: requests a second.
        seed: of behaviour and traffic.
        run: see ``deployment_event``.
    """
    versions = {ACTS[0].baseline: HEALTHY} | {act.canary: act.behaviour for act in ACTS}
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(backends(versions, folder=folder, seed=seed))
        ports = {version: backend.port for version, backend in running.items()}
        first = {ACTS[0].baseline: 100}
        proxy = await stack.enter_async_context(edge(folder=folder, backends=ports, weights=first))
        judge = await stack.enter_async_context(watchdog(edge=proxy, folder=folder))
        delivery = await stack.enter_async_context(pipeline(judge.nats_url, run=run))
        people = await stack.enter_async_context(users(url=proxy.url, rate=rate, seed=seed, folder=folder))
        children = [proxy.process, judge.process, people.process, *(backend.process for backend in running.values())]
        await stack.enter_async_context(background(*(process.ended() for process in children)))
        yield World(backends=running, edge=proxy, watchdog=judge, pipeline=delivery, users=people)
