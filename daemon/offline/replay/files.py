"""Which recordings are meant: files as they are named, folders with all recordings in them."""

import os
from collections.abc import Iterable
from pathlib import Path

from daemon.errors import InvalidInput
from daemon.recordings import SUFFIXES


def recordings_in(names: Iterable[str]) -> list[Path]:
    """Files in the order of their names on the command line; a folder stands for all recordings below it, sorted.

    Raises:
        InvalidInput: a folder holds no recording.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        # Path.is_dir would raise where a name is too long; whoever opens the file says so better.
        found += _below(path) if os.path.isdir(name) else [path]  # noqa: PTH112
    return found


def _below(folder: Path) -> list[Path]:
    inside = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    if not inside:
        raise InvalidInput("the folder holds no recording", path=str(folder), fix=f"recordings end in {' or '.join(SUFFIXES)}")
    return inside
