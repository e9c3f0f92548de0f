"""``verdictd restore``: what a revert took from the canary is given back, while nobody has changed the routes since.

All or nothing: every object is looked at first, and where one was changed, none is written. It is the caller's own doing, with the
caller's credentials: no event is sent, and no verdict becomes another.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence

import msgspec

from config.errors import ConfigError, Fault
from config.settings import Mesh, Settings
from daemon.cli import rendering, shownplan, steering, undofile
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.cli.shownplan import ShownObject
from daemon.cli.stdio import words_only
from daemon.engine import editing
from daemon.engine.takenback import UNDO_NOT_KEPT
from daemon.errors import Forbidden, NotFound, Refused
from daemon.meshes.kubedocuments import keys_of
from daemon.meshes.registry import written
from daemon.model import Record, Release, Stage
from daemon.placement import PatchedObject, PlannedObject, Undo

_SOURCE = "verdictd restore"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints. ``restored`` is null when nothing was done, or it was a dry run; ``failures`` are sentences."""

    objects: tuple[ShownObject, ...]
    restored: bool | None = None
    failures: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> Exit:
    """The command: 0 when the routes are as they were (or would be), 69 when they are not, whatever becomes of the words."""
    if (options.id is None) == (options.file is None):
        problem = Fault(path="ID", message="give the release's id, or --from FILE", fix="one of them, and not both")
        raise ConfigError((problem,), source=_SOURCE)
    settings = steering.settings_of(options)
    release, undos = _saved(options.file) if options.file is not None else _recorded(options)
    if options.mesh is not None:
        release = msgspec.structs.replace(release, mesh=options.mesh)
    settings, meshes = steering.meshes_of(options, settings, release, source=_SOURCE)
    return asyncio.run(_restore(options, settings, _that_steers(meshes, undos), undos))


def _saved(file: str) -> tuple[Release, tuple[Undo, ...]]:
    read = undofile.read(file)
    if not read.undos:
        raise NotFound(f"{file}: nothing was written by that revert")
    return read.release, read.undos


def _recorded(options: argparse.Namespace) -> tuple[Release, tuple[Undo, ...]]:
    """By the daemon's record. Raises ``NotFound`` where nothing is kept, and ``Refused`` while the daemon would undo it."""
    api = client(options)
    view = api.release(options.id)
    if view.stage is not Stage.ENDED:
        waiting = f", waiting for {view.waiting_for}" if view.waiting_for else ""
        raise Refused(
            f"release {options.id} is {view.stage}{waiting}: the daemon may still take the traffic back, and would do so again; "
            "wait until it has ended"
        )
    record = api.record(options.id)
    if not record.undos:
        raise NotFound(f"nothing is kept of what was written for release {options.id}: {_why_nothing(record)}")
    return record.release, record.undos


def _why_nothing(record: Record) -> str:
    if not_kept := [mark.detail for mark in record.marks if mark.step == UNDO_NOT_KEPT]:
        return not_kept[0]
    verdict = record.verdict
    return f"its verdict is {verdict.outcome}, its action {verdict.action}, and nothing that can be undone was written"


def _that_steers(meshes: Mapping[str, Mesh], undos: Sequence[Undo]) -> Mapping[str, Mesh]:
    """The mesh whose routes these are; where none was named, the first that writes such. Raises ``ConfigError``."""
    if len(meshes) == 1:
        return meshes
    wanted = {undo.resource for undo in undos}
    for name, mesh in meshes.items():
        if wanted <= keys_of(written(mesh)).keys():
            return {name: mesh}
    said = f"no mesh here has the routes that were written: {', '.join(sorted(wanted)) or 'those of a file'}"
    problem = Fault(path="--mesh", message=said, fix="name the release's mesh, and its settings by --config")
    raise ConfigError((problem,), source=_SOURCE)


async def _restore(options: argparse.Namespace, settings: Settings, meshes: Mapping[str, Mesh], undos: Sequence[Undo]) -> Exit:
    async with steering.opened(settings, meshes) as opened:
        [clusters] = opened.values()
        planned = await editing.plan_restore(clusters, undos)
        failed = [one for one in planned if one.failure is not None]
        if not options.json:
            print("\n".join(shownplan.lines(planned, owned={})))
        if failed or options.dry_run or not (options.yes or steering.agreed("Put all of it back?", source=_SOURCE)):
            if options.json:
                _print_json(planned, None)
            if not options.dry_run:
                print("verdictd: nothing was changed", file=sys.stderr)
            return _exit(failed) if failed else Exit.OK if options.dry_run else Exit.USAGE
        restored = await editing.restore(clusters, undos)
    with words_only(debug=options.debug):
        if options.json:
            _print_json(planned, restored)
        else:
            print("\n".join(rendering.clean(str(one)) for one in restored))
    return _exit([one for one in restored if one.failure is not None])


def _exit(failed: Sequence[PlannedObject | PatchedObject]) -> Exit:
    if not failed:
        return Exit.OK
    return Exit.FORBIDDEN if all(isinstance(one.failure, Forbidden) for one in failed) else Exit.UNAVAILABLE


def _print_json(planned: Sequence[PlannedObject], restored: Sequence[PatchedObject] | None) -> None:
    failures = tuple(f"{one.object}: {one.failure}" for one in (restored or planned) if one.failure is not None)
    done = None if restored is None else not failures
    print(rendering.as_json(Restored(objects=shownplan.shown(planned, owned={}), restored=done, failures=failures)))
