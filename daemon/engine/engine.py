"""The engine: owner of every release's tasks. Events, the API and recovery come in here; the other modules do the work.

It knows the world through ports only. Every task belongs to one TaskGroup; a release's task that fails is reported and
leaves its session in the store for the next start, it never takes the others with it.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, assert_never

import msgspec

from daemon.backoff import pauses
from daemon.engine import session as life
from daemon.engine.admission import admit
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.clockwork import Clockwork
from daemon.engine.endings import Endings
from daemon.engine.registry import Registry, view
from daemon.engine.reverting import Reverting
from daemon.engine.session import Session
from daemon.engine.world import Mesh, World
from daemon.errors import InvalidInput, NotFound, PermanentError, Refused, TransientError, Unavailable, VerdictdError
from daemon.logs import release_bound
from daemon.model import Command, Record, Release, ReleaseView, Stage, Verdict
from daemon.ports import Announcement

log = logging.getLogger(__name__)

_ACCEPT_SECONDS = 5.0
_FINISH_REVERTS_SECONDS = 3.0
_FLUSH_SECONDS = 1.0


class Engine:
    """Watches releases. Implements the ports ``Desk`` and ``Verdicts``; ``run`` is its life."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registry = Registry(max_ended=world.limits.max_ended)
        self._checkpoints = Checkpoints(world.sessions, clock=world.clock, meter=world.meter)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._recovered = asyncio.Event()
        self._reverting = Reverting(clock=world.clock, limits=world.limits, random=random.random)
        self._endings = Endings(
            registry=self._registry,
            checkpoints=self._checkpoints,
            reverting=self._reverting,
            routers=lambda session: self._mesh(session.release).router,
            sink=world.sink,
            records=world.records,
            clock=world.clock,
            meter=world.meter,
            forget=self._forget,
        )

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then watch until ``stop``. Returns within 5 s of it, with everything needed to go on kept safe."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            writer = group.create_task(self._checkpoints.run(), name="checkpoints")
            await self._recover()
            loops = [group.create_task(clockwork.run(), name=f"ticks {name}") for name, clockwork in self._clockworks().items()]
            loops.append(group.create_task(self._take_events(), name="events"))
            loops.append(group.create_task(self._take_commands(), name="commands"))
            await self._stopping.wait()
            await _cancel(loops)
            await self._finish_reverts()
            await _cancel(list(self._tasks.values()))
            if not await self._checkpoints.flush(seconds=_FLUSH_SECONDS):
                log.error(
                    "stopped with unwritten checkpoints",
                    extra={"hint": "the broker did not answer; the last ticks are judged again"},
                )
            await _cancel([writer])
        self._group = None

    def stop(self) -> None:
        """Ask ``run`` to return."""
        self._stopping.set()

    @property
    def ready(self) -> bool:
        """Whether recovery is done."""
        return self._recovered.is_set()

    # --- Desk -------------------------------------------------------------------------------------------------------

    async def submit(self, release: Release, *, release_id: str) -> ReleaseView:
        """Begin watching; see ``ports.Desk``."""
        if release_id in self._registry or await self._world.records.get(release_id) is not None:
            return await self.view(release_id)
        session = admit(self._world, release, release_id=release_id, running=len(self._registry))
        self._registry.put(session)
        try:
            async with asyncio.timeout(_ACCEPT_SECONDS):
                await self._checkpoints.saved(session)
        except TimeoutError as error:
            self._registry.drop(release_id)
            self._checkpoints.remove(release_id)
            raise Unavailable("the store did not take the release in time; nothing is being watched; try again") from error
        with release_bound(release_id):
            log.info("submitted", extra={"service": release.service, "namespace": release.namespace, "mesh": session.release.mesh})
        self._supersede_rivals(session)
        self._begin(session)
        return view(session)

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word; see ``ports.Desk``."""
        session = self._registry.get(release_id)
        if session.stage not in {Stage.LOCATING, Stage.WATCHING}:
            why = session.decision.reason if session.decision else session.stage
            raise Refused(f"release {release_id} is decided already: {why}")
        after = life.commanded(session, command, now=self._world.clock.now())
        self._registry.put(after)
        self._decided(after)
        return view(after)

    def views(self) -> list[ReleaseView]:
        """All running releases and the recently ended ones."""
        return self._registry.views()

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended."""
        if release_id in self._registry:
            return view(self._registry.get(release_id))
        record = await self._kept_record(release_id)
        return ReleaseView(
            id=release_id,
            release=record.release,
            stage=Stage.ENDED,
            submitted_at=record.marks[0].at,
            ticks=record.verdict.ticks,
            evidence=record.verdict.evidence,
            boundary=record.verdict.boundary,
            verdict=record.verdict,
        )

    # --- Verdicts ---------------------------------------------------------------------------------------------------

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict, waiting for it at most so long."""
        if release_id in self._registry:
            return await self._registry.wait(release_id, seconds=seconds)
        return (await self._kept_record(release_id)).verdict

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null while there is no verdict."""
        with suppress(NotFound):
            return await self._kept_record(release_id)
        self._registry.get(release_id)
        return None

    async def _kept_record(self, release_id: str) -> Record:
        data = await self._world.records.get(release_id)
        if data is None:
            raise NotFound(f"no release {release_id!r}")
        return msgspec.json.decode(data, type=Record)

    def _mesh(self, release: Release) -> Mesh:
        assert release.mesh is not None  # admission has filled it in
        return self._world.meshes[release.mesh]

    def _supersede_rivals(self, newer: Session) -> None:
        for rival in self._registry.rivals(newer.release, release_id=newer.release_id):
            match rival.stage:
                case Stage.LOCATING | Stage.WATCHING:
                    after = life.superseded(rival, newer.release_id, now=self._world.clock.now())
                    self._registry.put(after)
                    self._decided(after)
                case Stage.GUARDING:
                    # The newer canary may use the same subset: guarding the old revert would take the new one back.
                    self._cancel_task(rival.release_id)
                    self._endings.end(rival)
                case Stage.REVERTING | Stage.PUBLISHING | Stage.ENDED:
                    pass
                case _:
                    assert_never(rival.stage)

    # --- one release's task -------------------------------------------------------------------------------------------

    def _begin(self, session: Session) -> None:
        match session.stage:
            case Stage.LOCATING:
                self._own(session, self._locate(session))
            case Stage.REVERTING | Stage.PUBLISHING | Stage.GUARDING:
                self._own(session, self._endings.carry_out(session))
            case Stage.WATCHING | Stage.ENDED:
                pass
            case _:
                assert_never(session.stage)

    def _decided(self, session: Session) -> None:
        self._cancel_task(session.release_id)
        self._own(session, self._endings.carry_out(session))

    async def _locate(self, session: Session) -> None:
        after = await self._looked_for(session)
        self._registry.put(after)
        if after.stage is Stage.WATCHING:
            self._checkpoints.save(after)
            log.info("watching", extra={"routes": after.marks[1].detail})
        else:
            await self._endings.carry_out(after)

    async def _looked_for(self, session: Session) -> Session:
        """The session with its routes found, or with the reason why they could not be: objects may come after their event."""
        world = self._world
        give_up_at = world.clock.monotonic() + world.limits.locate_seconds
        back_off = pauses((0.2, 0.5, 1.0))
        while True:
            try:
                placement = await self._mesh(session.release).router.locate(session.release)
            except VerdictdError as error:
                pause = next(back_off)
                hopeless = isinstance(error, PermanentError) and not isinstance(error, NotFound)
                if hopeless or world.clock.monotonic() + pause >= give_up_at:
                    return life.not_located(session, str(error), now=world.clock.now())
                await world.clock.sleep(pause)
            else:
                return life.located(session, placement, now=world.clock.now())

    def _own(self, session: Session, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None  # only a running engine admits releases
        task = self._group.create_task(self._reported(session.release_id, work), name=f"release {session.release_id}")
        self._tasks[session.release_id] = task
        task.add_done_callback(lambda done: self._disown(session.release_id, done))

    async def _reported(self, release_id: str, work: Coroutine[Any, Any, None]) -> None:
        with release_bound(release_id):
            try:
                await work
            except Exception as error:
                log.exception("release failed", extra={"hint": "its state is kept; it is taken up again at the next start"})
                self._world.meter.trouble("release", error)

    def _disown(self, release_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(release_id) is task:
            del self._tasks[release_id]

    def _cancel_task(self, release_id: str) -> None:
        task = self._tasks.pop(release_id, None)
        if task is not None:
            task.cancel()

    def _forget(self, session: Session) -> None:
        self._world.telemetry[self._mesh(session.release).telemetry].forget(session.release_id)

    # --- loops ------------------------------------------------------------------------------------------------------

    def _clockworks(self) -> dict[str, Clockwork]:
        world = self._world
        used = {mesh.telemetry for mesh in world.meshes.values()}
        return {
            name: Clockwork(
                name,
                world.telemetry[name],
                meshes=frozenset(key for key, mesh in world.meshes.items() if mesh.telemetry == name),
                registry=self._registry,
                checkpoints=self._checkpoints,
                clock=world.clock,
                meter=world.meter,
                decided=self._decided,
                recorder=world.recorder,
            )
            for name in sorted(used)
        }

    async def _take_events(self) -> None:
        async for announcement in self._world.events.announcements():
            try:
                await self._take_event(announcement)
            except TransientError as error:
                # Not answered: it is delivered again.
                self._world.meter.trouble("event", error)

    async def _take_event(self, announcement: Announcement) -> None:
        try:
            release = announcement.release()
            assert announcement.release_id is not None  # it was understood
            await self.submit(release, release_id=announcement.release_id)
        except (InvalidInput, Refused) as error:
            self._world.meter.trouble("event", error)
            log.warning("event rejected", extra={"reason": str(error)})
            await announcement.reject(str(error))
        else:
            await announcement.accept()

    async def _take_commands(self) -> None:
        async for release_id, command in self._world.events.commands():
            try:
                await self.command(release_id, command)
            except VerdictdError as error:
                log.warning("command refused", extra={"release": release_id, "command": command.command, "reason": str(error)})

    # --- beginning and end ---------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        sessions = await self._load()
        # What was being taken back goes first: it is what hurts.
        for session in sorted(sessions, key=lambda s: s.stage is not Stage.REVERTING):
            if session.release.mesh not in self._world.meshes:
                gone = f"release {session.release_id} is on mesh {session.release.mesh!r}, which is not configured any more"
                self._world.meter.trouble("recovery", VerdictdError(gone))
                continue
            self._registry.put(session)
            self._begin(session)
        if sessions:
            log.info("recovered", extra={"releases": len(sessions)})
        self._recovered.set()

    async def _load(self) -> list[Session]:
        for pause in pauses():
            try:
                return await self._checkpoints.load()
            except TransientError as error:
                self._world.meter.trouble("store", error)
                await self._world.clock.sleep(pause)
        raise AssertionError("pauses never end")

    async def _finish_reverts(self) -> None:
        """A revert under way is better finished than begun again."""
        reverting = [s.release_id for s in self._registry.running() if s.stage is Stage.REVERTING]
        tasks = [self._tasks[release_id] for release_id in reverting if release_id in self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=_FINISH_REVERTS_SECONDS)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
