"""What the API, the page and the commands show of a release: one flat struct, whatever it is read from.

It is made of a running session, of a record, or of an announcement that waits; what one of them does not know has a default.
"""

from typing import Literal

import msgspec

from analyzers.counts import Signal
from daemon.measurements import Cadence
from daemon.model import Release, Stage, TimedStep, Verdict


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What the API shows of a release.

    ``unresolved`` says, a sentence each and while the release is watched, which of the policy's latency tolerances are finer than
    the latency buckets can tell, and where one more bound would help. ``fallback`` says from where its telemetry is read for now,
    and why not from where it should be; empty where it is. ``signals`` are what stands beside the counts now.
    ``on_promote`` is its policy's word, and ``waits_until`` until when a person's word is waited for, in seconds since 1970; null
    where none is. ``returns`` says to which version that was promoted before it goes back; empty where it does not, and once it is
    decided.
    ``owner`` is who writes the canary's routes by itself, as a controller or Git does; empty where nobody is known to.
    ``cadence`` is how far apart and how late its samples are, ``hindrances`` what keeps it from being judged, a sentence each with
    its cause; both while it is watched. ``window_seconds`` is the longest watch, null of a release that only its record tells of.
    ``after`` is the release after whose promotion it watches on. ``steps`` are given where the release is asked for by itself.
    Of an announcement without arms that waits for its canary, ``lapses_at`` is until when, in seconds since 1970, and ``missing``
    the fields that somebody must say, where time alone does not tell; null and none of a release.
    ``kept`` is given where somebody's word is answered: whether it is kept by now. Where it is not it is carried out all the same,
    and a daemon that dies before its broker takes it may not have heard it.
    Of a release that 0.1 kept the record of, ``seconds``, requests and ``gaps`` are not known, and 0.
    """

    id: str
    release: Release
    stage: Stage
    submitted_at: float
    ticks: int = 0
    seconds: float = 0.0
    evidence: float = 1.0
    boundary: float | None = None
    waiting_for: str = ""
    canary_requests: int = 0
    baseline_requests: int = 0
    gaps: int = 0
    unresolved: tuple[str, ...] = ()
    owner: str = ""
    fallback: str = ""
    on_promote: Literal["promote", "wait"] = "promote"
    waits_until: float | None = None
    returns: str = ""
    signals: tuple[Signal, ...] = ()
    cadence: Cadence | None = None
    hindrances: tuple[str, ...] = ()
    window_seconds: float | None = None
    after: str | None = None
    lapses_at: float | None = None
    missing: tuple[str, ...] = ()
    steps: tuple[TimedStep, ...] = ()
    verdict: Verdict | None = None
    kept: bool | None = None
