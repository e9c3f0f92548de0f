"""PromQL for raw counters: one selector for all arms of all releases.

A range selector asked for at one instant (``metric{...}[3s]``) gives the samples as they were scraped, with their own times.
Names come from outside: they are made literal twice, for RE2 and for the string the pattern stands in.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from daemon.telemetry.schema import Dialect, Failures, Selector

MAX_QUERY_BYTES = 256 * 1024
MAX_INSTANCES = 1000
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_STRING_SPECIAL = re.compile(r'[\\"\n]')
_STRING_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


def literal(text: str) -> str:
    """The RE2 pattern that matches exactly ``text``."""
    return _RE2_SPECIAL.sub(r"\\\g<0>", text)


def quoted(text: str) -> str:
    """``text`` as a PromQL string."""
    return '"' + _STRING_SPECIAL.sub(lambda match: _STRING_ESCAPES[match[0]], text) + '"'


class Queries(NamedTuple):
    """Queries by metric family. Their answers hold every series of the arms asked for, and possibly others of the same names."""

    requests: list[str]
    latencies: list[str]


def queries(dialect: Dialect, selectors: Sequence[Selector], *, window_seconds: float) -> Queries:
    """One query for each family, as long as the arms are known by the same labels and the query is not absurdly long."""
    count = quoted(dialect.requests)
    latency = quoted("|".join(literal(name) for name in dialect.names[1:]))
    successes = _successes(dialect.failures) if dialect.split else ""
    found = Queries([], [])
    for arms in _matchers(selectors):
        always = [f"{label}={quoted(value)}" for label, value in dialect.always]
        found.requests.append(_raw(f"__name__={count}", *always, arms, window_seconds=window_seconds))
        found.latencies.append(_raw(f"__name__=~{latency}", successes, *always, arms, window_seconds=window_seconds))
    return found


def aside_query(dialect: Dialect, instances: AbstractSet[str], *, ages: bool, window_seconds: float) -> str | None:
    """The query for what the targets say of themselves; null when this telemetry knows nothing of the kind.

    Args:
        dialect: names the series.
        instances: ``instance`` labels of the targets. All targets are asked for when there are many, or one has no such label.
        ages: since when the targets run is wanted too.
        window_seconds: how far back.
    """
    names = [literal(dialect.uptime)] if ages and dialect.uptime else []
    matchers = []
    if dialect.denials is not None:
        names.append(dialect.denials.names)
        label, denied = dialect.denials.result
        matchers.append(f"{label}=~{quoted(literal(denied) + '|')}")
    if not names:
        return None
    matchers.insert(0, f"__name__=~{quoted('|'.join(names))}")
    if len(instances) <= MAX_INSTANCES and all(instances):
        matchers.append(f"instance=~{quoted('|'.join(literal(instance) for instance in sorted(instances)))}")
    return _raw(*matchers, window_seconds=window_seconds)


def _raw(*matchers: str, window_seconds: float) -> str:
    inside = ",".join(matcher for matcher in matchers if matcher)
    return f"{{{inside}}}[{round(window_seconds * 1000)}ms]"


def _successes(failures: Failures) -> str:
    codes = [literal(failures.failed_code) + ".*", *([literal(failures.forbidden_code)] if failures.forbidden_code else [])]
    return f"{failures.code}!~{quoted('|'.join(codes))}"


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
