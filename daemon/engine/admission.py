"""The door: a release that cannot be watched is refused here, with the reason and the fix, before anything is kept."""

import msgspec

from config.identity import policy_hash
from config.policy import Policy
from daemon.engine import session as life
from daemon.engine.session import Session
from daemon.engine.world import World
from daemon.errors import InvalidInput, Refused
from daemon.model import Release


def admit(world: World, release: Release, *, release_id: str, running: int) -> Session:
    """A session for this release, with what it left out filled in.

    Raises:
        InvalidInput: it names a cluster, mesh or policy that is not here, or a watch that cannot be judged.
        Refused: as many releases as allowed are being watched already.
    """
    if running >= world.limits.max_releases:
        raise Refused(f"{running} releases are being watched already; raise limits.max_releases or run another daemon")
    if release.cluster not in {None, world.cluster}:
        wrong = f"this daemon watches cluster {world.cluster!r}, not {release.cluster!r}"
        raise InvalidInput(wrong, path="$.cluster", fix="leave it out, or send the event to that cluster's daemon")
    mesh_name = _mesh_name(world, release)
    policy = _policy(world, release)
    telemetry = world.telemetry[world.meshes[mesh_name].telemetry]
    session = life.admitted(
        msgspec.structs.replace(release, mesh=mesh_name, cluster=world.cluster),
        release_id=release_id,
        policy=policy,
        policy_hash=policy_hash(policy),
        cluster=world.cluster,
        tick_seconds=telemetry.tick_seconds,
        split=telemetry.split,
        now=world.clock.now(),
    )
    _check_terms(session)
    return session


def _mesh_name(world: World, release: Release) -> str:
    if release.mesh is None and len(world.meshes) == 1:
        return next(iter(world.meshes))
    fix = f"use one of: {', '.join(sorted(world.meshes)) or 'none is configured'}"
    if release.mesh is None:
        raise InvalidInput("the release names no mesh, and there is not just one", path="$.mesh", fix=fix)
    if release.mesh not in world.meshes:
        raise InvalidInput(f"no mesh {release.mesh!r}", path="$.mesh", fix=fix)
    return release.mesh


def _policy(world: World, release: Release) -> Policy:
    policy = world.policies.get(release.policy)
    if policy is None:
        raise InvalidInput(f"no policy {release.policy!r}", path="$.policy", fix=f"use one of: {', '.join(sorted(world.policies))}")
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
