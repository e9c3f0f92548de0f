"""What telemetry is asked of a release, and what it answers: the watch, the reading, and how the arms' pods are.

A reading is what one source has counted between two ticks; the judge takes samples (``analyzers.counts``), which
``daemon.engine.lifecycle`` makes of readings.
"""

import msgspec

from analyzers.counts import Arm, Sample, Signal
from config.policy import Failures, Policy
from daemon.armpods import PodsByArm
from daemon.model import Release


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """How far apart the samples of a release are and how late they come, as far as it was learnt from them, in seconds.

    Attributes:
        spacing_seconds: of the target that is scraped least often; 0: not known yet.
        late_seconds: the most that one took to be there; 0: not known yet.
        longest_seconds: samples that are older do not count (``stale_after_seconds``).
        ahead_seconds: how far our clock is ahead of the store's at least, where that is sure; less than 0: behind; 0: it is not.
    """

    spacing_seconds: float = 0.0
    late_seconds: float = 0.0
    longest_seconds: float = 0.0
    ahead_seconds: float = 0.0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A release whose counters are wanted at a tick.

    ``failures``: what its policy counts as a failed request; ``policy``: itself, where it is known. ``pods``: which pods its arms
    were when they were last looked for; null: nobody has said, and what the release itself says of its arms must do. ``alone``:
    only the canary is counted, and it does not matter whether there is a baseline.
    """

    release_id: str
    release: Release
    failures: Failures = Failures()
    policy: Policy | None = None
    pods: PodsByArm | None = None
    alone: bool = False


class ContainerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended that was to go on: in Kubernetes' word (``OOMKilled``), and when, in seconds since 1970."""

    pod: str
    container: str
    reason: str
    at: float


class ArmState(msgspec.Struct, frozen=True, kw_only=True):
    """How the pods of one arm are, as Kubernetes has it. Signs of trouble hold a promotion; they convict nobody.

    Attributes:
        pods: that there are and that stay, ready or not.
        ready: of them, those that are sent requests.
        restarts: how often their containers were started anew.
        troubles: what is wrong with some of them, as ``web-v2-0: CrashLoopBackOff``.
        ends: of those of their containers that were started anew, or are about to be, the last one.
    """

    pods: int
    ready: int
    restarts: int = 0
    troubles: tuple[str, ...] = ()
    ends: tuple[ContainerEnd, ...] = ()


class PodsState(msgspec.Struct, frozen=True, kw_only=True):
    """How the pods of both arms are."""

    baseline: ArmState
    canary: ArmState


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What telemetry answers for one watch: counts since the last reading, or why there are none.

    ``bounds_ms`` are the finite upper bounds of the latency buckets, once they are known. A null arm with a ``gap`` is no
    information. ``at`` is the time of the newest raw counter used, in seconds since 1970. ``weight`` is the route's weight of the
    canary in percent, where it was looked at. ``pods`` is how the arms' pods are, where it is known. ``fallback`` says from where
    it was read, and why not from where it should be; empty where it was. ``signals`` are what stands beside the counts.
    ``cadence`` is null where proxies are read themselves, and where nothing was learnt.
    """

    seconds: float
    baseline: Arm | None = None
    canary: Arm | None = None
    bounds_ms: tuple[float, ...] | None = None
    gap: str | None = None
    at: float | None = None
    weight: float | None = None
    pods: PodsState | None = None
    fallback: str = ""
    signals: tuple[Signal, ...] = ()
    cadence: Cadence | None = None


def observed_share(counted: Reading | Sample) -> float | None:
    """The canary's part of the requests of a tick, those denied included, 0 to 1; null where there were none that were counted."""
    if counted.baseline is None or counted.canary is None:
        return None
    canary, baseline = (arm.requests + arm.denied for arm in (counted.canary, counted.baseline))
    return canary / (canary + baseline) if canary + baseline else None
