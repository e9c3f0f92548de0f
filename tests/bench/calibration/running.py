"""Runs the cells that are not in the cache, block by block, in one process or several, and says how far it is."""

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
QUICK_BLOCKS: Final = 1
QUICK_RUNS: Final = 100


def sizes(cell: Cell, *, quick: bool) -> list[int]:
    """Releases in each block of a cell. Quick blocks are kept apart by their size, see ``_number``."""
    if quick:
        return [QUICK_RUNS]
    return [min(BLOCK, cell.runs - first) for first in range(0, cell.runs, BLOCK)]


def run_block(cell: Cell, block: int, releases: int) -> First:
    """One block, with a seed of its own that does not depend on the order of the cells."""
    name = zlib.crc32(f"{cell.section} {cell.key}".encode())
    return probe_of(cell)(cell, releases=releases, seed=np.random.SeedSequence([name, block]))


def _one(job: tuple[Cell, int, int]) -> tuple[Cell, int, First]:
    cell, block, releases = job
    return cell, block, run_block(cell, block, releases)


def _finished(jobs: Sequence[tuple[Cell, int, int]], processes: int) -> Iterator[tuple[Cell, int, First]]:
    if processes <= 1:
        yield from map(_one, jobs)
        return
    with ProcessPoolExecutor(max_workers=processes) as pool:
        yield from pool.map(_one, jobs)


def run(cells: Sequence[Cell], *, quick: bool, processes: int) -> dict[tuple[str, str], First]:
    """All cells' answers by section and key. Quick answers are not kept."""
    caches = {(cell.section, cell.key): Results(cell) for cell in cells}
    jobs = [
        (cell, block, releases)
        for cell in cells
        for block, releases in enumerate(sizes(cell, quick=quick))
        if quick or block not in caches[cell.section, cell.key].blocks
    ]
    quickly: dict[tuple[str, str], First] = {}
    began = time.monotonic()
    for number, (cell, block, first) in enumerate(_finished(jobs, processes), start=1):
        if quick:
            quickly[cell.section, cell.key] = first
        else:
            caches[cell.section, cell.key].add(block, first)
        seconds = time.monotonic() - began
        print(f"{number}/{len(jobs)} {seconds:6.0f} s  {cell.section}: {cell.title} [{block}]", file=sys.stderr, flush=True)
    if quick:
        return quickly
    return {(cell.section, cell.key): caches[cell.section, cell.key].together(len(sizes(cell, quick=False))) for cell in cells}
