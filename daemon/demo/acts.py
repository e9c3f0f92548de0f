"""The three acts of the demo, as data, and whether each ended as it must, by the traffic itself.

verdictd's own word, the routes and the proxy's statistics do not count. Requests are placed by when they were sent: one that was
under way when the routes changed may still be answered by the version it was sent to.
"""

from dataclasses import dataclass
from typing import Literal

from analyzers.counts import Sample
from daemon.demo.backend import Behaviour
from daemon.demo.traffic import Answer, TrafficLog
from daemon.model import Outcome, Record

HEALTHY = Behaviour()
CANARY_PERCENT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One canary.

    Attributes:
        number: 1, 2, 3.
        title: what the reader should know of it.
        baseline, canary: versions.
        behaviour: of the canary.
        fault: what is wrong with it: every failed answer is bad, or every answer is (it is slower), or nothing.
        outcome: what must become of it.
    """

    number: int
    title: str
    baseline: str
    canary: str
    behaviour: Behaviour
    fault: Literal["errors", "latency"] | None
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What happened in an act. Times are seconds since 1970.

    Attributes:
        began: the canary was given its share.
        ended: the observation of what followed the verdict was over.
        settle_seconds: how long the mesh may take to follow what was acknowledged.
        shifted_at: the pipeline gave a promoted canary everything.
        samples: what verdictd sampled, with the time of each sample's end.
    """

    act: Act
    release_id: str
    began: float
    ended: float
    record: Record
    settle_seconds: float
    shifted_at: float | None = None
    samples: tuple[tuple[float, Sample], ...] = ()

    def mark(self, step: str) -> float | None:
        """When verdictd did a step for the first time; null when it did not."""
        return next((mark.at for mark in self.record.marks if mark.step.replace(" ", "_") == step), None)


ACTS = (
    Act(
        number=1,
        title="v2 is as good as v1",
        baseline="v1",
        canary="v2",
        behaviour=HEALTHY,
        fault=None,
        outcome=Outcome.PROMOTE,
    ),
    Act(
        number=2,
        title="v3 fails 5 % of its requests",
        baseline="v2",
        canary="v3",
        behaviour=HEALTHY.failing(0.05),
        fault="errors",
        outcome=Outcome.ROLLBACK,
    ),
    Act(
        number=3,
        title="v4 is 30 % slower",
        baseline="v2",
        canary="v4",
        behaviour=HEALTHY.slower(1.3),
        fault="latency",
        outcome=Outcome.ROLLBACK,
    ),
)


HOLD_SECONDS = 3.0
_MIN_ANSWERS = 50


def objections(played: Played, traffic: TrafficLog) -> list[str]:
    """Why the act did not end as it must, in words; empty when it did."""
    act, verdict = played.act, played.record.verdict
    if verdict.outcome is not act.outcome:
        return [f"{act.canary}: the verdict is {verdict.outcome}, not {act.outcome} ({verdict.reason})"]
    if act.outcome is Outcome.PROMOTE:
        return _promoted(played, traffic)
    return _taken_back(played, traffic)


def _promoted(played: Played, traffic: TrafficLog) -> list[str]:
    if played.shifted_at is None:
        return [f"{played.act.canary}: was never given 100 %"]
    answers = _sent_between(traffic, played.shifted_at + played.settle_seconds, played.ended)
    found = _enough(played.act.canary, answers, version=played.act.canary)
    others = [a for a in answers if a.version != played.act.canary]
    if others:
        found.append(f"{played.act.canary}: {len(others)} of {len(answers)} answers after its promotion came from elsewhere")
    return found


def _taken_back(played: Played, traffic: TrafficLog) -> list[str]:
    canary, baseline = played.act.canary, played.act.baseline
    patched = played.mark("patch_acknowledged")
    if patched is None:
        return [f"{canary}: the record tells of no acknowledged patch (action {played.record.verdict.action})"]
    if played.ended - patched < HOLD_SECONDS:
        return [f"{canary}: watched for only {played.ended - patched:.1f} s after the patch"]
    answers = _sent_between(traffic, patched + played.settle_seconds, played.ended)
    found = _enough(canary, answers, version=baseline)
    if not any(a.version == canary for a in traffic.between(played.began, patched)):
        found.append(f"{canary}: never answered a request, so nothing was taken back")
    if late := [a for a in answers if a.version == canary]:
        found.append(f"{canary}: {len(late)} answers after it was taken back, the last one {late[-1].end - patched:.2f} s after")
    return found


def _sent_between(traffic: TrafficLog, begin: float, end: float) -> list[Answer]:
    return [a for a in traffic.between(begin, end) if a.start >= begin]


def _enough(canary: str, answers: list[Answer], *, version: str) -> list[str]:
    """Silence proves nothing: the version that should have the traffic must have answered."""
    count = sum(a.version == version for a in answers)
    return [] if count >= _MIN_ANSWERS else [f"{canary}: only {count} answers of {version} were seen afterwards"]
