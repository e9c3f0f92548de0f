"""Whether a canary may be released: the certificates asked of it, and in words what is still missing."""

import math
from typing import Final, NamedTuple

import numpy as np

from analyzers import asides, p99, promotion, words
from analyzers.guards import share
from analyzers.intake import Tick
from analyzers.layout import C_REQ, C_UNC, CANARY, Array, Rows
from analyzers.legs.table import DENIED, SLOW_END, UNANSWERED
from analyzers.terms import Limits

NOTEWORTHY: Final = 10.0
"""An e-value that is worth explaining; of a leg without a certificate it forbids a promotion."""
LEAST_PROGRESS: Final = 0.05
"""Below this part of the evidence needed a forecast would be a guess."""


class Open(NamedTuple):
    """A release that has the exposure its policy asks for: what is not shown yet, and what else is worth saying.

    ``missing`` that is empty promotes; ``beside`` decides nothing, and begins with "; " where there is something.
    """

    missing: list[str]
    beside: str


def _more(progress: float, requests: float, seconds: float) -> str:
    """How many more requests a certificate will need at this pace; evidence grows about in proportion to them."""
    if progress < LEAST_PROGRESS:
        return "not in sight at this rate"
    return f"about {forecast(requests * (1.0 / progress - 1.0), requests=requests, seconds=seconds)}"


def forecast(more: float, *, requests: float, seconds: float) -> str:
    """So many more canary requests (two digits), and how long they take at the traffic so far (``requests`` in ``seconds``)."""
    digits = 10.0 ** max(0, math.floor(math.log10(max(more, 1.0))) - 1)
    wanted = math.ceil(more / digits) * digits
    said = f"{words.count(wanted)} more canary requests"
    if not (requests > 0.0 and 0.0 < seconds < math.inf):
        return said
    rate = requests / seconds
    return f"{said}, {words.duration(wanted / rate)} at {words.per_second(rate)}"


def unshown(rows: Rows, limits: Limits, tick: Tick, legs: Array) -> dict[int, Open]:
    """What is not shown yet, for every release that has the exposure its policy asks for.

    ``legs``: e-values (releases, legs).
    """
    chosen = np.flatnonzero((rows.counts[:, C_REQ] >= limits.min_requests) & (tick.t >= limits.min_seconds))
    if not len(chosen):
        return {}
    part, terms = Rows(rows.raw[chosen]), limits.take(chosen)
    certificates = promotion.certify(part, terms)
    typical, requests = certificates.typical, part.counts[:, C_REQ]
    tail, denied, unanswered = legs[chosen, SLOW_END], legs[chosen, DENIED], legs[chosen, UNANSWERED]
    asked = (terms.require_slow_end > 0.0) | (tail >= NOTEWORTHY)
    p99_progress = p99.progress(part, terms) if asked.any() else np.zeros(len(chosen))
    untold = np.flatnonzero(asked & (p99_progress < 1.0))
    # A batch of none would cost a whole search of the bound, at each tick of those that have nothing open there.
    found = p99.told(Rows(part.raw[untold]), terms.take(untold)) if len(untold) else []
    known = dict(zip(untold.tolist(), found, strict=True))
    mismatched, answered = share.mismatched(part), share.answered(part)
    beside = asides.beside(part, terms)
    result = {}
    for at, place in enumerate(chosen.tolist()):
        seen, t, missing = float(requests[at]), float(tick.t[place]), []
        if certificates.errors[at] < 1.0:
            limit = words.percent(float(certificates.error_limit[at]))
            unclear = asides.untold(float(part.answers[at, C_UNC]), seen, "the canary's")
            missing.append(f"an error rate below {limit} ({unclear or _more(float(certificates.errors[at]), seen, t)})")
        if np.isnan(typical[at]):
            if terms.timed[at] > 0.0 or part.exposed[at, CANARY].any():
                missing.append("any latency to compare")
        elif typical[at] < 1.0:
            missing.append(f"a typical latency within its tolerance ({_more(float(typical[at]), seen, t)})")
        if at in known:
            more = "" if known[at].startswith("p99") else f"; {_more(float(p99_progress[at]), seen, t)}"
            missing.append(f"a slow end within its tolerance ({known[at]}{more})")
        if unanswered[at] >= NOTEWORTHY and certificates.unanswered[at] < 1.0:
            limit = words.percent(float(certificates.answer_limit[at]))
            more = _more(float(certificates.unanswered[at]), seen, t)
            missing.append(f"a share of requests without an answer below {limit} ({more})")
        if denied[at] >= NOTEWORTHY:
            missing.append("as few policy denials as the baseline's")
        if mismatched[at]:
            missing.append(f"the traffic of its weight (the canary {share.said(float(answered[at]))})")
        result[place] = Open(missing, beside[at])
    return result
