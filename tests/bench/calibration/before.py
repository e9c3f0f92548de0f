"""The figures of version 0.1 for the same rows: what a reader compares with. Written once, with ``--keep``."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.bench.calibration.row import Row
from tests.bench.calibration.watching import Ends

KEPT: Final = Path(__file__).with_name("v0_1.json")


def _question(row: Row) -> str:
    """Changes when the row's stream or watch does: then the kept figure answers another question."""
    return hashlib.sha256(repr((row.stream, row.watch)).encode()).hexdigest()[:8]


def keep(answered: Iterable[tuple[Row, Ends]], path: Path) -> None:
    """Write the figures of a calibration, a line for each row; what the file has of other rows stays."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for row, ends in answered:
        answer = row.asked.answer(ends, row.onset)
        kept[row.name] = {"question": _question(row), "figure": answer.figure, "runs": answer.runs}
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in kept.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


class Before:
    """Kept figures."""

    def __init__(self, path: Path = KEPT) -> None:
        """Read them; none where there is no file."""
        self._kept: Mapping[str, dict[str, str | int]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def figure(self, row: Row) -> str:
        """In words with the number of releases; empty where there is none to the same question."""
        kept = self._kept.get(row.name)
        if kept is None or kept["question"] != _question(row):
            return ""
        return f"{kept['figure']}, n {kept['runs']}"
