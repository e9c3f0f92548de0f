"""Recordings judged again. The same samples and policy give the same verdict as they gave live: the same code judges.

Recordings are read tick by tick and judged side by side, because the judge folds a batch for little more than one release
costs it; memory does not grow with a recording's length, nor with the number of recordings.
"""

from pathlib import Path

from config.policy import Policy
from daemon.offline.replay.lockstep import Judged, Replayed, Unusable, judge, replayed

__all__ = ["Judged", "Replayed", "Unusable", "replay_file", "replayed"]


def replay_file(path: Path, *, policy: Policy | None = None) -> Replayed:
    """Judge one recording, under its own policy or another.

    Raises:
        InvalidInput: naming the file and the line of the first fault.
    """
    [result] = judge([path], policies=[policy])
    if isinstance(result, Unusable):
        raise result.error
    return replayed(result)
