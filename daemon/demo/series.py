"""The traffic as curves over time, for the plots: each version's share, error rate and median latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from daemon.demo.traffic import Answer, Traffic

STEP_SECONDS = 0.25
# A rate needs more answers than a share to be told from chance.
SHARE_SECONDS = 0.5
RATE_SECONDS = 2.0
_FEW = 20

Curve = tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One version's curves; null where it answered (nearly) nothing.

    Attributes:
        share: of all answers, in percent.
        error_rate: failed answers, in percent of its own.
        p50_ms: median latency.
    """

    share: Curve
    error_rate: Curve
    p50_ms: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Curves by version. Point ``i`` is ``at[i]`` seconds after ``begin``, over a window around it."""

    begin: float
    at: tuple[float, ...]
    versions: dict[str, Curves]


def series(traffic: Traffic, *, versions: Sequence[str], begin: float, end: float) -> Series:
    """Curves of some versions from ``begin`` to ``end``, seconds since 1970."""
    points = max(1, int((end - begin) / STEP_SECONDS))
    at = tuple(round((i + 0.5) * STEP_SECONDS, 3) for i in range(points))
    wide, narrow = _windows(traffic, begin, at, RATE_SECONDS), _windows(traffic, begin, at, SHARE_SECONDS)
    return Series(begin=begin, at=at, versions={version: _curves(version, narrow=narrow, wide=wide) for version in versions})


def _windows(traffic: Traffic, begin: float, at: Sequence[float], seconds: float) -> list[list[Answer]]:
    return [traffic.between(begin + t - seconds / 2, begin + t + seconds / 2) for t in at]


def _curves(version: str, *, narrow: list[list[Answer]], wide: list[list[Answer]]) -> Curves:
    own = [[a for a in window if a.version == version] for window in wide]
    return Curves(
        share=tuple(100.0 * sum(a.version == version for a in window) / len(window) if window else None for window in narrow),
        error_rate=tuple(100.0 * sum(a.failed for a in o) / len(o) if len(o) >= _FEW else None for o in own),
        p50_ms=tuple(1000.0 * median(a.seconds for a in o) if len(o) >= _FEW else None for o in own),
    )
