"""The quantities that are judged: one row each, from which memory, evidence, findings and words are made.

A quantity is convicted when two things are sure at once: that the canary is worse at all (its share of ``alpha``), and that it is
worse than the policy tolerates (``K``). Where what is tolerated is a union (a failed share below the absolute limit, *or* no
further above the baseline's than allowed), every part of it must be excluded. To add one is to add a row and its function.

Most releases never have a request that goes unanswered. Their other legs keep all of alpha: only when the first one is seen does
each leg give ``LENT_SHARE`` of what its evidence is worth by then to that leg, which begins with the next tick. Moved so, the sum
of all is a nonnegative supermartingale as before, and its bound stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from analyzers import permutation
from analyzers.arrays import Array
from analyzers.legs import events, slow_end, typical

if TYPE_CHECKING:  # what a leg is given is made with the layout, which is made from this table
    from analyzers.look import Look

Unit = Literal["points", "ratio", "probability"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One quantity.

    Attributes:
        name: in rulings and metrics. words: in sentences. unit: of its effect.
        share: part of alpha that it may spend; that of unanswered requests is lent by the others, see above.
        worse: prior of its alternatives to "no worse". beyond: the same for each part of what is tolerated.
        log_e: log e-values of a tick, one array (releases, alternatives) for ``worse`` and each of ``beyond``.
    """

    name: str
    words: str
    unit: Unit
    share: float
    worse: Array
    beyond: tuple[Array, ...]
    log_e: Callable[["Look"], tuple[Array, ...]]


_WORSE: Final = len(events.RATIOS)
_EVERY: Final[Array] = np.concatenate([events.RATIOS, events.BEYOND, events.BEYOND])
_LIMIT: Final = slice(_WORSE, _WORSE + len(events.BEYOND))
_FACTORS: Final[Array] = np.ones(len(_EVERY))
_FACTORS[_LIMIT] = 0.0


def _errors(look: "Look") -> tuple[Array, ...]:
    above = _above(look, look.limits.max_rate, look.limits.above_baseline)
    said = events.log_e(*look.errors, _EVERY, factor=_FACTORS, above=above)
    return said[:, :_WORSE], said[:, _LIMIT], said[:, _LIMIT.stop :]


def _above(look: "Look", max_rate: Array, above_baseline: Array) -> Array:
    """What each alternative's null allows: no more, at most a rate, so much above the baseline's."""
    above = np.zeros((len(look.ranks), len(_EVERY)))
    above[:, _WORSE:] = above_baseline[:, None]
    above[:, _LIMIT] = max_rate[:, None]
    return above


def _denied(look: "Look") -> tuple[Array, ...]:
    (mine, _), (theirs, _) = look.denied
    if not (mine.any() or theirs.any() or look.limits.denied_above.any()):  # nearly always
        return np.zeros((len(mine), _WORSE)), np.zeros((len(mine), len(events.BEYOND)))
    above = look.limits.denied_above[:, None]
    return events.log_e(*look.denied, events.RATIOS), events.log_e(*look.denied, events.BEYOND, above=above)


def _unanswered(look: "Look") -> tuple[Array, ...]:
    if not look.asked.any():  # nearly always
        nothing = np.zeros((len(look.asked), len(_EVERY)))
    else:
        above = _above(look, look.limits.unanswered_rate, look.limits.unanswered_above)
        nothing = events.log_e(*look.unanswered, _EVERY, factor=_FACTORS, above=above) * look.asked[:, None]
    return nothing[:, :_WORSE], nothing[:, _LIMIT], nothing[:, _LIMIT.stop :]


def _typical(look: "Look") -> tuple[Array, ...]:
    pooled = look.tick.c + look.typical
    beyond = typical.scores(typical.mid_ranks(pooled), typical.BEYOND)
    return look.drawn[:, : len(typical.TILTS)], permutation.log_e(beyond, pooled, look.tick.c)


def _slow_end(look: "Look") -> tuple[Array, ...]:
    return look.drawn[:, len(typical.TILTS) :], slow_end.log_beyond(look.tick.c, look.slow_end, look.graded)


_BEYOND: Final = events.BEYOND_PRIOR
LENT_SHARE: Final = 0.1
LEGS: Final = (
    Leg("errors", "errors", "points", 0.4, events.PRIOR, (_BEYOND, _BEYOND), _errors),
    Leg("denied", "requests denied by policy", "points", 0.1, events.PRIOR, (_BEYOND,), _denied),
    Leg("typical", "typical latency", "ratio", 0.25, typical.PRIOR, (typical.BEYOND_PRIOR,), _typical),
    Leg("slow_end", "the slow end", "ratio", 0.25, slow_end.PRIOR, (slow_end.BEYOND_PRIOR,), _slow_end),
    Leg("unanswered", "requests without an answer", "points", LENT_SHARE, events.PRIOR, (_BEYOND, _BEYOND), _unanswered),
)
NAMES: Final = tuple(leg.name for leg in LEGS)
ERRORS, DENIED, TYPICAL, SLOW_END, UNANSWERED = range(len(LEGS))
EVENTS: Final = (ERRORS, DENIED, UNANSWERED)
LATENCY: Final = (TYPICAL, SLOW_END)
