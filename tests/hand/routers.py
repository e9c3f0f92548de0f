"""A router whose answers a test writes down beforehand, and what its receipts look like."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from daemon.errors import VerdictdError
from daemon.model import Release, TimedStep
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, Placement, RouteChange
from tests.hand.clock import HandClock

T = TypeVar("T")


def written(clock: HandClock, name: str) -> PatchedObject:
    """An object that gives all to the baseline now."""
    changes = (RouteChange(detail="v2 -> v1"),)
    return PatchedObject(
        object=ObjectName(kind="Route", name=name), changes=changes, sent_at=clock.time, acknowledged_at=clock.time
    )


def partly(clock: HandClock, *names: str, **failures: VerdictdError) -> PatchReceipt:
    """Some objects were written, some were not."""
    failed = (
        PatchedObject(object=ObjectName(kind="Route", name=name), failure=error, sent_at=clock.time, acknowledged_at=clock.time)
        for name, error in failures.items()
    )
    parts = (*(written(clock, name) for name in names), *failed)
    return PatchReceipt(parts=parts, sent_at=clock.time, acknowledged_at=clock.time)


@dataclass
class FakeRouter:
    """Answers from lists; the last answer of a list is repeated."""

    clock: HandClock
    baseline: str | Exception = "2 ready endpoints"
    patches: Sequence[bool | VerdictdError | PatchReceipt] = (True,)
    looks: Sequence[str | VerdictdError | None] = (None,)
    calls: list[str] = field(default_factory=list)
    hang: bool = False

    async def locate(self, release: Release) -> Placement:
        raise NotImplementedError

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        self.calls.append("baseline")
        if self.hang:
            await asyncio.Event().wait()
        if isinstance(self.baseline, Exception):
            raise self.baseline
        return self.baseline

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        answer = self._next(self.patches, "patch")
        if isinstance(answer, VerdictdError):
            raise answer
        if isinstance(answer, PatchReceipt):
            return answer
        parts = (written(self.clock, "web"),) if answer else ()
        return PatchReceipt(parts=parts, nothing="nothing is left", sent_at=self.clock.time, acknowledged_at=self.clock.time)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        answer = self._next(self.looks, "look")
        if isinstance(answer, VerdictdError):
            raise answer
        return answer

    def _next(self, answers: Sequence[T], name: str) -> T:
        count = self.calls.count(name)
        self.calls.append(name)
        return answers[min(count, len(answers) - 1)]


def names_of(steps: Sequence[TimedStep]) -> list[str]:
    """What happened, in order."""
    return [step.step for step in steps]
