"""What discovery answers: the arms with how sure that is, a question that names what is missing, or that there is no release.

Only what is certain or strong may take traffic back; the rest is observed, and asked for by name.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from daemon.discovery.contests import Candidate
from daemon.discovery.picture import Destination, Labels
from daemon.placement import ObjectName

Strategy = Literal["canary", "header", "mirror"]
Missing = Literal["canary", "baseline", "baseline.subset"]
"""A field of a release that a person or a pipeline must say."""


class Confidence(StrEnum):
    """How sure it is which arm is which."""

    CERTAIN = "certain"
    STRONG = "strong"
    MEDIUM = "medium"

    @property
    def may_revert(self) -> bool:
        """Whether traffic may be taken back on it."""
        return self is not Confidence.MEDIUM


class Sign(StrEnum):
    """What tells the arms apart, in the order in which it is heeded."""

    OWNER = "owner"
    ANNOTATION = "annotation"
    ANNOUNCED = "announced"
    BEFORE = "before"
    MIRROR = "mirror"
    PIN = "pin"
    WORDS = "words"
    VERSIONS = "versions"
    AGE = "age"
    SHARE = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundArm:
    """One arm.

    Attributes:
        name: for people.
        destination: where routes send its requests; null: no route tells the arms apart.
        labels: that choose its pods; null: not known.
        workloads: the names of those that have such pods; null: not known.
        version: its pods' version label; empty: it has none, or several.
        percent: its share of the requests that are not told apart by who sends them.
    """

    name: str
    destination: Destination | None = None
    labels: Labels | None = None
    workloads: tuple[str, ...] | None = None
    version: str = ""
    percent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundArms:
    """Which arm is which.

    Attributes:
        baseline, canary: the arms.
        confidence: how sure that is.
        by: what says so: first what decided, then what agrees.
        why: a sentence.
        strategy: how the canary gets its requests.
        owner: the controller that steps them; null: none is known.
    """

    baseline: FoundArm
    canary: FoundArm
    confidence: Confidence
    by: tuple[Sign, ...]
    why: str
    strategy: Strategy = "canary"
    owner: ObjectName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody must say.

    Attributes:
        candidates: among which.
        missing: the fields of the release that are not known.
        why: a sentence, which asks.
        canary: the one of them that is known to be it all the same.
    """

    candidates: tuple[FoundArm, ...]
    missing: tuple[Missing, ...]
    why: str
    canary: FoundArm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRelease:
    """There are no arms. ``why``: a sentence."""

    why: str


Answer = FoundArms | Ask | NoRelease


def arm(candidate: Candidate) -> FoundArm:
    """A candidate as it is told."""
    there = candidate.behind.workloads
    return FoundArm(
        name=candidate.destination.short,
        destination=candidate.destination,
        labels=candidate.behind.chosen,
        workloads=None if there is None else tuple(dict.fromkeys(one.name for one in there)),
        version=candidate.behind.version,
        percent=candidate.use.percent,
    )
