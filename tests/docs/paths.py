"""Files and tests of the project that documents name must be there: a map that names a module which has moved is worse than none.

Each kind of death that ARCHITECTURE's table of crashes tells of names a test that shows it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.shell import without_code

_PATH = re.compile(r"`((?:analyzers|config|daemon|deploy|docs|requirements|tests)/[\w./-]*)`")
_TEST = re.compile(r"`(tests/[\w./-]+\.py)::(\w+)`")
_DEATHS = "ARCHITECTURE.md"
_TABLE = re.compile(r"^\| killed \|.*\n\|[-| ]+\n((?:\|.*\n)+)", re.MULTILINE)


def faults(text: str, *, root: Path) -> Iterator[str]:
    """Paths in inline code that lead nowhere."""
    for path in dict.fromkeys(_PATH.findall(without_code(text))):
        if not (root / path).exists():
            yield f"{path} is not there"
    for file, name in dict.fromkeys(_TEST.findall(without_code(text))):
        if not (root / file).exists() or f"def {name}(" not in (root / file).read_text(encoding="utf-8"):
            yield f"{file}::{name} is not there"


def deaths(root: Path) -> Iterator[str]:
    """Rows of the table of crashes that no test shows."""
    page = root / _DEATHS
    table = _TABLE.search(page.read_text(encoding="utf-8") if page.exists() else "")
    if table is None and page.exists():
        yield f"{_DEATHS}: there is no table of what becomes of who is killed"
    for row in table[1].splitlines() if table is not None else ():
        if not _TEST.search(row):
            yield f"{_DEATHS}: no test shows what becomes of: {row.split('|')[1].strip()}"
