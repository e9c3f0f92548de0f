"""Which recordings are meant: files as they are named, folders with all recordings in them."""

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
        found += _below(path) if path.is_dir() else [path]
    return found


def _below(folder: Path) -> list[Path]:
    inside = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    if not inside:
        raise InvalidInput("the folder holds no recording", path=str(folder), fix=f"recordings end in {' or '.join(SUFFIXES)}")
    return inside
