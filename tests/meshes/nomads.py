"""A small Nomad in memory: it answers as an agent of 1.6.1 was seen to, its 500 to nearly everything among that.

What a real one does within seconds (placing, health, promoting) it does at once; what its clients stop stays until ``stopped``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from daemon.meshes.references import Json
from tests.hand.servers import Answer, app_of, serving
from tests.servers.run import LOOPBACK

TOKEN = "1f3c0a52-8a0c-4a0e-9f43-5a4d7f1f6a11"
ACTIVE = ("initializing", "pending", "running", "paused", "blocked", "unblocking")


class Said(Exception):
    """What it answers that is no data."""

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(slots=True)
class Nomad:
    """One job's versions, deployments and allocations.

    Attributes:
        auto_revert: of its task groups.
        rights: what the token may do; all of it needs a token where ``acl`` is set.
        faults: answers to the next requests of a method and a path, in the place of the right ones.
        before: what is done before the next request of a method and a path is answered: somebody else is faster.
    """

    job: str = "web"
    group: str = "web"
    auto_revert: bool = False
    acl: bool = False
    rights: frozenset[str] = frozenset({"read-job", "submit-job"})
    url: str = ""
    versions: list[Json] = dataclasses.field(default_factory=list)
    deployments: dict[str, Json] = dataclasses.field(default_factory=dict)
    allocations: list[Json] = dataclasses.field(default_factory=list)
    faults: dict[str, list[Answer]] = dataclasses.field(default_factory=dict)
    before: dict[str, Callable[[], None]] = dataclasses.field(default_factory=dict)
    requests: list[str] = dataclasses.field(default_factory=list)
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)

    @property
    def version(self) -> int:
        return int(self.versions[-1]["Version"])

    @property
    def latest(self) -> Json:
        return list(self.deployments.values())[-1]

    def serves(self, count: int = 2) -> None:
        """The first version, stable, with so many healthy allocations."""
        self.versions.append({"ID": self.job, "Version": 0, "Stable": True, "Stop": False})
        self.allocations += [self._allocation(f"old-{at}", 0, canary=False, healthy=True) for at in range(count)]

    def registers(self, *, canaries: int = 1, healthy: bool | None = True, groups: tuple[str, ...] = ()) -> str:
        """A new version with canaries; gives its deployment's id. ``groups``: others of it, which have none."""
        for one in self.deployments.values():
            if one["Status"] in ACTIVE:
                one |= {"Status": "cancelled", "StatusDescription": "Cancelled due to newer version of job"}
        version = self.version + 1
        name = f"7d9a1c2e-0000-4000-8000-{version:012d}"
        self.versions.append({"ID": self.job, "Version": version, "Stable": False, "Stop": False})
        placed = [f"canary-{version}-{at}" for at in range(canaries)]
        self.allocations += [self._allocation(one, version, canary=True, healthy=healthy) for one in placed]
        without = {"DesiredCanaries": 0, "Promoted": False, "AutoRevert": self.auto_revert, "PlacedCanaries": None}
        self.deployments[name] = {
            "ID": name,
            "JobID": self.job,
            "JobVersion": version,
            "Status": "running",
            "StatusDescription": "Deployment is running but requires manual promotion",
            "TaskGroups": {
                self.group: without | {"DesiredCanaries": canaries, "PlacedCanaries": placed},
                **dict.fromkeys(groups, without),
            },
        }
        return name

    def promotes(self, *, whole: bool = True) -> None:
        """Its canaries serve from now on; ``whole``: what they replace is stopped already."""
        self.latest["TaskGroups"][self.group]["Promoted"] = True
        for one in self.allocations:
            if one["JobVersion"] == self.version:
                one["DeploymentStatus"]["Canary"] = False
        if whole:
            self.latest["Status"] = "successful"
            self.versions[-1]["Stable"] = True
            self.stops(lambda one: one["JobVersion"] != self.version)
            self.stopped()

    def stops(self, which: Callable[[Json], bool]) -> None:
        for one in self.allocations:
            if which(one):
                one["DesiredStatus"] = "stop"

    def stopped(self) -> None:
        """Its clients have stopped what they were to stop."""
        for one in self.allocations:
            if one["DesiredStatus"] == "stop":
                one["ClientStatus"] = "complete"

    def _allocation(self, name: str, version: int, *, canary: bool, healthy: bool | None) -> Json:
        return {
            "ID": name,
            "TaskGroup": self.group,
            "JobVersion": version,
            "ClientStatus": "running",
            "DesiredStatus": "run",
            "DeploymentStatus": {"Canary": canary, "Healthy": healthy},
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = f"{request.method} {request.path.removeprefix('/v1/')}"
        self.requests.append(f"{request.method} {request.path_qs}")
        self.headers.append(dict(request.headers))
        if (first := self.before.pop(asked, None)) is not None:
            first()
        if queued := self.faults.get(asked):
            return await queued.pop(0)(request)
        body = await request.json() if request.can_read_body else {}
        try:
            self._allowed(request)
            return web.json_response(self._answered(request.method, request.path.removeprefix("/v1/").split("/"), body))
        except Said as said:
            return web.Response(status=said.status, text=str(said))

    def _allowed(self, request: web.Request) -> None:
        right = "read-job" if request.method == "GET" else "submit-job"
        if self.acl and (request.headers.get("X-Nomad-Token") != TOKEN or right not in self.rights):
            raise Said("Permission denied", 403)

    def _answered(self, method: str, path: list[str], body: Json) -> Any:
        if path[0] == "job" and path[1] != self.job and path[2:] != ["deployment"]:
            raise Said("job not found", 404)
        match (method, path):
            case ("PUT", ["deployment", "fail", name]):
                return self._failed(name)
            case ("PUT", ["job", _, "revert"]):
                return self._reverted(body)
            case _:
                assert method == "GET", path
                return self._read(path)

    def _read(self, path: list[str]) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "jobs": lambda: [{"ID": self.job}],
            "deployment": lambda: self._deployment(path[1]),
            "job": lambda: self.versions[-1],
            "job/deployment": lambda: self.latest if path[1] == self.job and self.deployments else None,
            "job/versions": lambda: {"Versions": self.versions[::-1]},
            "job/allocations": lambda: self.allocations,
        }
        return answers["/".join((path[0], *path[2:]))]()

    def _deployment(self, name: str) -> Json:
        if name not in self.deployments:
            raise Said("deployment not found")
        return self.deployments[name]

    def _failed(self, name: str) -> Json:
        one = self._deployment(name)
        if one["Status"] not in ACTIVE:
            raise Said("can't fail terminal deployment")
        one |= {"Status": "failed", "StatusDescription": "Deployment marked as failed"}
        self.stops(lambda it: it["JobVersion"] == one["JobVersion"])
        back = max((it["Version"] for it in self.versions if it["Stable"]), default=None) if self.auto_revert else None
        if back is not None:
            one["StatusDescription"] += f" - rolling back to job version {back}"
            self._again()
        return {"EvalID": "e", "RevertedJobVersion": back}

    def _reverted(self, body: Json) -> Json:
        assert body["JobID"] == self.job
        if body["JobVersion"] == self.version:
            raise Said("can't revert to current version")
        if body["JobVersion"] not in [one["Version"] for one in self.versions]:
            raise Said(f'job "{self.job}" in namespace "default" at version {body["JobVersion"]} not found')
        if body["EnforcePriorVersion"] != self.version:
            raise Said(f"Current job has version {self.version}; enforcing version {body['EnforcePriorVersion']}")
        self._again()
        return {"EvalID": "e"}

    def _again(self) -> None:
        """What was stable is the newest version; what runs of it is updated where it stands."""
        version = self.version + 1
        self.versions.append({"ID": self.job, "Version": version, "Stable": True, "Stop": False})
        for one in self.allocations:
            if one["DesiredStatus"] == "run":
                one["JobVersion"] = version


@contextlib.asynccontextmanager
async def running(nomad: Nomad) -> AsyncIterator[Nomad]:
    """It, on a port of the system's choice."""
    async with serving(app_of(nomad.handle)) as port:
        nomad.url = f"http://{LOOPBACK}:{port}"
        yield nomad
