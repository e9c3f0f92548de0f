"""What in Git must change for a revert to stay: asked beside the rest, within bounds, and in nobody's way."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from daemon.aio.tasks import TaskGroup
from daemon.errors import VerdictdError
from daemon.placement import Applier, ObjectName
from daemon.ports.routing import GitSource, GitTools

log = logging.getLogger(__name__)

_UNREAD = GitSource(of="", revision="", applied_again="")

Sources = Mapping[Applier, GitSource | str]
"""By what of Git's applies something, where that comes from, or why it is not known."""


async def sources(git: GitTools | None, appliers: Iterable[Applier | None], *, seconds: float) -> Sources:
    """Where each of these, and of none nothing, applies from; side by side, for so long at most."""
    wanted = dict.fromkeys(one for one in appliers if one is not None)
    if git is None or not wanted:
        return {}
    async with TaskGroup() as group:
        tasks = {one: group.create_task(_source(git, one, seconds=seconds)) for one in wanted}
    return {one: task.result() for one, task in tasks.items()}


def from_where(applier: Applier, found: Sources) -> str:
    """``Flux (Kustomization flux-system/apps, from GitRepository ...)``, or without the end of it where that is not known."""
    source = found.get(applier)
    if not isinstance(source, GitSource):
        return str(applier)
    return f"{applier.tool} ({applier.object.kind} {applier.object}, from {source})"


def must_change(applier: Applier, found: Sources) -> str:
    """Who applies it, and what must change for it not to be undone, in the words of a verdict."""
    source = found.get(applier)
    said = f"applied by {applier}, whose source must change"
    match source:
        case GitSource():
            return f"{said}: {source}; {source.applied_again}"
        case str():
            return f"{said}, which is not known ({source})"
        case None:
            return said


async def of_workload(git: GitTools | None, workload: ObjectName, *, seconds: float) -> Sources | None:
    """What of Git's applies a workload, and where that applies from; none where nothing does, null where that is not known."""
    if git is None or not workload.name:
        return None
    try:
        async with asyncio.timeout(seconds):
            return await sources(git, [await git.applier(workload)], seconds=seconds)
    except (TimeoutError, VerdictdError) as error:
        log.debug("what applies a workload is not known", extra={"workload": str(workload), "reason": str(error)})
    except Exception:
        log.exception("what applies a workload could not be read, through a defect of ours", extra={"workload": str(workload)})
    return None


def revision_and_who(found: Sources) -> tuple[str, str]:
    """Which revision is applied, and who had it applied, where all of them say the same; else empty."""
    known = [one if isinstance(one, GitSource) else _UNREAD for one in found.values()]
    return _only(one.deployed or one.revision for one in known), _only(one.initiated_by for one in known)


def _only(said: Iterable[str]) -> str:
    different = set(said)
    return different.pop() if len(different) == 1 else ""


async def _source(git: GitTools, applier: Applier, *, seconds: float) -> GitSource | str:
    try:
        async with asyncio.timeout(seconds):
            return await git.source(applier)
    except TimeoutError:
        return f"it did not answer within {seconds:g} s"
    except VerdictdError as error:
        return str(error)
    except Exception as error:
        log.exception("what Git's tool applies could not be read, through a defect of ours", extra={"applier": str(applier)})
        return f"through a defect of verdictd: {type(error).__name__}"
