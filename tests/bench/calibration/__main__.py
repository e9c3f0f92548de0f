"""``make calibration``; ``python -m tests.bench.calibration --quick`` for a rough run of two minutes that touches no page.

Results are kept block by block in ``.calibration/``, so that an interrupted run goes on and only what the judge's change
has made stale is measured again. ``--only REGEX`` measures some rows and prints their table; with ``--n 200`` of few releases.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from daemon.offline.plan.latency import Histogram, stretched
from tests.bench.calibration import recorded, streams
from tests.bench.calibration.before import Before, keep
from tests.bench.calibration.cache import FOLDER, fingerprint
from tests.bench.calibration.page import Answers, page, table
from tests.bench.calibration.plots import all_plots
from tests.bench.calibration.row import Row
from tests.bench.calibration.rows import all_rows
from tests.bench.calibration.running import BLOCK, run, run_seen

DOCS: Final = Path("docs")


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.calibration", description="Measure the judge on simulated releases."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="about two minutes: one block of the rows that make test has too, written to .calibration/quick",
    )
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default 1)")
    parser.add_argument("--only", metavar="REGEX", help="measure only rows whose section and title match, and print them")
    parser.add_argument("--n", type=int, metavar="RELEASES", help="at least so many releases of each row, and print them")
    parser.add_argument("--held-back", action="store_true", help="with --only or --n: the second generator's rows too")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="after a change of the judge that should change no figure: measure the first block of every row again, and where "
        "it is the same to the last tick take the others over",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="write the figures into a file, beside those of other rows, to compare with later"
    )
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="write releases of the rows as recordings instead")
    parser.add_argument(
        "--histogram",
        type=Path,
        metavar="FILE",
        help='a JSON file {"bounds_ms": [...], "counts": [...]}: its latencies for the rows\'',
    )
    return parser.parse_args(words)


def _chosen(only: str | None, *, part: bool, held_back: bool) -> list[Row]:
    rows = [row for row in all_rows() if only is None or re.search(only, row.name)]
    return [row for row in rows if row.section != "held back" or held_back or not part]


def _write(folder: Path, rows: Sequence[Row], answers: Answers, *, quick: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not quick:
        plots = folder / "plots"
        plots.mkdir(exist_ok=True)
        for old in plots.glob("calibration-*.svg"):
            old.unlink()
        for name, drawing in all_plots([(row, answers[row.name]) for row in rows]).items():
            (plots / name).write_text(drawing, encoding="utf-8")
    gamma, slow = streams.BASE.parts
    text = page(
        rows, answers, before=Before(), fingerprint=fingerprint(), quick=quick, gamma_ms=gamma.median_ms, slow_ms=slow.median_ms
    )
    (folder / "calibration.md").write_text(text, encoding="utf-8")
    print(f"written: {folder / 'calibration.md'}")


def _print_seen(path: Path, rows: Sequence[Row], *, releases: int, processes: int) -> None:
    """The rows for latencies that were observed."""
    histogram = msgspec.json.decode(path.read_bytes(), type=Histogram)
    meant, answers = run_seen(
        rows,
        releases=releases,
        processes=processes,
        bounds_ms=histogram.bounds_ms,
        shape_of=lambda tail: stretched(histogram, tail),
    )
    print(table(meant, answers, Before()))


def main(words: list[str]) -> int:
    """Measure what is not known yet, then write the page, or print the rows that were asked for."""
    chosen = _arguments(words)
    part = chosen.only is not None or chosen.n is not None
    rows = _chosen(chosen.only, part=part, held_back=chosen.held_back)
    if chosen.recordings is not None:
        print(f"{recorded.write(chosen.recordings, rows, each=chosen.n or 20)} recordings in {chosen.recordings}")
        return 0
    if chosen.histogram is not None:
        _print_seen(chosen.histogram, rows, releases=chosen.n or BLOCK, processes=chosen.processes)
        return 0
    if chosen.quick:
        rows = [replace(row, releases=BLOCK) for row in rows if row.tested]
    answers = run(rows, releases=chosen.n, processes=chosen.processes, adopt=chosen.adopt)
    if chosen.keep is not None:
        keep([(row, answers[row.name]) for row in rows], chosen.keep)
    if part:
        print(table(rows, answers, Before()))
    else:
        _write(FOLDER / "quick" if chosen.quick else DOCS, rows, answers, quick=chosen.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
