"""One sentence a line, so that a diff of a document shows which sentences changed. What a tool can see of that is long lines."""

import re
from collections.abc import Iterator

LONGEST = 160
_FENCE = re.compile(r" *```")
_TABLE = re.compile(r" *\|")


def faults(text: str) -> Iterator[str]:
    """Lines that are too long, outside of code and tables."""
    code = False
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line) is not None
        code ^= fence
        if len(line) > LONGEST and not (code or fence or _TABLE.match(line)):
            yield f"line {number} has {len(line)} characters: one sentence a line, and {LONGEST} at most"
