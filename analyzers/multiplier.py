"""Overshoot given back: a factor on the combined evidence that makes the errors' steps end at the boundary, not beyond it.

Given how many requests failed in both arms, the number of the canary's is hypergeometric under the null, so that every possible
evidence after the tick can be listed (after Fischer and Ramdas 2024, who avoid the overshoot of Wald's test). Evidence above
the boundary is of no use; its expectation is spent on raising all other outcomes by a common factor. Only where latency is
split by outcome (rule "boost"); with many failures it is 1.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from analyzers import bank, combine
from analyzers.intake import Tick
from analyzers.layout import GAIN, LATENCY_EVIDENCE, STARTED, Array, Rows
from analyzers.legs import ratio
from analyzers.terms import Limits

MOST_FAILURES: Final = 24
LARGEST: Final = 20.0
_COUNTS: Final[Array] = np.arange(MOST_FAILURES + 1, dtype=np.float64)
_POWERS: Final[Array] = ratio.RATIOS[:, None] ** _COUNTS
_ERRORS: Final = slice(0, len(ratio.RATIOS))


def _log_choose(number: Array, most: int) -> Array:
    """Logarithms of ``number`` choose 0 ... ``most``, shape (releases, most + 1); -inf where impossible."""
    ways = (number[:, None] - _COUNTS[:most]) / _COUNTS[1 : most + 1]
    with np.errstate(divide="ignore"):
        steps = np.log(np.maximum(ways, 0.0))
    return np.concatenate([np.zeros((len(number), 1)), np.cumsum(steps, axis=1)], axis=1)


def chances(failures: npt.NDArray[np.intp], canary: Array, baseline: Array) -> Array:
    """Chance (releases, most + 1) that 0 ... ``most`` of the failures are the canary's, given the requests of both arms.

    Hypergeometric: under the null, which of the requests failed does not depend on their arm. ``most``: of any release.
    """
    row = np.arange(len(failures))[:, None]
    most = int(failures.max())
    others = failures[:, None] - np.arange(most + 1)
    possible = others >= 0
    size = len(failures)
    ways = _log_choose(np.concatenate([canary, baseline, canary + baseline]), most)
    log_chance = ways[:size] + ways[size : 2 * size][row, np.maximum(others, 0)] - ways[2 * size :][row, failures[:, None]]
    return np.where(possible, np.exp(log_chance), 0.0)


def _errors_after(rows: Rows, limits: Limits, failures: Array, share: Array) -> Array:
    """Evidence of the errors (releases, 25) if 0 ... 24 of the failures were the canary's."""
    horizon = limits.horizon
    started = rows.head[:, STARTED]
    fresh = np.where(started < horizon, 1.0 / horizon, 0.0)
    held = bank.FIRST_WEIGHT * rows.w0[:, _ERRORS] + bank.LATER_WEIGHT * (rows.wr[:, 0, _ERRORS] + fresh[:, None])
    base = ratio.PRIOR * held * np.exp(-failures[:, None] * np.log1p(share[:, None] * (ratio.RATIOS - 1.0)))
    cash = bank.LATER_WEIGHT * (1.0 - np.minimum(started + 1.0, horizon) / horizon)
    after: Array = np.matmul(base[:, None, :], _POWERS)[:, 0, :] + cash[:, None]
    return after


def largest_factor(chance: Array, evidence: Array, before: Array, boundary: Array) -> Array:
    """The largest b >= 1 with sum chance min(boundary, b evidence) <= before; ``evidence`` increases along its last axis."""
    beyond = np.cumsum(chance[:, ::-1], axis=1)[:, ::-1]
    beyond = np.concatenate([beyond[:, 1:], np.zeros((len(chance), 1))], axis=1)
    spent = np.cumsum(chance * evidence, axis=1)
    possible = spent > 0.0
    factor = np.where(possible, (before[:, None] - boundary[:, None] * beyond) / np.where(possible, spent, 1.0), 1.0)
    largest: Array = np.clip(factor.max(1), 1.0, LARGEST)
    return largest


def fold(rows: Rows, limits: Limits, tick: Tick, *, errors: Array, denied: Array) -> None:
    """Raise the factor in ``rows`` by one tick's failures. Call before the bank folds the tick.

    Args:
        errors: (releases,), evidence of the errors before the tick.
        denied: (releases,), evidence of the denials, this tick's included.
    """
    failures = tick.c_err + tick.b_err
    slowness = rows.head[:, LATENCY_EVIDENCE]
    before = rows.head[:, GAIN] * combine.together(combine.events(errors, denied), slowness, limits.split)
    wanted = (limits.split > 0.0) & (failures > 0.0) & (failures <= MOST_FAILURES) & (before < limits.boundary)
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        return
    terms, part = limits.take(chosen), Rows(rows.raw[chosen])
    failures, canary, baseline = failures[chosen], tick.c_req[chosen], tick.b_req[chosen]
    chance = chances(failures.astype(np.intp), canary, baseline)
    after = _errors_after(part, terms, failures, canary / (canary + baseline))[:, : chance.shape[1]]
    gain = part.head[:, GAIN, None]
    evidence = gain * combine.together(combine.events(after, denied[chosen, None]), slowness[chosen, None], terms.split[:, None])
    rows.head[chosen, GAIN] *= largest_factor(chance, evidence, before[chosen], terms.boundary)
