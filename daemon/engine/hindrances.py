"""What keeps a watch from being judged, by its cause: said as soon as it can be known, while it lasts, and in the verdict.

It decides nothing. A watch that cannot work ends inconclusive either way, and who waits for it should not have to wait to hear why.
Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from daemon.engine.session import Session
from daemon.measurements import Cadence

SCRAPES: Final = 3
"""Of the canary, that a watch must see: one to count from, and two that are compared."""
NOTHING_COUNTED: Final = "nothing-counted"
_SOON_SECONDS = 30.0
"""A watch that has counted nothing for so long says why, unless its samples take longer."""
_CLOCKS_SECONDS = 5.0


def hindrances(session: Session) -> Mapping[str, str]:
    """A sentence for each, by its kind; what can be mended in it."""
    found = {} if session.cadence is None else dict(_of_samples(session.cadence, window_seconds=session.window_seconds))
    if session.ticks and session.gaps == session.ticks and session.t >= _patience_seconds(session.cadence):
        found[NOTHING_COUNTED] = f"nothing was counted in {session.t:.0f} s: {session.last_gap}"
    return found


def slowest(cadences: Iterable[Cadence | None]) -> Cadence | None:
    """The worst of each of several releases; null where nothing is known of any."""
    known = [one for one in cadences if one is not None]
    if not known:
        return None
    return Cadence(
        spacing_seconds=max(one.spacing_seconds for one in known),
        late_seconds=max(one.late_seconds for one in known),
        longest_seconds=known[0].longest_seconds,
        ahead_seconds=known[0].ahead_seconds,
    )


def causes(session: Session) -> list[str]:
    """What a verdict that says nothing of the canary begins with; that nothing was counted it says by itself."""
    return [sentence for kind, sentence in hindrances(session).items() if kind != NOTHING_COUNTED]


def _of_samples(cadence: Cadence, *, window_seconds: float) -> Mapping[str, str]:
    found = {}
    if abs(cadence.ahead_seconds) >= _CLOCKS_SECONDS:
        which = "ahead of" if cadence.ahead_seconds > 0.0 else "behind"
        found["clocks"] = (
            f"our clock is at least {abs(cadence.ahead_seconds):.0f} s {which} the store's: let both follow one time "
            "(or let it answer from no cache)"
        )
    late = max(0.0, cadence.late_seconds)
    said = f"samples are {cadence.spacing_seconds:.0f} s apart and up to {late:.0f} s late"
    needed = SCRAPES * cadence.spacing_seconds + late
    if cadence.spacing_seconds and cadence.spacing_seconds + late > cadence.longest_seconds:
        found["too-old"] = (
            f"{said}, and none that is older than {cadence.longest_seconds:g} s counts: "
            f"raise stale_after_seconds of the telemetry to {needed:.0f}, or scrape more often"
        )
    elif cadence.spacing_seconds and needed > window_seconds:
        found["too-few"] = (
            f"{said}: a watch of {window_seconds:g} s sees too few of them; raise window_seconds of the policy "
            f"(and the release's deadline) to {needed:.0f} or more, or scrape more often"
        )
    return found


def _patience_seconds(cadence: Cadence | None) -> float:
    if cadence is None:
        return _SOON_SECONDS
    return max(_SOON_SECONDS, SCRAPES * cadence.spacing_seconds + max(0.0, cadence.late_seconds))
