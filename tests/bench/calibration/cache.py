"""Results on disk, block by block, under a name that changes when the judge does: an interrupted calibration goes on where it was.

The name is a hash of what can change a figure: the code of the judge and of the simulator without comments and docstrings, the
policy's defaults, and the cell. Modules that only word a ruling are left out, those of promotion where nothing is promoted.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

import analyzers
import config
import daemon.simulation
from tests.bench.calibration.cells import Cell
from tests.bench.calibration.probes import First

FOLDER: Final = Path(".calibration")
_WORDING: Final = frozenset(
    {"report.py", "words.py", "classical.py", "intervals.py", "explain.py", "plot.py", "asides.py", "fitness.py", "visible.py"}
)
_PROMOTING: Final = frozenset({"decide.py", "ruling.py", "release.py", "promotion.py", "p99.py", "strict.py", "share.py"})
PROMOTED: Final = frozenset({"promotion", "product"})
"""Sections whose figures depend on what promotes."""


def _code(path: Path) -> str:
    """The module's meaning: its tree without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return ast.dump(tree)


@cache
def fingerprint(*, promoting: bool = True) -> str:
    """Of the judge, the simulator, the policy and the questions: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    roots = [Path(package.__path__[0]) for package in (analyzers, daemon.simulation)]
    left_out = _WORDING if promoting else _WORDING | _PROMOTING
    files = [path for root in roots for path in sorted(root.rglob("*.py")) if path.name not in left_out]
    files += [Path(config.__path__[0]) / "policy.py", Path(__file__).with_name("probes.py"), Path(__file__).with_name("lean.py")]
    for path in files:
        digest.update(_code(path).encode())
    return digest.hexdigest()[:12]


def _read(path: Path) -> dict[int, First]:
    return {int(block): first for block, first in json.loads(path.read_text()).items()}


class Results:
    """The blocks of one cell."""

    def __init__(self, cell: Cell, folder: Path = FOLDER) -> None:
        """Read what is there."""
        question = repr(
            (cell.section, cell.world, cell.window_seconds, cell.warmup_seconds, cell.legs, cell.tolerance, cell.wander)
        )
        name = hashlib.sha256(question.encode()).hexdigest()[:16]
        self._path = folder / fingerprint(promoting=cell.section in PROMOTED) / f"{name}.json"
        self.blocks = _read(self._path) if self._path.exists() else {}

    def add(self, block: int, first: First) -> None:
        """Keep one block; the file is replaced as a whole."""
        self.blocks[block] = first
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.blocks))
        temporary.replace(self._path)

    def of_another_judge(self) -> dict[int, First]:
        """The newest results of the same cell under another judge, or nothing."""
        others = [path for path in self._path.parent.parent.glob(f"*/{self._path.name}") if path != self._path]
        return _read(max(others, key=lambda path: path.stat().st_mtime)) if others else {}

    def together(self, blocks: int) -> First:
        """The first ``blocks`` blocks as one."""
        parts = [self.blocks[block] for block in range(blocks)]
        return {column: [value for part in parts for value in part[column]] for column in parts[0]}
