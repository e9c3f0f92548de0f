"""Runs the rows that are not in the cache, block by block, in one process or several, and says how far it is."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Final

from daemon.offline.simulation.shapes import Shape
from daemon.offline.simulation.world import World
from tests.bench.calibration.cache import Results
from tests.bench.calibration.row import Row
from tests.bench.calibration.watching import Ends, Latencies, ends

BLOCK: Final = 200
"""Releases that are watched side by side, and kept together."""
Job = tuple[Row, int, Latencies]
"""Row, number of the block, and latencies that stand for the row's (null: its own)."""


def blocks(row: Row, releases: int | None) -> int:
    """Blocks of a row: those of a full calibration, or enough for so many releases."""
    return -(-(row.releases if releases is None else releases) // BLOCK)


def _one(job: Job) -> tuple[Row, int, Ends]:
    row, block, latencies = job
    return row, block, ends(row, block=block, releases=BLOCK, latencies=latencies)


def _finished(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Row, int, Ends]]:
    if processes <= 1:
        yield from map(_one, jobs)
        return
    with ProcessPoolExecutor(max_workers=processes) as pool:
        yield from pool.map(_one, jobs)


def _adopt(rows: Sequence[Row], caches: dict[str, Results], processes: int) -> None:
    """Take over what another judge gave, row by row, where a first block measured anew is the same to the last tick."""
    asked = [row for row in rows if not caches[row.name].blocks and caches[row.name].of_another_judge()]
    for row, _, first in _finished([(row, 0, None) for row in asked], processes):
        results = caches[row.name]
        old = results.of_another_judge()
        same = first == old.get(0)
        for block, block_ends in (old if same else {0: first}).items():
            results.add(block, block_ends)
        print(f"{'same, taken over' if same else 'differs'}: {row.name}", file=sys.stderr, flush=True)


def run(rows: Sequence[Row], *, releases: int | None, processes: int, adopt: bool = False) -> dict[str, Ends]:
    """How the releases of all rows ended, by the rows' names; of each row at least ``releases`` (null: as many as it has)."""
    caches = {row.name: Results(row) for row in rows}
    if adopt:
        _adopt(rows, caches, processes)
    jobs: list[Job] = [
        (row, block, None) for row in rows for block in range(blocks(row, releases)) if block not in caches[row.name].blocks
    ]
    for row, block, block_ends in told(jobs, processes):
        caches[row.name].add(block, block_ends)
    return {row.name: caches[row.name].together(blocks(row, releases)) for row in rows}


def run_seen(
    rows: Sequence[Row], *, releases: int, processes: int, bounds_ms: tuple[float, ...], shape_of: Callable[[float], Shape]
) -> tuple[list[Row], dict[str, Ends]]:
    """The same with latencies that were observed; ``shape_of`` stretches their slow end. Only rows whose change of latency is by
    one factor have a meaning then; these are given back too. Nothing is kept.
    """
    jobs: list[Job] = []
    for row in rows:
        if isinstance(row.stream, World) and not row.stream.change.factors:
            times = replace(row.stream.times, bounds_ms=bounds_ms)
            seen = replace(row, stream=replace(row.stream, times=times))
            latencies = shape_of(1.0), shape_of(row.stream.change.tail)
            jobs += [(seen, block, latencies) for block in range(blocks(row, releases))]
    answers: dict[str, Ends] = {}
    for row, _, block_ends in told(jobs, processes):
        answers.setdefault(row.name, []).extend(block_ends)
    return list({row.name: row for row, _, _ in jobs}.values()), answers


def told(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Row, int, Ends]]:
    """Finished jobs, each with a line that says how far it is."""
    began = time.monotonic()
    for number, (row, block, block_ends) in enumerate(_finished(jobs, processes), start=1):
        seconds = time.monotonic() - began
        words = row.asked.answer(block_ends, row.onset).figure
        print(f"{number}/{len(jobs)} {seconds:6.0f} s  {row.name} [{block}]: {words}", file=sys.stderr, flush=True)
        yield row, block, block_ends
