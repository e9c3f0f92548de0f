"""A recording checked: every line is read, and its buckets are held against the tolerances of the policy it carries."""

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from analyzers.fitness import ENOUGH, Resolution, resolutions
from config.errors import ConfigError
from daemon.errors import InvalidInput
from daemon.offline.plan.seen import Seen
from daemon.offline.replay.sources import opened
from daemon.recordings import Header

UNKNOWN = f"what its buckets can tell is not known: it takes buckets, and {ENOUGH} latencies of the baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What its buckets can tell, by all latencies of its baseline: nothing where these are too few, or have no buckets.

    ``torn_line`` is the number of a last line that was not written to its end; ``missing``: a sentence for each place where ticks
    are not in it.
    """

    buckets: tuple[Resolution, ...]
    torn_line: int | None
    missing: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a person."""
        torn = () if self.torn_line is None else (f"line {self.torn_line} is torn, and the last: replay leaves it out",)
        told = tuple(one.sentence for one in self.buckets) or (UNKNOWN,)
        return (*torn, *self.missing, *told)


def check(file: str) -> Checked:
    """Read a recording to its end.

    Raises:
        ConfigError: with the first line that is wrong, and all that is wrong with it.
    """
    path = Path(file)
    try:
        return _checked(path)
    except InvalidInput as error:
        raise ConfigError([replace(one, path=_place(one.path, path)) for one in error.faults], source=file) from error


def _checked(path: Path) -> Checked:
    recording, seen = opened(path, policies=[None]), Seen()
    for sample in recording.samples:
        seen = seen.plus(sample)
    missing = tuple(hole.sentence for hole in recording.header.holes)
    return Checked(buckets=_resolutions(recording.header, seen), torn_line=recording.torn_line, missing=missing)


def _resolutions(header: Header, seen: Seen) -> tuple[Resolution, ...]:
    if sum(seen.counts) < ENOUGH:
        return ()
    allowed = header.policy.tolerances.latency
    return resolutions(header.bounds_ms, seen.counts, typical=allowed.typical, slow_end=allowed.slow_end)


def _place(where: str, path: Path) -> str:
    """A place in the recording without its name: ``line 5: baseline.requests``, or ``$`` for the whole of it."""
    inside = where.removeprefix(str(path))
    return f"line {inside.removeprefix(':')}" if inside else "$"
