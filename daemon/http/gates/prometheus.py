"""The one question of a MetricTemplate of Flagger, in PromQL: ``verdictd_gate{namespace="shop",workload="web"}``.

https://docs.flagger.app/usage/metrics#prometheus. A sample of 1 lets the canary go on, 0 is a failed check. Flagger tries a
provider with ``vector(1)`` first. Nothing else is understood: there is no store behind it.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from config.errors import one_of
from config.values import duration_seconds
from daemon.errors import InvalidInput
from daemon.http.gates.asking import Told, Word
from daemon.http.gates.flagger import made_of
from daemon.http.hooks.understanding import release_said
from daemon.model import Release

METRIC: Final = "verdictd_gate"
PROBE: Final = "vector(1)"
_QUERY = re.compile(rf"\s*{METRIC}\s*\{{\s*(?P<labels>[^{{}}]*)\}}\s*")
_LABEL = re.compile(r'\s*(?P<name>[a-z]+)\s*=\s*"(?P<value>[A-Za-z0-9._-]{1,253})"\s*(?:,\s*|\Z)')
_NEEDED = ("namespace", "workload")
_OPTIONAL = ("service", "mesh", "policy", "interval")
_FIX = f'ask {METRIC}{{namespace="{{{{ namespace }}}}",workload="{{{{ target }}}}"}}'
_SILENT_INTERVALS = 3
_SHORTEST_SILENCE_SECONDS = 600.0
"""Rather is the last verdict told for too long than a bad one forgotten: Flagger looks every few minutes at most."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about.

    Attributes:
        labels: as they were asked for.
        release: what begins to be watched where nothing is.
        silence_seconds: who has not asked for so long asks about another attempt.
    """

    labels: Mapping[str, str]
    release: Release
    silence_seconds: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A time in seconds since 1970, and the value as text, of one series."""

    metric: Mapping[str, str]
    value: tuple[float, str]


class Vector(msgspec.Struct, frozen=True, kw_only=True, rename={"result_type": "resultType"}):
    """The answer's data."""

    result: tuple[Series, ...]
    result_type: str = "vector"


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """As Prometheus answers an instant query."""

    data: Vector
    status: str = "success"


class QueryRefusal(msgspec.Struct, frozen=True, kw_only=True, rename={"error_type": "errorType"}):
    """As Prometheus refuses one."""

    error: str
    error_type: str = "bad_data"
    status: str = "error"


def read(query: str) -> Question:
    """The question in a query that is no probe. Raises ``InvalidInput``."""
    found = _QUERY.fullmatch(query)
    if found is None:
        raise InvalidInput(f"{query[:80]!r} is not understood here", path="?query", fix=_FIX)
    labels = _labels(found["labels"])
    if missing := [name for name in _NEEDED if name not in labels]:
        raise InvalidInput(f"the label {missing[0]} is missing", path="?query", fix=_FIX)
    interval = duration_seconds(labels["interval"]) if "interval" in labels else 0.0
    if interval is None:
        raise InvalidInput(f"the label interval is no duration: {labels['interval']!r}", path="?query", fix='write "30s" or "1m"')
    words = {name: labels.get(name) for name in ("mesh", "policy")}
    made = made_of(labels.get("service", labels["workload"]), namespace=labels["namespace"])
    release = release_said({}, path="?query", words={**words, **made}, fix=_FIX)
    silence_seconds = max(_SHORTEST_SILENCE_SECONDS, _SILENT_INTERVALS * interval)
    return Question(labels=labels, release=release, silence_seconds=silence_seconds)


def probed(*, at: float) -> QueryAnswer:
    """What ``vector(1)`` is, in seconds since 1970."""
    return _sample({}, "1", at=at)


def answer(question: Question, told: Told, *, at: float) -> QueryAnswer:
    """The sample that a word is, in seconds since 1970: none at all would be a failed check."""
    value = "0" if told.verdict is Word.ROLLBACK else "1"
    return _sample({"__name__": METRIC, **question.labels, "release": told.release}, value, at=at)


def _sample(metric: Mapping[str, str], value: str, *, at: float) -> QueryAnswer:
    return QueryAnswer(data=Vector(result=(Series(metric=metric, value=(at, value)),)))


def _labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    known = (*_NEEDED, *_OPTIONAL)
    place = 0
    while place < len(text):
        label = _LABEL.match(text, place)
        if label is None:
            raise InvalidInput(f"{text[place : place + 40]!r} is no label with a name as its value", path="?query", fix=_FIX)
        name = label["name"]
        if name not in known or name in labels:
            wrong = "is given twice" if name in labels else "is not known here"
            raise InvalidInput(f"the label {name[:40]} {wrong}", path="?query", fix=f"use {one_of(known)}, each once")
        labels[name] = label["value"]
        place = label.end()
    return labels
