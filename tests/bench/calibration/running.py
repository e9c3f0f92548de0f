"""Runs the cells that are not in the cache, block by block, in one process or several, and says how far it is."""

import json
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import numpy as np

from tests.bench.calibration.cache import Results
from tests.bench.calibration.cells import Cell
from tests.bench.calibration.probes import First, probe_of

BLOCK: Final = 500
QUICK_RUNS: Final = 100
Job = tuple[Cell, int, int]
"""Cell, number of the block, releases in it."""


def sizes(cell: Cell) -> list[int]:
    """Releases in each block of a cell."""
    return [min(BLOCK, cell.runs - first) for first in range(0, cell.runs, BLOCK)]


def run_block(cell: Cell, block: int, releases: int) -> First:
    """One block, with a seed of its own that does not depend on the order of the cells."""
    name = zlib.crc32(f"{cell.section} {cell.key}".encode())
    return probe_of(cell)(cell, releases=releases, seed=np.random.SeedSequence([name, block]))


def _one(job: Job) -> tuple[Cell, int, First]:
    cell, block, releases = job
    return cell, block, run_block(cell, block, releases)


def _finished(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Cell, int, First]]:
    if processes <= 1:
        yield from map(_one, jobs)
        return
    with ProcessPoolExecutor(max_workers=processes) as pool:
        yield from pool.map(_one, jobs)


def _adopt(cells: Sequence[Cell], caches: dict[tuple[str, str], Results], processes: int) -> None:
    """Take over what another judge gave, cell by cell, where a first block measured anew is the same to the last tick."""
    asked = [
        cell for cell in cells if not caches[cell.section, cell.key].blocks and caches[cell.section, cell.key].of_another_judge()
    ]
    jobs = [(cell, 0, sizes(cell)[0]) for cell in asked]
    for cell, _, first in _finished(jobs, processes):
        results = caches[cell.section, cell.key]
        old = results.of_another_judge()
        same = json.dumps(first) == json.dumps(old.get(0))
        for block, blocks_first in (old if same else {0: first}).items():
            results.add(block, blocks_first)
        print(f"{'same, taken over' if same else 'differs'}: {cell.section}: {cell.title}", file=sys.stderr, flush=True)


def run(cells: Sequence[Cell], *, quick: bool, processes: int, adopt: bool = False) -> dict[tuple[str, str], First]:
    """All cells' answers by section and key. Quick answers are not kept."""
    caches: dict[tuple[str, str], Results] = {(cell.section, cell.key): Results(cell) for cell in cells}
    if adopt and not quick:
        _adopt(cells, caches, processes)
    if quick:
        return {(cell.section, cell.key): first for cell, _, first in _told([(cell, 0, QUICK_RUNS) for cell in cells], processes)}
    jobs = [
        (cell, block, releases)
        for cell in cells
        for block, releases in enumerate(sizes(cell))
        if block not in caches[cell.section, cell.key].blocks
    ]
    for cell, block, first in _told(jobs, processes):
        caches[cell.section, cell.key].add(block, first)
    return {(cell.section, cell.key): caches[cell.section, cell.key].together(len(sizes(cell))) for cell in cells}


def _told(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Cell, int, First]]:
    """Finished jobs, each with a line that says how far it is."""
    began = time.monotonic()
    for number, (cell, block, first) in enumerate(_finished(jobs, processes), start=1):
        seconds = time.monotonic() - began
        print(f"{number}/{len(jobs)} {seconds:6.0f} s  {cell.section}: {cell.title} [{block}]", file=sys.stderr, flush=True)
        yield cell, block, first
