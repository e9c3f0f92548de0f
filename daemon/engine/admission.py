"""Admission: a release is checked, made durable, and only then there for everybody else.

One that cannot be watched is refused here, with the reason and the fix, before anything is kept. Until its first checkpoint is
safe a release is in no registry: nobody can speak to it, supersede it or count on it. The work belongs to the engine, not to who
asked: a client that hangs up leaves a release that is watched all the same, and whoever asks for the same id meanwhile waits for
the same answer.
"""

import asyncio
import logging

import msgspec

from config.identity import policy_hash
from config.policy import Policy
from daemon import names
from daemon.engine import lifecycle, strategies
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Ports
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.supervisor import Supervisor
from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.logs import release_bound
from daemon.model import Release

log = logging.getLogger(__name__)

_ACCEPT_SECONDS = 5.0
WITHOUT_THE_SLOW_END = "name a policy that does not require it"


class Admission:
    """Admits one release at a time for each id. The work belongs to ``group``."""

    def __init__(
        self, ports: Ports, *, registry: Registry, checkpoints: Checkpoints, supervisor: Supervisor, group: asyncio.TaskGroup
    ) -> None:
        self._ports = ports
        self._registry = registry
        self._checkpoints = checkpoints
        self._supervisor = supervisor
        self._group = group
        self._under_way: dict[str, asyncio.Task[Exception | None]] = {}

    @property
    def tasks(self) -> list[asyncio.Task[Exception | None]]:
        """The admissions under way."""
        return list(self._under_way.values())

    async def admit(self, release: Release, *, release_id: str, announced_at: float | None = None) -> None:
        """Admit the release, unless it is in, or was. Raises as ``ReleaseService.submit``, and ``Unavailable``."""
        task = self._under_way.get(release_id)
        if task is None:
            task = self._group.create_task(self._outcome(release, release_id, announced_at), name=f"admission {release_id}")
            self._under_way[release_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(release_id))
        await asyncio.wait([task])
        if task.cancelled():
            raise Unavailable("the daemon is stopping; try again")
        if (error := task.result()) is not None:
            raise error

    async def _outcome(self, release: Release, release_id: str, announced_at: float | None) -> Exception | None:
        """What ``_admit`` raised, as a value: in a group, an error that gets out ends everything."""
        with release_bound(release_id):
            try:
                await self._admit(release, release_id, announced_at)
            except Exception as error:  # noqa: BLE001 - raised again for whoever asked
                return error
        return None

    async def _admit(self, release: Release, release_id: str, announced_at: float | None) -> None:
        if await self._ports.records.get(release_id) is not None:
            return
        running = len(self._registry) + len(self._under_way) - 1
        session = admitted(self._ports, release, release_id=release_id, running=running, announced_at=announced_at)
        await self._keep(session)
        log.info("submitted", extra={"service": release.service, "namespace": release.namespace, "mesh": session.release.mesh})
        self._registry.put(session)
        self._ports.meter.admitted(release_id, session.release)
        if self._supervisor.supersede_rivals(session):
            self._supervisor.begin(release_id)

    async def _keep(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_ACCEPT_SECONDS):
                await self._checkpoints.saved(session)
        except TimeoutError as error:
            self._checkpoints.remove(session.release_id)
            raise Unavailable("the store did not take the release in time; nothing is being watched; try again") from error
        except Refused as error:
            raise InvalidInput(f"the release cannot be kept: {error}", fix="shorten it, or mend what the store says") from error


def admitted(ports: Ports, release: Release, *, release_id: str, running: int, announced_at: float | None = None) -> Session:
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
    return policy


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
