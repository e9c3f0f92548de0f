"""Files that somebody names, read without waiting for ever and without end.

A path may lead to a pipe that nobody writes to, or to a device that never ends. So a file is opened without blocking, must be a
regular one, and is read up to a limit that its reader gives.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

MIB = 1024 * 1024


class Unreadable(Exception):
    """A file that is not read. ``message`` says why, without the file's name; ``fix`` how to mend it."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


@contextmanager
def opened(path: Path) -> Iterator[FileIO]:
    """A regular file, open for reading while the body runs. Raises ``Unreadable``; what the body raises stays what it is."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
        raise Unreadable(f"cannot be read: {_why(error)}", fix="correct the path or its permissions") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise Unreadable("cannot be read: Is a directory", fix="name a file in it")
        raise Unreadable("is no regular file: it might never end", fix="copy what it holds to a file, and name that")
    with FileIO(descriptor) as file:
        yield file


def read_bytes(path: Path, *, limit_bytes: int) -> bytes:
    """All of a regular file. Raises ``Unreadable``, also for one that is larger than ``limit_bytes``."""
    with opened(path) as file:
        return read_stream(file, limit_bytes=limit_bytes)


def read_stream(file: BinaryIO | FileIO, *, limit_bytes: int) -> bytes:
    """All that comes until the end. Raises ``Unreadable``, also when that is more than ``limit_bytes``."""
    try:
        content = _read(file, limit_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {_why(error)}", fix="correct the path or its permissions") from error
    if len(content) > limit_bytes:
        raise Unreadable(f"is larger than {_size(limit_bytes)}", fix="is it the right file?")
    return content


def read_text(path: Path, *, limit_bytes: int) -> str:
    """All of a regular file in UTF-8. Raises ``Unreadable``."""
    return as_text(read_bytes(path, limit_bytes=limit_bytes))


def as_text(content: bytes) -> str:
    """UTF-8 decoded. Raises ``Unreadable`` naming the first byte that is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 (byte {error.start})", fix="save it as UTF-8") from error


def _read(file: BinaryIO | FileIO, most: int) -> bytes:
    """Up to ``most`` bytes, whatever size the file says it has: files under /proc say 0."""
    parts: list[bytes] = []
    while most > 0 and (part := file.read(min(most, MIB))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"
