"""A configuration file that others write too: read with a fingerprint, replaced in one step, never on top of a change.

Envoy takes a routes file up when it is renamed into place, so a replacement is a new file in the same folder and a
rename. Between our last look and the rename lie microseconds; whoever writes in between loses to us, as anywhere
without a lock that both sides know. These functions block: call them in a thread.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import Conflict, Forbidden, NotFound, Refused, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The file as it was when it was read."""

    content: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """When the new file took the old one's place (seconds since 1970): between these two."""

    began_at: float
    ended_at: float


def read(path: Path) -> Snapshot:
    """Read the file.

    Raises:
        NotFound, Forbidden, Unavailable: as the file system says.
        Refused: it is no regular file, or a symbolic link, as in a mounted ConfigMap: whoever made it would undo a rename.
    """
    try:
        if path.is_symlink():
            raise Refused(f"{path} is a symbolic link, so something else manages it: give the file itself")
        if path.is_fifo() or path.is_char_device():
            raise Refused(f"{path} is no regular file: reading it might never end")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except PermissionError as error:
        raise Forbidden(f"{path} cannot be read: {error.strerror}") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error
    return Snapshot(content=content, fingerprint=hashlib.sha256(content).hexdigest())


def replace(path: Path, content: bytes, *, was: Snapshot) -> Renamed:
    """Put ``content`` in the file's place, if the file still is what it was.

    Raises:
        Conflict: somebody has changed the file since.
        NotFound, Forbidden, Refused, Unavailable: as ``read``.
    """
    try:
        mode = path.stat()
        temporary = _write_beside(path, content, like=mode)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except PermissionError as error:
        raise Forbidden(f"no new file can be written beside {path}: {error.strerror}") from error
    except OSError as error:
        raise Unavailable(f"no new file could be written beside {path}: {error}") from error
    try:
        if read(path).fingerprint != was.fingerprint:
            raise Conflict(f"{path} was changed by somebody else while we worked on it")
        began_at = time.time()
        temporary.rename(path)
        ended_at = time.time()
    except OSError as error:
        raise Unavailable(f"{path} could not be replaced: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Renamed(began_at=began_at, ended_at=ended_at)


def _write_beside(path: Path, content: bytes, *, like: os.stat_result) -> Path:
    """Durable before it is renamed: after a power cut an empty routes file would be worse than an old one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
