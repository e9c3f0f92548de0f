"""``make calibration``; ``python -m tests.bench.calibration --quick`` for a rough run of two minutes that touches no page.

Results are kept block by block in ``.calibration/``, so that an interrupted run goes on and only what the judge's change
has made stale is measured again.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from tests.bench.calibration import suite
from tests.bench.calibration.cache import FOLDER, fingerprint
from tests.bench.calibration.cells import all_cells
from tests.bench.calibration.figures import reference
from tests.bench.calibration.page import page
from tests.bench.calibration.plots import all_plots
from tests.bench.calibration.running import run
from tests.bench.calibration.tables import Tables

DOCS: Final = Path("docs")


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.calibration", description="Measure the judge on simulated releases."
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes, rough figures, written to .calibration/quick")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default 1)")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="after a change of the judge that should change no figure: measure the first block of every cell again, and where "
        "it is the same to the last tick take the others over",
    )
    parser.add_argument("--sections", nargs="*", help="measure these sections only and write no page")
    parser.add_argument("--recordings", type=Path, help="also write the labelled suite as recordings into this folder")
    return parser.parse_args(words)


def _write(folder: Path, tables: Tables, *, labelled: str, quick: bool) -> None:
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for name, drawing in all_plots(tables).items():
        (plots / name).write_text(drawing, encoding="utf-8")
    text = page(tables, fingerprint=fingerprint(), suite=labelled, quick=quick)
    (folder / "calibration.md").write_text(text, encoding="utf-8")
    print(f"written: {folder / 'calibration.md'}")


def main(words: list[str]) -> int:
    """Measure what is not known yet, then write the page."""
    chosen = _arguments(words)
    if chosen.recordings is not None:
        print(f"{suite.write(chosen.recordings)} recordings in {chosen.recordings}")
        return 0
    cells = [cell for cell in all_cells() if not chosen.sections or cell.section in chosen.sections]
    answers = run(cells, quick=chosen.quick, processes=chosen.processes, adopt=chosen.adopt)
    if chosen.sections:
        return 0
    labelled = suite.report(releases=100 if chosen.quick else suite.RELEASES)
    folder = FOLDER / "quick" if chosen.quick else DOCS
    _write(folder, Tables(cells, answers, reference()), labelled=labelled, quick=chosen.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
