"""Recordings written: one file per release, one line per judged tick.

A recording is what was judged, to the byte, and never anything else. The chained digest of the session says where a line belongs:
after a kill the file may hold ticks that no checkpoint knows, and they are cut off; where ticks are missing (another replica had
the release, a full disk, recordings switched on in the middle) the first line says so, and the recording goes on after the hole.
"""

import contextlib
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path

from msgspec.structs import replace

from daemon.errors import InvalidInput, VerdictdError
from daemon.recordings import Header, Hole, Place, header_line, holes_in, places
from daemon.stored import Unreadable


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file ends: its digest and size; and its header."""

    digest: str
    size: int
    header: Header


class Recorder:
    """Appends lines to one file per release. Blocking file I/O: call it from a thread.

    The bounds of the buckets may be unknown when the watch begins (a proxy shows a histogram only after its first use);
    the header is then written without them, and once more, by atomic rename, when they are known. So it is where an announcement
    that joins the release adds something to it.

    Raises:
        InvalidInput: the folder cannot be had.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ends: dict[str, _End | None] = {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fix = "name a folder that can be made and written to"
            raise InvalidInput(f"{directory} cannot be used: {error.strerror}", path="recordings.directory", fix=fix) from error

    def path(self, release_id: str) -> Path:
        """Where a release's recording is."""
        return self._directory / f"{release_id}.jsonl"

    def append(self, release_id: str, header: Header, line: bytes, *, before: str, after: str, tick: int) -> None:
        """Write one tick's line; ``before`` and ``after`` are the session's digests around it, ``tick`` is its number from 1 on.

        Raises:
            VerdictdError: it cannot be written; said once, then the release goes unrecorded.
        """
        end = self._ends.get(release_id)
        if end is None and release_id in self._ends:
            return
        self._ends[release_id] = None
        path = self.path(release_id)
        try:
            if end is None or end.digest != before:
                end = _placed(path, header, Hole(lines=0, ticks=tick - 1, digest=before))
            if end.header != (wanted := replace(header, holes=end.header.holes)):
                end = _with_header(path, wanted, path.read_bytes().split(b"\n", 1)[1], digest=before)
            self._ends[release_id] = _append(path, line, end, digest=after)
        except OSError as error:
            raise VerdictdError(f"{path} ends here, the release is not recorded any more: {error}") from error

    def close(self, release_id: str) -> None:
        """The release has ended, or is another replica's."""
        self._ends.pop(release_id, None)


def _append(path: Path, line: bytes, end: _End, *, digest: str) -> _End:
    written = line + b"\n"
    try:
        with path.open("r+b") as file:
            if file.seek(0, SEEK_END) != end.size:
                raise VerdictdError(f"{path} was changed by somebody else; the release is not recorded any more")
            file.write(written)
    except OSError:
        with contextlib.suppress(OSError):  # no half line may stay
            _truncate(path, end.size)
        raise
    return _End(digest=digest, size=end.size + len(written), header=end.header)


def _placed(path: Path, header: Header, here: Hole) -> _End:
    """Bring the file to where this tick belongs: a new file, an old one without what was not kept, or one with one more hole.

    Where no tick was kept it is begun anew whatever it holds: a kill may have left half of a header.
    """
    if not here.digest:
        return _with_header(path, header, b"", digest="")
    lines, holes = _kept(path)
    place = next((one for one in places(lines, holes) if one.digest == here.digest), None)
    if place is None:
        place = Place(len(lines), (*holes, replace(here, lines=len(lines))), here.digest)
    body = b"".join(line + b"\n" for line in lines[: place.lines])
    return _with_header(path, replace(header, holes=place.holes), body, digest=here.digest)


def _kept(path: Path) -> tuple[list[bytes], tuple[Hole, ...]]:
    """The whole lines after the first, and the holes between them; none where the file is not there, or no more than begun."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], ()
    first, *lines = content.split(b"\n")
    if not lines:
        return [], ()
    try:
        holes = holes_in(first)
    except Unreadable as error:
        raise VerdictdError(f"{path} is no recording, and is left as it is; the release is not recorded any more") from error
    return lines[:-1], holes


def _with_header(path: Path, header: Header, body: bytes, *, digest: str) -> _End:
    """These lines under this first line, by atomic rename: whoever reads finds a whole header."""
    first = header_line(header) + b"\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(first + body)
    temporary.replace(path)
    return _End(digest=digest, size=len(first) + len(body), header=header)


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
