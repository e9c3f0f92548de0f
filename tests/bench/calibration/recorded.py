"""Releases of the rows as recordings, so that ``verdictd replay FOLDER/*`` can be scored by the truth in ``labels.json``."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from daemon import recordings
from daemon.model import ArmSpec, Release
from daemon.offline.simulation import trials
from daemon.offline.simulation.world import World
from tests.bench.calibration.row import Row
from tests.bench.calibration.watching import feed, setting


def write(folder: Path, rows: Sequence[Row], *, each: int) -> int:
    """Write some releases of each row, packed and as long as the watch was, and ``labels.json``; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    labels: dict[str, str] = {}
    for row in rows:
        name = re.sub("[^a-z0-9]+", "-", row.name.lower()).strip("-")
        for at, lines in enumerate(_lines(row, releases=each)):
            file = f"{name}-{at:03d}.jsonl.gz"
            (folder / file).write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))
            labels[file] = row.name
    (folder / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")
    return len(labels)


def _lines(row: Row, *, releases: int) -> list[list[bytes]]:
    files = [[recordings.header_line(_header(row))] for _ in range(releases)]
    source = feed(row, releases=releases, seed=np.random.SeedSequence(0))
    for now in trials.rounds(source, setting(row).terms, releases=releases):
        for at, sample in zip(now.places, now.samples, strict=True):
            files[at].append(recordings.line(sample))
    return files


def _header(row: Row) -> recordings.Header:
    stream, terms = row.stream, setting(row).terms
    release = Release(service="simulated", baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"), weight=100.0 * terms.share)
    return recordings.Header(
        release=msgspec.to_builtins(release),
        policy=row.watch.policy,
        bounds_ms=terms.bounds_ms,
        split=stream.split if isinstance(stream, World) else True,
        tick_seconds=stream.traffic.tick_seconds if isinstance(stream, World) else stream.tick_seconds,
    )
