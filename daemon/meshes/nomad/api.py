"""Nomad's HTTP API, as far as deployments with canaries need it.

500 is its answer to nearly everything: what is not there, what is not allowed, and what has been done already. Its words tell these
from each other, and from a server that really fails.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient, base_url
from daemon.errors import Conflict, Failing, Forbidden, NotFound, Unreadable, VerdictdError
from daemon.meshes.httpmesh import identity_of
from daemon.meshes.nomad.mesh import CONNECTIONS, NomadMesh

_OWN_HEADER: Final = "X-Nomad-Token"
_MAX_BYTES = 64 * 1024 * 1024

_MEANT: tuple[tuple[re.Pattern[str], type[VerdictdError]], ...] = (
    (re.compile(r"Permission denied"), Forbidden),
    (re.compile(r"can't fail terminal deployment|can't revert to current version"), Conflict),
    (re.compile(r"enforcing version|conflicting job modify index"), Conflict),
    (re.compile(r"deployment not found|job .*not found"), NotFound),
)
"""What it says with a 500 that is no failure of its own."""

Status = Literal["initializing", "pending", "running", "paused", "blocked", "unblocking", "failed", "successful", "cancelled"]


class Group(msgspec.Struct, frozen=True, rename="pascal"):
    """How far a deployment is with one task group."""

    desired_canaries: int
    promoted: bool
    auto_revert: bool
    placed_canaries: list[str] | None


class Deployment(msgspec.Struct, frozen=True, rename="pascal"):
    """One version of a job on its way into service."""

    id: str = msgspec.field(name="ID")
    job_id: str = msgspec.field(name="JobID")
    job_version: int
    status: Status
    status_description: str
    task_groups: dict[str, Group] | None


class AllocationDeployment(msgspec.Struct, frozen=True, rename="pascal"):
    """What its deployment has found of an allocation; ``healthy``: null while that is not known."""

    canary: bool
    healthy: bool | None = None


class Allocation(msgspec.Struct, frozen=True, rename="pascal"):
    """One instance of a task group."""

    id: str = msgspec.field(name="ID")
    task_group: str
    job_version: int
    client_status: str
    desired_status: str
    deployment_status: AllocationDeployment | None = None


class JobVersion(msgspec.Struct, frozen=True, rename="pascal"):
    """A job as it is now, or as it was."""

    version: int
    stable: bool
    stop: bool


class _Versions(msgspec.Struct, frozen=True, rename="pascal"):
    versions: list[JobVersion] | None


class _JobName(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="ID")


class NomadApi:
    """A client of one Nomad. Close it in the event loop that it was used in.

    Raises:
        InvalidInput: a setting cannot be used; its path begins with ``setting``.
    """

    def __init__(self, settings: NomadMesh, *, setting: str) -> None:
        self._url = base_url(settings.address, path=f"{setting}.address")
        places = (("region", settings.region), ("namespace", settings.namespace))
        self._places = {name: value for name, value in places if value is not None}
        self._client = HttpClient(
            setting=f"{setting}.address",
            connections=CONNECTIONS,
            timeout_seconds=settings.request_timeout_seconds,
            max_answer_bytes=_MAX_BYTES,
            identity=identity_of(settings, setting=setting, token_header=_OWN_HEADER),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def jobs(self) -> tuple[str, ...]:
        """The names of the jobs that we may read."""
        return tuple(one.id for one in await self._asked(list[_JobName] | None, "jobs") or ())

    async def job(self, name: str) -> JobVersion:
        """A job as it is now. Raises ``NotFound`` where it is not there."""
        found: JobVersion = await self._asked(JobVersion, "job", name)
        return found

    async def versions(self, name: str) -> tuple[JobVersion, ...]:
        """A job as it is and was, as far back as Nomad keeps it."""
        return tuple((await self._asked(_Versions, "job", name, "versions")).versions or ())

    async def latest_deployment(self, job: str) -> Deployment | None:
        """Of a job; null where it has none, or is not there."""
        found: Deployment | None = await self._asked(Deployment | None, "job", job, "deployment")
        return found

    async def deployment(self, name: str) -> Deployment:
        """One by its id. Raises ``NotFound`` where it is not there (any more)."""
        found: Deployment = await self._asked(Deployment, "deployment", name)
        return found

    async def allocations(self, job: str) -> tuple[Allocation, ...]:
        """Those of a job, ended ones too as long as Nomad keeps them."""
        return tuple(await self._asked(list[Allocation] | None, "job", job, "allocations") or ())

    async def fail(self, deployment: str) -> None:
        """Have a deployment fail: its canaries are stopped, and the job goes back by itself where it says so (``auto_revert``).

        Raises:
            Conflict: it has ended already.
        """
        await self._asked(Any, "deployment", "fail", deployment, put={"DeploymentID": deployment})

    async def revert(self, job: str, *, version: int, prior: int) -> None:
        """Make an earlier version of a job its newest one, as long as ``prior`` is its newest.

        Raises:
            Conflict: it is not.
        """
        await self._asked(Any, "job", job, "revert", put={"JobID": job, "JobVersion": version, "EnforcePriorVersion": prior})

    async def _asked(self, kind: Any, *segments: str, put: Mapping[str, object] | None = None) -> Any:
        path = "/".join(quote(one, safe="") for one in ("v1", *segments))
        url = self._url.joinpath(path, encoded=True).with_query(self._places)
        try:
            body = (await self._client.exchange(url, put=None if put is None else msgspec.json.encode(put))).body
        except Failing as error:
            raise _meant(error) from error
        return _decoded(body, kind, url)


def _meant(error: Failing) -> VerdictdError:
    said = str(error)
    return next((kind(said) for pattern, kind in _MEANT if pattern.search(said)), error)


def _decoded(body: bytes, kind: Any, url: URL) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{url.host}:{url.port} answered something that is not Nomad's: {error}") from error
