"""Results on disk, block by block, under a name that changes when the judge does: an interrupted calibration goes on where it was.

The name is a hash of what can change a figure: the code of the judge and of the simulator without comments and docstrings, the
policy's defaults, and the row's stream and watch. What is wanted of a row is not part of it. Modules that only word a ruling are
left out.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

import analyzers
import config
import daemon.offline.simulation
from tests.bench.calibration.row import Row
from tests.bench.calibration.watching import Ends

FOLDER: Final = Path(".calibration")
_WORDING: Final = frozenset({"report.py", "words.py", "harm.py", "classical.py", "intervals.py", "asides.py", "visible.py"})
_QUESTIONS: Final = ("watching.py", "row.py", "held_back.py")


def _code(path: Path) -> str:
    """The module's meaning: its tree without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return ast.dump(tree)


@cache
def fingerprint() -> str:
    """Of the judge, the simulator, the policy and the way of asking: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    roots = [Path(package.__path__[0]) for package in (analyzers, daemon.offline.simulation)]
    files = [path for root in roots for path in sorted(root.rglob("*.py")) if path.name not in _WORDING]
    files += [Path(config.__path__[0]) / "policy.py", *(Path(__file__).with_name(name) for name in _QUESTIONS)]
    for path in files:
        digest.update(_code(path).encode())
    return digest.hexdigest()[:12]


def _read(path: Path) -> dict[int, Ends]:
    return {int(block): ends for block, ends in json.loads(path.read_text()).items()}


class Results:
    """The blocks of one row."""

    def __init__(self, row: Row, folder: Path = FOLDER) -> None:
        """Read what is there."""
        question = repr((row.name, row.stream, row.watch))
        name = hashlib.sha256(question.encode()).hexdigest()[:16]
        self._path = folder / fingerprint() / f"{name}.json"
        self.blocks = _read(self._path) if self._path.exists() else {}

    def add(self, block: int, ends: Ends) -> None:
        """Keep one block; the file is replaced as a whole."""
        self.blocks[block] = ends
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.blocks))
        temporary.replace(self._path)

    def of_another_judge(self) -> dict[int, Ends]:
        """The newest results of the same row under another judge, or nothing."""
        others = [path for path in self._path.parent.parent.glob(f"*/{self._path.name}") if path != self._path]
        return _read(max(others, key=lambda path: path.stat().st_mtime)) if others else {}

    def together(self, blocks: int) -> Ends:
        """The first ``blocks`` blocks as one."""
        return [end for block in range(blocks) for end in self.blocks[block]]
