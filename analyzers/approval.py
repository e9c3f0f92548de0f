"""A promotion that is a person's to give: what the judge finds good waits, and goes on being watched.

That it was found good is not forgotten when later ticks say less; a canary that turns bad is rolled back as at any other time. No
deadline but its own ends the waiting, and nothing promotes it here: what nobody has spoken for in time is inconclusive.
"""

from msgspec.structs import replace

from analyzers.ruling import Ruling


def is_waiting(t: float, *, good_since: float | None, approval_seconds: float) -> bool:
    """Whether a person is waited for at ``t``, and was before; all in seconds since the watch began."""
    return good_since is not None and t - good_since < approval_seconds


def waited(ruling: Ruling, *, good_since: float | None, approval_seconds: float) -> Ruling:
    """The ruling, where a person is to confirm a promotion.

    Args:
        ruling: the judge's, and what signals have made of it.
        good_since: when it was found good, in seconds since the watch began; null: it was not, before this tick.
        approval_seconds: how long it may wait from then on.
    """
    if ruling.outcome == "rollback":
        return replace(ruling, good_since=good_since)
    if good_since is None:
        if ruling.outcome != "promote":
            return ruling
        good_since = ruling.t
    found = f"found good after {good_since:.0f} s"
    if not is_waiting(ruling.t, good_since=good_since, approval_seconds=approval_seconds):
        reason = f"{found}, and no person has said within {approval_seconds:g} s that it be promoted; {ruling.reason}"
        return replace(ruling, outcome="inconclusive", leg=None, good_since=good_since, reason=reason)
    reason = f"{found}, and a person is to say whether it is promoted; {ruling.reason}"
    return replace(ruling, outcome="continue", leg=None, good_since=good_since, reason=reason, findings=(), fixed_horizon=None)
