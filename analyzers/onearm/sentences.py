"""A share against its limit, in words."""

from typing import Literal

from analyzers import words
from analyzers.arrays import Array
from analyzers.legs.table import ERRORS, TYPICAL
from analyzers.onearm.betting import EVENTS, OF, RECENT_EVENTS, RECENT_OF, SINCE
from analyzers.onearm.limits import Limit
from analyzers.terms import Terms


def told(limit: Limit, bet: Array, terms: Terms, *, recent: bool = False) -> str:
    """What was counted of the canary, over the whole watch or since the evidence began to grow, and what is tolerated."""
    events, of = (bet[RECENT_EVENTS], bet[RECENT_OF]) if recent else (bet[EVENTS], bet[OF])
    what = _what(limit, terms)
    if of <= 0.0:
        return f"of no request it is known whether it {what}"
    since = f" since second {bet[SINCE]:.0f} after the promotion" if recent else " since the promotion"
    return f"{words.percent(events / of)} of the canary's {words.count(of)} requests {what}{since}{_tolerated(limit)}"


def brief(limit: Limit, bet: Array, terms: Terms) -> str:
    """The same of one that is shown to be within its limit."""
    return f"{words.percent(bet[EVENTS] / bet[OF])} {_what(limit, terms)} (tolerated are {words.percent(limit.share)})"


def wanted(limit: Limit, terms: Terms) -> str:
    """What would have to be shown."""
    return f"that at most {words.percent(limit.share)} {_what(limit, terms)}"


def standing(low: float, high: float, *, limit: float) -> Literal["inside", "outside", "open"]:
    """Where a confidence sequence lies against a limit."""
    if high <= limit:
        return "inside"
    return "outside" if low > limit else "open"


def _what(limit: Limit, terms: Terms) -> str:
    if limit.bound is not None:
        return f"took longer than {words.milliseconds(terms.bounds_ms[limit.bound])}"
    return "failed" if limit.leg == ERRORS else "had no answer"


def _tolerated(limit: Limit) -> str:
    most = words.percent(limit.share)
    if limit.was is None:
        return f"; tolerated are {most}"
    before = f"{words.percent(limit.was)} of the baseline's before it"
    if limit.bound is None:
        return f"; {before}, and tolerated are {most}"
    kind = "typical latency" if limit.leg == TYPICAL else "slow end"
    return f"; {before}, and at most {most} if its {kind} were as slow as is tolerated"
