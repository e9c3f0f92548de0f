"""The running releases' tasks: each is looked for, watched by the ticker, and carried from its decision to its end.

A task goes by its session's stage and nothing else, so that it can be begun anew at any time: at a restart, and after a
failure of our own code, which is reported and tried again. It never takes other releases with it.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, assert_never

from daemon.aio.backoff import pauses
from daemon.aio.tasks import TaskGroup
from daemon.engine import deciding, fanout, lifecycle, strategies
from daemon.engine.afterwards import Afterwards
from daemon.engine.completion import Completion
from daemon.engine.containedrouter import ContainedRouter
from daemon.engine.dependencies import Mesh, MeshCluster, Ports
from daemon.engine.fanout import FanOut
from daemon.engine.freezing import Freezes
from daemon.engine.heldup import HeldUp
from daemon.engine.meshlines import MeshLines
from daemon.engine.outbox import Outbox
from daemon.engine.promotions import Promotions
from daemon.engine.reverting import Reverting
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.engine.weights import Weights
from daemon.errors import NotFound, PermanentError, Unauthenticated, VerdictdError
from daemon.logs import release_bound
from daemon.model import Stage
from daemon.ports.routing import RouteFollower

log = logging.getLogger(__name__)

LOCATED_WITHIN_SECONDS: Final = 120.0
"""Clients have time limits of their own: a router that takes longer has a defect, and its release would wait for ever."""


class Supervisor:
    """Owner of one task per release that needs one. The tasks belong to ``group``.

    Attributes:
        weights: what was seen of the routes of located releases, by the telemetry that counts them.
    """

    def __init__(
        self,
        state: EngineState,
        *,
        freezes: Freezes,
        promotions: Promotions,
        group: TaskGroup,
    ) -> None:
        ports = self._ports = state.ports
        registry = self._registry = state.registry
        checkpoints = self._checkpoints = state.checkpoints
        self._group = group
        self._lull = state.lull
        self._lines = MeshLines()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        looked_at = {name: _contained(mesh) for name, mesh in ports.meshes.items()}
        self.weights = {
            name: Weights(
                mesh=lambda session: looked_at[str(session.release.mesh)].of(session.release.strategy),
                clock=ports.clock,
                followers=_followers(ports, telemetry=name),
            )
            for name in sorted({mesh.telemetry for mesh in ports.meshes.values()})
        }
        self._outbox = Outbox(ports.sinks, registry=registry, checkpoints=checkpoints, clock=ports.clock, meter=ports.meter)
        self._completion = Completion(
            registry=registry,
            checkpoints=checkpoints,
            reverting=FanOut(reverting=Reverting(clock=ports.clock, limits=ports.limits, random=random.random)),
            clusters=lambda session: self._mesh(session).clusters,
            verdicts=ports.verdicts,
            outbox=self._outbox,
            records=ports.records,
            clock=ports.clock,
            meter=ports.meter,
            freezes=freezes,
            promotions=promotions,
            audit=ports.audit,
            afterwards=Afterwards(
                registry=registry,
                checkpoints=checkpoints,
                records=ports.records,
                clock=ports.clock,
                meter=ports.meter,
                limits=ports.limits,
                supersede_rivals=self.supersede_rivals,
                inherit=self._inherit,
            ),
            tenure=state.tenure,
            forget=self._forget,
        )

    @property
    def held_up(self) -> HeldUp:
        """What ended releases wait for."""
        return self._completion.held_up

    @property
    def tasks(self) -> dict[str, asyncio.Task[None]]:
        """The tasks by release id."""
        return dict(self._tasks)

    def reverts(self, sessions: Iterable[Session]) -> list[asyncio.Task[None]]:
        """The tasks of those of them that are being reverted: a revert under way is better finished than begun again."""
        reverting = [session.release_id for session in sessions if session.stage is Stage.REVERTING]
        return [self._tasks[release_id] for release_id in reverting if release_id in self._tasks]

    def begin(self, release_id: str) -> None:
        """Give the release its task, in place of the one it has."""
        self._cancel(release_id)
        task = self._group.create_task(self._live(release_id), name=f"release {release_id}")
        self._tasks[release_id] = task
        task.add_done_callback(lambda done: self._disown(release_id, done))

    def decided(self, session: Session) -> None:
        """Put a decided session in its place, and begin to act on it at once."""
        self._registry.put(session)
        self.begin(session.release_id)

    def leave(self, session: Session) -> None:
        """End the release's task where it is, and forget what is remembered for it."""
        self._cancel(session.release_id)
        self._forget(session)

    def supersede_rivals(self, session: Session) -> bool:
        """End what is going on with older releases of the same service, each as far as its stage allows.

        Returns false where there is a newer one already: then it is this one that is superseded.
        """
        rivals = self._registry.rivals(session)
        newest = max([session, *rivals], key=lambda one: one.age)
        self._supersede(rivals if newest is session else [session], newest)
        return newest is session

    def _supersede(self, older: Sequence[Session], newer: Session) -> None:
        for rival in older:
            match rival.stage:
                case Stage.LOCATING | Stage.WATCHING:
                    self.decided(deciding.superseded(rival, newer.release_id, now=self._ports.clock.now()))
                case Stage.REVERTING | Stage.PUBLISHING | Stage.GUARDING:
                    outdated = lifecycle.outdated(rival, newer.release_id)
                    self._registry.put(outdated)
                    self._checkpoints.save(outdated)
                    if rival.stage is not Stage.REVERTING:
                        # The newer canary may use the same subset: guarding the old revert would take the new one back.
                        self.begin(rival.release_id)
                case Stage.ENDED:
                    pass
                case _:
                    assert_never(rival.stage)

    async def _live(self, release_id: str) -> None:
        with release_bound(release_id):
            for pause in pauses():
                try:
                    await self._go_on(release_id)
                except Exception as error:
                    log.exception("release failed", extra={"hint": "a defect of ours; it is tried again, and at the next start"})
                    self._ports.meter.failed("release", error)
                    await self._ports.clock.sleep(pause)
                else:
                    return

    async def _go_on(self, release_id: str) -> None:
        session = self._registry.find_running(release_id)
        if session is None:
            return
        match session.stage:
            case Stage.LOCATING:
                await self._locate(session)
            case Stage.REVERTING | Stage.PUBLISHING | Stage.GUARDING:
                await self._completion.carry_out(session)
            case Stage.WATCHING:
                if session.waits_until is not None:
                    await self._outbox.ask(session)
            case Stage.ENDED:
                pass
            case _:
                assert_never(session.stage)

    async def _locate(self, session: Session) -> None:
        after = await self._looked_for(session)
        self._registry.put(after)
        if after.stage is Stage.WATCHING:
            self._checkpoints.save(after)
            log.info("watching", extra={"routes": after.marks[1].detail})
        else:
            await self._completion.carry_out(after)

    async def _looked_for(self, session: Session) -> Session:
        """The session with its routes found, or with the reason why they could not be: objects may come after their event."""
        ports = self._ports
        await self._lull.wait()
        give_up_at = ports.clock.monotonic() + ports.limits.locate_seconds
        back_off = pauses((0.2, 0.5, 1.0))
        while True:
            try:
                async with self._lines.joined(session.release, seconds=LOCATED_WITHIN_SECONDS):
                    placement = await fanout.locate(self._mesh(session).clusters, session.release)
                if wrong := strategies.misfit(session.release.strategy, placement.routes):
                    raise NotFound(wrong)
            except VerdictdError as error:
                pause = next(back_off)
                hopeless = isinstance(error, PermanentError) and not isinstance(error, NotFound | Unauthenticated)
                if hopeless or ports.clock.monotonic() + pause >= give_up_at:
                    return deciding.not_located(self._current(session), str(error), now=ports.clock.now())
                await ports.clock.sleep(pause)
            else:
                current = self._current(session)
                self.weights[self._mesh(current).telemetry].saw(current, placement)
                return lifecycle.located(current, placement, now=ports.clock.now())

    def _current(self, session: Session) -> Session:
        """The newest value: somebody may have joined it while its canary was looked for."""
        return self._registry.get(session.release_id)

    def _mesh(self, session: Session) -> Mesh:
        assert session.release.mesh is not None  # admission has filled it in
        return self._ports.meshes[session.release.mesh].of(session.release.strategy)

    def _inherit(self, session: Session, of: Session) -> None:
        self.weights[self._mesh(of).telemetry].inherit(session.release_id, of=of.release_id)

    def _forget(self, session: Session) -> None:
        self._ports.telemetry[self._mesh(session).telemetry].forget(session.release_id)
        if self._ports.recorder is not None:
            self._ports.recorder.close(session.release_id)

    def _disown(self, release_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(release_id) is task:
            del self._tasks[release_id]

    def _cancel(self, release_id: str) -> None:
        task = self._tasks.pop(release_id, None)
        if task is not None:
            task.cancel()


def _followers(ports: Ports, *, telemetry: str) -> list[RouteFollower]:
    """Of the meshes that this telemetry counts."""
    meshes = (mesh for mesh in ports.meshes.values() if mesh.telemetry == telemetry)
    return [mesh.home.follower for mesh in meshes if mesh.home.follower is not None]


def _contained(mesh: Mesh) -> Mesh:
    """The mesh, of whose routers no defect ends a look at the others' routes."""

    def contained(cluster: MeshCluster) -> MeshCluster:
        pods = None if cluster.pods is None else ContainedRouter(cluster.pods)
        return replace(cluster, router=ContainedRouter(cluster.router), pods=pods)

    return replace(mesh, clusters={name: contained(cluster) for name, cluster in mesh.clusters.items()})
