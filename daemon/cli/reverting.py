"""``verdictd revert``: the manual fallback of the runbook. Routes are read, shown, and all traffic goes to the baseline.

It takes the same path as the daemon's own revert (``daemon.engine.reverting``), with the credentials of whoever calls it,
and needs neither the daemon nor NATS nor telemetry to be alive; the daemon can say what a release is, where only its id is known.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from config.errors import ConfigError, Fault
from config.settings import Mesh, Settings
from daemon.aio.clock import SystemClock
from daemon.cli import meshfinding, releaselookup, rendering, shownplan, steering
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.cli.releasefile import checked_release, load_release
from daemon.cli.shownplan import ReadyPods, ShownObject
from daemon.cli.stdio import words_only
from daemon.cli.undofile import UndoWriter
from daemon.engine import editing
from daemon.engine.editing import Plans
from daemon.engine.fanout import NOWHERE, FanOut
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.errors import NotFound, Unavailable
from daemon.model import Action, Release
from daemon.placement import Placement

_SOURCE = "verdictd revert"


class Reverted(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints.

    Attributes:
        baseline: who would serve, in a line; ``ready_pods`` says it in numbers, where the pods are known.
        elsewhere, unread: as of ``Placement``.
        objects: what would be written, where it was looked at; ``unknown``: of what that is not known, and why; ``blocked``: why
            nothing would be written.
        action: null when nothing was done, or it was a dry run.
    """

    routes: tuple[str, ...]
    canary_percent: float
    baseline: str = ""
    ready_pods: ReadyPods | None = None
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    objects: tuple[ShownObject, ...] = ()
    unknown: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    action: Action | None = None
    reason: str = ""


def run(options: argparse.Namespace) -> Exit:
    """The command: 0 when the traffic is back (or would be), else 69 or, where nothing may be written, 77, whatever is printed."""
    settings = steering.settings_of(options)
    release = release_of(options, settings=settings)
    settings, meshes = steering.meshes_of(options, settings, release, source=_SOURCE)
    return asyncio.run(_revert(options, settings, meshes, release))


def release_of(options: argparse.Namespace, *, settings: Settings | None = None) -> Release:
    """The release that the options name. Raises ``ConfigError`` with every problem found, and as ``releaselookup.find``."""
    given: dict[str, Any] = {
        name: value for name in ("service", "namespace", "mesh", "route") if (value := getattr(options, name)) is not None
    }
    arms = {
        name: arm_of(getattr(options, name), f"--{name}", source=_SOURCE)
        for name in ("baseline", "canary")
        if getattr(options, name)
    }
    told = {} if options.release is None else msgspec.to_builtins(load_release(options.release))
    source = options.release or _SOURCE
    if options.id is not None:
        try:
            api = client(options)
            told = msgspec.to_builtins(releaselookup.find(options.id, api=api, settings=settings))
            source = f"release {options.id}"
        except (NotFound, Unavailable) as error:
            if not {"service", "baseline", "canary"} <= {*told, *given, *arms}:
                raise
            print(rendering.clean(f"verdictd: {error}: the other options do"), file=sys.stderr)
    return checked_release({**told, **given, **arms}, source=source)


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
    async with steering.opened(settings, meshes) as opened:
        clusters, placement = await meshfinding.locate(opened, release, seconds=settings.limits.locate_seconds)
        asks = not (options.dry_run or options.yes)
        if asks or not options.json:
            _show(placement, file=sys.stderr if options.json else sys.stdout)
        plans = await editing.plan(clusters, release, located=placement.located) if options.dry_run or not options.yes else None
        if plans is not None and (asks or not options.json):
            _show_plans(placement, plans, file=sys.stderr if options.json else sys.stdout)
        if options.dry_run or (asks and not steering.agreed("Send all of it to the baseline?", source=_SOURCE)):
            if options.json:
                _print_json(placement, plans, None)
            if not options.dry_run:
                print("verdictd: nothing was changed", file=sys.stderr)
                return Exit.USAGE
            return Exit.OK if plans is None or plans.is_whole else Exit.UNAVAILABLE
        save = None if options.save is None else UndoWriter(options.save, release, source=_SOURCE)
        reverting = FanOut(reverting=Reverting(clock=SystemClock(), limits=settings.limits, random=random.random))
        undo_log = NOWHERE if save is None else save.log
        outcome = await reverting.run(clusters, release, located=placement.located, undo_log=undo_log)
        if outcome.action is Action.REVERT and outcome.reacts_within_seconds > 0:
            seconds = outcome.reacts_within_seconds
            print(
                f"verdictd: the traffic is back; looking for {seconds:g} s whether the routes' owner undoes that", file=sys.stderr
            )
            outcome = await reverting.hold(clusters, release, outcome, located=placement.located, undo_log=undo_log)
    with words_only(debug=options.debug):
        if save is not None and save.problem:
            print(rendering.clean(f"verdictd: {save.problem}"), file=sys.stderr)
        if options.json:
            _print_json(placement, plans, outcome)
        else:
            print(rendering.clean(f"{outcome.action}: {outcome.reason}"))
            print("\n".join(rendering.step_lines(outcome.steps)))
    if outcome.action is Action.REVERT:
        return Exit.OK
    return Exit.FORBIDDEN if outcome.is_forbidden else Exit.UNAVAILABLE


def _show(placement: Placement, *, file: TextIO) -> None:
    print(f"the canary gets at most {placement.canary_percent:g} % of the traffic, through:", file=file)
    print("\n".join(rendering.clean(f"  {route}") for route in placement.routes), file=file)
    if placement.baseline:
        print(rendering.clean(f"the baseline: {placement.baseline}"), file=file)
    if (ready := shownplan.ready_pods(placement)) is not None:
        print(ready, file=file)
    for remark in placement.remarks:
        print(rendering.clean(remark), file=file)


def _show_plans(placement: Placement, plans: Plans, *, file: TextIO) -> None:
    print("would be written:" if plans.objects else "nothing would be written", file=file)
    print("\n".join(shownplan.lines(plans.objects, owned=shownplan.owners(placement.routes))), file=file)
    for sentence in plans.blocked:
        print(rendering.clean(f"would be blocked: {sentence}"), file=file)
    for sentence in plans.unknown:
        print(rendering.clean(f"what would be written is not known: {sentence}"), file=file)


def _print_json(placement: Placement, plans: Plans | None, outcome: RevertOutcome | None) -> None:
    action, reason = (None, "") if outcome is None else (outcome.action, outcome.reason)
    reverted = Reverted(
        routes=tuple(str(one) for one in placement.routes),
        canary_percent=placement.canary_percent,
        baseline=placement.baseline,
        ready_pods=shownplan.ready_pods(placement),
        elsewhere=placement.elsewhere,
        unread=placement.unread,
        objects=() if plans is None else shownplan.shown(plans.objects, owned=shownplan.owners(placement.routes)),
        unknown=() if plans is None else plans.unknown,
        blocked=() if plans is None else plans.blocked,
        action=action,
        reason=reason,
    )
    print(rendering.as_json(reverted))
