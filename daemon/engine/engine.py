"""The engine: releases come in, are watched together, and are carried to their ends; here is what holds its parts together.

It knows the world through ports only. Every task belongs to one TaskGroup, and the end has an order: no new work, reverts
under way finished, what is known written down.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from daemon import stored
from daemon.aio.tasks import cancel_all
from daemon.engine import deciding
from daemon.engine.admission import Admission
from daemon.engine.afar import Afar
from daemon.engine.aliases import Aliases
from daemon.engine.attempts import Attempts
from daemon.engine.carrying import Carrying, Inquiry, Said, Submission, Word
from daemon.engine.carrying import answered as answered_for_another
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Ports, Shared
from daemon.engine.eventconsumer import CommandConsumer, EventConsumer, Upkeep
from daemon.engine.feed import view, whole_view
from daemon.engine.freezing import Freezes
from daemon.engine.joining import Newcomer
from daemon.engine.keptforms import decode_record, record_of
from daemon.engine.neighbours import Neighbours
from daemon.engine.outlines import Outlines
from daemon.engine.promotions import Promotions
from daemon.engine.recovery import answered, recover, report_lost
from daemon.engine.registry import Registry
from daemon.engine.session import owner_of
from daemon.engine.supervisor import Supervisor
from daemon.engine.takeover import Takeover
from daemon.engine.tenure import Tenure
from daemon.engine.ticker import Ticker
from daemon.errors import CameToNothing, Elsewhere, NotFound, Refused, Unavailable, VerdictdError
from daemon.model import Command, Freeze, Outline, Record, Release, ReleaseView, Stage, Verdict
from daemon.ports.service import ReleaseChange

log = logging.getLogger(__name__)

_SENDER_CHARACTERS = 200
_FINISH_REVERTS_SECONDS = 2.0
FLUSH_SECONDS = 0.5
_RECOVERY_PATIENCE_SECONDS = 5.0
_FREEZES_SECONDS = 1.0
_OUTLINES_SECONDS = 10.0
_OUTLINE_SECONDS = 1.0
"""How often it is looked whether another replica has made a release of an announcement that waits, for each that asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtWork:
    """What there is only while the engine runs."""

    supervisor: Supervisor
    admission: Admission


class Engine:
    """Watches releases. Implements the ports ``ReleaseService``, ``Feed`` and ``Verdicts``; ``run`` is its life."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._registry = Registry(max_ended=ports.limits.max_ended)
        self._shared = ports.shared
        self._tenure = Tenure(None if ports.shared is None else ports.shared.sharing, clock=ports.clock)
        self._checkpoints = Checkpoints(
            ports.sessions,
            records=ports.records,
            clock=ports.clock,
            meter=ports.meter,
            leave=self._leave,
            number=self._tenure.number,
        )
        self._afar = Afar(self._checkpoints.kept, registry=self._registry, tenure=self._tenure)
        self._aliases = Aliases(ports.aliases)
        self._freezes = Freezes(ports.freezes, ports.clock, audit=ports.audit, cluster=ports.cluster, meter=ports.meter)
        self._promotions = Promotions(ports.promotions)
        self._attempts = Attempts(self._registry, now=ports.clock.now)
        self._outlines = Outlines(ports)
        self._tickers: list[Ticker] = []
        self._sources: list[Upkeep] = []
        self._at_work: _AtWork | None = None
        self._stopping = asyncio.Event()
        self._recovered = asyncio.Event()

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then watch until ``stop``. Returns within 5 s of it, with everything needed to go on kept safe."""
        with closing(self._registry.changes):
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(
                self._ports,
                registry=self._registry,
                checkpoints=self._checkpoints,
                freezes=self._freezes,
                promotions=self._promotions,
                tenure=self._tenure,
                group=group,
            )
            admission = Admission(
                self._ports,
                registry=self._registry,
                aliases=self._aliases,
                promotions=self._promotions,
                checkpoints=self._checkpoints,
                supervisor=supervisor,
                tenure=self._tenure,
                group=group,
            )
            self._at_work = _AtWork(supervisor=supervisor, admission=admission)
            writer = group.create_task(self._checkpoints.run(), name="checkpoints")
            watching = group.create_task(self._watch(supervisor, admission), name="watching")
            accounting = group.create_task(self._freezes.account(), name="audit of freezes")
            await self._stopping.wait()
            await cancel_all([watching, *admission.tasks])
            await self._finish_reverts(supervisor)
            await cancel_all(list(supervisor.tasks.values()))
            if not await self._checkpoints.flush(seconds=FLUSH_SECONDS):
                log.error(
                    "stopped with unwritten checkpoints",
                    extra={"hint": "the broker did not answer; the last ticks are judged again"},
                )
            await cancel_all([writer, accounting])
            await asyncio.gather(*(ticker.written(seconds=FLUSH_SECONDS) for ticker in self._tickers))
            if self._shared is not None:
                await self._shared.sharing.leave()

    def stop(self) -> None:
        """Ask ``run`` to return."""
        self._stopping.set()

    @property
    def ready(self) -> bool:
        """Whether recovery is done."""
        return self._recovered.is_set()

    def running(self) -> frozenset[str] | None:
        """The releases that have not ended; null until recovery is done, when not all of them are known yet."""
        return frozenset(session.release_id for session in self._registry.running()) if self.ready else None

    @property
    def problems(self) -> Mapping[str, str | None]:
        """What the engine cannot do without, with why it does not work; null when it does."""
        recovery = None if self.ready else "sessions are being read back"
        problems = {"recovery": recovery, "store": self._checkpoints.standing.problem}
        return problems if self._shared is None else problems | {"replicas": self._shared.sharing.problem}

    @property
    def handicaps(self) -> Mapping[str, str | None]:
        """What it can work without, though releases wait for it: the telemetry sources, and where events and commands come from."""
        telemetry = {ticker.standing.component: ticker.standing.problem for ticker in self._tickers}
        return telemetry | {source.component: source.problem for source in self._sources}

    # --- ReleaseService -------------------------------------------------------------------------------------------------------

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        """Begin watching; see ``ports.service.ReleaseService``. Raises ``Unavailable`` while it cannot be made durable."""
        at_work = await self._working()
        if isinstance(release, Outline):
            with suppress(NotFound):
                return await self.view(release_id)
            sender = sender[:_SENDER_CHARACTERS]
            return await self._outlines.keep(release, release_id=release_id, sender=sender, announced_at=announced_at)
        if self._shared is not None:
            said = Submission(release=release, release_id=release_id, sender=sender, announced_at=announced_at)
            if (there := await self._carried(self._shared, said, of=release)) is not None:
                return there
        if release_id not in self._registry:
            newcomer = Newcomer(
                release=release, release_id=release_id, sender=sender[:_SENDER_CHARACTERS], announced_at=announced_at
            )
            release_id = await at_work.admission.admit(newcomer)
        return await self.view(release_id)

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        """The one that is under way; see ``ports.service.ReleaseService``."""
        await self._working()
        if self._shared is not None:
            said = Inquiry(release=release, release_id=release_id, sender=sender, silence_seconds=silence_seconds)
            if (there := await self._carried(self._shared, said, of=release)) is not None:
                return there
        async with self._attempts.turn(release):
            if not self._tenure.is_here(release):
                raise Unavailable("its service has gone to another replica meanwhile; try again")
            if (meant := self._attempts.meant(release, silence_seconds=silence_seconds)) is not None:
                return await self.view(meant)
            return await self.submit(release, release_id=release_id, sender=sender)

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word; see ``ports.service.ReleaseService``."""
        at_work = await self._working()
        release_id = await self._meant_by(release_id)
        waits = await self._waits(release_id) is not None
        if waits and (withdrawn := await self._outlines.command(release_id, command)) is not None:
            return withdrawn
        session = self._registry.find_running(release_id)
        if session is None and self._shared is not None and (kept := await self._afar.find(release_id)) is not None:
            said = Word(release_id=release_id, command=command)
            if (there := await self._carried(self._shared, said, of=kept.release)) is not None:
                return there
            session = self._registry.find_running(release_id)
        if session is None or session.stage not in {Stage.LOCATING, Stage.WATCHING}:
            raise Refused(f"release {release_id} is decided already: {await self._decision(release_id)}")
        if not self._tenure.is_sure():
            raise Unavailable("this replica is not sure that the release is still its own; try again")
        after = deciding.commanded(session, command, now=self._ports.clock.now())
        at_work.supervisor.decided(after)
        return view(after)

    def views(self) -> Sequence[ReleaseView]:
        """All running releases and the recently ended ones that this replica has, newest first."""
        return self._registry.views()

    async def all_views(self) -> Sequence[ReleaseView]:
        """The same, with those that are running elsewhere."""
        elsewhere = await self._afar.views()
        if not elsewhere:
            return self.views()
        return sorted([*elsewhere, *self.views()], key=lambda one: (one.submitted_at, one.id), reverse=True)

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended."""
        await self._working()
        release_id = await self._meant_by(release_id)
        if release_id in self._registry:
            return whole_view(self._registry.get(release_id))
        if (waiting := await self._waits(release_id)) is not None:
            return waiting
        if (there := await self._afar.find(release_id)) is not None:
            return whole_view(there)
        record = await self._kept_record(release_id)
        return ReleaseView(
            id=release_id,
            release=record.release,
            stage=Stage.ENDED,
            submitted_at=record.marks[0].at,
            ticks=record.verdict.ticks,
            seconds=record.seconds or 0.0,
            owner=owner_of(record.marks),
            steps=record.marks,
            canary_requests=record.canary_requests or 0,
            baseline_requests=record.baseline_requests or 0,
            gaps=record.gaps or 0,
            evidence=record.verdict.evidence,
            boundary=record.verdict.boundary,
            after=record.verdict.after,
            verdict=record.verdict,
        )

    # --- FreezeService ------------------------------------------------------------------------------------------------------

    @property
    def freezes(self) -> Sequence[Freeze]:
        """Those that are in force."""
        return self._freezes.current

    async def freeze(self, freeze: Freeze) -> None:
        """Keep it; see ``ports.service.FreezeService``."""
        await self._working()
        await self._freezes.freeze(freeze)

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """End one; see ``ports.service.FreezeService``."""
        await self._working()
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
        await self._working()
        release_id = await self._meant_by(release_id)
        until, left = asyncio.get_running_loop().time() + seconds, seconds
        while await self._waits(release_id) is not None:
            if left <= 0.0:
                return None
            await self._outlines.answered(release_id, seconds=min(left, _OUTLINE_SECONDS) if self._tenure.is_shared else left)
            left = max(0.0, until - asyncio.get_running_loop().time())
        if left < seconds:
            release_id = await self._meant_by(release_id)

        async def ended() -> Verdict:
            return (await self._kept_record(release_id)).verdict

        return await self._afar.wait(release_id, seconds=left, ended=ended)

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null while there is no verdict. It may grow while the revert is guarded, and never after."""
        await self._working()
        release_id = await self._meant_by(release_id)
        session = self._registry.find_running(release_id) or await self._afar.find(release_id)
        if session is not None:
            return record_of(session) if session.stage is Stage.GUARDING else None
        with suppress(NotFound):
            return await self._kept_record(release_id)
        self._registry.get(release_id)
        return None

    async def _waits(self, release_id: str) -> ReleaseView | None:
        """An announcement that waits for its arms; null where it is a release by now, also one of another replica's."""
        waiting = self._outlines.find(release_id)
        if waiting is None or not self._tenure.is_shared:
            return waiting
        if release_id in self._registry or await self._afar.find(release_id) is not None:
            return None
        return None if await self._ports.records.get(release_id) is not None else waiting

    async def _meant_by(self, release_id: str) -> str:
        """The release that is known by this id: its own, or that of an announcement which joined it."""
        if release_id in self._registry:
            return release_id
        return await self._aliases.meant_by(release_id) or release_id

    async def _kept_record(self, release_id: str) -> Record:
        kept = await self._ports.records.get(release_id)
        if kept is None:
            if (why := await self._checkpoints.kept.elsewhere(release_id)) is not None:
                raise Elsewhere(f"release {release_id}: {why}")
            if (over := self._outlines.over(release_id)) is not None:
                raise CameToNothing(f"no release {release_id!r}", why=over.why, since=over.since, at=over.at)
            raise NotFound(f"no release {release_id!r}")
        try:
            return decode_record(kept.value)
        except stored.NewerForm as error:
            raise Elsewhere(f"release {release_id}: its record was {error}") from error
        except stored.Unreadable as error:
            raise stored.Unreadable(f"the record of release {release_id} cannot be read: {error}") from error

    async def _decision(self, release_id: str) -> str:
        """Why a release is not open to a person's word any more. Raises ``NotFound``."""
        if release_id not in self._registry:
            return (await self._kept_record(release_id)).verdict.reason
        session = self._registry.get(release_id)
        return session.decision.reason if session.decision else session.stage

    async def _working(self) -> _AtWork:
        """The engine at work: nothing is answered before what was under way is known again, or after the end has begun.

        Raises:
            Unavailable: it is still recovering, or stopping.
        """
        if not self._recovered.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECOVERY_PATIENCE_SECONDS):
                    await self._recovered.wait()
        if self._stopping.is_set():
            raise Unavailable("the daemon is stopping; try again")
        if self._at_work is None or not self._recovered.is_set():
            raise Unavailable("sessions are being read back; try again")
        return self._at_work

    def _leave(self, release_id: str) -> None:
        """The release is another verdictd's: nothing more is done about it here."""
        session = self._registry.leave(release_id)
        self._ports.meter.left(release_id)
        if session is not None and self._at_work is not None:
            self._at_work.supervisor.leave(session)

    # --- loops ------------------------------------------------------------------------------------------------------

    async def _watch(self, supervisor: Supervisor, admission: Admission) -> None:
        await answered(self._ports, self._freezes.load)
        await answered(self._ports, self._outlines.load)
        await report_lost(self._ports, self._checkpoints)
        take_up = partial(
            recover, self._ports, registry=self._registry, checkpoints=self._checkpoints, supervisor=supervisor, tenure=self._tenure
        )
        if self._shared is None:
            await take_up(lambda release: True)
        self._recovered.set()
        self._tickers = self._made_tickers(supervisor)
        async with asyncio.TaskGroup() as group:
            if self._shared is not None:
                sharing, carrier = self._shared.sharing, self._shared.carrier
                moves = Takeover(
                    sharing,
                    self._tenure,
                    registry=self._registry,
                    checkpoints=self._checkpoints,
                    supervisor=supervisor,
                    admissions=lambda: admission.tasks,
                    recover=take_up,
                    meter=self._ports.meter,
                    recorder=self._ports.recorder,
                    group=group,
                )
                group.create_task(sharing.run(moves), name="replicas")
                group.create_task(self._follow_freezes(), name="freezes")
                neighbours = Neighbours(
                    self._checkpoints.kept, registry=self._registry, clock=self._ports.clock, meter=self._ports.meter
                )
                group.create_task(neighbours.follow(), name="releases of other replicas")
                group.create_task(self._follow_outlines(), name="announcements that wait")
                group.create_task(carrier.answer(sharing.me, self._answered), name="words of other replicas")
            for ticker in self._tickers:
                group.create_task(ticker.run(), name=f"ticks {ticker.name}")
            self._take_what_comes(group)

    async def _follow_freezes(self) -> None:
        """What is said to another replica holds here too, soon."""
        while True:
            await self._ports.clock.sleep(_FREEZES_SECONDS)
            try:
                await self._freezes.follow()
            except VerdictdError as error:
                self._ports.meter.failed("freezes", error)

    async def _follow_outlines(self) -> None:
        """What waits at another replica, and does no more, is known here soon."""
        while True:
            await self._ports.clock.sleep(_OUTLINES_SECONDS)
            try:
                await self._outlines.load()
            except VerdictdError as error:
                self._ports.meter.failed("announcements", error)

    async def _answered(self, words: bytes) -> bytes:
        """What another replica has carried here. Where it has moved on meanwhile, it is carried there by whoever asks again."""
        return await answered_for_another(words, does=self._do)

    async def _do(self, said: Said) -> ReleaseView:
        match said:
            case Submission() | Inquiry() if not self._tenure.is_here(said.release):
                raise Unavailable("its service is not here")
            case Submission():
                return await self.submit(
                    said.release, release_id=said.release_id, sender=said.sender, announced_at=said.announced_at
                )
            case Inquiry():
                return await self.attempt(
                    said.release, release_id=said.release_id, sender=said.sender, silence_seconds=said.silence_seconds
                )
            case Word():
                there = await self._afar.find(said.release_id)
                if there is not None and not self._tenure.is_here(there.release):
                    raise Unavailable("its service is not here")
                return await self.command(said.release_id, said.command)
            case _:
                assert_never(said)

    async def _carried(self, shared: Shared, said: Said, *, of: Release) -> ReleaseView | None:
        """The answer of the replica that has the release's service; null: it is here."""
        carrying = Carrying(shared.carrier, lease_seconds=shared.lease_seconds, clock=self._ports.clock)
        return await carrying.carry(said, where=partial(self._tenure.other, of))

    def _take_what_comes(self, group: asyncio.TaskGroup) -> None:
        """A task for each source of events, and one for commands."""
        ports = self._ports
        for name, source in ports.events.items():
            events = EventConsumer(name, source, releases=self, clock=ports.clock, meter=ports.meter)
            self._sources.append(events.upkeep)
            group.create_task(events.run(), name=f"events {name}")
        commands = CommandConsumer(ports.commands, releases=self, clock=ports.clock, meter=ports.meter)
        self._sources.append(commands.upkeep)
        group.create_task(commands.run(), name="commands")

    def _made_tickers(self, supervisor: Supervisor) -> list[Ticker]:
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
                decided=supervisor.decided,
                waits=supervisor.begin,
                weights=weights,
                recorder=ports.recorder,
            )
            for name, weights in supervisor.weights.items()
        ]

    async def _finish_reverts(self, supervisor: Supervisor) -> None:
        """A revert under way is better finished than begun again."""
        reverting = {s.release_id for s in self._registry.running() if s.stage is Stage.REVERTING}
        tasks = [task for release_id, task in supervisor.tasks.items() if release_id in reverting]
        if tasks:
            await asyncio.wait(tasks, timeout=_FINISH_REVERTS_SECONDS)
