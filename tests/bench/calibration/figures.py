"""From ticks of first conviction to figures, their standard errors, and whether they are worse than the reference."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

SURE_Z: Final = 3.0
"""Standard errors (ours and the reference's together) beyond which a figure is called worse."""
REFERENCE_RUNS: Final = 1000
"""Runs behind a reference delay."""
FEWEST_PERCENT: Final = 0.005

Reference = Mapping[str, Mapping[str, Mapping[str, float | list[float]]]]


def reference() -> Reference:
    """The reference figures: section, key, column; percentages, or median and 90th percentile of ticks."""
    found: Reference = json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share in percent with its binomial standard error; ``worse`` than the reference beyond chance."""

    percent: float
    error: float
    runs: int
    worse: bool = False

    def __str__(self) -> str:
        digits = 2 if self.percent < 10.0 else 1
        return f"{self.percent:.{digits}f} ± {self.error:.{2 if self.error < 1 else 1}f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Median and 90th percentile of ticks to the event (infinite: never within the watch), and the share found in percent."""

    median: float
    p90: float
    found: float
    worse: bool = False

    def __str__(self) -> str:
        words = " / ".join("-" if math.isinf(value) else f"{value:g}" for value in (self.median, self.p90))
        return words if self.found >= 99.5 else f"{words} ({self.found:.0f} %)"


def share(ticks: Sequence[float], against: float | None = None, reference_runs: int = REFERENCE_RUNS) -> Share:
    """The share of the releases in which it happened at all; ``against`` is the reference in percent."""
    runs = len(ticks)
    part = sum(tick > 0 for tick in ticks) / runs
    error = math.sqrt(max(part * (1.0 - part), FEWEST_PERCENT / 100.0) / runs)
    worse = False
    if against is not None:
        their = against / 100.0
        spread = math.sqrt(error**2 + max(their * (1.0 - their), FEWEST_PERCENT / 100.0) / reference_runs)
        worse = part - their > SURE_Z * spread
    return Share(percent=100.0 * part, error=100.0 * error, runs=runs, worse=worse)


def delays(ticks: Sequence[float], onset: int) -> np.ndarray:
    """Ticks from the onset, infinite for never; releases in which it had happened before are left out."""
    values = np.asarray(ticks, dtype=np.float64)
    values = values[(values == 0) | (values > onset)]
    return np.sort(np.where(values == 0, math.inf, values - onset))


def delay(ticks: Sequence[float], onset: int, against: Sequence[float] | None = None) -> Delay:
    """Median and 90th percentile of the delay; worse when too few releases are found by the reference's ticks."""
    values = delays(ticks, onset)
    runs = len(values)
    worse = False
    for level, limit in zip((0.5, 0.9), against or (), strict=False):
        spread = math.sqrt(level * (1.0 - level) * (1.0 / runs + 1.0 / REFERENCE_RUNS))
        worse |= bool((values <= limit).mean() < level - SURE_Z * spread)
    median, p90 = (float(values[min(runs - 1, math.ceil(level * runs) - 1)]) for level in (0.5, 0.9))
    return Delay(median=median, p90=p90, found=100.0 * float(np.isfinite(values).mean()), worse=worse)
