"""Admission: a release is checked, made durable, and only then there for everybody else; or it joins the one of its canary.

One that cannot be watched is refused here, with the reason and the fix, before anything is kept. Until its first checkpoint is
safe a release is in no registry: nobody can speak to it, supersede it or count on it. The work belongs to the engine, not to who
asked: a client that hangs up leaves a release that is watched all the same, and whoever asks for the same id meanwhile waits for
the same answer. The announcements of one service have their turns, so that two of one canary cannot both begin. One that joins is
kept too before it is answered: the release with what it adds, then the id by which its sender knows it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from config.identity import policy_hash
from config.policy import Policy
from daemon import names
from daemon.aio.tasks import TaskGroup
from daemon.armpods import PodsByArm
from daemon.engine import fanout, joining, lifecycle, promotions, strategies
from daemon.engine.aliases import Aliases
from daemon.engine.dependencies import Ports
from daemon.engine.joining import Arms, Newcomer
from daemon.engine.latecomers import Latecomers
from daemon.engine.promotions import Promotions, Told
from daemon.engine.session import Session
from daemon.engine.state import EngineState
from daemon.engine.supervisor import Supervisor
from daemon.errors import InvalidInput, Refused, Unavailable, VerdictdError
from daemon.logs import release_bound
from daemon.model import Release, Stage

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_ACCEPT_SECONDS = 5.0
_LOOK_SECONDS = 2.0
"""For the pods of two releases whose words do not tell whether they are one."""
_MOST_UNDER_WAY = 1_000
_MOST_ATTEMPTS = 20
"""Senders of one release that are kept."""
WITHOUT_THE_SLOW_END = "name a policy that does not require it"


class Admission:
    """Admits one release at a time for each id. The work belongs to ``group``."""

    def __init__(
        self,
        state: EngineState,
        *,
        aliases: Aliases,
        promotions: Promotions,
        supervisor: Supervisor,
        latecomers: Latecomers,
        group: TaskGroup,
    ) -> None:
        self._ports = state.ports
        self._registry = state.registry
        self._aliases = aliases
        self._promotions = promotions
        self._checkpoints = state.checkpoints
        self._supervisor = supervisor
        self._tenure = state.tenure
        self._lull = state.lull
        self._latecomers = latecomers
        self._group = group
        self._under_way: dict[str, asyncio.Task[str | Exception]] = {}
        self._beginning = 0
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @property
    def tasks(self) -> list[asyncio.Task[str | Exception]]:
        """The admissions under way."""
        return list(self._under_way.values())

    async def admit(self, newcomer: Newcomer) -> str:
        """Admit the release, unless it is in, or was; gives the id of the one that is meant.

        Raises as ``ReleaseService.submit``, and ``Unavailable``.
        """
        release_id = newcomer.release_id
        task = self._under_way.get(release_id)
        if task is None:
            if len(self._under_way) >= _MOST_UNDER_WAY:
                raise Refused(f"{len(self._under_way)} announcements are being looked at already; try again later")
            task = self._group.create_task(self._outcome(newcomer), name=f"admission {release_id}")
            self._under_way[release_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(release_id))
        await asyncio.wait([task])
        if task.cancelled():
            raise Unavailable("the daemon is stopping; try again")
        if isinstance(outcome := task.result(), Exception):
            raise outcome
        return outcome

    async def _outcome(self, newcomer: Newcomer) -> str | Exception:
        """What ``_admit`` gave or raised, as a value: in a group, an error that gets out ends everything."""
        with release_bound(newcomer.release_id), self._lull.busy():
            try:
                return await self._admit(newcomer)
            except Exception as error:  # noqa: BLE001 - raised again for whoever asked
                return error

    async def _admit(self, newcomer: Newcomer) -> str:
        release_id, release = newcomer.release_id, newcomer.release
        if await self._ports.records.get(release_id) is not None:
            return release_id
        if (meant := await self._aliases.meant_by(release_id)) is not None:
            return meant
        async with self._turns.setdefault((release.namespace, release.service), asyncio.Lock()):
            if release_id in self._registry:
                return release_id
            if (session := await self._met(newcomer)) is not None:
                return await self._join(session, newcomer)
            await self._begin(newcomer)
        return release_id

    async def _begin(self, newcomer: Newcomer) -> None:
        """A release of its own, which supersedes what else of its service is being watched."""
        running = len(self._registry) + self._beginning
        session = admitted(
            self._ports,
            newcomer.release,
            release_id=newcomer.release_id,
            running=running,
            announced_at=newcomer.announced_at,
            sender=newcomer.sender,
        )
        self._beginning += 1
        try:
            session = self._returning(session, told=await self._told(session.release))
            session = self._tenure.marked(session, now=self._ports.clock.now())
            if not await self._keep(session):
                return
        finally:
            self._beginning -= 1
        about = {"service": session.release.service, "namespace": session.release.namespace, "mesh": session.release.mesh}
        if session.returns:
            about["returns"] = session.returns
        log.info("submitted", extra={**about, "sender": newcomer.sender})
        if not self._tenure.is_here(session.release):
            raise Unavailable("its service has gone to another replica meanwhile; try again")
        self._registry.put(session)
        self._ports.meter.admitted(newcomer.release_id, session.release)
        if self._supervisor.supersede_rivals(session):
            self._supervisor.begin(newcomer.release_id)

    async def _told(self, release: Release) -> tuple[Told, ...]:
        """What was promoted of its service. Raises ``Unavailable``."""
        return await _in_time(self._promotions.of(release))

    def _returning(self, session: Session, *, told: Sequence[Told], to: str = "") -> Session:
        """It as a return, where it is one; ``to`` is what is known already of the release."""
        now = self._ports.clock.now()
        if not to:
            others = self._registry.of_service(session.release)
            promotion = promotions.standing(session.release, session.policy, told=told, sessions=others, now=now)
            to = promotions.words(promotion) if promotion is not None else ""
        return lifecycle.returning(session, to, now=now) if to else session

    async def _met(self, newcomer: Newcomer) -> Session | None:
        """The release that the newcomer means; null: it is another one."""
        sessions = self._registry.of_service(newcomer.release)
        for session, arms in joining.candidates(newcomer, sessions, now=self._ports.clock.now()):
            if arms is Arms.SAME or await self._are_same(newcomer.release, session.release):
                return session
        return None

    async def _are_same(self, one: Release, other: Release) -> bool:
        """Whether the arms are the same pods. Where that cannot be looked at now, it is not known that they are."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS), TaskGroup() as group:
                looks = [group.create_task(self._pods(release)) for release in (one, other)]
        except TimeoutError:
            return False
        return joining.same_pods(*(look.result() for look in looks))

    async def _pods(self, release: Release) -> PodsByArm | None:
        try:
            mesh = self._ports.meshes[names.mesh(release.mesh, configured=self._ports.meshes)]
            return (await fanout.locate(mesh.clusters, release)).pods
        except VerdictdError:
            return None

    async def _join(self, session: Session, newcomer: Newcomer) -> str:
        """What the newcomer adds is kept with the release, and then that its id is the release's."""
        release_id, sender = session.release_id, newcomer.sender
        told = await self._told(newcomer.release)
        session = self._registry.get(release_id)  # the pods may have been looked at meanwhile
        await self._answer(session, newcomer)
        together = joining.together(session, newcomer)
        attempts = session.attempts
        if attempts.get(sender) != newcomer.release_id:
            if len(attempts) >= _MOST_ATTEMPTS:
                raise Refused(f"release {release_id} of this canary was announced by {len(attempts)} senders already")
            now = self._ports.clock.now()
            if session.stage in {Stage.LOCATING, Stage.WATCHING} and together != session.release:
                as_new = admitted(self._ports, together, release_id=release_id, running=0, sender=sender)
                as_new = self._returning(as_new, told=told, to=session.returns)
                session = lifecycle.added(session, as_new=as_new, sender=sender, now=now)
            self._registry.put(lifecycle.joined(session, release_id=newcomer.release_id, sender=sender, now=now))
        if (current := self._registry.find_running(release_id)) is not None:
            await _in_time(self._checkpoints.saved(current))
        await _in_time(self._aliases.keep(newcomer.release_id, release_id=release_id))
        log.info("joined", extra={"joins": release_id, "sender": sender})
        return release_id

    async def _answer(self, session: Session, newcomer: Newcomer) -> None:
        """Where a job waits that the verdict will not answer: it comes again until that is there, and is answered then.

        Raises ``Unavailable`` until then.
        """
        if newcomer.release.github_rule is None or session.attempts.get(newcomer.sender) == newcomer.release_id:
            return
        if session.verdict is not None and session.stage in {Stage.GUARDING, Stage.ENDED}:
            release, verdict = await _in_time(self._latecomers.standing(session))
            await self._latecomers.answer(newcomer.release, release_id=newcomer.release_id, release=release, verdict=verdict)
        elif joining.comes_second(session, newcomer):
            raise Unavailable(f"release {session.release_id} answers another job, or has been decided; try again when it is told")

    async def _keep(self, session: Session) -> bool:
        """Whether it is new. Another process may have ended it since the records were asked: who ends a release keeps its record
        first and then removes the session, so that a record is there by now wherever ours could be written."""
        try:
            await _in_time(self._checkpoints.saved(session))
        except Unavailable:
            self._checkpoints.remove(session.release_id)
            raise
        except Refused as error:
            raise InvalidInput(f"the release cannot be kept: {error}", fix="shorten it, or mend what the store says") from error
        is_new = False
        try:
            is_new = await _in_time(self._ports.records.get(session.release_id)) is None
        finally:
            if not is_new:
                self._checkpoints.remove(session.release_id)
        return is_new


async def _in_time(kept: Awaitable[Answer]) -> Answer:
    """Wait until it is kept, or read. Raises ``Unavailable`` where that takes too long."""
    try:
        async with asyncio.timeout(_ACCEPT_SECONDS):
            return await kept
    except TimeoutError as error:
        raise Unavailable("the store did not take the release in time; nothing is being watched; try again") from error


def admitted(
    ports: Ports, release: Release, *, release_id: str, running: int, announced_at: float | None = None, sender: str = ""
) -> Session:
    """A session for this release, with what it left out filled in. ``announced_at``, in seconds since 1970; null: now.

    Raises:
        InvalidInput: it names a cluster, mesh or policy that is not here, or a watch that cannot be counted, judged or acted on.
        Refused: as many releases as allowed are being watched already.
    """
    if running >= ports.limits.max_releases:
        raise Refused(f"{running} releases are being watched already; raise limits.max_releases or run another daemon")
    if release.cluster not in {None, ports.cluster}:
        wrong = f"this daemon watches cluster {ports.cluster!r}, not {release.cluster!r}"
        raise InvalidInput(wrong, path="$.cluster", fix="leave it out, or send the event to that cluster's daemon")
    mesh_name = names.mesh(release.mesh, configured=ports.meshes)
    policy, mesh = _policy(ports, release), ports.meshes[mesh_name]
    telemetry = ports.telemetry[mesh.telemetry]
    if mesh.observed_only and policy.mode == "enforce":
        raise InvalidInput(mesh.observed_only, path="$.mesh", fix="name a policy whose mode is observe")
    if reason := telemetry.cannot_count(release):
        raise InvalidInput(reason, path="$.protocol", fix="take it back by hand where it goes wrong (verdictd revert)")
    if untold := telemetry.cannot_tell(policy.failures):
        wrong, _, fix = untold[0].rpartition("; ")
        raise InvalidInput(f"policy {release.policy!r} cannot be honoured: {wrong}", path="$.policy", fix=fix)
    strategies.check(release, policy)
    mesh.of(release.strategy)  # one that does not know its arms is refused
    if reason := never_shown(policy, timed=telemetry.timed(release)):
        raise InvalidInput(f"policy {release.policy!r} cannot be honoured: {reason}", path="$.policy", fix=WITHOUT_THE_SLOW_END)
    session = lifecycle.admitted(
        msgspec.structs.replace(release, mesh=mesh_name, cluster=ports.cluster),
        release_id=release_id,
        policy=policy,
        policy_hash=policy_hash(policy),
        cluster=ports.cluster,
        tick_seconds=telemetry.tick_seconds,
        split=telemetry.split,
        timed=telemetry.timed(release),
        announced_at=announced_at,
        sender=sender,
        now=ports.clock.now(),
    )
    _check_terms(session)
    return session


def never_shown(policy: Policy, *, timed: bool) -> str:
    """What a policy wants shown that cannot be, where no latency is known; empty for nothing."""
    if timed or not policy.tolerances.latency.require_slow_end:
        return ""
    return "it requires the slow end of latency to be shown (tolerances.latency.require_slow_end), and no latency is known of TCP"


def _policy(ports: Ports, release: Release) -> Policy:
    policy = ports.policies.get(release.policy)
    if policy is None:
        raise InvalidInput(f"no policy {release.policy!r}", path="$.policy", fix=f"use one of: {', '.join(sorted(ports.policies))}")
    return msgspec.structs.replace(policy, mode="observe") if release.observe else policy


def _check_terms(session: Session) -> None:
    if session.window_seconds < session.tick_seconds:
        short = (
            f"a watch of {session.window_seconds:g} s is shorter than one tick ({session.tick_seconds:g} s): nothing could be seen"
        )
        raise InvalidInput(short, path="$.deadline", fix="lengthen the release's deadline or the policy's window_seconds")
    try:
        _ = session.terms
    except ValueError as error:
        raise InvalidInput(str(error), path="$", fix="change the policy or the release's deadline") from error
