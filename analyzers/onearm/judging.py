"""One tick of a canary alone, and the ruling on it: at once where a share is surely above what is tolerated, else at the end.

The memory lies in the same row of numbers as that of two arms (``analyzers.judge.JudgeState``), in a layout of its own: how many
ticks there were and how many requests, then a bet for each limit. What is a limit's part of alpha is its weight: with what the
limits themselves may be wrong by (``limits.SPENT``) they are all of it.

Nobody waits for the end of this watch: a canary that is good is called so at its deadline, where what must be below its limit
is shown to be by a confidence sequence. What cannot be shown at this traffic is named, and the ruling is inconclusive.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from analyzers import intervals, words
from analyzers.arrays import Array
from analyzers.counts import Arm, Sample
from analyzers.intake import latency_of
from analyzers.layout import WIDTH
from analyzers.legs.table import ERRORS, LEGS, NAMES, SLOW_END, TYPICAL, UNANSWERED
from analyzers.onearm import betting, sentences
from analyzers.onearm.betting import EVENTS, OF
from analyzers.onearm.limits import MOST, WEIGHTS, Limit, limits
from analyzers.ruling import Finding, LegNow, Outcome, Ruling
from analyzers.terms import Terms

LEVEL: Final = 0.95
NOTEWORTHY: Final = 10.0
"""Evidence against a limit that need not be shown, from which on nothing is called good."""
SEEN_PART: Final = 0.5
"""Of the watch that must have been seen, and at whose end ``LATE_PART`` there must have been a request: less calls nobody good."""
LATE_PART: Final = 0.25
_TICK, _REQUESTS, _UNTOLD = range(3)
_BETS: Final = slice(3, 3 + MOST * betting.WIDTH)
_SEEN, _HEARD = range(_BETS.stop, _BETS.stop + 2)
"""Places in the row: ticks; the canary's requests, and those of which it is not told how they ended; the bets; how many seconds
telemetry told of the canary; until when requests have been heard of, in seconds since the promotion."""
_LARGEST: Final = 1e15


def start() -> Array:
    """The row of a canary alone that has seen nothing."""
    row = np.zeros(WIDTH)
    row[_BETS] = betting.begun(MOST).ravel()
    return row


def fold(terms: Sequence[Terms], rows: Sequence[Array], samples: Sequence[Sample]) -> list[tuple[Array, Ruling]]:
    """The rows after a tick, and the rulings, of canaries that are watched alone; the rows given are not changed."""
    raw, tolerated = np.array(rows), [limits(one) for one in terms]
    raw[:, _TICK] += 1.0
    events, of, shares = np.zeros((3, len(terms), MOST))
    for at, (one, those, sample) in enumerate(zip(terms, tolerated, samples, strict=True)):
        shares[at, : len(those)] = [limit.share for limit in those]
        if sample.canary is not None and _is_possible(sample.canary):
            raw[at, _REQUESTS] += sample.canary.requests
            raw[at, _UNTOLD] += sample.canary.unclassified
            raw[at, _SEEN] += sample.seconds
            if sample.canary.requests > 0:
                # Where a tick of so many seconds is the last, the next one was due only after as many.
                raw[at, _HEARD] = sample.t + sample.seconds
            events[at, : len(those)], of[at, : len(those)] = zip(*_counted(one, sample.canary, those), strict=True)
    bets = raw[:, _BETS].reshape(-1, betting.WIDTH)
    betting.fold(
        bets,
        events=events.ravel(),
        of=of.ravel(),
        limit=shares.ravel(),
        cap=np.repeat([one.cap for one in terms], MOST),
        later=np.repeat([1.0 / one.horizon for one in terms], MOST),
        began=np.repeat([max(sample.t - sample.seconds, 0.0) for sample in samples], MOST),
    )
    raw[:, _BETS] = bets.reshape(len(terms), -1)
    e_values = np.exp(betting.log_e(bets)).reshape(len(terms), MOST).tolist()
    mine = bets.reshape(len(terms), MOST, -1)
    cases = zip(terms, raw, tolerated, mine, e_values, samples, strict=True)
    return [
        (row, _Case(one, row, tolerated=those, bets=its, e_values=worth, t=sample.t).ruling())
        for one, row, those, its, worth, sample in cases
    ]


def _is_possible(arm: Arm) -> bool:
    """Whether the counts can be some."""
    counts = (arm.requests, arm.errors, arm.unanswered, arm.unclassified)
    return all(0 <= count <= _LARGEST for count in counts) and arm.errors + arm.unclassified <= arm.requests


def _counted(terms: Terms, arm: Arm, tolerated: Sequence[Limit]) -> list[tuple[float, float]]:
    """For each limit the canary's requests of a tick that count against it, and of how many; of none where nothing tells."""
    above = _slower(terms, arm) if any(limit.bound is not None for limit in tolerated) else []
    found = []
    for limit in tolerated:
        if limit.bound is not None:
            found.append((above[limit.bound + 1], above[0]) if above else (0.0, 0.0))
        elif limit.leg == UNANSWERED:
            found.append((float(arm.unanswered), float(arm.requests + arm.unanswered)))
        else:
            found.append((float(arm.errors), float(arm.requests)))
    return found


def _slower(terms: Terms, arm: Arm) -> list[float]:
    """How many requests lie in each bucket or above it; none where there is no latency that can be used."""
    latency = latency_of(terms, arm)
    if latency is None or len(latency.counts) != len(terms.bounds_ms) + 1:
        return []
    if not all(0 <= count <= _LARGEST for count in latency.counts):
        return []
    return [float(number) for number in accumulate(reversed(latency.counts))][::-1]


class _Case:
    """One release after a tick."""

    def __init__(
        self, terms: Terms, row: Array, *, tolerated: Sequence[Limit], bets: Array, e_values: Sequence[float], t: float
    ) -> None:
        self.terms = terms
        self.t = t
        self.ticks, self.requests, self.untold = int(row[_TICK]), float(row[_REQUESTS]), float(row[_UNTOLD])
        self.seen_seconds, self.heard_until = float(row[_SEEN]), float(row[_HEARD])
        self.bets = list(zip(tolerated, bets, strict=False))
        self.e_values = e_values[: len(tolerated)]
        weighted = [e_value * WEIGHTS[limit.leg] for e_value, (limit, _) in zip(self.e_values, self.bets, strict=True)]
        self.evidence = max(weighted)
        self.strongest = weighted.index(self.evidence)

    def ruling(self) -> Ruling:
        outcome, reason = self._decided()
        is_final, leg = outcome != "continue", self.bets[self.strongest][0].leg
        return Ruling(
            outcome=outcome,
            tick=self.ticks,
            t=self.t,
            evidence=self.evidence,
            boundary=self.terms.boundary,
            legs=self._legs(),
            leg=NAMES[leg] if outcome == "rollback" else None,
            reason=reason,
            findings=tuple(self._findings(convicted=outcome == "rollback")) if is_final else (),
            fixed_horizon={} if is_final else None,
        )

    def _decided(self) -> tuple[Outcome, str]:
        if self.evidence >= self.terms.boundary:
            return "rollback", self._harm()
        if self.t < self.terms.window_seconds:
            left = self.terms.window_seconds - self.t
            return "continue", f"{words.count(self.requests)} requests since the promotion, {math.ceil(left)} s to go"
        if missing := self._missing():
            return "inconclusive", f"no decision after {self.t:.0f} s: not shown yet: {words.listed(missing)}"
        shown = [sentences.brief(limit, bet, self.terms) for limit, bet in self.bets if self._is_shown(limit, bet)]
        return "promote", f"of {words.count(self.requests)} requests in {self.t:.0f} s after the promotion {words.listed(shown)}"

    def _harm(self) -> str:
        limit, bet = self.bets[self.strongest]
        said = sentences.told(limit, bet, self.terms, recent=betting.is_recent(bet))
        return f"{said}; {words.alarm(self.evidence)}"

    def _missing(self) -> list[str]:
        """What must be shown and is not."""
        if self.requests <= 0.0:
            return ["any request to the canary after its promotion"]
        missing = self._unseen()
        if self.requests < self.terms.min_requests:
            missing.append(words.exposed(self.requests, self.terms.min_requests))
        for (limit, bet), e_value in zip(self.bets, self.e_values, strict=True):
            if not self._is_shown(limit, bet) and (self._is_asked(limit) or e_value >= NOTEWORTHY or self._is_event(limit, bet)):
                missing.append(sentences.wanted(limit, self.terms))
        if self.terms.timed > 0.0 and not any(limit.leg == TYPICAL for limit, _ in self.bets):
            missing.append(
                "a typical latency within its tolerance (the baseline's before the promotion does not tell what that is)"
            )
        return missing

    def _unseen(self) -> list[str]:
        """What of the watch nothing is known of: a good minute says nothing of the hour."""
        missing = []
        if self.seen_seconds < SEEN_PART * self.t:
            missing.append(f"how it did for at least half of that time (telemetry told of {self.seen_seconds:.0f} s)")
        if self.heard_until < (1.0 - LATE_PART) * self.t:
            missing.append("any request to the canary in the last quarter of that time")
        return missing

    def _is_asked(self, limit: Limit) -> bool:
        return limit.leg in {ERRORS, TYPICAL} or (limit.leg == SLOW_END and self.terms.require_slow_end > 0.0)

    def _is_event(self, limit: Limit, bet: Array) -> bool:
        return limit.leg == UNANSWERED and bet[EVENTS] > 0.0

    def _is_shown(self, limit: Limit, bet: Array) -> bool:
        """By its upper end. What is not known promotes nobody: requests of which it is not told how they ended count as failed."""
        events = bet[EVENTS] + (self.untold if limit.leg == ERRORS else 0.0)
        return bool(bet[OF] > 0.0) and intervals.rate(events, bet[OF], alpha=1.0 / self.terms.safe_boundary)[1] <= limit.share

    def _legs(self) -> dict[str, LegNow]:
        """Of failures and requests without an answer the effect is against the baseline before; of latency there is none to say."""
        found = {leg.name: LegNow(1.0, None) for leg in LEGS}
        for at in self._telling():
            limit, bet = self.bets[at]
            is_told = limit.bound is None and limit.was is not None and bet[OF] > 0.0
            effect = float(bet[EVENTS] / bet[OF]) - (limit.was or 0.0) if is_told else None
            found[NAMES[limit.leg]] = LegNow(self.e_values[at], effect, self.e_values[at])
        return found

    def _telling(self) -> list[int]:
        """A place for each leg that has a limit: of two of them that which tells more."""
        chosen: dict[int, int] = {}
        for at, (limit, _) in enumerate(self.bets):
            if limit.leg not in chosen or self.e_values[at] > self.e_values[chosen[limit.leg]]:
                chosen[limit.leg] = at
        return list(chosen.values())

    def _findings(self, *, convicted: bool) -> list[Finding]:
        return [self._finding(at, convicts=convicted and at == self.strongest) for at in self._telling()]

    def _finding(self, at: int, *, convicts: bool) -> Finding:
        """Its effect is the share itself, with a confidence sequence for it."""
        limit, bet = self.bets[at]
        is_seen = bool(bet[OF] > 0.0)
        low, high = map(float, intervals.rate(bet[EVENTS], bet[OF], alpha=1.0 - LEVEL))
        standing = sentences.standing(low, high, limit=limit.share) if is_seen else "idle"
        said = sentences.told(limit, bet, self.terms, recent=convicts and betting.is_recent(bet))
        return Finding(
            leg=NAMES[limit.leg],
            effect=float(bet[EVENTS] / bet[OF]) if is_seen else None,
            unit="probability",
            low=low if is_seen else None,
            high=high if is_seen else None,
            level=LEVEL,
            e_value=self.e_values[at],
            tolerance=limit.share,
            standing="convicts" if convicts else standing,
            sentence=f"{said[0].upper()}{said[1:]}.",
            beyond=self.e_values[at],
        )
