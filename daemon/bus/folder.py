"""The folder of the embedded broker: one daemon at a time, and nobody else's to read.

Locks are the kernel's and go with the processes that hold them, so none is ever left behind. There are two: the owner's, which is
the daemon's alone, and one that the server inherits: as long as it writes to the folder, nobody else may. A server without
an owner is what a killed daemon has left behind.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.errors import InvalidInput

LOCK_SECONDS = 3.0


@asynccontextmanager
async def locked(folder: Path, *, end_leftover: Callable[[], None]) -> AsyncIterator[int]:
    """The folder's lock, as a descriptor to hand to a child. Raises ``InvalidInput`` when another daemon has it.

    ``end_leftover`` is called when only a server has it, and goes on having it.
    """
    owner = await _take_lock(folder, "owner")
    try:
        try:
            lock = await _take_lock(folder, "lock")
        except InvalidInput:
            await asyncio.to_thread(end_leftover)
            lock = await _take_lock(folder, "lock")
        try:
            yield lock
        finally:
            os.close(lock)
    finally:
        os.close(owner)


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


async def _take_lock(folder: Path, name: str) -> int:
    """Wait a moment for the lock: the child of a daemon that was just killed holds it until it has put its files in order."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        late = time.monotonic() > deadline  # looked at first: however long we are put aside, there is a try after it
        lock = await asyncio.to_thread(_try_lock, folder / name)
        if lock is not None:
            return lock
        if late:
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
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.fsencode(text))  # it names folders, which must be the bytes that are on the disk
    temporary.replace(path)
