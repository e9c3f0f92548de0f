"""A verdict's account in one struct: what ``verdictd explain --json`` prints, and what the words, the plot and the page show."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from analyzers.ruling import Finding
from analyzers.terms import BEYOND
from config.identity import policy_hash
from config.policy import Policy
from daemon.model import ArmSpec, Record, TimedStep
from daemon.offline.explain.trace import Totals, Trace


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A mark of the record. ``after_seconds`` counts from the first mark, ``took_seconds`` from the one before."""

    step: str
    at: float
    after_seconds: float
    took_seconds: float
    detail: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A recording held against a decision record.

    Attributes:
        digest: whether the recorded samples are those that were judged.
        verdict: whether judging them again gives the same verdict; ``other`` when a person or a newer release decided.
        detail: what differs.
    """

    file: str
    digest: Literal["equal", "differs"]
    verdict: Literal["same", "differs", "other"]
    detail: str = ""

    @property
    def failed(self) -> bool:
        """The recording does not support the record."""
        return "differs" in {self.digest, self.verdict}


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence over time: parallel lists, an entry for each tick. Rates and means are of a tick alone, null where unknown.

    ``evidence``, and ``legs`` of each leg alone: that the canary is worse at all. ``beyond``: that it is worse than tolerated.
    """

    t: list[float]
    evidence: list[float]
    legs: dict[str, list[float]]
    beyond: dict[str, list[float]]
    canary_error_rate: list[float | None]
    baseline_error_rate: list[float | None]
    canary_mean_ms: list[float | None]
    baseline_mean_ms: list[float | None]
    gaps: dict[int, str]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of one verdict.

    Attributes:
        source: what it was made from.
        evidence, boundary: that the canary is worse at all, and how much of it a rollback needs. beyond_boundary: how much it needs
            that the canary is worse than tolerated, by the policy's word.
        meaning, action: null when only the recording is known: nothing was done about it here.
        seconds: length of the watch; null when it is not known.
        steps: the record's marks. check: the recording against the record. curves: from the recording.
        revision, initiated_by: of the release, as far as they are known.
        torn_line: number of the recording's last line where that was not written to its end, and was left out.
    """

    source: Literal["record", "recording", "record and recording"]
    release_id: str | None
    service: str
    namespace: str
    canary: str
    baseline: str
    outcome: str
    decided: bool
    by: str
    meaning: str | None
    action: str | None
    reason: str
    leg: str | None
    evidence: float
    boundary: float
    beyond_boundary: float
    ticks: int
    seconds: float | None
    findings: tuple[Finding, ...]
    fixed_horizon: Mapping[str, float | None] | None
    policy: Policy
    policy_hash: str
    sample_digest: str
    canary_totals: Totals | None = None
    baseline_totals: Totals | None = None
    steps: tuple[Step, ...] = ()
    check: Check | None = None
    curves: Curves | None = None
    torn_line: int | None = None
    after: str | None = None
    revision: str | None = None
    initiated_by: str | None = None


def account(record: Record | None, traced: Trace | None) -> Account:
    """The account from a record, a recording judged again (under the record's policy where there is one), or both."""
    if record is None:
        assert traced is not None  # a caller has at least one of them
        return _of_recording(traced)
    told = _of_record(record)
    if traced is None:
        return told
    return msgspec.structs.replace(
        told,
        source="record and recording",
        check=_check(record, traced),
        seconds=traced.points[-1].t if told.seconds is None else told.seconds,
        canary_totals=traced.canary,
        baseline_totals=traced.baseline,
        curves=_curves(traced),
        torn_line=traced.torn_line,
    )


def _of_recording(traced: Trace) -> Account:
    ruling, release = traced.ruling, traced.release
    decided = ruling.outcome != "continue"
    return Account(
        source="recording",
        release_id=None,
        service=release.service,
        namespace=release.namespace,
        canary=_named(release.canary),
        baseline=_named(release.baseline),
        outcome=ruling.outcome if decided else "inconclusive",
        decided=decided,
        by="deadline" if ruling.outcome == "inconclusive" else "judge" if decided else "end of the recording",
        meaning=None,
        action=None,
        reason=ruling.reason if decided else f"the recording ends before a decision: {ruling.reason}",
        leg=ruling.leg,
        evidence=ruling.evidence,
        boundary=ruling.boundary,
        beyond_boundary=BEYOND[traced.policy.evidence],
        ticks=ruling.tick,
        seconds=ruling.t,
        findings=ruling.findings,
        fixed_horizon=ruling.fixed_horizon,
        policy=traced.policy,
        policy_hash=policy_hash(traced.policy),
        sample_digest=traced.digests[ruling.tick - 1],
        canary_totals=traced.canary,
        baseline_totals=traced.baseline,
        curves=_curves(traced),
        torn_line=traced.torn_line,
        after=None if traced.header.after is None else traced.header.after.of,
        revision=release.revision,
        initiated_by=release.initiated_by,
    )


def _of_record(record: Record) -> Account:
    verdict, release = record.verdict, record.release
    return Account(
        source="record",
        release_id=verdict.release_id,
        service=verdict.service,
        namespace=verdict.namespace,
        canary=_named(release.canary),
        baseline=_named(release.baseline),
        outcome=verdict.outcome,
        decided=True,
        by=verdict.by,
        meaning=verdict.meaning,
        action=verdict.action,
        reason=verdict.reason,
        leg=verdict.leg,
        evidence=verdict.evidence,
        boundary=verdict.boundary,
        beyond_boundary=BEYOND[record.policy.evidence],
        ticks=verdict.ticks,
        seconds=_watched(record.marks),
        findings=verdict.findings,
        fixed_horizon=record.fixed_horizon,
        policy=record.policy,
        policy_hash=verdict.policy_hash,
        sample_digest=record.sample_digest,
        steps=_steps(record.marks),
        after=verdict.after,
        revision=release.revision,
        initiated_by=release.initiated_by,
    )


def _named(arm: ArmSpec) -> str:
    """An arm by the first of its names that a person would use."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(arm.labels.items()))
    return arm.version or arm.subset or arm.workload or arm.service or labels


def _watched(marks: tuple[TimedStep, ...]) -> float | None:
    at = {mark.step: mark.at for mark in marks}
    return at["decided"] - at["watching"] if {"watching", "decided"} <= at.keys() else None


def _steps(marks: tuple[TimedStep, ...]) -> tuple[Step, ...]:
    before = (*marks[:1], *marks[:-1])
    return tuple(
        Step(
            step=mark.step,
            at=mark.at,
            after_seconds=mark.at - marks[0].at,
            took_seconds=mark.at - earlier.at,
            detail=mark.detail,
        )
        for mark, earlier in zip(marks, before, strict=True)
    )


def _check(record: Record, traced: Trace) -> Check:
    verdict, ruling = record.verdict, traced.ruling
    ticks = len(traced.digests)
    at = verdict.ticks
    digest = ("" if at == 0 else traced.digests[at - 1]) if at <= ticks else None
    said = [] if digest is not None else [f"the recording has {ticks} of {at} ticks"]
    if verdict.by not in {"judge", "deadline"} or at == 0:
        same: Literal["same", "differs", "other"] = "other"
    elif (ruling.outcome, ruling.tick) == (verdict.outcome.value, at):
        same = "same"
    else:
        same = "differs"
        said.append(f"judged again it is {ruling.outcome} at tick {ruling.tick}, the record says {verdict.outcome} at tick {at}")
    return Check(
        file=str(traced.file),
        digest="equal" if digest == record.sample_digest else "differs",
        verdict=same,
        detail="; ".join(said),
    )


def _curves(traced: Trace) -> Curves:
    points = traced.points
    return Curves(
        t=[point.t for point in points],
        evidence=[point.evidence for point in points],
        legs={name: [point.legs[name] for point in points] for name in points[0].legs},
        beyond={name: [point.beyond[name] for point in points] for name in points[0].beyond},
        canary_error_rate=[point.error_rates[0] for point in points],
        baseline_error_rate=[point.error_rates[1] for point in points],
        canary_mean_ms=[point.mean_ms[0] for point in points],
        baseline_mean_ms=[point.mean_ms[1] for point in points],
        gaps={number: point.gap for number, point in enumerate(points, start=1) if point.gap is not None},
    )
