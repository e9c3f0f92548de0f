"""A hub that is no nats-server at all, and sends a cluster what it likes: a real one sends only what it was asked for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bus.test_fleet import FORGED, RESET, SHIPPED, USERS, Fleet, questions, subjects_heard
from tests.hand.broker import Broker

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

GREETING = {"server_id": "HUB", "server_name": "hub", "version": "2.15.1", "proto": 1, "client_id": 1, "headers": True}
CAPABILITIES = {"max_payload": 1 << 20, "jetstream": True, "domain": "hub", "leafnode_urls": ["hub.example:7422"]}


@dataclass(kw_only=True)
class ForgedHub:
    """Speaks as much of the protocol of leaf nodes as it takes to be believed."""

    port: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    _heard_more: asyncio.Event = field(default_factory=asyncio.Event)
    _writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self._writer = writer
        writer.write(b"INFO " + json.dumps(GREETING | CAPABILITIES).encode() + b"\r\n")
        try:
            while line := await reader.readline():
                await self._take(line, reader, writer)
        finally:
            writer.close()

    async def _take(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match line.split():
            case [b"CONNECT", *_]:
                writer.write(b"LS+ >\r\nPING\r\n")
            case [b"PING"]:
                writer.write(b"PONG\r\n")
            case [b"PONG"]:
                self.connected.set()
            case [b"LMSG" | b"HMSG", subject, *_, size]:
                body = await reader.readexactly(int(size) + 2)
                self.heard.append((subject.decode(), body))
                self._heard_more.set()
            case _:
                pass  # what it wants to hear: it is told everything anyway

    def say(self, subject: str, body: bytes, *, reply: str = "") -> None:
        """Whether it was asked for or not."""
        assert self._writer is not None
        self._writer.write(f"LMSG {subject} {reply + ' ' if reply else ''}{len(body)}\r\n".encode() + body + b"\r\n")

    async def hears(self, subject: str) -> None:
        """Wait for something said there."""
        async with asyncio.timeout(60):
            while all(one != subject for one, _ in self.heard):
                self._heard_more.clear()
                await self._heard_more.wait()


@asynccontextmanager
async def forged_hub() -> AsyncIterator[ForgedHub]:
    hub = ForgedHub()
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, limit=1 << 20)
    hub.port = server.sockets[0].getsockname()[1]
    try:
        yield hub
    finally:
        server.close()


async def test_whatever_is_sent_on_the_way_of_a_hub_nothing_in_the_daemon_s_account_is_changed_read_or_answered(
    tmp_path: Path,
) -> None:
    for name in ("verdictd.conf", "leaf.conf"):
        await asyncio.to_thread((tmp_path / name).write_bytes, await asyncio.to_thread((SHIPPED / name).read_bytes))
    async with forged_hub() as hub:
        joining = {"NATS_HUB_URL": f"nats-leaf://cluster:secret@127.0.0.1:{hub.port}", "NATS_DOMAIN": "eu"}
        env = {f"NATS_{user.upper()}_PASSWORD": f"{user}-secret" for user in USERS} | joining
        cluster = Broker(tmp_path / "eu", flags=("--config", str(tmp_path / "leaf.conf")), env=env)
        await cluster.start()
        try:
            here = Fleet(hub=cluster, clusters={"eu": cluster})
            await here.let_the_hub_read("eu")
            await hub.connected.wait()
            before = await here.kept("eu")
            async with here.user("operator", at=cluster) as beside_the_daemon:
                arrived = await subjects_heard(beside_the_daemon, "verdictd.>", "$KV.>")
                for subject in FORGED:
                    hub.say(subject, b'{"command":"cancel"}')
                    hub.say(f"$JS.eu.API.{RESET}", b'{"seq":1}', reply=subject)
                for prefix in ("$JS.API", "$JS.eu.API"):
                    for what in questions():
                        hub.say(f"{prefix}.{what}", b"", reply=f"answer.{prefix}.{what}")
                hub.say(f"$JS.eu.API.{RESET}", b"", reply="the.last")
                await hub.hears("the.last")
                await beside_the_daemon.flush()
                assert not arrived
            assert await here.kept("eu") == before
            await here.decide("eu", "web-1")
            await hub.hears("fleet.deliver.eu")
        finally:
            await cluster.stop()
    granted = {subject for subject, body in hub.heard if subject.startswith("answer.") and b'"error"' not in body}
    assert granted == {f"answer.$JS.eu.API.{RESET}"}
    # What its own account is told of its own questions, and the answers that it wanted put where the daemon reads.
    own = {subject for subject, _ in hub.heard if subject.startswith(("answer.", "$JS.EVENT.ADVISORY.API"))}
    assert {subject for subject, _ in hub.heard} - own <= {"fleet.deliver.eu", "the.last", *FORGED}
