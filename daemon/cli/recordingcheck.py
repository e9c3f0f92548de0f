"""A recording checked: every line is read, and its buckets are held against the tolerances of the policy it carries."""

from pathlib import Path

from analyzers.fitness import ENOUGH, Resolution, resolutions
from config.errors import ConfigError, Problem
from daemon.errors import InvalidInput
from daemon.plan.seen import Seen
from daemon.replay.opening import opened

UNKNOWN = f"what its buckets can tell is not known: it takes buckets, and {ENOUGH} latencies of the baseline"


def check(file: str) -> tuple[Resolution, ...]:
    """What its buckets can tell, by all latencies of its baseline; empty where these are too few, or have no buckets.

    Raises:
        ConfigError: with the first line that is wrong, and why.
    """
    path = Path(file)
    try:
        return _resolutions(path)
    except InvalidInput as error:
        problem = Problem(path=_place(error.path, path), message=error.message, fix=error.fix)
        raise ConfigError((problem,), source=file) from error


def _resolutions(path: Path) -> tuple[Resolution, ...]:
    recording, seen = opened(path, policies=[None]), Seen()
    for sample in recording.samples:
        seen = seen.plus(sample)
    if sum(seen.counts) < ENOUGH:
        return ()
    header = recording.header
    allowed = header.policy.tolerances.latency
    return resolutions(header.bounds_ms, seen.counts, typical=allowed.typical, slow_end=allowed.slow_end)


def _place(where: str, path: Path) -> str:
    """A place in the recording without its name: ``line 5: baseline.requests``, or ``$`` for the whole of it."""
    inside = where.removeprefix(str(path))
    return f"line {inside.removeprefix(':')}" if inside else "$"
