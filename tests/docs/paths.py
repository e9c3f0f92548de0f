"""Files of the project that documents name must be there: a map that names a module which has moved is worse than none."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.commands import without_code

_PATH = re.compile(r"`((?:analyzers|config|daemon|deploy|docs|requirements|tests)/[\w./-]*)`")


def faults(text: str, *, root: Path) -> Iterator[str]:
    """Paths in inline code that lead nowhere."""
    for path in dict.fromkeys(_PATH.findall(without_code(text))):
        if not (root / path).exists():
            yield f"{path} is not there"
