"""Policies compared on the same recordings: what each would have done, counted against what is known of the releases.

A recording made live ends with its verdict, so a more patient policy may find it too short: such ends are counted by
themselves (``ended_first``), never as inconclusive. One that was found good and waited for a person is counted as found good.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from analyzers.ruling import Ruling
from daemon.offline.replay.labels import Label
from daemon.offline.replay.lockstep import Result, Unusable

Z95 = 1.959964


class Proportion(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` of ``of``, and a 95 % interval (Wilson) for the true share; null when there is nothing to count."""

    count: int
    of: int
    low: float | None
    high: float | None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Median and 90th percentile in seconds; null when there is none."""

    median: float | None
    p90: float | None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One policy on all recordings.

    Attributes:
        policy: its name; ``policy_hash`` is null for the policies that the recordings carry themselves.
        false_rollbacks: healthy releases rolled back, and bad ones before they were bad, of all labelled.
        detections: bad releases rolled back after their onset, of all bad ones; delay_seconds: counted from the onset.
        missed: bad releases promoted, of all bad ones.
        promotions: healthy releases promoted, of all healthy ones; promotion_seconds: from the start of the watch.
        inconclusive: releases of any kind without a decision at the deadline. ended_first: recordings that end before.
        unlabelled: verdicts on releases of which nothing is known.
    """

    policy: str
    policy_hash: str | None
    recordings: int
    false_rollbacks: Proportion
    detections: Proportion
    delay_seconds: Spread
    missed: Proportion
    promotions: Proportion
    promotion_seconds: Spread
    inconclusive: int
    ended_first: int
    unlabelled: dict[str, int]


class Tally:
    """Counts of one policy while the results come in."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], int] = {}
        self._delays: list[float] = []
        self._promotions: list[float] = []

    def add(self, ruling: Ruling, label: Label | None) -> None:
        """Count one release."""
        kind = "unlabelled" if label is None else label.label
        outcome, at = ruling.found
        end: str = "ended_first" if outcome == "continue" else outcome
        if label is not None and label.label == "bad" and end == "rollback":
            if at < label.onset_seconds:
                end = "early"
            else:
                self._delays.append(at - label.onset_seconds)
        if kind == "healthy" and end == "promote":
            self._promotions.append(at)
        self._ends[kind, end] = self._ends.get((kind, end), 0) + 1

    def compared(self, *, policy: str, policy_hash: str | None) -> Compared:
        """All counts."""
        healthy, bad = self._of("healthy"), self._of("bad")
        wrong = healthy.get("rollback", 0) + bad.get("early", 0)
        return Compared(
            policy=policy,
            policy_hash=policy_hash,
            recordings=sum(self._ends.values()),
            false_rollbacks=share(wrong, sum(healthy.values()) + sum(bad.values())),
            detections=share(bad.get("rollback", 0), sum(bad.values())),
            delay_seconds=spread(self._delays),
            missed=share(bad.get("promote", 0), sum(bad.values())),
            promotions=share(healthy.get("promote", 0), sum(healthy.values())),
            promotion_seconds=spread(self._promotions),
            inconclusive=self._all("inconclusive"),
            ended_first=self._all("ended_first"),
            unlabelled=self._of("unlabelled"),
        )

    def _of(self, kind: str) -> dict[str, int]:
        return {end: count for (one, end), count in sorted(self._ends.items()) if one == kind}

    def _all(self, end: str) -> int:
        return sum(count for (_, one), count in self._ends.items() if one == end)


def compare(
    results: Iterable[Result], *, policies: Sequence[tuple[str, str | None]], labels: Mapping[Path, Label]
) -> tuple[list[Compared], list[Unusable]]:
    """Count results, whose rulings are parallel to ``policies`` (names and hashes), and hand back the files that have none."""
    tallies = [Tally() for _ in policies]
    unusable: list[Unusable] = []
    for result in results:
        if isinstance(result, Unusable):
            unusable.append(result)
            continue
        for tally, ruling in zip(tallies, result.rulings, strict=True):
            tally.add(ruling, labels.get(result.file))
    named = zip(tallies, policies, strict=True)
    return [tally.compared(policy=name, policy_hash=known) for tally, (name, known) in named], unusable


def share(count: int, of: int) -> Proportion:
    """A share with its interval."""
    if of == 0:
        return Proportion(count=count, of=of, low=None, high=None)
    rate, weight = count / of, Z95**2 / of
    middle = (rate + weight / 2) / (1 + weight)
    half = math.sqrt(rate * (1 - rate) * weight + weight**2 / 4) / (1 + weight)
    return Proportion(count=count, of=of, low=max(0.0, middle - half), high=min(1.0, middle + half))


def spread(values: Sequence[float]) -> Spread:
    """The smallest values that half and 90 % of the values do not exceed."""
    if not values:
        return Spread(median=None, p90=None)
    ordered = sorted(values)
    return Spread(median=_quantile(ordered, 0.5), p90=_quantile(ordered, 0.9))


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
