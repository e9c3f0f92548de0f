"""All exact legs in one array: their alternatives side by side, so that a tick costs the same few calls for any number of legs.

Every alternative is two e-processes: one begun at tick 0, and the mixture of those begun at every tick of the horizon K,
which a recursion carries for free. What has not begun is cash worth 1. A regression that starts late is thus found almost as
fast as an early one, and the whole remains an e-process: a mixture over start times whose prior weights sum to 1. By Ville's
inequality (1939) an e-process ever reaches 1/alpha with a chance of at most alpha under its null.
"""

from typing import Final

import numpy as np

from analyzers.layout import BANK, STARTED, TEMPERS, Array, Rows
from analyzers.legs import rank, ratio, tail
from analyzers.terms import Limits

FIRST_WEIGHT: Final = 0.8
LATER_WEIGHT: Final = 0.2
CAP: Final = 1e250
"""An e-process stopped growing here is still one, and stays finite."""
_LOG_CAP: Final = 575.0

PRIOR: Final[Array] = np.concatenate([ratio.PRIOR, ratio.PRIOR, rank.PRIOR, tail.PRIOR])
_SIZES = [size for _, size in BANK]
OFFSETS: Final = [0, *np.cumsum(_SIZES)[:-1].tolist()]
ERRORS, DENIED, RANK, TAIL = range(len(BANK))
_COOLING: Final[Array] = 1.0 / np.array(TEMPERS)[None, :, None]


def _moved(log_e: Array) -> tuple[slice, ...]:
    """The columns whose alternatives this tick may change: nearly always nothing is denied anywhere."""
    first, end = OFFSETS[DENIED], OFFSETS[RANK]
    return (slice(None),) if log_e[:, first:end].any() else (slice(0, first), slice(end, None))


def fold(rows: Rows, limits: Limits, log_e: Array) -> Array:
    """Fold one tick into ``rows`` and return the legs' evidence.

    Args:
        log_e: (releases, alternatives), log e-values of the tick; 0 where a leg saw nothing.

    Returns:
        (releases, legs); the copies at other tempers are in ``cooled``.
    """
    started = rows.head[:, STARTED]
    horizon = limits.horizon
    rows.wr += np.where(started < horizon, 1.0 / horizon, 0.0)[:, None, None]
    for columns in _moved(log_e):
        step = np.minimum(np.maximum(log_e[:, columns], -_LOG_CAP), _LOG_CAP)[:, None, :] * _COOLING
        np.exp(step, out=step)
        for held, grown in ((rows.w0[:, columns], step[:, 0]), (rows.wr[:, :, columns], step)):
            np.multiply(held, grown, out=held)
            np.minimum(held, CAP, out=held)
    np.minimum(started + 1.0, horizon, out=started)
    return values(rows, limits)


def values(rows: Rows, limits: Limits) -> Array:
    """The legs' evidence (releases, legs) as it stands."""
    mixed = (FIRST_WEIGHT * rows.w0 + LATER_WEIGHT * rows.wr[:, 0]) * PRIOR
    evidence: Array = np.add.reduceat(mixed, OFFSETS, axis=-1)
    evidence += LATER_WEIGHT * (1.0 - rows.head[:, STARTED, None] / limits.horizon[:, None])
    return evidence


def cooled(rows: Rows, limits: Limits) -> Array:
    """The same at every temper (releases, tempers, legs)."""
    mixed = (FIRST_WEIGHT * rows.w0[:, None, :] ** _COOLING + LATER_WEIGHT * rows.wr) * PRIOR
    evidence: Array = np.add.reduceat(mixed, OFFSETS, axis=-1)
    evidence += LATER_WEIGHT * (1.0 - rows.head[:, STARTED, None, None] / limits.horizon[:, None, None])
    return evidence


def denied_after(rows: Rows, limits: Limits, log_e: Array) -> Array:
    """The evidence (releases,) of denials that ``fold`` will give for ``log_e``, without folding it."""
    columns = slice(OFFSETS[DENIED], OFFSETS[DENIED] + BANK[DENIED][1])
    started = rows.head[:, STARTED]
    fresh = np.where(started < limits.horizon, 1.0 / limits.horizon, 0.0)
    step = np.exp(np.clip(log_e, -_LOG_CAP, _LOG_CAP))
    held = FIRST_WEIGHT * rows.w0[:, columns] + LATER_WEIGHT * (rows.wr[:, 0, columns] + fresh[:, None])
    grown = (np.minimum(held * step, CAP) * PRIOR[columns]).sum(-1)
    cash = LATER_WEIGHT * (1.0 - np.minimum(started + 1.0, limits.horizon) / limits.horizon)
    evidence: Array = grown + cash
    return evidence
