"""The file that ``verdictd revert --save`` writes and ``verdictd restore --from`` reads: a release, and what was written of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from config import files
from config.errors import ConfigError, Fault
from daemon import stored
from daemon.engine.takenback import UndoLog, Which, joined, which
from daemon.errors import InvalidInput
from daemon.model import Release
from daemon.placement import Undo

FORMAT = "verdictd.undo/1"
_MOST_BYTES = 64 * 1024 * 1024


class UndoFile(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in it."""

    release: Release
    undos: tuple[Undo, ...]
    format: Literal["verdictd.undo/1"] = "verdictd.undo/1"


class UndoWriter:
    """Writes it as soon as there is something to undo: whatever becomes of the command, that is not lost.

    Raises:
        ConfigError: there is a file already, which may be all that knows of an earlier revert; or none can be made.
    """

    def __init__(self, name: str, release: Release, *, source: str) -> None:
        self.problem = ""
        self._path = Path(name)
        self._release = release
        self._undos: tuple[Undo, ...] = ()
        self._intents: dict[Which, Undo] = {}
        try:
            self._path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            fix = "give the name of a new file, in a folder that is there"
            problem = Fault(path="--save", message=f"{name!r} cannot be made: {error.strerror}", fix=fix)
            raise ConfigError((problem,), source=source) from error
        self._write()

    @property
    def log(self) -> UndoLog:
        """What a revert writes to."""
        return UndoLog(intends=self._intends, changed=self.noted, settled=self._settled)

    def noted(self, undos: Sequence[Undo]) -> None:
        """Write these as well. The traffic comes first: a disk that is full is a ``problem``, and stops nothing."""
        self._undos = joined(self._undos, undos)
        self._settled(undos)

    async def _intends(self, intents: Sequence[Undo]) -> None:
        self._intents.update({which(one): one for one in intents})
        self._write()

    def _settled(self, intents: Sequence[Undo]) -> None:
        for one in intents:
            self._intents.pop(which(one), None)
        self._write()

    def _write(self) -> None:
        """All of it: who restores looks whether an intent is in force."""
        undos = joined(self._undos, self._intents.values())
        # Beside it first: what is written already must outlive a disk that is full by now.
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            beside.touch(mode=0o600)
            beside.write_bytes(stored.encode(UndoFile(release=self._release, undos=undos), carried={}) + b"\n")
            beside.replace(self._path)
        except OSError as error:
            self.problem = f"what it takes to restore this could not be saved in {self._path}: {error.strerror}"


def read(name: str) -> UndoFile:
    """Raises ``InvalidInput``."""
    fix = "give the file that verdictd revert --save has written"
    try:
        return stored.decode(files.read_text(Path(name), limit_bytes=_MOST_BYTES).encode(), UndoFile).value
    except files.Unreadable as error:
        raise InvalidInput(f"{name!r} cannot be read: {error.message}", path="--from", fix=fix) from error
    except stored.Unreadable as error:
        raise InvalidInput(f"{name!r} is no {FORMAT}: {error}", path="--from", fix=fix) from error
