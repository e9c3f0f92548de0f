"""What is worth saying beside a watch and decides nothing: a baseline that is unwell, buckets too coarse for the policy.

Short, as part of the reason while a release waits; in full, as part of the findings at its end.
"""

from typing import Final

import numpy as np

from analyzers import fitness, promotion, words
from analyzers.layout import B_ERR, B_REQ, B_UNC, C_REQ, C_UNC, Array, Mask, Rows
from analyzers.legs.table import ERRORS, LATENCY, SLOW_END
from analyzers.terms import CERTAIN, Limits

_NO_FAILURES: Final = 1e-9
"""The rate that stands for a limit of none."""


def unwell(rows: Rows, limits: Limits) -> tuple[Mask, Array]:
    """Whether the baseline itself surely fails beyond the absolute limit, and its failed share (releases,) each.

    Nothing is concluded from it: the relative comparison stands, and a limit broken by both arms never reverts.
    """
    errors, requests = rows.counts[:, B_ERR], rows.counts[:, B_REQ]
    rate = errors / np.maximum(requests, 1.0)
    failing = rate > limits.max_rate
    if failing.any():
        failing &= promotion.log_above(errors, requests, np.maximum(limits.max_rate, _NO_FAILURES)) >= np.log(CERTAIN)
    return failing, rate


def _unwell(rate: float) -> str:
    return f"the baseline itself fails {words.percent(rate)} since the start: the canary is compared with it only"


def untold(unclassified: float, requests: float, whose: str) -> str:
    """What is said where telemetry does not say how some requests of an arm ended; empty where it does."""
    if unclassified <= 0.0:
        return ""
    return f"how {words.percent(unclassified / max(requests, 1.0))} of {whose} requests ended is not told: labels are missing"


def _untold(rows: Rows) -> list[str]:
    """The same of both arms of one release, and what follows."""
    canary, baseline = rows.answers[0, [C_UNC, B_UNC]].tolist()
    mine, theirs = untold(canary, rows.counts[0, C_REQ], "the canary's"), untold(baseline, rows.counts[0, B_REQ], "the baseline's")
    found = [f"{mine.capitalize()}; before it is promoted they count as failed."] if mine else []
    return [*found, f"{theirs.capitalize()}; to hold the canary against it they count as failed."] if theirs else found


def beside(rows: Rows, limits: Limits) -> list[str]:
    """Per release what to say after what is missing: begins with "; ", or is empty."""
    typical, slow_end = fitness.blind(rows, limits)
    failing, rate = unwell(rows, limits)
    said, cannot = [""] * len(rate), "; the latency buckets cannot tell a"
    for at in np.flatnonzero(typical | slow_end | failing).tolist():
        if failing[at]:
            said[at] += f"; {_unwell(float(rate[at]))}"
        if typical[at]:
            said[at] += f"{cannot} median {words.slower(float(limits.typical[at]))}: the mean is judged"
        if slow_end[at]:
            said[at] += f"{cannot} p99 {words.slower(float(limits.slow_end[at]))}"
    return said


def notes(rows: Rows, limits: Limits) -> dict[int, str]:
    """The same of one release (a batch of one) in full, a sentence per leg that is concerned."""
    found = {}
    failing, rate = unwell(rows, limits)
    if failing[0]:
        found[ERRORS] = f"{_unwell(float(rate[0])).capitalize()}."
    if unclear := _untold(rows):
        found[ERRORS] = " ".join([*([found[ERRORS]] if ERRORS in found else []), *unclear])
    bounds, tolerances = limits.bounds[0].tolist(), {"typical": float(limits.typical[0]), "slow_end": float(limits.slow_end[0])}
    told = fitness.resolutions(bounds, rows.baseline[0, : len(bounds) + 1].tolist(), **tolerances)
    for leg, one in zip(LATENCY, told, strict=False):
        if not one.resolved:
            found[leg] = f"{one.sentence if leg == SLOW_END else one.sentence.capitalize()}."
    return found
