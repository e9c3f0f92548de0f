"""A bet on a share, tick after tick, that pays where the share is above what is tolerated: one-sample, valid at every look at once.

The null is that the share of a tick's requests is at most the limit L, on average given what came before; nothing else is
assumed, neither that requests are independent of each other nor how many there are. Whoever stakes a part f of what he has on
"above L" has ``1 + f (x / L - 1)`` times as much after a tick with the share x, at most 1 on average since x is never below 0; so
that by Ville's inequality (1939) it ever reaches 1/alpha with a chance of at most alpha (Waudby-Smith and Ramdas 2024). One tick is
one observation, however many requests it holds, and may multiply a bet only so far (``cap``): a pause, or a burst of retries, is
one.

Each part f is two bets: one begun at the first tick, and the sum of those begun at every later one, as in ``analyzers.evidence``.
"""

import math
from typing import Final

import numpy as np

from analyzers.arrays import Array
from analyzers.evidence import LARGEST, START_WEIGHTS
from analyzers.layout import NOT_BEGUN

PARTS: Final[Array] = np.array([0.05, 0.15, 0.4, 0.8])
"""Of what there is, that are staked at every tick."""
CUSUM, SINCE, RECENT_EVENTS, RECENT_OF, EVENTS, OF = range(6)
"""Columns of a bet's memory: how much it has won since it last had nothing won, since when that is, and the counts since then; and
the counts of all."""
_LOGS: Final = 6
WIDTH: Final = _LOGS + 2 * len(PARTS)
_LOG_WEIGHTS: Final[Array] = np.log(START_WEIGHTS)


def begun(number: int) -> Array:
    """The memory of so many bets that have seen nothing (number, ``WIDTH``)."""
    memory = np.zeros((number, WIDTH))
    memory[:, _LOGS + len(PARTS) :] = NOT_BEGUN
    return memory


def fold(memory: Array, *, events: Array, of: Array, limit: Array, cap: Array, later: Array, began: Array) -> None:
    """Bet on one tick, in place; arrays are (bets,).

    Args:
        memory: of these bets.
        events: requests that count, of those in ``of``; where there is none the tick says nothing.
        limit: the share that is tolerated; 0: none is.
        cap: logarithm by which the tick may multiply a bet.
        later: weight of the bets begun at this tick.
        began: when the tick began, in seconds since the watch did.
    """
    looked, logs = of > 0.0, _logs(memory)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(events > 0.0, events / (of * limit), 0.0)
        gained = np.where(looked[:, None], np.minimum(np.log1p(PARTS * (ratio[:, None] - 1.0)), cap[:, None]), 0.0)
    anew = memory[:, CUSUM] <= 0.0
    memory[anew, SINCE] = began[anew]
    memory[anew, RECENT_EVENTS : RECENT_OF + 1] = 0.0
    memory[:, CUSUM] = np.maximum(memory[:, CUSUM] + np.log(np.exp(gained).mean(-1)), 0.0)
    memory[:, RECENT_EVENTS : OF + 1] += np.array((events, of, events, of)).T
    logs[:, 1] = np.where(looked[:, None], np.logaddexp(logs[:, 1], np.log(later)[:, None]), logs[:, 1])
    logs += gained[:, None, :]
    np.minimum(logs, LARGEST, out=logs)


def log_e(memory: Array) -> Array:
    """The logarithms of the evidence that the share is above the limit, of both starts together (bets,)."""
    total: Array = np.logaddexp.reduce(_weighted(memory), axis=-1)
    return total


def is_recent(bet: Array) -> bool:
    """Whether it is the later starts of one bet that tell most."""
    first, later = _weighted(bet[None])[0].tolist()
    return bool(later > first)


def _weighted(memory: Array) -> Array:
    """Logarithms of the mean of the parts, of each start with its weight (bets, 2)."""
    weighted: Array = np.logaddexp.reduce(_logs(memory), axis=-1) - math.log(len(PARTS)) + _LOG_WEIGHTS
    return weighted


def _logs(memory: Array) -> Array:
    """Logarithms of what is had of each part, begun at the first tick and later (bets, 2, parts)."""
    return memory[:, _LOGS:].reshape(len(memory), 2, -1)
