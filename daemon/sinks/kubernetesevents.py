"""Verdicts as Events of Kubernetes: on the canary's workload, on its routes and on their owners, where ``kubectl describe`` shows.

They are an aside. What cannot be written holds up nothing and is logged once, until it works again; of many verdicts at once a few
are told at a time, so that reverts have the API server. Each API server has its own turns: one that hangs keeps none of another's.
An Event's name comes from the release and the object, so that a verdict that is told twice is one Event.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon import names
from daemon.aio.tasks import TaskGroup
from daemon.errors import Conflict, Forbidden, InvalidInput, NotFound, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import EVENTS, ROLLOUTS, WORKLOADS, Json, Resource
from daemon.model import Outcome, Release, Verdict
from daemon.placement import ObjectName
from daemon.standing import Standing

REPORTER = "verdictd"
NOTE_BYTES = 1024
"""The most that the API server takes."""
_CUT = "..."
_AT_A_TIME = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The cluster where a mesh's releases are judged: its client, and the kinds of its routes and of their owners."""

    kube: KubeClient
    routes: tuple[Resource, ...]


class KubernetesEvents:
    """Implements ``PlacedSink``.

    Args:
        places: by the name of each mesh that is configured; null where its routes are of no API server.
    """

    def __init__(self, places: Mapping[str, Place | None]) -> None:
        self._places = places
        self._standing = Standing("Events of Kubernetes")
        # Meshes of one cluster share its client, and with it the turns.
        self._turns = {place.kube: asyncio.Semaphore(_AT_A_TIME) for place in places.values() if place is not None}

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """See ``VerdictSink.wants``."""
        del verdict
        return self._place(release) is not None

    async def publish(self, release: Release, verdict: Verdict) -> None:
        """See ``VerdictSink.publish``: of a release of which nothing else is known."""
        await self.publish_at(release, verdict, routes=(), workload=release.canary.workload or "")

    async def publish_at(self, release: Release, verdict: Verdict, *, routes: Sequence[ObjectName], workload: str) -> None:
        """See ``PlacedSink.publish_at``. Each object is tried; then what went wrong first is raised."""
        place = self._place(release)
        if place is None:
            return
        async with self._turns[place.kube], TaskGroup() as group:
            objects = _objects(place, release, routes, workload)
            tasks = [group.create_task(_tried(place, kinds, name, verdict)) for kinds, name in objects]
        if failed := [error for task in tasks if (error := task.result()) is not None]:
            self._standing.fails(str(failed[0]))
            raise failed[0]
        self._standing.works()

    def _place(self, release: Release) -> Place | None:
        try:
            return self._places[names.mesh(release.mesh, configured=self._places)]
        except InvalidInput:
            return None


def event(verdict: Verdict, *, regarding: Json) -> Json:
    """The Event on one object, which is named by a reference with its namespace."""
    told = f"{verdict.release_id}/{regarding['kind']}/{regarding['name']}"
    return {
        "apiVersion": f"{EVENTS.group}/{EVENTS.version}",
        "kind": EVENTS.kind,
        "metadata": {
            "name": f"{regarding['name'][:200].rstrip('.-')}.{hashlib.sha256(told.encode()).hexdigest()[:16]}",
            "namespace": regarding["namespace"],
        },
        "eventTime": datetime.fromtimestamp(verdict.decided_at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": REPORTER,
        "reason": f"Verdict{verdict.outcome.capitalize()}",
        "action": verdict.action.capitalize(),
        "type": "Warning" if verdict.outcome is Outcome.ROLLBACK else "Normal",
        "note": _within(f"{verdict.outcome} (action: {verdict.action}) of release {verdict.release_id}: {verdict.reason}"),
        "regarding": regarding,
    }


def _objects(
    place: Place, release: Release, routes: Sequence[ObjectName], workload: str
) -> list[tuple[tuple[Resource, ...], ObjectName]]:
    """What the verdict is told on, each with the kinds that it may be of."""
    found = [(tuple(one for one in place.routes if one.kind == route.kind), route) for route in routes]
    if workload:
        found.append(((*WORKLOADS, ROLLOUTS), ObjectName(kind="workload", name=workload, namespace=release.namespace)))
    return found


async def _tried(place: Place, kinds: Sequence[Resource], name: ObjectName, verdict: Verdict) -> VerdictdError | None:
    """Why it could not be told on this object; null when it is. On one that is gone there is nothing to tell."""
    try:
        regarding = await _reference(place.kube, kinds, name)
        if regarding is not None:
            await place.kube.create(EVENTS, event(verdict, regarding=regarding), namespace=regarding["namespace"])
    except Conflict:
        return None  # it was told before
    except VerdictdError as error:
        return error
    return None


async def _reference(kube: KubeClient, kinds: Sequence[Resource], name: ObjectName) -> Json | None:
    """A reference to the first that there is; null where there is none. Without its uid ``kubectl describe`` would not show it."""
    unread: Forbidden | None = None
    for kind in kinds:
        try:
            item = await kube.get(kind, name=name.name, namespace=name.namespace)
        except NotFound:
            continue
        except Forbidden as error:
            unread = unread or error
            continue
        version = item.get("apiVersion") or (f"{kind.group}/{kind.version}" if kind.group else kind.version)
        uid = str(item.get("metadata", {}).get("uid", ""))
        return {"apiVersion": version, "kind": kind.kind, "name": name.name, "namespace": name.namespace, "uid": uid}
    if unread is not None:
        raise unread
    return None


def _within(text: str) -> str:
    """As much of it as the API server takes: it counts bytes."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= NOTE_BYTES:
        return encoded.decode()
    return encoded[: NOTE_BYTES - len(_CUT)].decode(errors="ignore") + _CUT
