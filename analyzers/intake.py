"""Samples in, arrays out: the only place that reads a sample, and the only loop over releases in Python.

What cannot be a count (negative, larger than any count, more errors than requests, a histogram of the wrong length) makes the
tick a gap for the legs that would use it, and is said: no information is never zero requests, and never evidence.

Warm-up goes by pod age (``judged_pods``): where the ages of an arm's pods are known, pods younger than the policy's warm-up are
left out of the latency, those of unknown age beside them too, unless the baseline's pods are just as cold. It has no edge: after
it the tolerated latency is wider for a while (``settling``). Where no age of a canary's pod is known, it is judged and that
is said (``ageless``).
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers.counts import Arm, Latency, Pod, Sample
from analyzers.layout import Array, Mask
from analyzers.terms import Terms

EQUALLY_COLD_SECONDS = 10.0
"""Pods of both arms whose oldest ages differ by less were started together and need no warm-up."""
JUST_WARM: Final = 0.5
"""By how much more a canary may be slower when its youngest pod's warm-up ends; half as much after another half of a warm-up."""
SMALLEST_SUM_MS, LARGEST_SUM_MS = 1e-6, 1e18
"""Sums of latency outside are no measurements (an empty or broken histogram); they idle the mean."""
LARGEST_COUNT = 1e15
"""A count above is none: a float holds it no longer to the last request."""
COUNTS_ODD, HISTOGRAM_ODD = 1, 2
"""Why a tick that brought both arms was not judged, or its latency was not."""

_SILENT = Arm(requests=0)
_COUNTS: Final = 10
_AS_COUNTS = struct.Struct(f"{_COUNTS}d").pack
_NOTHING = bytes(8 * _COUNTS)


@dataclass(slots=True, kw_only=True)
class Tick:
    """One tick of a batch. Shapes: (releases,) or, for histograms, (releases, J).

    Attributes:
        t: seconds since each watch began.
        seen: both arms were there and their counts were possible.
        c_err, b_err, c_req, b_req, c_den, b_den: errors, requests, denials of canary and baseline; 0 where not ``seen``.
        c_una, b_una, c_unc, b_unc: the same of unanswered requests, and of those of which it is not told how they ended.
        timed: both arms brought a usable histogram with at least one request.
        lone: only the canary brought one.
        c, b: histograms; 0 where not ``timed``, but for a lone one. c_sum, b_sum: sums in ms, NaN where unknown.
        warming: a pod was too young for its latency to be judged.
        settling: factor, at least 1, by which the tolerated latency is wider, since a pod of the canary has just become warm.
        ageless: no age of a pod of the canary is known, and the watch is younger than a warm-up.
        weight: the route's weight of the canary during this tick as a fraction, NaN where unknown.
        odd: COUNTS_ODD or HISTOGRAM_ODD where these were impossible, else 0.
    """

    t: Array
    seen: Mask
    c_err: Array
    b_err: Array
    c_req: Array
    b_req: Array
    c_den: Array
    b_den: Array
    c_una: Array
    b_una: Array
    c_unc: Array
    b_unc: Array
    timed: Mask
    lone: Mask
    c: Array
    b: Array
    c_sum: Array
    b_sum: Array
    warming: Mask
    settling: Array
    ageless: Mask
    weight: Array
    odd: npt.NDArray[np.int64]


def _oldest(arm: Arm) -> float | None:
    ages = [pod.age_seconds for pod in (arm.pods or {}).values() if pod.age_seconds is not None]
    return max(ages) if ages else None


def _merged(pods: Sequence[Pod]) -> Latency | None:
    """The histogram of some pods; null when one of them brings none or their lengths differ."""
    parts = [pod.latency for pod in pods if pod.latency is not None]
    if len(parts) < len(pods) or not parts or len({len(part.counts) for part in parts}) > 1:
        return None
    counts = tuple(map(sum, zip(*(part.counts for part in parts), strict=True)))
    return Latency(counts=counts, sum_ms=sum(part.sum_ms for part in parts))


def _equally_cold(canary: Arm, baseline: Arm) -> bool:
    mine, theirs = _oldest(canary), _oldest(baseline)
    return mine is not None and theirs is not None and abs(mine - theirs) < EQUALLY_COLD_SECONDS


def judged_pods(terms: Terms, canary: Arm, baseline: Arm) -> tuple[Mapping[str, Pod], Mapping[str, Pod]]:
    """The pods of canary and baseline whose latency is judged."""
    if _equally_cold(canary, baseline):
        return canary.pods or {}, baseline.pods or {}
    return _warm(canary, terms.warmup_seconds), _warm(baseline, terms.warmup_seconds)


def _warm(arm: Arm, warmup_seconds: float) -> Mapping[str, Pod]:
    """The pods that are old enough; all of them where no age is known."""
    pods = arm.pods or {}
    if _oldest(arm) is None:
        return pods
    return {name: pod for name, pod in pods.items() if pod.age_seconds is not None and pod.age_seconds >= warmup_seconds}


def _settling(terms: Terms, canary: Arm, baseline: Arm) -> float:
    """How much wider the tolerated latency is while caches fill, by the age of the canary's youngest pod that is judged."""
    if terms.warmup_seconds <= 0.0 or _equally_cold(canary, baseline):
        return 1.0
    ages = [pod.age_seconds for pod in _warm(canary, terms.warmup_seconds).values() if pod.age_seconds is not None]
    if not ages:
        return 1.0
    return 1.0 + JUST_WARM * math.pow(0.5, 2.0 * (min(ages) / terms.warmup_seconds - 1.0))


def _latencies(terms: Terms, canary: Arm, baseline: Arm) -> tuple[Latency | None, Latency | None, bool]:
    if not canary.pods and not baseline.pods:
        return canary.latency, baseline.latency, False
    mine, theirs = judged_pods(terms, canary, baseline)
    c_young, b_young = len(mine) < len(canary.pods or {}), len(theirs) < len(baseline.pods or {})
    return (
        _merged(list(mine.values())) if c_young and canary.latency is not None else canary.latency,
        _merged(list(theirs.values())) if b_young and baseline.latency is not None else baseline.latency,
        c_young or b_young,
    )


def latency_of(terms: Terms, canary: Arm) -> Latency | None:
    """The latency of a canary alone, of its pods that are judged; null where this tick has none."""
    return _latencies(terms, canary, _SILENT)[0]


def _packed(as_doubles: Callable[..., bytes], values: Iterable[float]) -> bytes | None:
    """Values as bytes; null when one is too large for a float (an integer in JSON may have any length)."""
    try:
        return as_doubles(*values)
    except struct.error:
        return None


def pack(terms: Sequence[Terms], samples: Sequence[Sample]) -> Tick:
    """Samples of releases that share a number of bounds, as arrays. Never raises on what a sample holds."""
    size = max(len(terms[0].bounds_ms) + 1, 2)
    as_doubles = struct.Struct(f"{2 + 2 * size}d").pack  # half the time of an array from tuples
    no_times = bytes(8 * (2 + 2 * size))
    parts: list[bytes] = []
    flags: list[tuple[bool, bool, bool, bool, bool, bool]] = []
    settling: list[float] = []
    for one, sample in zip(terms, samples, strict=True):
        canary, baseline = sample.canary, sample.baseline
        if canary is None or baseline is None:
            parts += _NOTHING, no_times
            flags.append((False, False, False, False, False, False))
            settling.append(1.0)
            continue
        packed = _packed(_AS_COUNTS, _counts(canary, baseline))
        mine, theirs, warming = _latencies(one, canary, baseline)
        if theirs is None and baseline.requests == 0:
            theirs = Latency(counts=(0,) * size, sum_ms=math.nan)
        brought = mine is not None and theirs is not None and bool(one.bounds_ms)
        latency = None
        if brought and mine is not None and theirs is not None and len(mine.counts) == size and len(theirs.counts) == size:
            latency = _packed(as_doubles, (*mine.counts, *theirs.counts, mine.sum_ms, theirs.sum_ms))
        parts += packed or _NOTHING, latency or no_times
        ageless = sample.t < one.warmup_seconds and (not canary.pods or _oldest(canary) is None)
        flags.append((packed is not None, latency is not None, warming, True, brought, ageless))
        settling.append(_settling(one, canary, baseline) if canary.pods else 1.0)
    return _checked(
        t=np.array([sample.t for sample in samples], dtype=np.float64),
        weight=np.array([_weight(one, sample) for one, sample in zip(terms, samples, strict=True)], dtype=np.float64),
        numbers=np.frombuffer(b"".join(parts)).reshape(len(samples), _COUNTS + 2 + 2 * size),
        flags=np.array(flags, dtype=np.bool_),
        settling=np.array(settling),
    )


def _counts(canary: Arm, baseline: Arm) -> tuple[int, ...]:
    """A tick's counts, in the order of ``_checked``."""
    return (
        *(canary.errors, baseline.errors, canary.requests, baseline.requests, canary.denied, baseline.denied),
        *(canary.unanswered, baseline.unanswered, canary.unclassified, baseline.unclassified),
    )


def _weight(terms: Terms, sample: Sample) -> float:
    """The route's weight during the tick, or else the one that was announced; NaN where neither is known, or it is none."""
    if sample.weight is None:
        return terms.share
    return sample.weight / 100.0 if 0.0 <= sample.weight <= 100.0 else math.nan


def _checked(*, t: Array, weight: Array, numbers: Array, flags: Mask, settling: Array) -> Tick:
    """Turn what cannot be counts into gaps. ``numbers``: ten counts, two histograms, and their sums."""
    counts, hist, sums = numbers[:, :_COUNTS], numbers[:, _COUNTS:-2], numbers[:, -2:]
    size = hist.shape[1] // 2
    least, most = (one.reduceat(numbers[:, :-2], (0, _COUNTS, _COUNTS + size), axis=1).T for one in (np.minimum, np.maximum))
    possible = (least >= 0.0) & (most <= LARGEST_COUNT)
    fits = (counts[:, 0] + counts[:, 8] <= counts[:, 2]) & (counts[:, 1] + counts[:, 9] <= counts[:, 3])
    seen = flags[:, 0] & possible[0] & fits
    countable = flags[:, 1] & possible[1] & possible[2]
    kept = counts if seen.all() else np.where(seen[:, None], counts, 0.0)
    c_err, b_err, c_req, b_req, c_den, b_den, c_una, b_una, c_unc, b_unc = kept.T
    odd = np.where(flags[:, 3] & ~seen, COUNTS_ODD, np.where(flags[:, 4] & ~countable, HISTOGRAM_ODD, 0))
    c, b = hist[:, :size].copy(), hist[:, size:].copy()
    some = seen & countable & (most[1] > 0.0)
    timed = some & (most[2] > 0.0)
    lone = some & ~timed
    if not timed.all():
        c, b = np.where(some[:, None], c, 0.0), np.where(timed[:, None], b, 0.0)
    sums = np.where((sums > SMALLEST_SUM_MS) & (sums < LARGEST_SUM_MS), sums, np.nan)
    return Tick(
        t=t,
        seen=seen,
        c_err=c_err,
        b_err=b_err,
        c_req=c_req,
        b_req=b_req,
        c_den=c_den,
        b_den=b_den,
        c_una=c_una,
        b_una=b_una,
        c_unc=c_unc,
        b_unc=b_unc,
        timed=timed,
        lone=lone,
        c=c,
        b=b,
        c_sum=sums[:, 0],
        b_sum=sums[:, 1],
        warming=flags[:, 2],
        settling=settling,
        ageless=flags[:, 5],
        weight=weight,
        odd=odd,
    )
