"""The three acts of the demo, as data: which version is tried, how it behaves, and how it must end."""

from dataclasses import dataclass
from typing import Literal

from daemon.demo.behaviour import Behaviour
from daemon.model import Outcome, Record, Sample

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
        shifted_at: the pipeline gave a promoted canary everything.
        samples: what verdictd sampled, with the time of each sample's end.
    """

    act: Act
    release_id: str
    began: float
    ended: float
    record: Record
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
