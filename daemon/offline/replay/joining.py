"""Parts of one release's recording, each written by the replica that had it for a while, put together to the whole.

Lines are told apart by the chained digest before and after each: what one replica judged, and nobody went on from, has no place
in the whole. Where two lines follow the same one, only the record's digest says which of them was gone on from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from daemon import recordings
from daemon.errors import InvalidInput
from daemon.recordings import Header

_FIX = "name the recordings of all replicas that had the release"


class _Step(NamedTuple):
    """The line that leads to a digest, and from which; ``taken_over``: it is the first one after a hole."""

    before: str
    line: bytes
    taken_over: bool


@dataclass(frozen=True, slots=True)
class _Part:
    header: Header
    steps: dict[str, _Step]
    ends: tuple[str, ...]


def joined(parts: Sequence[Path], *, whole: Path, digest: str | None = None) -> Path:
    """Write the whole, and give its path. ``digest``: the record's ``sample_digest``, which says for sure where it ends.

    Raises:
        InvalidInput: a part cannot be read, is another release's, ticks are in none of them, or no digest says which of two ways.
    """
    read = [_part(path) for path in parts]
    others = [path for path, one in zip(parts, read, strict=True) if one.header.release != read[0].header.release]
    if others:
        raise InvalidInput("it is another release's", path=str(others[0]), fix="name the parts of one release")
    steps: dict[str, _Step] = {}
    for one in read:
        steps |= {digest: step for digest, step in one.steps.items() if digest not in steps or step.taken_over}
    for path, one in zip(parts, read, strict=True):
        for hole in one.header.holes:
            if _way(steps, hole.digest) is None:
                raise InvalidInput(f"{hole.sentence}, and the others are in no part", path=str(path), fix=_FIX)
    if digest is not None and (digest not in steps or _way(steps, digest) is None):
        raise InvalidInput("no ticks of these recordings lead to it", path="--digest", fix=_FIX)
    ways = [(_way(steps, end) or [], one.header) for one in read for end in (one.ends if digest is None else (digest,))]
    way, header = max(ways, key=lambda one: (sum(step.taken_over for step in one[0]), len(one[0])))
    if any(other != way[: len(other)] for other, _ in ways):
        raise InvalidInput(
            "two replicas went on differently from the same tick, and it is not known which of them the verdict is of",
            path=str(parts[0]),
            fix="name the record's sample_digest with --digest",
        )
    first = recordings.header_line(replace(header, holes=()))
    try:
        whole.write_bytes(b"".join(line + b"\n" for line in (first, *(step.line for step in way))))
    except OSError as error:
        raise InvalidInput(
            f"cannot be written: {error.strerror}", path=str(whole), fix="name a file that can be written"
        ) from error
    return whole


def _part(path: Path) -> _Part:
    header, samples = recordings.read(path)
    lines = [recordings.line(sample) for sample in samples]
    found = list(recordings.places(lines, header.holes))
    steps, ends, after_hole = {}, [found[-1].digest], False
    for here, there in pairwise(found):
        if there.lines > here.lines:
            steps[there.digest] = _Step(before=here.digest, line=lines[here.lines], taken_over=after_hole)
        else:
            ends.append(here.digest)
        after_hole = there.lines == here.lines
    return _Part(header=header, steps=steps, ends=tuple(ends))


def _way(steps: Mapping[str, _Step], end: str) -> list[_Step] | None:
    """From the beginning to there; null where ticks between are missing."""
    way: list[_Step] = []
    while end:
        if (step := steps.get(end)) is None:
            return None
        way.append(step)
        end = step.before
    return way[::-1]
