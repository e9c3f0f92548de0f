"""The engine: releases come in, are watched together, and are carried to their ends; here is what holds its parts together.

It knows the world through ports only. Every task belongs to one TaskGroup, and the end has an order: no new work, reverts
under way finished, what is known written down.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import NoReturn

from daemon.aio.tasks import TaskGroup, cancel_all
from daemon.engine.admission import Admission
from daemon.engine.aliases import Aliases
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Ports, Shared
from daemon.engine.dispatcher import Dispatcher
from daemon.engine.eventconsumer import CommandConsumer, EventConsumer, Upkeep
from daemon.engine.freezing import Freezes
from daemon.engine.latecomers import Latecomers
from daemon.engine.lookup import Lookup
from daemon.engine.neighbours import Neighbours
from daemon.engine.outlines import Outlines
from daemon.engine.promotions import Promotions
from daemon.engine.readiness import Readiness
from daemon.engine.recovery import answered, recover, report_lost
from daemon.engine.registry import Registry
from daemon.engine.state import EngineState
from daemon.engine.supervisor import Supervisor
from daemon.engine.takeover import Takeover
from daemon.engine.tenure import Tenure
from daemon.engine.ticker import Ticker
from daemon.errors import VerdictdError
from daemon.interventions import Command, Freeze
from daemon.model import Outline, Record, Release, Verdict
from daemon.ports.service import ReleaseChange
from daemon.releaseview import ReleaseView

log = logging.getLogger(__name__)

_FINISH_REVERTS_SECONDS = 2.0
FLUSH_SECONDS = 0.5
_FREEZES_SECONDS = 1.0
_OUTLINES_SECONDS = 10.0


class Engine:
    """Watches releases. Implements the ports ``ReleaseService``, ``Feed`` and ``Verdicts``; ``run`` is its life."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._readiness = Readiness()
        self._group = TaskGroup()
        self._registry = Registry(max_ended=ports.limits.max_ended)
        tenure = Tenure(None if ports.shared is None else ports.shared.sharing, clock=ports.clock)
        self._checkpoints = Checkpoints(
            ports.sessions,
            records=ports.records,
            clock=ports.clock,
            meter=ports.meter,
            leave=self._leave,
            number=tenure.number,
        )
        state = EngineState(ports=ports, registry=self._registry, checkpoints=self._checkpoints, tenure=tenure)
        self._state = state
        self._freezes = Freezes(ports.freezes, ports.clock, audit=ports.audit, cluster=ports.cluster, meter=ports.meter)
        self._outlines = Outlines(ports)
        aliases, promotions = Aliases(ports.aliases), Promotions(ports.promotions)
        self._supervisor = Supervisor(state, freezes=self._freezes, promotions=promotions, group=self._group)
        latecomers = Latecomers(state, promotions=promotions, aliases=aliases)
        self._admission = Admission(
            state,
            aliases=aliases,
            promotions=promotions,
            supervisor=self._supervisor,
            latecomers=latecomers,
            group=self._group,
        )
        self._lookup = Lookup(state, aliases=aliases, outlines=self._outlines, readiness=self._readiness)
        self._dispatcher = Dispatcher(
            state,
            lookup=self._lookup,
            outlines=self._outlines,
            admission=self._admission,
            latecomers=latecomers,
            supervisor=self._supervisor,
            readiness=self._readiness,
        )
        self._tickers: list[Ticker] = []
        self._sources: list[Upkeep] = []

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then watch until ``stop``. Returns within 5 s of it, with everything needed to go on kept safe."""
        with closing(self._registry.changes):
            await self._run()

    async def _run(self) -> None:
        async with self._group as group:
            writer = group.create_task(self._checkpoints.run(), name="checkpoints")
            watching = group.create_task(self._watch(), name="watching")
            accounting = group.create_task(self._freezes.account(), name="audit of freezes")
            await self._readiness.stopped()
            await cancel_all([watching, *self._admission.tasks])
            if reverts := self._supervisor.reverts(self._registry.running()):
                await asyncio.wait(reverts, timeout=_FINISH_REVERTS_SECONDS)
            await cancel_all(list(self._supervisor.tasks.values()))
            if not await self._checkpoints.flush(seconds=FLUSH_SECONDS):
                log.error(
                    "stopped with unwritten checkpoints",
                    extra={"hint": "the broker did not answer; the last ticks are judged again"},
                )
            await cancel_all([writer, accounting])
            await asyncio.gather(*(ticker.written(seconds=FLUSH_SECONDS) for ticker in self._tickers))
            if self._ports.shared is not None:
                await self._ports.shared.sharing.leave()

    def stop(self) -> None:
        """Ask ``run`` to return."""
        self._readiness.stop()

    @property
    def ready(self) -> bool:
        """Whether recovery is done."""
        return self._readiness.is_recovered

    def running(self) -> frozenset[str] | None:
        """The releases that have not ended; null until recovery is done, when not all of them are known yet."""
        return frozenset(session.release_id for session in self._registry.running()) if self.ready else None

    @property
    def problems(self) -> Mapping[str, str | None]:
        """What the engine cannot do without, with why it does not work; null when it does."""
        recovery = None if self.ready else "sessions are being read back"
        problems = {"recovery": recovery, "store": self._checkpoints.standing.problem}
        shared = self._ports.shared
        return problems if shared is None else problems | {"replicas": shared.sharing.problem}

    @property
    def handicaps(self) -> Mapping[str, str | None]:
        """What it can work without, though releases wait for it: telemetry, where events come from, where verdicts go."""
        telemetry = {ticker.standing.component: ticker.standing.problem for ticker in self._tickers}
        sources = {source.component: source.problem for source in self._sources}
        return telemetry | sources | {"verdicts": self._supervisor.held_up.problem}

    @property
    def verdicts_held_up(self) -> int:
        """How many verdicts could not be published yet."""
        return self._supervisor.held_up.verdicts

    # --- ReleaseService -------------------------------------------------------------------------------------------------------

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        """Begin watching; see ``ports.service.ReleaseService``."""
        return await self._dispatcher.submit(release, release_id=release_id, sender=sender, announced_at=announced_at)

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        """The one that is under way; see ``ports.service.ReleaseService``."""
        return await self._dispatcher.attempt(release, release_id=release_id, sender=sender, silence_seconds=silence_seconds)

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word; see ``ports.service.ReleaseService``."""
        return await self._dispatcher.command(release_id, command)

    def views(self) -> Sequence[ReleaseView]:
        """Those that this replica has; see ``ports.service.ReleaseService``."""
        return self._lookup.views()

    async def all_views(self) -> Sequence[ReleaseView]:
        """The same, with those that are running elsewhere."""
        return await self._lookup.all_views()

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended."""
        return await self._lookup.view(release_id)

    # --- FreezeService ------------------------------------------------------------------------------------------------------

    @property
    def freezes(self) -> Sequence[Freeze]:
        """Those that are in force."""
        return self._freezes.current

    async def freeze(self, freeze: Freeze) -> None:
        """Keep it; see ``ports.service.FreezeService``."""
        await self._readiness.required()
        await self._freezes.freeze(freeze)

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """End one; see ``ports.service.FreezeService``."""
        await self._readiness.required()
        return await self._freezes.thaw(namespace, by=by, reason=reason)

    # --- Feed -------------------------------------------------------------------------------------------------------

    def subscribe(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> AbstractContextManager[AsyncIterator[ReleaseChange]]:
        """Follow all releases, or one; see ``ports.service.Feed``."""
        return self._registry.changes.subscribe(limit=limit, after=after, release_id=release_id)

    # --- Verdicts ---------------------------------------------------------------------------------------------------

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict, waiting for it at most so long."""
        return await self._lookup.wait(release_id, seconds=seconds)

    async def record(self, release_id: str) -> Record | None:
        """The decision record; see ``ports.service.Verdicts``."""
        return await self._lookup.record(release_id)

    # --- loops ------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        ports = self._ports
        await answered(ports, self._freezes.load)
        await answered(ports, self._outlines.load)
        await report_lost(self._state)
        if ports.shared is None:
            await self._take_up(lambda release: True)
        self._readiness.recovered()
        self._tickers = self._made_tickers()
        async with TaskGroup() as group:
            if ports.shared is not None:
                self._share(ports.shared, group)
            for ticker in self._tickers:
                group.create_task(ticker.run(), name=f"ticks {ticker.name}")
            self._take_what_comes(group)

    async def _take_up(self, mine: Callable[[Release], bool]) -> None:
        """Go on with what was kept of these."""
        await recover(self._state, mine, supervisor=self._supervisor)

    def _share(self, shared: Shared, group: TaskGroup) -> None:
        """What a replica does beside watching."""
        ports, sharing = self._ports, shared.sharing
        moves = Takeover(
            sharing,
            self._state,
            supervisor=self._supervisor,
            admissions=lambda: self._admission.tasks,
            recover=self._take_up,
            group=group,
        )
        group.create_task(sharing.run(moves), name="replicas")
        group.create_task(self._followed("freezes", self._freezes.follow, seconds=_FREEZES_SECONDS), name="freezes")
        neighbours = Neighbours(self._checkpoints.kept, registry=self._registry, clock=ports.clock, meter=ports.meter)
        group.create_task(neighbours.follow(), name="releases of other replicas")
        waiting = self._followed("announcements", self._outlines.load, seconds=_OUTLINES_SECONDS)
        group.create_task(waiting, name="announcements that wait")
        group.create_task(shared.carrier.answer(sharing.me, self._dispatcher.answer), name="words of other replicas")

    async def _followed(self, what: str, read: Callable[[], Awaitable[None]], *, seconds: float) -> NoReturn:
        """What is said to another replica, or done there, is known here soon."""
        while True:
            await self._ports.clock.sleep(seconds)
            try:
                await read()
            except VerdictdError as error:
                self._ports.meter.failed(what, error)

    def _leave(self, release_id: str) -> None:
        """The release is another verdictd's: nothing more is done about it here."""
        session = self._registry.leave(release_id)
        self._ports.meter.left(release_id)
        if session is not None:
            self._supervisor.leave(session)

    def _take_what_comes(self, group: TaskGroup) -> None:
        """A task for each source of events, and one for commands."""
        ports = self._ports
        for name, source in ports.events.items():
            events = EventConsumer(name, source, releases=self, clock=ports.clock, meter=ports.meter)
            self._sources.append(events.upkeep)
            group.create_task(events.run(), name=f"events {name}")
        commands = CommandConsumer(ports.commands, releases=self, clock=ports.clock, meter=ports.meter)
        self._sources.append(commands.upkeep)
        group.create_task(commands.run(), name="commands")

    def _made_tickers(self) -> list[Ticker]:
        ports = self._ports
        return [
            Ticker(
                name,
                ports.telemetry[name],
                meshes=frozenset(key for key, mesh in ports.meshes.items() if mesh.telemetry == name),
                registry=self._registry,
                checkpoints=self._checkpoints,
                clock=ports.clock,
                meter=ports.meter,
                decided=self._supervisor.decided,
                waits=self._supervisor.begin,
                weights=weights,
                recorder=ports.recorder,
            )
            for name, weights in self._supervisor.weights.items()
        ]
