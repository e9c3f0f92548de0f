"""The folder of the embedded broker: one daemon at a time, and nobody else's to read.

The lock is the kernel's and goes with the processes that hold it, so none is ever left behind. The server inherits it: as long as
it writes to the folder, nobody else may.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.errors import InvalidInput

LOCK_SECONDS = 3.0


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[int]:
    """The folder's lock, as a descriptor to hand to a child. Raises ``InvalidInput`` when another daemon has it."""
    descriptor = await _take_lock(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Make the folder, for this user only, and return it as an absolute path. Raises ``InvalidInput``."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInput(
            f"the folder {str(folder)!r} cannot be made: {error.strerror}",
            path="nats.data_dir",
            fix="name a folder this user may write to",
        ) from error
    return folder.resolve()


async def _take_lock(folder: Path) -> int:
    """Wait a moment for the lock: the child of a daemon that was just killed may hold it for some milliseconds."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        lock = await asyncio.to_thread(_try_lock, folder / "lock")
        if lock is not None:
            return lock
        if time.monotonic() > deadline:
            raise InvalidInput(
                f"the folder {str(folder)!r} is in use by another verdictd",
                path="nats.data_dir",
                fix="end the other daemon, or give this one a folder of its own",
            )
        await asyncio.sleep(0.1)


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"the lock {str(path)!r} cannot be opened: {error.strerror}",
            path="nats.data_dir",
            fix="name a folder this user may write to",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write by atomic rename, readable by this user only: the text holds the token."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
