"""Who can be struck: the daemon, its broker, the API server. Each is there again soon after, as a kubelet would see to it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from daemon.cli.exits import Exit
from daemon.demo import commandlines
from daemon.demo.apiserver import api_answers, write_tokens
from daemon.demo.children import child
from tests.hand.broker import Broker
from tests.hand.daemons import DaemonApi
from tests.hand.processes import samplers_of
from tests.hand.timeofday import TimeOfDay
from tests.servers.etcd import etcd
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require
from tests.servers.run import LOOPBACK, Process, free_ports, running

_NO_START = "cannot run"
"""The event of a start that ends."""


class Victim(Protocol):
    """A process, or several of them one after the other."""

    @property
    def pid(self) -> int | None:
        """Null while there is none."""
        ...

    async def back(self) -> None:
        """Be there again after it was killed; nothing where somebody else sees to it."""
        ...


def send(victim: Victim, number: signal.Signals) -> None:
    """Whoever has gone meanwhile is not struck."""
    if victim.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(victim.pid, number)


@dataclass(kw_only=True)
class Daemon(DaemonApi):
    """One daemon after the other. ``faults``: ends that nobody brought about.

    ``clock``: null where it has the machine's own.
    """

    folder: Path
    settings: Mapping[str, Any]
    clock: TimeOfDay | None = None
    away_seconds: float = 0.0
    starts: int = 0
    faults: list[str] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def back(self) -> None:
        """``keep`` sees to it."""

    def recording(self, release_id: str) -> Path:
        """What it wrote of a release, if it did."""
        return self.folder / "recordings" / f"{release_id}.jsonl"

    async def keep(self, over: asyncio.Event) -> None:
        """Start it again and again until it is over; the last one is told to end, and does."""
        file = self.folder / "settings.json"
        file.write_text(json.dumps(self.settings))
        argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
        ends = asyncio.ensure_future(over.wait())
        while not over.is_set():
            self.starts += 1
            async with child(
                "verdictd", argv, log=self._log, env=None if self.clock is None else self.clock.environment
            ) as running_now:
                self._process = running_now.process
                gone = asyncio.ensure_future(running_now.process.wait())
                await asyncio.wait([gone, ends], return_when=asyncio.FIRST_COMPLETED)
                if not gone.done():
                    running_now.terminate()
                self._judge(await gone)
            await asyncio.wait([ends], timeout=self.away_seconds)
            self.away_seconds = 0.0

    def complaints(self) -> list[str]:
        """What its log calls an error, each sort once: a defect, or something lost. How it ended is ``faults``' to say."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        wrong = [line for line in lines if '"level":"error"' in line or line.startswith("Traceback")]
        events = (line.partition('"event":"')[2].partition('"')[0] or line for line in wrong)
        return [f"the daemon says an error: {event}, see {self._log}" for event in sorted({*events} - {_NO_START})]

    @property
    def _log(self) -> Path:
        return self.folder / "verdictd.log"

    def _judge(self, code: int) -> None:
        """Killed; told to end, before it could listen or after; or begun while its broker was not there: to be begun again."""
        if code not in {-signal.SIGKILL, -signal.SIGTERM, 0} and not (code == Exit.UNAVAILABLE and self._missed_its_broker()):
            self.faults.append(f"the daemon's start {self.starts} ended with {code}, see verdictd.log")

    def _missed_its_broker(self) -> bool:
        *_, last = self._log.read_text().splitlines() or [""]
        return f'"event":"{_NO_START}"' in last and "NATS at " in last

    def jump(self, seconds: float) -> None:
        """Its time of day is off by so much from now on; what only passes goes on as before."""
        if self.clock is not None:
            self.clock.be_off(seconds)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """The process in which a daemon has its telemetry read; that starts it, and starts it again."""

    daemon: Daemon

    @property
    def pid(self) -> int | None:
        """A child of the daemon's."""
        return next(iter(samplers_of(self.daemon.pid)), None)

    async def back(self) -> None:
        """The daemon sees to it."""


@dataclass(kw_only=True)
class OwnBroker:
    """The nats-server that the daemon starts for itself, and starts again."""

    folder: Path

    @property
    def pid(self) -> int | None:
        """As the server says itself, in a file."""
        for ports in self.folder.glob("*.ports"):
            return int(ports.stem.rpartition("_")[2])
        return None

    @property
    def url(self) -> str | None:
        """Null while there is none."""
        try:
            return (self.folder / "nats-url").read_text().strip() or None
        except FileNotFoundError:
            return None

    async def back(self) -> None:
        """The daemon sees to it."""


@dataclass(kw_only=True)
class SharedBroker:
    """A nats-server beside the daemon."""

    broker: Broker

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        return self.broker.pid

    @property
    def url(self) -> str:
        """Always the same."""
        return self.broker.url

    async def back(self) -> None:
        """On the same port and store."""
        await self.broker.stop()
        await self.broker.start()


def urls(brokers: Sequence[OwnBroker | SharedBroker]) -> tuple[str, ...]:
    """Of those that are there."""
    return tuple(url for one in brokers if (url := one.url) is not None)


class ApiServer:
    """A kube-apiserver that is there again on its port, with its keys, on an etcd that stays."""

    def __init__(self, folder: Path, etcd_url: str, *, port: int, token: str) -> None:
        self._folder = folder
        self._url = f"https://{LOOPBACK}:{port}"
        self._certificates = folder / "certs"
        self._token = token
        tokens = write_tokens(folder / "tokens.csv", token)
        program = require("kube-apiserver")
        self._argv = commandlines.kube_apiserver(
            program, etcd_url=etcd_url, port=port, certificates=self._certificates, tokens=tokens
        )
        self._stack = AsyncExitStack()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> KubeApiServer:
        """Until it answers."""
        ca = self._certificates / "apiserver.crt"
        self._process = await self._stack.enter_async_context(
            running(
                "kube-apiserver",
                self._argv,
                folder=self._folder,
                ready=lambda: api_answers(self._url, ca, self._token),
                within=120.0,
            )
        )
        return KubeApiServer(self._url, ca, self._token, self._process)

    async def stop(self) -> None:
        """For good."""
        await self._stack.aclose()

    async def back(self) -> None:
        """On the same port."""
        await self.stop()
        await self.start()


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, KubeApiServer]]:
    """Run one with its etcd; gives who can be struck, and the way in."""
    (port,) = free_ports(1)
    async with etcd(folder / "etcd") as store:
        server = ApiServer(folder / "kube-apiserver", store.url, port=port, token="a" * 32)
        try:
            yield server, await server.start()
        finally:
            await server.stop()
