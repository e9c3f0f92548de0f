"""From legs to one number. The weights are the reference's: flat optima, so that they are no place for tuning.

Errors and denials happen before latency is looked at, and latency is judged given the outcome of each request, so that their
e-values may be multiplied when the histogram holds successes only. Where it holds all requests a slow failure would be counted
twice; then evidence is averaged. Averages of e-values, and products of sequential ones, are e-values (Vovk and Wang 2021).
"""

from typing import Final

import numpy as np

from analyzers import bank
from analyzers.layout import Array

RANK_WEIGHT: Final = 0.75
TAIL_WEIGHT: Final = 0.20
MEAN_WEIGHT: Final = 0.05
BOTH_WEIGHT: Final = 0.40
EVENTS_WEIGHT: Final = 0.35
LATENCY_WEIGHT: Final = 0.25


def events(errors: Array, denied: Array) -> Array:
    """Evidence of errors and denials together: denials happen first, so that their e-values multiply."""
    return np.minimum(errors * denied, bank.CAP)


def latency(rank: Array, tail: Array, mean: Array) -> Array:
    """Evidence of the three latency legs together."""
    return RANK_WEIGHT * rank + TAIL_WEIGHT * tail + MEAN_WEIGHT * mean


def together(failing: Array, slowness: Array, split: Array) -> Array:
    """Evidence of ``events`` and ``latency`` together; ``split``: histograms hold successes only."""
    mixed = BOTH_WEIGHT * failing * slowness + EVENTS_WEIGHT * failing + LATENCY_WEIGHT * slowness
    averaged = 0.5 * failing + 0.5 * slowness
    combined: Array = np.where(split > 0.0, mixed, averaged)
    return np.minimum(combined, bank.CAP)
