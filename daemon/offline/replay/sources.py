"""Which recordings are meant, and each of them opened for judging: its header checked, its terms made, its first sample at hand."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from analyzers.counts import Sample
from analyzers.judge import Terms, terms_of
from config.policy import Policy
from daemon import recordings
from daemon.errors import InvalidInput
from daemon.model import Release
from daemon.recordings import SUFFIXES, Header, Samples


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A recording that is about to be judged. ``terms`` has one entry for each policy; ``samples`` can be read once.

    ``file`` is what the samples come from, and knows in the end whether its last line is torn.
    """

    header: Header
    release: Release
    terms: tuple[Terms, ...]
    samples: Iterator[Sample]
    file: Samples

    @property
    def torn_line(self) -> int | None:
        """Number of a torn last line, once the samples have all been read; null when the file is whole."""
        return self.file.torn_line


def opened(path: Path, *, policies: Sequence[Policy | None]) -> Opened:
    """Open a recording to judge it under some policies; a null one is its own.

    Raises:
        InvalidInput: naming the file and the line.
    """
    header, samples = recordings.read(path)
    release = header.checked_release(path=f"{path}:1: $.release")
    first = next(samples, None)
    if first is None:
        said = "the recording holds no tick" if samples.torn_line is None else "the recording holds no whole tick"
        raise InvalidInput(said, path=str(path), fix="record at least one tick")
    tick_seconds = header.tick_seconds or first.seconds
    terms = tuple(_terms(path, header, policy or header.policy, release=release, tick_seconds=tick_seconds) for policy in policies)
    return Opened(header=header, release=release, terms=terms, samples=chain([first], samples), file=samples)


def _terms(path: Path, header: Header, policy: Policy, *, release: Release, tick_seconds: float) -> Terms:
    window_seconds = policy.window_seconds if release.deadline is None else min(release.deadline, policy.window_seconds)
    if header.after is not None:
        window_seconds = header.after.seconds
    try:
        return terms_of(
            policy,
            tick_seconds=tick_seconds,
            window_seconds=window_seconds,
            weight=release.weight,
            bounds_ms=header.bounds_ms,
            timed=header.timed,
            after=None if header.after is None else header.after.reference,
        )
    except ValueError as error:
        raise InvalidInput(str(error), path=f"{path}:1", fix="correct the header or give another --policy") from error
