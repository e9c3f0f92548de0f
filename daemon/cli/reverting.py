"""``verdictd revert``: the manual fallback of the runbook. Routes are read, shown, and all traffic goes to the baseline.

It takes the same path as the daemon's own revert (``daemon.engine.reverting``), with the credentials of whoever calls it,
and needs neither the daemon nor NATS nor telemetry to be alive.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from config.errors import ConfigError, Fault
from config.settings import Mesh, Settings
from daemon import names
from daemon.aio.clock import SystemClock
from daemon.cli import meshfinding, rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import checked_release, load_release, refused
from daemon.cli.stdio import words_only
from daemon.clusters import KubeClients
from daemon.engine.fanout import FanOut
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.errors import InvalidInput
from daemon.meshes.registry import bare, why_observed_only
from daemon.model import Action, Release
from daemon.placement import Placement
from daemon.settings import load_settings

_SOURCE = "verdictd revert"


class Reverted(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints. ``action`` is null when nothing was done or it was a dry run; the rest is as in ``Placement``."""

    routes: tuple[str, ...]
    canary_percent: float
    baseline: str = ""
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    action: Action | None = None
    reason: str = ""


def run(options: argparse.Namespace) -> Exit:
    """The command: 0 when the traffic is back (or would be), 69 when it could not be taken back, whatever becomes of the words."""
    release = release_of(options)
    config = options.config or os.environ.get("VERDICTD_CONFIG")
    settings = Settings() if config is None else load_settings(config, environ=os.environ)
    meshes = bare() if config is None and release.mesh is None else {"NAME": _one_mesh(config, settings, release)}
    chosen = {name: value for name in ("kubeconfig", "context") if (value := getattr(options, name)) is not None}
    if chosen:
        for name, mesh in meshes.items():
            settings, meshes[name] = _of_one_cluster(settings, mesh, chosen)
    return asyncio.run(_revert(options, settings, meshes, release))


def _one_mesh(config: str | None, settings: Settings, release: Release) -> Mesh:
    """The release's mesh, which is one that is steered."""
    mesh = mesh_of(bare() if config is None else settings.meshes, release)
    if reason := why_observed_only(mesh):
        problem = Fault(path="--mesh", message=reason, fix="take the traffic back by the mesh's own means")
        raise ConfigError((problem,), source=_SOURCE)
    return mesh


def _of_one_cluster(settings: Settings, mesh: Mesh, chosen: Mapping[str, str]) -> tuple[Settings, Mesh]:
    """Whoever names a kubeconfig or a context means that cluster; the settings' further ones are left out, and that is said."""
    home, *further = settings.clusters_of(mesh)
    if further:
        print(f"verdictd: in the cluster that was named only, not in {', '.join(further)}", file=sys.stderr)
        mesh = msgspec.structs.replace(mesh, further_clusters=[])
    reached = msgspec.structs.replace(settings.clusters[home], **chosen)
    return msgspec.structs.replace(settings, kubernetes={**settings.clusters, home: reached}), mesh


def release_of(options: argparse.Namespace) -> Release:
    """The release that the options name. Raises ``ConfigError`` with every problem found."""
    given: dict[str, Any] = {
        name: value for name in ("service", "namespace", "mesh", "route") if (value := getattr(options, name)) is not None
    }
    arms = {
        name: arm_of(getattr(options, name), f"--{name}", source=_SOURCE)
        for name in ("baseline", "canary")
        if getattr(options, name)
    }
    if options.release is None:
        return checked_release({**given, **arms}, source=_SOURCE)
    document = msgspec.to_builtins(load_release(options.release))
    return checked_release({**document, **given, **arms}, source=options.release)


def mesh_of(meshes: Mapping[str, Mesh], release: Release) -> Mesh:
    """The release's mesh, or the only one there is. Raises ``ConfigError`` naming those there are."""
    try:
        return meshes[names.mesh(release.mesh, configured=meshes)]
    except InvalidInput as error:
        raise refused(error, source=_SOURCE) from error


def arm_of(pairs: list[str], option: str, *, source: str) -> dict[str, Any]:
    """The arm that an option names by KEY=VALUE. Raises ``ConfigError`` naming ``source``."""
    arm: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            problem = Fault(path=option, message=f"{pair!r} has no =", fix="write KEY=VALUE, for example subset=v2")
            raise ConfigError((problem,), source=source)
        if key.startswith("labels."):
            arm.setdefault("labels", {})[key.removeprefix("labels.")] = value
        else:
            arm[key] = value
    return arm


async def _revert(options: argparse.Namespace, settings: Settings, meshes: Mapping[str, Mesh], release: Release) -> Exit:
    async with AsyncExitStack() as stack:
        kubes = KubeClients(settings, stack)
        # Before any clock runs: its libraries take a second to import, and more on a busy machine.
        await kubes.connect(list(meshes.values()))
        opened = {name: kubes.open_mesh(mesh, name=name) for name, mesh in meshes.items()}
        clusters, placement = await meshfinding.locate(opened, release, seconds=settings.limits.locate_seconds)
        if not options.json:
            _show(placement)
        if options.dry_run or not (options.yes or _agreed()):
            if options.json:
                _print_json(placement, None)
            if not options.dry_run:
                print("verdictd: nothing was changed", file=sys.stderr)
            return Exit.OK if options.dry_run else Exit.USAGE
        reverting = FanOut(reverting=Reverting(clock=SystemClock(), limits=settings.limits, random=random.random))
        outcome = await reverting.run(clusters, release, located=placement.located)
        if outcome.action is Action.REVERT and outcome.reacts_within_seconds > 0:
            seconds = outcome.reacts_within_seconds
            print(
                f"verdictd: the traffic is back; looking for {seconds:g} s whether the routes' owner undoes that", file=sys.stderr
            )
            outcome = await reverting.hold(clusters, release, outcome, located=placement.located)
    with words_only(debug=options.debug):
        if options.json:
            _print_json(placement, outcome)
        else:
            print(rendering.clean(f"{outcome.action}: {outcome.reason}"))
            print("\n".join(rendering.step_lines(outcome.steps)))
    return Exit.OK if outcome.action is Action.REVERT else Exit.UNAVAILABLE


def _show(placement: Placement) -> None:
    print(f"the canary gets at most {placement.canary_percent:g} % of the traffic, through:")
    print("\n".join(rendering.clean(f"  {route}") for route in placement.routes))
    if placement.baseline:
        print(rendering.clean(f"the baseline: {placement.baseline}"))
    for remark in placement.remarks:
        print(rendering.clean(remark))


def _agreed() -> bool:
    if not sys.stdin.isatty():
        problem = Fault(
            path="--yes", message="is not given, and there is nobody to ask", fix="add --yes, or --dry-run to look only"
        )
        raise ConfigError((problem,), source=_SOURCE)
    return input("Send all of it to the baseline? [y/N] ").strip().lower() in {"y", "yes"}


def _print_json(placement: Placement, outcome: RevertOutcome | None) -> None:
    action, reason = (None, "") if outcome is None else (outcome.action, outcome.reason)
    reverted = Reverted(
        routes=tuple(str(one) for one in placement.routes),
        canary_percent=placement.canary_percent,
        baseline=placement.baseline,
        elsewhere=placement.elsewhere,
        unread=placement.unread,
        action=action,
        reason=reason,
    )
    print(rendering.as_json(reverted))
