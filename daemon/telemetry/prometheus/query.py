"""PromQL for raw counters: one selector for all arms of all releases, and no further back than is needed to meet a new sample.

A range selector asked for at one instant (``metric{...}[3s]``) gives the samples as they were scraped, with their own times.
Names come from outside: they are made literal twice, for RE2 and for the string the pattern stands in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, assert_never

from daemon.aio.httpquestions import POST_BYTES
from daemon.telemetry.counters.series import SCRAPED
from daemon.telemetry.outcomes import Outcomes
from daemon.telemetry.schema import Begins, DenialCounter, Ended, Is, Like, Lists, Rule, Schema, Selector, SelfReport, Test, View
from daemon.telemetry.wire import literal

MAX_INSTANCES = 1000
_STRING_SPECIAL = re.compile(r'[\\"\n]')
_STRING_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


def quoted(text: str) -> str:
    """``text`` as a PromQL string."""
    return '"' + _STRING_SPECIAL.sub(lambda match: _STRING_ESCAPES[match[0]], text) + '"'


class Asked:
    """The matchers of all arms: of thousands they are long texts, and the same until an arm comes or goes."""

    def __init__(self) -> None:
        self._of: tuple[Mapping[View, Sequence[Selector]], int] = ({}, 0)
        self._matchers: dict[View, list[str]] = {}

    def matchers(self, selectors: Mapping[View, Sequence[Selector]], *, longest_bytes: int) -> Mapping[View, Sequence[str]]:
        """By view; worked out anew for another mapping of selectors, which is not to be changed. May be called in a thread."""
        known, bytes_known = self._of
        if known is not selectors or bytes_known != longest_bytes:
            self._matchers = {view: list(_matchers(by, longest_bytes=longest_bytes)) for view, by in selectors.items()}
            self._of = selectors, longest_bytes
        return self._matchers


class Queries(NamedTuple):
    """Queries by metric family. Their answers hold every series of the arms asked for, and possibly others of the same names."""

    requests: list[str]
    latencies: list[str]


def queries(
    schema: Schema,
    selectors: Mapping[View, Sequence[Selector]],
    *,
    asked: Asked | None = None,
    outcomes: Sequence[Outcomes],
    requests_seconds: float,
    latencies_seconds: float,
    longest_bytes: int = POST_BYTES,
) -> Queries:
    """One query for each family and view, as long as the arms are known by the same labels; more where it would be too long.

    Args:
        asked: what is remembered of the last time.
        outcomes: of releases, whose policies may differ: they are asked for together, latencies of all that any of them looks at.
        longest_bytes: of the arms in one query.
    """
    successes = _successes([one.rules for one in outcomes]) if schema.split else []
    found = Queries([], [])
    for view, matchers in (asked or Asked()).matchers(selectors, longest_bytes=longest_bytes).items():
        count = _named(view.requests, patterns=[counter.names for counter in view.beside])
        latency = _named(*view.histogram)
        always = [f"{label}={quoted(value)}" for label, value in view.always]
        for arms in matchers:
            found.requests.append(_raw(count, *always, arms, window_seconds=requests_seconds))
            if view.histogram:
                found.latencies.append(_raw(latency, *successes, *always, arms, window_seconds=latencies_seconds))
    return found


def metadata_query(
    about: SelfReport, instances: AbstractSet[str], *, ages: bool, window_seconds: float, longest_bytes: int = POST_BYTES
) -> str | None:
    """The query for what the targets say of themselves; null when this telemetry knows nothing of the kind.

    Args:
        about: names the series.
        instances: ``instance`` labels of the targets. All targets are asked for when there are many, or one has no such label.
        ages: since when the targets run is wanted too, and when they were scraped.
        window_seconds: how far back.
        longest_bytes: of the targets in the query; longer, and all of them are asked for.
    """
    names = [SCRAPED, literal(about.age.metric)] if ages and about.age is not None else []
    names += [counter.names for counter in about.denials]
    if not names:
        return None
    always = [f"{label}={quoted(value)}" for label, value in about.always]
    matchers = [f"__name__=~{quoted('|'.join(names))}", *always, *_denied(about.denials)]
    if len(instances) <= MAX_INSTANCES and all(instances):
        those = f"{about.instance}=~{quoted('|'.join(literal(instance) for instance in sorted(instances)))}"
        matchers += [those] if len(those) <= longest_bytes else []
    return _raw(*matchers, window_seconds=window_seconds)


def _raw(*matchers: str, window_seconds: float) -> str:
    inside = ",".join(matcher for matcher in matchers if matcher)
    return f"{{{inside}}}[{round(window_seconds * 1000)}ms]"


def _named(*names: str, patterns: Sequence[str] = ()) -> str:
    if len(names) == 1 and not patterns:
        return f"__name__={quoted(names[0])}"
    return f"__name__=~{quoted('|'.join([*map(literal, names), *patterns]))}"


def _matchers(selectors: Sequence[Selector], *, longest_bytes: int) -> Iterator[str]:
    """Matchers for arms that are known by the same labels together; several where they would be too long."""
    shapes: dict[tuple[str, ...], list[Selector]] = {}
    for selector in dict.fromkeys(selectors):
        shapes.setdefault(tuple(label for label, _ in selector), []).append(selector)
    for same in shapes.values():
        longest = max(sum(len(value) for _, value in selector) for selector in same)
        step = max(1, longest_bytes // (2 * longest + 8))
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


def _successes(outcomes: Sequence[Sequence[Rule]]) -> list[str]:
    """Matchers that leave out series whose requests were surely not served, whatever the policy: those that one test alone says so
    of.
    """
    all_of = [list(_unserved(rules)) for rules in outcomes]
    patterns: dict[str, list[str]] = {}
    for test in all_of[0] if all_of else ():
        if all(test in others for others in all_of):
            patterns.setdefault(test.label, []).append(_pattern(test))
    return [f"{label}!~{quoted('|'.join(those))}" for label, those in patterns.items()]


def _unserved(rules: Sequence[Rule]) -> Iterator[Test]:
    for rule in rules:
        if rule.ended in {Ended.SERVED, Ended.UNCLASSIFIED}:
            return
        if len(rule.when) == 1:
            yield rule.when[0]


def _denied(denials: Sequence[DenialCounter]) -> Iterator[str]:
    """Matchers that leave out what no counter of denials counts. They let through series that lack the label, as ages do."""
    tests = [{test.label: test.values for test in counter.when if isinstance(test, Is)} for counter in denials]
    for label in sorted(frozenset.intersection(*map(frozenset, tests))) if tests else ():
        values = sorted({value for counter in tests for value in counter[label] if value})
        yield f"{label}=~{quoted('|'.join([*map(literal, values), '']))}"


def _pattern(test: Test) -> str:
    """RE2 of the label's values for which the test holds."""
    match test:
        case Is():
            return "|".join(literal(value) for value in test.values)
        case Begins():
            return "|".join(f"{literal(prefix)}.*" for prefix in test.prefixes)
        case Lists():
            return f"(.*,)?({'|'.join(literal(item) for item in test.items)})(,.*)?"
        case Like():
            return test.pattern
        case _:
            assert_never(test)
