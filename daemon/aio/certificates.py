"""Certificates in files, ours or others': whether a file has changed, how its key is read, and why it cannot be used."""

import ssl
from pathlib import Path

from config import files

Stamp = tuple[int, int, int]
"""Another one means that a file has changed."""


def stamp(file: str) -> Stamp:
    """Of a regular file. Raises ``files.Unreadable`` and ``OSError``."""
    # Not to be held up by a pipe that nobody writes to, which loading it would be.
    with files.opened(Path(file)):
        found = Path(file).stat()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def no_passphrase() -> str:
    """Asked for when a key is encrypted; without this, OpenSSL would ask the terminal."""
    return ""


def reason(error: Exception) -> str:
    """Why OpenSSL or the system refuses a file, in words."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
