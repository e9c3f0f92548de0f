"""The Prometheus text format, as fast as a per-second scrape of many proxies needs.

A page has hundreds of series of which we want a handful. So lines are filtered by name before anything else is looked at,
and a series (name and labels) is handed on as the text it is: callers keep what they learnt about it by that text and parse
its labels once, not at every scrape.
"""

import re
from collections.abc import Iterable, Iterator

from daemon.errors import InvalidInput

_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPED = re.compile(r"\\(.)")
_UNESCAPED = {"n": "\n", "\\": "\\", '"': '"'}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|Inf|NaN)", re.ASCII)
_LITERAL = re.compile(r"\w*", re.ASCII)
_AFTER_NAME = "{ \t"


def wanted_lines(text: str, names: Iterable[str], *, pattern: str | None = None, first: int = 1) -> Iterator[tuple[str, float]]:
    """Yield ``(series, value)`` for every sample whose metric name is one of ``names`` or matches ``pattern`` from end to end.

    ``series`` is ``name`` or ``name{labels}`` as it stands in the text. Comments and all other names are passed over unread.
    ``NaN`` and ``Inf`` are numbers of this format and are yielded as such. ``first`` is the number of the first line, on its page.

    Raises:
        InvalidInput: a wanted line has no number or is cut off; the path says which line.
    """
    known = frozenset(names)
    others = None if pattern is None else re.compile(pattern)
    prefixes = (*known, *([] if pattern is None else [_LITERAL.match(pattern)[0]]))  # type: ignore[index]  # it matches anything
    for number, line in enumerate(text.split("\n"), start=first):
        if not line.startswith(prefixes):
            continue
        end = line.rfind("}") + 1
        if not end:
            end = _name_end(line)
        name_end = line.find("{", 0, end)
        name = (line[:name_end] if name_end >= 0 else line[:end]).rstrip()
        if name not in known and (others is None or others.fullmatch(name) is None):
            continue
        yield line[:end], _value(line, end, number=number)


def parse_series(series: str) -> tuple[str, dict[str, str]]:
    """Split ``name{label="value",...}`` into the name and the labels, escapes resolved.

    Raises:
        InvalidInput: the labels are not well formed.
    """
    name, brace, rest = series.partition("{")
    labels: dict[str, str] = {}
    if not brace:
        return name.rstrip(), labels
    body = rest.removesuffix("}")
    position = 0
    while position < len(body):
        match = _LABEL.match(body, position)
        if match is None:
            raise InvalidInput(f"labels of {name.strip()} are malformed: {series[:200]!r}", path="exposition")
        value = match[2]
        labels[match[1]] = _ESCAPED.sub(_unescape, value) if "\\" in value else value
        position = match.end()
    return name.rstrip(), labels


def number(text: str, *, path: str) -> float:
    """Read one number as Prometheus writes it; raises ``InvalidInput`` on anything else (Python's own forms included)."""
    if _NUMBER.fullmatch(text) is None:
        raise InvalidInput(f"{text[:40]!r} is not a number", path=path)
    return float(text)


def _name_end(line: str) -> int:
    """Where the metric name ends in a line without labels."""
    return next((index for index, character in enumerate(line) if character in _AFTER_NAME), len(line))


def _value(line: str, end: int, *, number: int) -> float:
    fields = line[end:].split()
    if fields and fields[0].isdecimal() and fields[0].isascii():
        return float(fields[0])
    if not fields or _NUMBER.fullmatch(fields[0]) is None:
        raise InvalidInput(f"no number in {line[:200]!r}", path=f"line {number}")
    return float(fields[0])


def _unescape(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[0])
