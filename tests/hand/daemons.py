"""A daemon in a process of its own, asked as everybody asks it: over its API, and by what stands on the stream of verdicts."""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec

from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.publisher import NUMBER
from daemon.events import cloudevents, verdicts
from daemon.model import Record, Verdict
from daemon.releaseview import ReleaseView

PATIENCE_SECONDS = 60.0


@dataclass(kw_only=True)
class DaemonApi:
    """The API of a daemon that listens, or will, on a port of this machine."""

    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str) -> bytes | None:
        """An answer; null while there is none."""
        timeout = aiohttp.ClientTimeout(total=5.0)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{self.url}{path}") as answer:
                return await answer.read() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def until_answered(self, path: str, *, within: float = PATIENCE_SECONDS) -> bytes:
        """Ask until there is an answer; ``within``: seconds."""
        async with asyncio.timeout(within):
            while (found := await self.get(path)) is None:
                await asyncio.sleep(0.05)
        return found

    async def ready(self) -> None:
        """Wait until it is."""
        await self.until_answered("/readyz")

    async def view(self, release_id: str) -> ReleaseView:
        """How a release stands."""
        return msgspec.json.decode(await self.until_answered(f"/v1/releases/{release_id}"), type=ReleaseView)

    async def record(self, release_id: str, *, within: float = PATIENCE_SECONDS) -> Record:
        """The record, once it is there; ``within``: seconds."""
        return msgspec.json.decode(await self.until_answered(f"/v1/releases/{release_id}/record", within=within), type=Record)


async def published(connection: Connection) -> list[Verdict]:
    """Everything on the stream of verdicts."""
    return [verdict for verdict, _ in await published_under(connection)]


async def published_under(connection: Connection) -> list[tuple[Verdict, int | None]]:
    """The same, with the number under which its replica had the service; null where it is the only one."""
    info = await connection.jetstream.stream_info(subjects.VERDICTS)
    found = []
    for sequence in range(info.state.first_seq, info.state.last_seq + 1):
        message = await connection.jetstream.get_msg(subjects.VERDICTS, seq=sequence)
        event = cloudevents.read(message.headers or {}, message.data or b"")
        assert event is not None
        number = event.extensions.get(NUMBER)
        found.append((verdicts.read_verdict(event), None if number is None else int(number)))
    return found
