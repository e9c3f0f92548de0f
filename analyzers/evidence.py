"""All e-processes in one array, side by side, so that a tick costs the same few calls for any number of legs.

Every alternative is two of them: one begun at tick 0 (L0 <- L0 + x, in logarithms), and the sum of those begun at every later
tick, which a recursion carries for free (L1 <- log(e^L1 + v) + x). One tick may multiply them only so far (``limits.cap``): a
single pause of half a second is one observation, however many requests it holds. By Ville's inequality (1939) an e-process ever
reaches 1/alpha with a chance of at most alpha under its null.

A later start of the evidence against what is *tolerated* weighs a hundredth while the canary is already seen to be worse since
tick 0: what is there from the beginning is judged from the beginning, not from its luckiest tick.
"""

from typing import Final

import numpy as np

from analyzers.arrays import Array, Mask
from analyzers.layout import CUSUM, GREW, LENT, LOOKS, SINCE, TICK, Rows
from analyzers.legs.table import LEGS, LENT_SHARE, UNANSWERED
from analyzers.look import Look
from analyzers.terms import Limits

START_WEIGHTS: Final[Array] = np.array([0.8, 0.2])
"""Of alpha: for the evidence since tick 0, and for all later starts together."""
LATE_DISCOUNT: Final = 0.01
_SMALLEST: Final = 1e-300
LARGEST: Final = 575.0
"""Logarithm at which an e-process stops growing: it is still one, and stays finite."""

_BANKS: Final = [leg.worse for leg in LEGS] + [part for leg in LEGS for part in leg.beyond]
_PRIOR: Final[Array] = np.concatenate(_BANKS)
_FIRSTS: Final = [0, *np.cumsum([len(bank) for bank in _BANKS])[:-1].tolist()]
_PARTS: Final = [sum(len(leg.beyond) for leg in LEGS[:at]) for at in range(len(LEGS))]
_OWNERS: Final = [*range(len(LEGS)), *(at for at, leg in enumerate(LEGS) for _ in leg.beyond)]
_LEG: Final = np.repeat(_OWNERS, [len(bank) for bank in _BANKS])
_WORSE: Final = _FIRSTS[len(LEGS)]
"""Columns before this one are of "no worse", the others of what is tolerated."""
_LATER: Final = 1
"""The place of later starts, after that of the evidence since tick 0."""
_KEPT: Final[Array] = np.where(np.arange(len(LEGS)) == UNANSWERED, 0.0, np.log1p(-LENT_SHARE))
_LOG_WEIGHTS: Final[Array] = np.log(np.array([leg.share for leg in LEGS])[:, None] * START_WEIGHTS)


class Standing:
    """Logarithms of the evidence (releases, legs, 2 starts): that the canary is worse at all, weighted by its share of alpha and
    that of its start; and that it is worse than tolerated.
    """

    __slots__ = ("beyond", "limit", "worse")

    def __init__(self, rows: Rows, cooling: Array | None = None) -> None:
        """As it stands in ``rows``; ``cooling`` (releases, legs) divides the logarithms (an e-value's root is one, by Jensen).

        ``limit`` (releases, 2) is the evidence against the absolute limit on errors by itself.
        """
        logs = rows.logs if cooling is None else rows.logs / cooling[:, None, _LEG]
        banks = _log(np.add.reduceat(np.exp(logs) * _PRIOR, _FIRSTS, axis=-1)).transpose(0, 2, 1)
        self.worse: Array = banks[:, : len(LEGS)] + _LOG_WEIGHTS + lent(rows)[:, :, None]
        self.limit: Array = banks[:, len(LEGS)].copy()
        self.beyond: Array = np.minimum.reduceat(banks[:, len(LEGS) :], _PARTS, axis=1)


def lent(rows: Rows) -> Array:
    """Logarithm of the part of its share that each leg has, or was lent (releases, legs); 0 while nothing was lent."""
    worth = rows.head[:, LENT]
    given = worth > 0.0
    if not given.any():  # nearly always
        return np.zeros((len(worth), len(LEGS)))
    parts = np.where(given[:, None], _KEPT, 0.0)
    parts[:, UNANSWERED] = np.where(given, np.log(np.where(given, worth, 1.0)), 0.0)
    return parts


def waiting(rows: Rows, limits: Limits) -> Array:
    """What starts that are still to come are worth (releases,): nothing has been staked on them yet."""
    worth: Array = START_WEIGHTS[_LATER] * np.maximum(1.0 - rows.head[:, TICK] / limits.horizon, 0.0)
    return worth


def lend(rows: Rows, limits: Limits, *, seen: Mask) -> None:
    """Where the first request went unanswered in this tick (``seen``), note what all evidence is worth after it, at most 1."""
    new = seen & (rows.head[:, LENT] <= 0.0)
    if not new.any():
        return
    worth = np.delete(np.exp(Standing(rows).worse), UNANSWERED, axis=1).sum((1, 2)) + waiting(rows, limits)
    rows.head[:, LENT] = np.where(new, np.minimum(worth, 1.0), rows.head[:, LENT])


def _log(values: Array) -> Array:
    """Logarithms, finite also of what has fallen below the smallest number."""
    return np.log(np.maximum(values, _SMALLEST))


def log_e(look: Look) -> Array:
    """Log e-values (releases, alternatives) of a tick, before they are capped."""
    parts = [leg.log_e(look) for leg in LEGS]
    return np.concatenate([part[0] for part in parts] + [one for part in parts for one in part[1:]], axis=1)


def fold(rows: Rows, limits: Limits, values: Array, *, waived: Mask, looked: Mask) -> Array:
    """Fold a tick's ``log_e`` into ``rows``; returns what it said against what is tolerated (releases, legs), for ``follow``.

    Args:
        waived: (releases, legs), the cap does not hold. looked: (releases, legs), the tick had something to compare.
    """
    cap = limits.cap[:, None]
    step = np.minimum(values, np.where(waived, np.inf, cap)[:, _LEG] if waived.any() else cap)
    later = limits.later[:, None] * np.where(rows.grown >= 0.0, LATE_DISCOUNT, 1.0) * looked
    begun = np.exp(rows.logs[:, 1])
    begun[:, :_WORSE] += ((rows.head[:, TICK] < limits.horizon) / limits.horizon)[:, None]
    begun[:, _WORSE:] += later[:, _LEG[_WORSE:]]
    rows.logs[:, 1] = _log(begun)
    rows.logs += step[:, None]
    np.minimum(rows.logs, LARGEST, out=rows.logs)
    return np.minimum.reduceat(step[:, _FIRSTS[len(LEGS) :]], _PARTS, axis=1)


def grown(rows: Rows) -> Array:
    """Logarithm of each leg's weighted evidence since tick 0 that the canary is worse at all (releases, legs)."""
    first = np.exp(rows.logs[:, 0, :_WORSE]) * _PRIOR[:_WORSE]
    return _log(np.add.reduceat(first, _FIRSTS[: len(LEGS)], axis=-1)) + _LOG_WEIGHTS[:, 0]


def follow(rows: Rows, said: Array, t: Array) -> Mask:
    """Note since when each leg's evidence has been growing: a cumulative sum that begins anew at 0 (Page 1954).

    Returns:
        (releases, legs), whether a period ended here: the next tick is the first of a new one.
    """
    period = rows.period
    total = period[:, :, CUSUM] + said
    ended: Mask = total <= 0.0
    period[:, :, CUSUM] = total
    period[:, :, LOOKS] += 1.0
    period[:, :, GREW] += said > 0.0
    period[:, :, :SINCE] *= ~ended[:, :, None]
    period[:, :, SINCE] = np.where(ended, t[:, None], period[:, :, SINCE])
    return ended
