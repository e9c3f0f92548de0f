"""What Kayenta's clients ask and are answered: Argo Rollouts' provider ``kayenta``, and Spinnaker's canary stage.

https://github.com/spinnaker/kayenta/blob/master/docs/canary-config.md. A policy is a canary config, a scope is an arm, and a
verdict is a score beside the thresholds that were asked with: both clients read one between them as inconclusive where it is one
more than marginal. The execution's name carries that score, so that nothing is kept between the questions.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, assert_never

import msgspec

from daemon import names
from daemon.errors import InvalidInput, NotFound
from daemon.events import decoding
from daemon.events.hearing import Hearing
from daemon.http.gates.asking import Attempt, Told, Word, attempt

_HIGHEST: Final = 100
_FIELDS: Final = ("workload", "version", "subset", "service")
_ATTEMPT: Final = "attempt"
"""In a scope: what differs from one attempt to the next, where the arms do not."""
_NEW: Final = "artifact"
"""In the experiment's scope: what is new, where arms are found."""
_FIX_SCOPE = "write the arm's fields, such as service=web-canary, or its pods' labels, such as version=v2,track=canary"
_PARENT_CHARACTERS = 255


class Scope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One arm. The namespace is ``location`` in Spinnaker, and ``region`` in Argo Rollouts."""

    scope: str
    location: str = ""
    region: str = ""
    start: str = ""
    end: str = ""
    extended_scope_params: dict[str, str] | None = None


class ScopePair(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Both arms."""

    control_scope: Scope
    experiment_scope: Scope


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of 0 to 100: ``pass`` and more is good, and less than ``marginal`` is bad."""

    marginal: float
    passing: float = msgspec.field(name="pass")


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged: the same two arms under one or more names."""

    scopes: dict[str, ScopePair]
    thresholds: Thresholds


class Started(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """By which name it is asked about."""

    canary_execution_id: str


class CanaryConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A policy."""

    id: str
    name: str
    updated_timestamp: int = 0
    updated_timestamp_iso: str = "1970-01-01T00:00:00Z"
    applications: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Where metrics come from, for who asks."""

    name: str = "verdictd"
    type: str = "verdictd"


class Score(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole number of 0 to 100, and what it means."""

    score: int
    classification: str
    classification_reason: str


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Of one arm."""

    count: int


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """Of one arm."""

    stats: Stats


class MetricResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many requests of each arm were seen."""

    name: str
    control_metadata: Metadata
    experiment_metadata: Metadata


class JudgeResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The score, and what it is of."""

    score: Score
    results: tuple[MetricResult, ...]
    judge_name: str = "verdictd"
    group_scores: tuple[str, ...] = ()


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``canary_duration`` is ISO 8601's."""

    judge_result: JudgeResult
    canary_duration: str


class ExecutionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How an execution stands; ``result`` once it is complete."""

    complete: bool
    status: str
    start_time_iso: str
    end_time_iso: str | None = None
    result: ExecutionResult | None = None


def read(body: bytes, *, hearing: Hearing, config: str, application: str, parent: str | None) -> tuple[Attempt, int]:
    """The attempt that is to be judged, and the score of a verdict to hold.

    Args:
        body: as it was sent.
        hearing: what the daemon knows beside it.
        config: the policy.
        application: the service.
        parent: of whose run it is a part; each interval of that is the same attempt.

    Raises:
        InvalidInput: with every fault.
    """
    execution = decoding.checked(decoding.decode(body, path="$", fix="send what Kayenta is sent"), Execution, path="$")
    name, pair = _only(execution.scopes)
    here = f"$.scopes.{name}"
    control, experiment = pair.control_scope, pair.experiment_scope
    words: dict[str, object] = {
        "service": application,
        "namespace": experiment.location or experiment.region or None,
        "policy": config,
        "artifact": _new(experiment.scope),
        "baseline": _arm(control.scope, path=f"{here}.controlScope.scope"),
        "canary": _arm(experiment.scope, path=f"{here}.experimentScope.scope"),
    }
    ours: object = (experiment.extended_scope_params or {}).get("verdictd") or {}
    path = f"{here}.experimentScope"
    asked = attempt(
        "kayenta",
        ours,
        hearing=hearing,
        key=_key(pair, parent=parent),
        path=path,
        words=words,
        fix="write the release's fields as JSON",
    )
    return asked, _between(execution.thresholds)


def execution_name(release_id: str, *, between: int) -> str:
    """By which name an execution is asked about."""
    return f"{release_id}.{between}"


def execution_of(text: str) -> tuple[str, int]:
    """The release of an execution, and its score where that is to be held. Raises ``NotFound``."""
    release_id, _, between = text.rpartition(".")
    if not (between.isascii() and between.isdecimal() and len(between) <= 3):
        raise NotFound(f"no execution {text[:100]!r}")
    return names.release_id(release_id, path="id"), int(between)


def status(told: Told, *, between: int) -> ExecutionStatus:
    """The verdict as a score; ``between`` is that of a verdict to hold."""
    match told.verdict:
        case Word.PENDING:
            return ExecutionStatus(complete=False, status="running", start_time_iso=_iso(told.submitted_at))
        case Word.PROMOTE:
            score, classification = _HIGHEST, "Pass"
        case Word.ROLLBACK:
            score, classification = 0, "Fail"
        case Word.HOLD:
            score, classification = between, "Marginal"
        case _:
            assert_never(told.verdict)
    ended_at = told.submitted_at if told.decided_at is None else told.decided_at
    seen = MetricResult(
        name="requests",
        control_metadata=Metadata(stats=Stats(count=told.baseline_requests)),
        experiment_metadata=Metadata(stats=Stats(count=told.canary_requests)),
    )
    judged = Score(score=score, classification=classification, classification_reason=told.reason)
    judge_result = JudgeResult(score=judged, results=(seen,))
    return ExecutionStatus(
        complete=True,
        status="succeeded",
        start_time_iso=_iso(told.submitted_at),
        end_time_iso=_iso(ended_at),
        result=ExecutionResult(judge_result=judge_result, canary_duration=f"PT{max(0.0, ended_at - told.submitted_at):.3f}S"),
    )


def _iso(at: float) -> str:
    """Seconds since 1970 as a date and time."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _only(scopes: Mapping[str, ScopePair]) -> tuple[str, ScopePair]:
    """The two arms: of several names for them, the first."""
    pairs = [*scopes.items()]
    if not pairs or any(pair != pairs[0][1] for _, pair in pairs):
        raise InvalidInput(
            f"{len(pairs)} scopes are not one pair of arms", path="$.scopes", fix="name one control and one experiment"
        )
    return pairs[0]


def _new(text: str) -> str | None:
    """What a scope says of what is new."""
    said = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in text.split(","))}
    return said.get(_NEW)


def _arm(text: str, *, path: str) -> dict[str, Any] | None:
    """An arm as ``KEY=VALUE,...``: its own fields, and labels of its pods; null: it names the attempt or what is new only."""
    arm: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not (key and equals and value):
            raise InvalidInput(f"{text[:80]!r} names no arm", path=path, fix=_FIX_SCOPE)
        if key in {_ATTEMPT, _NEW}:
            continue
        into: dict[str, Any] = arm if key in _FIELDS else labels
        if key in into:
            raise InvalidInput(f"{key[:40]!r} is given twice", path=path, fix="give it once")
        into[key] = value
    return {**arm, **({"labels": labels} if labels else {})} or None


def _key(pair: ScopePair, *, parent: str | None) -> str:
    """What names the attempt: the run that it is a part of, else what a scope says, else its time; and the arms.

    Argo Rollouts writes the time of each measurement into scopes that say none.
    """
    if parent is not None and not (parent.isascii() and parent.isprintable() and 0 < len(parent) <= _PARENT_CHARACTERS):
        fix = f"use 1 to {_PARENT_CHARACTERS} printable characters"
        raise InvalidInput("is not usable", path="?parentPipelineExecutionId", fix=fix)
    control, experiment = pair.control_scope, pair.experiment_scope
    is_named = any(part.partition("=")[0].strip() == _ATTEMPT for scope in (control, experiment) for part in scope.scope.split(","))
    times = () if is_named else (control.start, control.end, experiment.start, experiment.end)
    return msgspec.json.encode(("kayenta", parent or times, control.scope, experiment.scope)).decode()


def _between(thresholds: Thresholds) -> int:
    """The score of a verdict to hold: more than marginal, which is a failure for one client, and less than passing."""
    between = math.floor(thresholds.marginal) + 1
    if not (thresholds.marginal > 0 and between < thresholds.passing <= _HIGHEST):
        told = f"pass {thresholds.passing:g} and marginal {thresholds.marginal:g} leave no score for every verdict"
        raise InvalidInput(told, path="$.thresholds", fix="use for example pass 95 and marginal 75")
    return between
