"""What a watch's latency buckets cannot tell of its policy, said as soon as enough of the baseline was seen.

A tolerance finer than the buckets is no fault of the canary's, and somebody should know of it before the deadline. It decides
nothing, so it is looked at beside the way, for a few releases a tick: after the first latencies, and each time the baseline has
served twice as many requests as when it was last looked at, since an early p99 is a rough one.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from analyzers import fitness
from daemon.engine.session import Session
from daemon.model import Stage

log = logging.getLogger(__name__)

_A_TICK = 32
"""Releases looked at in one tick, a third of a millisecond each; the others wait for the next one."""


def due(watched: Iterable[Session]) -> list[Session]:
    """Those that should be looked at now, a few at a time: first those that never were."""
    return sorted((session for session in watched if _is_due(session)), key=attrgetter("fitted_at"))[:_A_TICK]


def looked(session: Session) -> Session:
    """The session with what its buckets cannot tell; a line in the log where that is news."""
    assert session.judge is not None  # only a session that is watching is due
    resolutions = fitness.of_watch(session.judge.row, session.terms)
    blind = [one for one in resolutions if not one.resolved]
    said = tuple(one.sentence for one in blind)
    if len(said) > len(session.unresolved):
        log.warning(
            "buckets cannot resolve the policy's tolerances",
            extra={"release": session.release_id, "reason": "; ".join(said), "hint": "finer buckets, or a wider tolerance"},
        )
    return replace(session, unresolved=said, fitted_at=session.baseline_requests)


def _is_due(session: Session) -> bool:
    return (
        session.baseline_requests >= max(fitness.ENOUGH, 2 * session.fitted_at)
        and session.stage is Stage.WATCHING
        and session.judge is not None
    )
