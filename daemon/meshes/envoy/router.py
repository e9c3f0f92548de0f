"""A mesh of one Envoy whose routes come from a file (RDS): traffic is taken back by renaming a new file into its place.

The file is what we change, the admin endpoint is what we believe: Envoy takes a file with an unknown cluster without a
word and answers 503, and refuses a broken one silently, keeping the old routes.
"""

import asyncio
import copy
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from config import yamls
from daemon.aio.threads import OwnThread
from daemon.errors import Blocked, InvalidInput, NotFound, Refused, TransientError, Unavailable, VerdictdError
from daemon.meshes.envoy import guardedfile, rewritten, routes
from daemon.meshes.envoy.admin import EnvoyAdmin
from daemon.meshes.references import largest_percent, nearest, with_traffic
from daemon.meshes.undoing import differences, undo_of
from daemon.model import ArmSpec, Release
from daemon.placement import PatchedObject, PatchReceipt, Placement, PlannedObject, Undo, split_percent

# Written in C, where the wheel brings it: a revert waits for it.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Tens of thousands of routes, aliases unfolded; a file of a few lines cannot stand for more.
_MAX_VALUES = 1_000_000


class EnvoyRouter:
    """The routes of one Envoy. Implements ``TrafficRouter`` and ``RouteEditor``; an arm's cluster is its ``service``."""

    def __init__(self, *, routes_file: str, admin: str, name: str = "NAME") -> None:
        self._path = Path(routes_file)
        self._admin = EnvoyAdmin(admin, setting=f"meshes.{name}.admin")
        # Releases of several services share one file; ours wait for each other, so that only strangers conflict.
        self._writing = asyncio.Lock()
        self._file = OwnThread("routes file")
        self._parsed: tuple[bytes, dict[str, Any]] | None = None

    async def close(self) -> None:
        """Close the connections to the admin endpoint."""
        await self._admin.close()

    async def examine(self) -> str:
        """See ``ExaminedRouter.examine``: the file can be read, and the admin says which routes are in force."""
        _, document = await self._read()
        written = [str(config.get("name")) for config in routes.configurations(document)]
        in_force = {str(config.get("name")) for config in routes.configurations(await self._admin.routes_in_force())}
        clusters = await self._admin.clusters()
        if missing := [name for name in written if name not in in_force]:
            raise NotFound(f"Envoy does not follow {self._path}: of {', '.join(missing)} nothing is in force")
        return f"{self._path} has the routes {', '.join(written)}, which are in force; Envoy knows {len(clusters)} clusters"

    async def locate(self, release: Release) -> Placement:
        """See ``TrafficRouter.locate``. ``release.route`` must be the name of a route configuration of the file."""
        baseline, canary = _arms(release)
        _, document = await self._read()
        if release.route is not None:
            known = [str(config.get("name")) for config in routes.configurations(document)]
            if release.route not in known:
                raise NotFound(f"route configuration {release.route!r} is not in {self._path}, which has {', '.join(known)}")
        found = routes.references(document, canary=canary)
        if not found:
            raise NotFound(f"no route in {self._path} names the canary's cluster {canary!r}, as target, weight or mirror")
        said = await self._baseline_at_the_door(baseline, canary)
        return Placement(routes=found, canary_percent=largest_percent(found), baseline=said)

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: a file tells nobody."""
        await asyncio.Event().wait()

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """See ``RouteFollower.weight``: by the file."""
        _, canary = _arms(release)
        _, document = await self._read()
        return split_percent(routes.references(document, canary=canary))

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """See ``TrafficRouter.check_baseline``: by the hosts that Envoy would send to."""
        baseline, canary = _arms(release)
        known = await self._admin.clusters()
        if baseline not in known:
            raise Blocked(f"{_unknown(baseline, known)}: sending the traffic there would answer 503 to all of it")
        if known[baseline] == 0:
            raise Blocked("the baseline has no ready endpoints: taking the traffic back would answer errors to all of it")
        return _account(known, baseline=baseline, canary=canary)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """See ``TrafficRouter.revert``. Raises ``Blocked`` when Envoy does not know the baseline's cluster."""
        baseline, canary = _arms(release)
        async with self._writing:
            snapshot, document = await self._read()
            rewrite = routes.revert(document, baseline=baseline, canary=canary)
            if not rewrite.changes:
                now = time.time()
                return PatchReceipt(nothing="the file gives the canary nothing", sent_at=now, acknowledged_at=now)
            if baseline not in routes.clusters_with_traffic(document):
                await self._require_known(baseline)
            content = _encode(rewrite.document, path=self._path)
            renamed = await self._file.run(guardedfile.replace, self._path, content, was=snapshot)
        began_at, ended_at = renamed.began_at, renamed.ended_at
        parts = (
            PatchedObject(
                object=rewritten.named(name),
                changes=rewrite.changes[name],
                sent_at=began_at,
                acknowledged_at=ended_at,
                undo=undo_of(before, after, of=rewritten.named(name)),
            )
            for name, before, after in rewritten.changed(document, rewrite)
        )
        return PatchReceipt(parts=tuple(parts), sent_at=began_at, acknowledged_at=ended_at)

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan``."""
        baseline, canary = _arms(release)
        _, document = await self._read()
        rewrite = routes.revert(document, baseline=baseline, canary=canary)
        return tuple(
            PlannedObject(object=rewritten.named(name), changes=rewrite.changes[name], values=differences(before, after))
            for name, before, after in rewritten.changed(document, rewrite)
        )

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """See ``RouteEditor.plan_restore``."""
        _, document = await self._read()
        return tuple(rewritten.undone(document, undo).planned for undo in undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """See ``RouteEditor.restore``. The file is written once, with all that can be put back."""
        async with self._writing:
            snapshot, document = await self._read()
            document = copy.deepcopy(document)
            undone = [rewritten.undone(document, undo) for undo in undos]
            for one in undone:
                one.put_back()
            began_at = ended_at = time.time()
            if any(one.operations for one in undone):
                renamed = await self._file.run(guardedfile.replace, self._path, _encode(document, path=self._path), was=snapshot)
                began_at, ended_at = renamed.began_at, renamed.ended_at
        return tuple(
            PatchedObject(
                object=one.planned.object,
                changes=one.planned.changes,
                failure=one.planned.failure,
                sent_at=began_at,
                acknowledged_at=ended_at,
            )
            for one in undone
        )

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """See ``TrafficRouter.canary_gets_traffic``: by the admin's config dump, not by the file."""
        canary = _cluster(release.canary, arm="canary")
        dump = await self._admin.routes_in_force()
        found = with_traffic(routes.references(dump, canary=canary))
        if found is None:
            return None
        try:
            rejected = await self._admin.rejected_updates()
        except TransientError:
            rejected = 0
        note = f" (Envoy has refused {rejected} versions of the routes)" if rejected else ""
        return found + note

    async def _baseline_at_the_door(self, baseline: str, canary: str) -> str:
        """What Envoy says of the baseline. Raises ``NotFound`` when it surely does not know it."""
        try:
            known = await self._admin.clusters()
        except VerdictdError as error:
            return f"how many endpoints the baseline has is not known: {error}"
        if baseline not in known:
            raise NotFound(_unknown(baseline, known))
        return _account(known, baseline=baseline, canary=canary)

    async def _require_known(self, baseline: str) -> None:
        """A baseline that carries traffic already needs no asking; one that does not may be a slip of the pen."""
        known = await self._admin.clusters()
        if baseline not in known:
            raise Blocked(f"{_unknown(baseline, known)}: sending the traffic there would answer 503 to all of it")

    async def _read(self) -> tuple[guardedfile.Snapshot, dict[str, Any]]:
        """As it is now; parsed once while it stays so, since what a revert will write is looked at just before it is written."""
        snapshot = await self._file.run(guardedfile.read, self._path)
        if self._parsed is None or self._parsed[0] != snapshot.content:
            self._parsed = snapshot.content, _decode(snapshot.content, path=self._path)
        return snapshot, self._parsed[1]


def _arms(release: Release) -> tuple[str, str]:
    """The clusters of baseline and canary. Raises ``InvalidInput`` when one is not named, or both are one."""
    baseline, canary = _cluster(release.baseline, arm="baseline"), _cluster(release.canary, arm="canary")
    if baseline == canary:
        wrong = f"baseline and canary are both the cluster {canary}"
        raise InvalidInput(wrong, path="$.canary.service", fix="name the canary's own cluster")
    return baseline, canary


def _unknown(cluster: str, known: Mapping[str, int]) -> str:
    return f"Envoy knows no cluster {cluster!r} ({nearest(cluster, known)})"


def _account(known: Mapping[str, int], *, baseline: str, canary: str) -> str:
    told = f"{known[baseline]} ready endpoints"
    return f"{told} (the canary has {known[canary]})" if canary in known else told


def _cluster(arm_spec: ArmSpec, *, arm: str) -> str:
    if arm_spec.service is None:
        raise InvalidInput("an Envoy mesh knows an arm by its cluster", path=f"$.{arm}.service", fix="name the Envoy cluster")
    return arm_spec.service


def _decode(content: bytes, *, path: Path) -> dict[str, Any]:
    try:
        document = _parse(content, path=path)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # Somebody who writes in place, not by rename, is seen half way: looking again can help.
        raise Unavailable(f"{path} cannot be read as {path.suffix or 'YAML'}: {error}") from error
    if not isinstance(document, dict):
        raise Refused(f"{path} does not hold an object")
    return document


def _parse(content: bytes, *, path: Path) -> object:
    if path.suffix == ".json":
        return msgspec.json.decode(content)
    return yamls.load(content, max_values=_MAX_VALUES)


def _encode(document: dict[str, Any], *, path: Path) -> bytes:
    if path.suffix == ".json":
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text.encode()
