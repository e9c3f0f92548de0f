"""What is worth saying beside a watch and decides nothing: a baseline that is unwell, buckets too coarse for the policy.

Short, as part of the reason while a release waits; in full, as part of the findings at its end.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from analyzers import fitness, promotion, words
from analyzers.layout import B_ERR, B_REQ, Array, Mask, Rows
from analyzers.legs.table import ERRORS, LATENCY, SLOW_END
from analyzers.terms import Limits

CERTAIN: Final = 100.0
"""1/alpha of the confidence sequence by which a baseline is said to be unwell."""


def unwell(rows: Rows, limits: Limits) -> tuple[Mask, Array]:
    """Whether the baseline itself surely fails beyond the absolute limit, and its failed share (releases,) each.

    Nothing is concluded from it: the relative comparison stands, and a limit broken by both arms never reverts.
    """
    errors, requests = rows.counts[:, B_ERR], rows.counts[:, B_REQ]
    rate = errors / np.maximum(requests, 1.0)
    if not (rate > limits.max_rate).any():
        return np.zeros(len(rate), dtype=np.bool_), rate
    lowest = promotion.lowest_rate(errors, requests, boundary=np.full(len(rate), CERTAIN))
    return lowest > limits.max_rate, rate


def _unwell(rate: float) -> str:
    return f"the baseline itself fails {words.percent(rate)} since the start: the canary is compared with it only"


def _blind(rows: Rows, limits: Limits) -> Sequence[Mask]:
    size = limits.bounds.shape[1] + 1
    if size == 1:
        return (np.zeros(len(rows.raw), dtype=np.bool_),) * 2
    return fitness.blind(rows.baseline[:, :size], limits)


def beside(rows: Rows, limits: Limits) -> list[str]:
    """Per release what to say after what is missing: begins with "; ", or is empty."""
    typical, slow_end = _blind(rows, limits)
    failing, rate = unwell(rows, limits)
    said = [""] * len(rate)
    for at in np.flatnonzero(typical | slow_end | failing).tolist():
        parts = (
            (failing[at], _unwell(float(rate[at]))),
            (
                typical[at],
                f"the latency buckets cannot tell a median {words.slower(float(limits.typical[at]))}: the mean is judged",
            ),
            (slow_end[at], f"the latency buckets cannot tell a p99 {words.slower(float(limits.slow_end[at]))}"),
        )
        said[at] = "".join(f"; {text}" for holds, text in parts if holds)
    return said


def notes(rows: Rows, limits: Limits) -> dict[int, str]:
    """The same of one release (a batch of one) in full, a sentence per leg that is concerned."""
    found = {}
    failing, rate = unwell(rows, limits)
    if failing[0]:
        found[ERRORS] = f"{_unwell(float(rate[0])).capitalize()}."
    size = limits.bounds.shape[1] + 1
    if size > 1:
        hist = rows.baseline[0, :size].tolist()
        tolerances = {"typical": float(limits.typical[0]), "slow_end": float(limits.slow_end[0])}
        for leg, one in zip(LATENCY, fitness.resolutions(limits.bounds[0].tolist(), hist, **tolerances), strict=False):
            if not one.resolved:
                found[leg] = f"{one.sentence if leg == SLOW_END else one.sentence.capitalize()}."
    return found
