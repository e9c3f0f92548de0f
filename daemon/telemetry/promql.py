"""PromQL for raw counters: one selector for all arms of all releases.

A range selector asked for at one instant (``metric{...}[3s]``) gives the samples as they were scraped, with their own times.
Names come from outside: they are made literal twice, for RE2 and for the string the pattern stands in.
"""

import re
from collections.abc import Iterator, Sequence

from daemon.telemetry.dialect import Dialect, Selector

MAX_QUERY_BYTES = 256 * 1024
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_STRING_SPECIAL = re.compile(r'[\\"\n]')
_STRING_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


def literal(text: str) -> str:
    """The RE2 pattern that matches exactly ``text``."""
    return _RE2_SPECIAL.sub(r"\\\g<0>", text)


def quoted(text: str) -> str:
    """``text`` as a PromQL string."""
    return '"' + _STRING_SPECIAL.sub(lambda match: _STRING_ESCAPES[match[0]], text) + '"'


def queries(dialect: Dialect, selectors: Sequence[Selector], *, window_seconds: float) -> list[str]:
    """The queries whose answers hold every series of these arms, and possibly others of the same names.

    Two, one for each metric family, as long as the arms are known by the same labels and the query is not absurdly long.
    """
    count = quoted(dialect.requests)
    latency = quoted("|".join(literal(name) for name in dialect.names[1:]))
    successes = f"{dialect.failures.code}!~{quoted(literal(dialect.failures.failed_code) + '.*')}" if dialect.split else ""
    found = []
    for arms in _matchers(selectors):
        always = [f"{label}={quoted(value)}" for label, value in dialect.always]
        for family in ((f"__name__={count}",), (f"__name__=~{latency}", successes)):
            inside = ",".join(part for part in (*family, *always, arms) if part)
            found.append(f"{{{inside}}}[{round(window_seconds * 1000)}ms]")
    return found


def _matchers(selectors: Sequence[Selector]) -> Iterator[str]:
    """Matchers for arms that are known by the same labels together; several where they would be absurdly long."""
    shapes: dict[tuple[str, ...], list[Selector]] = {}
    for selector in dict.fromkeys(selectors):
        shapes.setdefault(tuple(label for label, _ in selector), []).append(selector)
    for same in shapes.values():
        longest = max(sum(len(value) for _, value in selector) for selector in same)
        step = max(1, MAX_QUERY_BYTES // (2 * longest + 8))
        for start in range(0, len(same), step):
            yield _together(same[start : start + step])


def _together(selectors: Sequence[Selector]) -> str:
    labels = [label for label, _ in selectors[0]]
    parts = []
    for position, label in enumerate(labels):
        values = sorted({selector[position][1] for selector in selectors})
        pattern = "|".join(literal(value) for value in values)
        parts.append(f"{label}=~{quoted(pattern)}")
    return ",".join(parts)
