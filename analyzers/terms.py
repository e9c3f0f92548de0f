"""What does not change during a watch, as numbers: the policy seen from the judge's side."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from analyzers.layout import MAX_BUCKETS, Array
from config.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A policy and a watch as the numbers the judge computes with.

    Attributes:
        horizon: ticks of the whole window (K), at least 1.
        window_seconds: the deadline.
        warmup_seconds: latency of younger pods is not judged.
        boundary: 1/alpha.
        split: the latency histograms hold successes only.
        strict: the evidence must hold against the whole tolerated region.
        share: the canary's configured share of the traffic as a fraction, NaN when unknown.
        safe_boundary: 1/alpha of promotion.
        bounds_ms: finite upper bounds of the histogram, () while unknown.
        bounds_mark: a number that differs when the bounds differ; 0 for none.
    """

    horizon: float
    window_seconds: float
    warmup_seconds: float
    boundary: float
    split: bool
    strict: bool
    max_rate: float
    above_baseline: float
    denied_above: float
    typical: float
    slow_end: float
    wander: float
    require_slow_end: bool
    share: float
    share_factor: float
    safe_boundary: float
    min_requests: float
    min_seconds: float
    bounds_ms: tuple[float, ...]
    bounds_mark: float


_NUMBERS = tuple(name for name in Terms.__slots__ if name != "bounds_ms")
_numbers_of = attrgetter(*_NUMBERS)


class Limits:
    """Terms of a batch: every number of ``Terms`` as an array over releases, and the bounds as a matrix.

    ``bounds`` is (releases, J-1) in ms, where J is the number of counts (0 columns while the bounds are unknown).
    """

    __slots__ = ("bounds", *_NUMBERS)

    bounds: Array
    horizon: Array
    window_seconds: Array
    warmup_seconds: Array
    boundary: Array
    split: Array
    strict: Array
    max_rate: Array
    above_baseline: Array
    denied_above: Array
    typical: Array
    slow_end: Array
    wander: Array
    require_slow_end: Array
    share: Array
    share_factor: Array
    safe_boundary: Array
    min_requests: Array
    min_seconds: Array
    bounds_mark: Array

    def __init__(self, terms: Sequence[Terms]) -> None:
        """Pack terms that all have the same number of bounds. Releases under one policy share theirs, which are read once."""
        identities = list(map(id, terms))
        distinct = dict(zip(identities, terms, strict=True))
        places = dict(zip(distinct, range(len(distinct)), strict=True))
        index = np.array(list(map(places.__getitem__, identities)))
        numbers = np.array([_numbers_of(one) for one in distinct.values()], dtype=np.float64).T[:, index]
        for name, column in zip(_NUMBERS, numbers, strict=True):
            setattr(self, name, column)
        self.bounds = np.array([one.bounds_ms for one in distinct.values()], dtype=np.float64)[index]

    def take(self, chosen: npt.NDArray[np.intp]) -> "Limits":
        """The same for some of the releases."""
        part = object.__new__(Limits)
        for name in self.__slots__:
            setattr(part, name, getattr(self, name)[chosen])
        return part


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


def _mark(bounds: tuple[float, ...]) -> float:
    return math.fsum((place + 1) * math.log1p(bound) for place, bound in enumerate(bounds)) + len(bounds)


def terms_of(
    policy: Policy,
    *,
    tick_seconds: float,
    window_seconds: float,
    split: bool,
    weight: float | None = None,
    bounds_ms: Sequence[float] = (),
) -> Terms:
    """The terms of one watch.

    Args:
        policy: what the team asks.
        tick_seconds: planned length of a tick.
        window_seconds: the deadline of this watch (the policy's window, or shorter).
        split: the latency histograms hold successes only.
        weight: the canary's configured share of the traffic in percent, where known.
        bounds_ms: finite upper bounds of the latency histogram; () while they are unknown.

    Raises:
        ValueError: a number is impossible, or the histogram has too many or unordered bounds.
    """
    if not (math.isfinite(tick_seconds) and tick_seconds > 0):
        raise ValueError(f"tick_seconds must be a positive number of seconds, got {tick_seconds}")
    if not (math.isfinite(window_seconds) and window_seconds > 0):
        raise ValueError(f"window_seconds must be a positive number of seconds, got {window_seconds}")
    if weight is not None and not 0.0 <= weight <= 100.0:
        raise ValueError(f"weight is a share in percent, between 0 and 100, got {weight}")
    for name, alpha in (("alpha", policy.alpha), ("promotion.alpha", policy.promotion.alpha)):
        if not 0.0 < alpha < 0.5:
            raise ValueError(f"{name} is a chance above 0 and below 0.5, got {alpha}")
    bounds = _checked_bounds(bounds_ms)
    allowed = policy.tolerances
    return Terms(
        horizon=max(1.0, float(round(window_seconds / tick_seconds))),
        window_seconds=window_seconds,
        warmup_seconds=policy.warmup_seconds,
        boundary=1.0 / policy.alpha,
        split=split,
        strict=policy.evidence == "strict",
        max_rate=allowed.errors.max_rate,
        above_baseline=allowed.errors.above_baseline,
        denied_above=allowed.denied.above_baseline,
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
        bounds_mark=_mark(bounds),
    )
