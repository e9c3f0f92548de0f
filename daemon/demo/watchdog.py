"""verdictd itself as a child process, with settings as anybody would write them, and the few questions the demo asks it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec

from analyzers.counts import Sample
from daemon import recordings
from daemon.aio.process import of_module
from daemon.demo.children import Child, DemoError, child
from daemon.demo.demomesh import DemoMesh
from daemon.errors import InvalidInput
from daemon.model import Record
from daemon.releaseview import ReleaseView

CLUSTER = "demo"
TICK_SECONDS = 0.25
_ANSWER_SECONDS = 20.0
_T = TypeVar("_T")


class _Started(msgspec.Struct):
    """The line of its log that says where it listens."""

    event: Literal["started"]
    http: str


def settings(*, mesh: DemoMesh, folder: Path) -> dict[str, Any]:
    """The settings document: one mesh, sampled four times a second, and a policy for people in a hurry."""
    return {
        "cluster": CLUSTER,
        "nats": {"url": "embedded", "data_dir": str(folder / "nats")},
        "http": {"listen": "127.0.0.1:0"},
        "telemetry": {mesh.name: {"kind": "envoy", **mesh.telemetry, "tick_seconds": TICK_SECONDS}},
        "meshes": {mesh.name: {"telemetry": mesh.name, **mesh.steering}},
        **({"kubernetes": mesh.kubernetes} if mesh.kubernetes else {}),
        "policies": {"default": policy()},
        "limits": {"guard_seconds": 2.0},
        "recordings": {"directory": str(folder / "recordings")},
    }


def policy() -> dict[str, Any]:
    """A minute at most, a promotion after a few seconds; tolerances that a few hundred requests can settle."""
    return {
        "window_seconds": 60.0,
        "warmup_seconds": 0.0,
        "tolerances": {
            "errors": {"max_rate": 0.02, "above_baseline": 0.015},
            "latency": {"typical": 1.10, "slow_end": 1.25},
        },
        "promotion": {"min_requests": 300, "min_seconds": 5.0},
    }


@dataclass(frozen=True, slots=True)
class Watchdog:
    """A running verdictd.

    Attributes:
        url: base URL of its API.
        nats_url: where its broker listens, with the token.
    """

    process: Child
    url: str
    nats_url: str
    recordings: Path
    session: aiohttp.ClientSession

    async def view(self, release_id: str) -> ReleaseView | None:
        """How a release stands; null when verdictd does not know it yet."""
        return await self._get(f"/v1/releases/{release_id}", ReleaseView)

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null when there is none yet."""
        return await self._get(f"/v1/releases/{release_id}/record", Record)

    def samples(self, record: Record) -> tuple[tuple[float, Sample], ...]:
        """What was sampled for a release, each with the time of its end in seconds since 1970. Reads the recording."""
        began = next((mark.at for mark in record.marks if mark.step == "watching"), None)
        path = self.recordings / f"{record.verdict.release_id}.jsonl"
        try:
            return tuple((began + s.t, s) for s in recordings.read(path)[1]) if began is not None else ()
        except InvalidInput as error:
            raise DemoError(f"the recording cannot be read: {error}", fix="report this: it should not happen") from error

    async def _get(self, path: str, kind: type[_T]) -> _T | None:
        try:
            async with self.session.get(f"{self.url}{path}") as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self.process.failed(f"did not answer GET {path} ({error})") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.process.failed(f"answered {answer.status} to GET {path}: {body[:300].decode(errors='replace')}")
        return msgspec.json.decode(body, type=kind)


@asynccontextmanager
async def watchdog(*, mesh: DemoMesh, folder: Path) -> AsyncIterator[Watchdog]:
    """Run verdictd for the length of a ``with`` block."""
    file = folder / "verdictd.json"
    file.write_text(json.dumps(settings(mesh=mesh, folder=folder), indent=2) + "\n")
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with (
        child("verdictd", command_line(file), log=folder / "verdictd.log") as process,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        url = await _ready(process, session)
        nats_url = await asyncio.to_thread((folder / "nats" / "nats-url").read_text)
        yield Watchdog(process=process, url=url, nats_url=nats_url.strip(), recordings=folder / "recordings", session=session)


def command_line(settings_file: Path) -> list[str]:
    """How verdictd is started."""
    return of_module("daemon.cli", "run", "--config", str(settings_file))


async def _ready(process: Child, session: aiohttp.ClientSession) -> str:
    """Wait until it is; gives its address."""

    async def look() -> str | None:
        url = await asyncio.to_thread(_address, process.log)
        return url if url is not None and await _is_ready(session, url) else None

    return await process.until(look)


def _address(log: Path) -> str | None:
    """Where it listens: it takes a port of the system's choice, and says which. Null while it has not said it."""
    for line in log.read_bytes().splitlines():
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(line, type=_Started).http
    return None


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
