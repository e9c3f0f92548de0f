"""What does not change during a watch, as numbers: the policy seen from the judge's side."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from analyzers.arrays import Array
from analyzers.counts import MAX_BUCKETS
from analyzers.reference import Reference, checked
from config.policy import Policy

Number = TypeVar("Number", float, Array)

CERTAIN: Final = 100.0
"""K of ``evidence: strict``, and of whatever is judged without a baseline arm."""
BEYOND: Final = {"fast": 3.0, "balanced": 5.0, "strict": CERTAIN}
"""K: how sure it must be that the harm is beyond the tolerance. Above 1: buckets that tell nothing are worth exactly 1."""
STRICT_LATER: Final = 0.25
"""Weight of all later starts together where certainty is asked: at the tolerance at most 1.25 % are convicted of a quantity."""
_LATER: Final = 1.0 / 120.0
_LATER_AT_MOST: Final = 2.5
_CAP, _LONG_CAP, _LONG_SECONDS = 3.0, 4.5, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers(Generic[Number]):
    """A policy and a watch as the numbers the judge computes with: of one release, or each as an array over releases.

    Attributes:
        horizon: ticks of the whole window (K), at least 1.
        boundary: 1/alpha.
        cap: logarithm by which one tick may multiply an e-process.
        beyond: K, the evidence that the canary is worse than tolerated which a conviction needs as well.
        later: weight of each later start of that evidence.
        share: the canary's configured share of the traffic as a fraction, NaN when unknown.
        safe_boundary: 1/alpha of promotion.
        bounds_mark: a number that differs when the bounds differ; 0 for none.
        timed: 0 where connections are counted of which no latency is known: none is asked for promotion. Else 1.
    """

    horizon: Number
    window_seconds: Number
    warmup_seconds: Number
    boundary: Number
    tick_seconds: Number
    cap: Number
    beyond: Number
    later: Number
    max_rate: Number
    above_baseline: Number
    denied_above: Number
    unanswered_rate: Number
    unanswered_above: Number
    typical: Number
    slow_end: Number
    wander: Number
    require_slow_end: Number
    share: Number
    share_factor: Number
    safe_boundary: Number
    min_requests: Number
    min_seconds: Number
    bounds_mark: Number
    timed: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(Numbers[float]):
    """The numbers of one release, and the latencies that are compared.

    Attributes:
        bounds_ms: finite upper bounds of the histogram, () while unknown.
        after: what the baseline was, where the canary is watched alone after its promotion (``analyzers.onearm``).
        approval_seconds: how long what is found good waits for a person to say that it be promoted; 0: nobody is waited for.
    """

    bounds_ms: tuple[float, ...]
    after: Reference | None = None
    approval_seconds: float = 0.0


_NUMBERS = Numbers.__slots__
_numbers_of = attrgetter(*_NUMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Numbers[Array]):
    """Terms of a batch: every number as an array over releases, and the bounds as a matrix.

    ``bounds`` is (releases, J-1) in ms, where J is the number of counts (0 columns while the bounds are unknown).
    """

    bounds: Array

    @classmethod
    def of(cls, terms: Sequence[Terms]) -> "Limits":
        """Pack terms that all have the same number of bounds. Releases under one policy share theirs, which are read once."""
        distinct = {id(one): one for one in terms}
        places = {identity: place for place, identity in enumerate(distinct)}
        index = np.array([places[id(one)] for one in terms])
        return _packed(tuple(distinct.values()), index.tobytes())

    def take(self, chosen: npt.NDArray[np.intp]) -> "Limits":
        """The same for some of the releases."""
        return Limits(**{name: getattr(self, name)[chosen] for name in (*_NUMBERS, "bounds")})


@lru_cache(maxsize=64)
def _packed(distinct: tuple[Terms, ...], index: bytes) -> Limits:
    """Terms of releases, by their places among the distinct ones: the same at every tick of a watch."""
    places = np.frombuffer(index, dtype=np.intp)
    numbers = np.array([_numbers_of(one) for one in distinct], dtype=np.float64).T[:, places]
    bounds = np.array([one.bounds_ms for one in distinct], dtype=np.float64)[places]
    return Limits(bounds=bounds, **dict(zip(_NUMBERS, numbers, strict=True)))


def _checked_bounds(bounds_ms: Sequence[float]) -> tuple[float, ...]:
    bounds = tuple(float(bound) for bound in bounds_ms)
    if len(bounds) + 1 > MAX_BUCKETS:
        raise ValueError(
            f"the histogram has {len(bounds)} bounds, the judge takes at most {MAX_BUCKETS - 1}: merge neighbouring buckets"
        )
    if any(not (math.isfinite(bound) and bound > 0) for bound in bounds):
        raise ValueError(f"the histogram's bounds must be finite and positive (without +Inf), got {bounds}")
    if any(upper <= lower for lower, upper in itertools.pairwise(bounds)):
        raise ValueError(f"the histogram's bounds must increase, got {bounds}")
    return bounds


def terms_of(
    policy: Policy,
    *,
    tick_seconds: float,
    window_seconds: float,
    weight: float | None = None,
    bounds_ms: Sequence[float] = (),
    after: Reference | None = None,
    timed: bool = True,
) -> Terms:
    """The terms of one watch.

    Args:
        policy: what the team asks.
        tick_seconds: planned length of a tick.
        window_seconds: the deadline of this watch (the policy's window, or shorter).
        weight: the canary's configured share of the traffic in percent, where known.
        bounds_ms: finite upper bounds of the latency histogram; () while they are unknown.
        after: what the baseline was, for a watch of the canary alone after its promotion.
        timed: false for connections of which no latency can be known, which is a fact of the telemetry and not of what it brings.

    Raises:
        ValueError: a number is impossible, or the histogram has too many or unordered bounds; or the reference is none.
    """
    for name, seconds in (("tick_seconds", tick_seconds), ("window_seconds", window_seconds)):
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"{name} must be a positive number of seconds, got {seconds}")
    if weight is not None and not 0.0 <= weight <= 100.0:
        raise ValueError(f"weight is a share in percent, between 0 and 100, got {weight}")
    for name, alpha in (("alpha", policy.alpha), ("promotion.alpha", policy.promotion.alpha)):
        if not 0.0 < alpha < 0.5:
            raise ValueError(f"{name} is a chance above 0 and below 0.5, got {alpha}")
    bounds = _checked_bounds(bounds_ms)
    allowed = policy.tolerances
    horizon = max(1.0, float(round(window_seconds / tick_seconds)))
    beyond = BEYOND[policy.evidence]
    return Terms(
        horizon=horizon,
        window_seconds=window_seconds,
        warmup_seconds=policy.warmup_seconds,
        boundary=1.0 / policy.alpha,
        tick_seconds=tick_seconds,
        cap=_LONG_CAP if tick_seconds >= _LONG_SECONDS else _CAP * min(1.0, tick_seconds),
        beyond=beyond,
        later=STRICT_LATER / horizon if beyond >= CERTAIN else min(_LATER, _LATER_AT_MOST / horizon),
        max_rate=allowed.errors.max_rate,
        above_baseline=allowed.errors.above_baseline,
        denied_above=allowed.denied.above_baseline,
        unanswered_rate=allowed.unanswered.max_rate,
        unanswered_above=allowed.unanswered.above_baseline,
        typical=allowed.latency.typical,
        slow_end=allowed.latency.slow_end,
        wander=allowed.latency.wander,
        require_slow_end=allowed.latency.require_slow_end,
        share=math.nan if weight is None else weight / 100.0,
        share_factor=allowed.traffic.share_factor,
        safe_boundary=1.0 / policy.promotion.alpha,
        min_requests=float(policy.promotion.min_requests),
        min_seconds=policy.promotion.min_seconds,
        bounds_ms=bounds,
        bounds_mark=math.fsum(place * math.log1p(bound) for place, bound in enumerate(bounds, 1)) + len(bounds),
        timed=float(timed),
        after=None if after is None else checked(after),
        approval_seconds=policy.approval_seconds if policy.on_promote == "wait" and after is None else 0.0,
    )
