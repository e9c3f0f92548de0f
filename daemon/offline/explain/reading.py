"""What kind of file somebody gave: a decision record, or a recording. Seen from its content, never from its name."""

from pathlib import Path

import msgspec

from config import earlier, files
from daemon.errors import InvalidInput
from daemon.model import Record

FORMAT = "verdictd.record/1"
# Many times what a record is; a file that begins like one and is larger is a recording.
_LARGEST_BYTES = 16 * 1024 * 1024
_FIX = "give a decision record (as GET /v1/releases/ID/record answers) or a recording"


class _Format(msgspec.Struct):
    format: str = ""


def read_record(path: Path) -> Record | None:
    """The decision record in a file; null when the file is none (it is then read as a recording).

    Raises:
        InvalidInput: the file cannot be read, or is a record with a fault.
    """
    try:
        with files.opened(path) as file:
            first = file.read(1)
            content = first + file.read(_LARGEST_BYTES) if first == b"{" else b""
    except files.Unreadable as error:
        raise InvalidInput(error.message, path=str(path), fix=_FIX) from error
    except OSError as error:
        raise InvalidInput(str(error), path=str(path), fix=_FIX) from error
    if _format_of(content) != FORMAT:
        return None
    try:
        return earlier.decode(content, Record)[0]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(str(error), path=str(path), fix=f"this version reads {FORMAT}") from error


def _format_of(content: bytes) -> str:
    """A recording is several documents: as one it cannot be decoded, and has no format in this sense."""
    try:
        return msgspec.json.decode(content, type=_Format).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
