"""Real nats-servers for tests, alone or three together, which can be killed and brought back with their streams.

Import the fixture ``nats_server``.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from config.settings import Nats
from tests.servers.nats_server import NatsServer, store_of
from tests.servers.nats_server import nats_server as running_server
from tests.servers.run import free_ports
from tests.servers.slowdisk import SlowDisk


class Broker:
    """A nats-server on one port and one store for the whole test.

    Attributes:
        disk: which can be made slow; null where that was not asked for.
    """

    def __init__(
        self, folder: Path, *, flags: Sequence[str] = (), env: Mapping[str, str] | None = None, has_slow_disk: bool = False
    ) -> None:
        self.disk = SlowDisk(store_of(folder)) if has_slow_disk else None
        self._folder = folder
        self._flags = flags
        self._env = env
        self._server: NatsServer | None = None
        self._stack = AsyncExitStack()
        self._port: int | None = None

    @property
    def url(self) -> str:
        """``nats://127.0.0.1:port``; the same after a restart."""
        return f"nats://127.0.0.1:{self._port}"

    def url_of(self, user: str, *, password: str) -> str:
        """The same with a user in it."""
        return f"nats://{user}:{password}@127.0.0.1:{self._port}"

    @property
    def settings(self) -> Nats:
        """For ``open_bus``."""
        return Nats(url=self.url, connect_timeout_seconds=20.0)

    @property
    def pid(self) -> int:
        """Of the server that runs now."""
        assert self._server is not None
        return self._server.process.pid

    async def start(self) -> None:
        """Start, again on the same port and store after ``kill`` or ``stop``."""
        self._server = await self._stack.enter_async_context(
            running_server(self._folder, self._port, self._flags, env=self._env, disk=self.disk)
        )
        self._port = int(self._server.url.rpartition(":")[2])

    async def kill(self) -> None:
        """kill -9."""
        assert self._server is not None
        self._server.process.signal(signal.SIGKILL)
        await self._stack.aclose()

    async def stop(self) -> None:
        """SIGTERM."""
        await self._stack.aclose()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make it hang for a while."""
        assert self._server is not None
        self._server.process.signal(number)


@asynccontextmanager
async def broker(folder: Path, *, flags: Sequence[str] = (), env: Mapping[str, str] | None = None) -> AsyncIterator[Broker]:
    """A started broker, ended with the body."""
    running = Broker(folder, flags=flags, env=env)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def cluster(folder: Path, *, have_slow_disks: bool = False) -> AsyncIterator[list[Broker]]:
    """Three brokers that know each other, by the names ``n0`` to ``n2``."""
    ports = free_ports(3)
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = [
        Broker(
            folder / f"n{number}",
            flags=(
                *("--name", f"n{number}", "--cluster_name", "prod"),
                *("--cluster", f"nats://127.0.0.1:{port}", "--routes", routes),
            ),
            has_slow_disk=have_slow_disks,
        )
        for number, port in enumerate(ports)
    ]
    try:
        # Together: none of them is ready before they have elected a leader.
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.start())
        yield servers
    finally:
        for server in servers:
            await server.stop()


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Broker]:
    """A nats-server with JetStream, on loopback, with an empty store."""
    async with broker(tmp_path / "nats") as running:
        yield running
