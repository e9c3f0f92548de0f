"""What an explanation is made of: a decision record as it is, or a recording judged again tick by tick, with its evidence at each.

Which of them a file is, is seen from its content, never from its name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from analyzers.counts import Arm, Sample
from analyzers.judge import to_end
from analyzers.ruling import Ruling
from config import files
from config.policy import Policy
from daemon import recordings, stored
from daemon.courses import Drawn
from daemon.courses.shapes import Course
from daemon.errors import InvalidInput
from daemon.model import Record, Release
from daemon.offline.replay.sources import opened
from daemon.recordings import Header

FORMAT = "verdictd.record/1"
# Many times what a record is; a file that begins like one and is larger is a recording.
_LARGEST_BYTES = 16 * 1024 * 1024
_FIX = "give a decision record (as GET /v1/releases/ID/record answers) or a recording"


class _Format(msgspec.Struct):
    format: str = ""


def read_record(path: Path) -> Record | None:
    """The decision record in a file; null when the file is none (it is then read as a recording).

    Raises:
        InvalidInput: the file cannot be read, or is a record with a fault.
    """
    try:
        with files.opened(path) as file:
            first = file.read(1)
            content = first + file.read(_LARGEST_BYTES) if first == b"{" else b""
    except files.Unreadable as error:
        raise InvalidInput(error.message, path=str(path), fix=_FIX) from error
    except OSError as error:
        raise InvalidInput(str(error), path=str(path), fix=_FIX) from error
    if _format_of(content) != FORMAT:
        return None
    try:
        return stored.decode(content, Record).value
    except stored.Unreadable as error:
        raise InvalidInput(str(error), path=str(path), fix=f"this version reads {FORMAT}") from error


def _format_of(content: bytes) -> str:
    """A recording is several documents: as one it cannot be decoded, and has no format in this sense."""
    try:
        return msgspec.json.decode(content, type=_Format).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One tick.

    Attributes:
        t: seconds since the watch began.
        evidence: that the canary is worse at all, after this tick. legs: the same of each leg alone.
        beyond: of each leg, that the canary is worse than tolerated.
        error_rates, mean_ms: (canary, baseline) in this tick alone; null without requests or telemetry.
        gap: why the tick had no information.
    """

    t: float
    evidence: float
    legs: dict[str, float]
    beyond: dict[str, float]
    error_rates: tuple[float | None, float | None]
    mean_ms: tuple[float | None, float | None]
    gap: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What was judged of one arm until the verdict: in ticks in which both were seen."""

    requests: int = 0
    errors: int = 0
    denied: int = 0
    unanswered: int = 0
    unclassified: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A recording judged again.

    Attributes:
        ruling: the final one, or the last one when the recording ends first.
        points: a point for each tick until the ruling was final.
        course: the same time as it is drawn on a page.
        digests: the chained digest after each tick of the whole recording.
        torn_line: number of a last line that was not written to its end and was left out; else null.
    """

    file: Path
    header: Header
    release: Release
    policy: Policy
    ruling: Ruling
    points: tuple[Point, ...]
    course: Course
    canary: Totals
    baseline: Totals
    digests: tuple[str, ...]
    torn_line: int | None = None


def trace(path: Path, *, policy: Policy | None = None) -> Trace:
    """Judge a recording under a policy (null: its own).

    Raises:
        InvalidInput: naming the file and the line of the first fault.
    """
    recording = opened(path, policies=[policy])
    if recording.header.holes:
        said = "; ".join(hole.sentence for hole in recording.header.holes)
        raise InvalidInput(said, path=str(path), fix="put the replicas' parts together: verdictd replay PART... --join WHOLE")
    digests: list[str] = []
    samples = _digested(recording.samples, into=digests)
    ruling: Ruling | None = None
    points: list[Point] = []
    alone = recording.header.after is not None
    drawn = Drawn(policy=policy or recording.header.policy, alone=alone)
    canary = baseline = Totals()
    for _, [sample], [ruling] in to_end(recording.terms, lambda _: [next(samples, None)]):
        points.append(_point(sample, ruling, alone=alone))
        drawn.add(sample, ruling, bounds_ms=recording.header.bounds_ms)
        if sample.canary is not None and (alone or sample.baseline is not None):
            canary = _plus(canary, sample.canary)
            baseline = baseline if sample.baseline is None else _plus(baseline, sample.baseline)
    for _ in samples:  # to the end of the recording: a record's digest may be that of a later tick
        pass
    assert ruling is not None  # ``opened`` refuses a recording without a tick
    return Trace(
        file=path,
        header=recording.header,
        release=recording.release,
        policy=policy or recording.header.policy,
        ruling=ruling,
        points=tuple(points),
        course=drawn.course(),
        canary=canary,
        baseline=baseline,
        digests=tuple(digests),
        torn_line=recording.torn_line,
    )


def _digested(samples: Iterable[Sample], *, into: list[str]) -> Iterator[Sample]:
    """The samples as they are; the chained digest after each is added to a list."""
    digest = ""
    for sample in samples:
        digest = recordings.chained(digest, recordings.line(sample))
        into.append(digest)
        yield sample


def _point(sample: Sample, ruling: Ruling, *, alone: bool) -> Point:
    arms = sample.canary, sample.baseline
    wanted = ("canary",) if alone else ("canary", "baseline")
    missing = " and ".join(name for name, arm in zip(wanted, arms, strict=False) if arm is None)
    return Point(
        t=sample.t,
        evidence=ruling.evidence,
        legs={name: leg.e_value for name, leg in ruling.legs.items()},
        beyond={name: leg.beyond for name, leg in ruling.legs.items()},
        error_rates=(_rate(arms[0]), _rate(arms[1])),
        mean_ms=(_mean(arms[0]), _mean(arms[1])),
        gap=sample.gap or (f"no telemetry of {missing}" if missing else None),
    )


def _rate(arm: Arm | None) -> float | None:
    return arm.errors / arm.requests if arm is not None and arm.requests else None


def _mean(arm: Arm | None) -> float | None:
    if arm is None or arm.latency is None:
        return None
    number = sum(arm.latency.counts)
    return arm.latency.sum_ms / number if number else None


def _plus(totals: Totals, arm: Arm) -> Totals:
    return Totals(
        requests=totals.requests + arm.requests,
        errors=totals.errors + arm.errors,
        denied=totals.denied + arm.denied,
        unanswered=totals.unanswered + arm.unanswered,
        unclassified=totals.unclassified + arm.unclassified,
    )
