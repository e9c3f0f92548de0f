"""From evidence to a ruling: rollback, promote, inconclusive at the deadline, else go on, and a sentence for each.

A rollback needs evidence that the canary is worse at all *and* that it is worse than tolerated, on one quantity, also after the
guards have had their say. A promotion needs every certificate, the exposure the policy asks for, and no noteworthy evidence in a
leg that has no certificate. At the deadline whatever is neither is inconclusive.
"""

from collections.abc import Container
from typing import Final

import numpy as np
from msgspec.structs import replace

from analyzers import alone, asides, conviction, harm, release, report, visible, words
from analyzers.conviction import Charge, Evidence
from analyzers.intake import COUNTS_ODD, HISTOGRAM_ODD, Tick
from analyzers.layout import B_REQ, C_REQ, TICK, Rows
from analyzers.legs.table import LATENCY, NAMES
from analyzers.release import Open
from analyzers.ruling import Finding, LegsNow, Outcome, Ruling
from analyzers.terms import Limits

_ODD: Final = {
    COUNTS_ODD: "; the last tick is not judged: its counts are impossible",
    HISTOGRAM_ODD: "; the last tick's latency is not judged: its histograms do not fit the bounds, or have impossible counts",
}


class _Batch:
    """What ruling on one release of a batch needs.

    ``charges`` and ``unshown`` hold the releases they concern. What is asked of every release at every tick lies in lists:
    an element of an array costs more to take out than to compare.
    """

    def __init__(self, rows: Rows, limits: Limits, tick: Tick, evidence: Evidence) -> None:
        self.rows = rows
        self.limits = limits
        self.evidence = evidence
        self.charges: dict[int, Charge] = conviction.charges(rows, limits, evidence)
        self.unshown: dict[int, Open] = release.unshown(rows, limits, tick, evidence.legs)
        self.over: list[bool] = (tick.t >= limits.window_seconds).tolist()
        self.seen: list[bool] = tick.seen.tolist()
        self.warming: list[bool] = (tick.warming & (limits.timed > 0.0)).tolist()
        self.ageless = tick.ageless
        self.odd: list[int] = tick.odd.tolist()
        self.t: list[float] = tick.t.tolist()
        self.requests: list[float] = rows.counts[:, C_REQ].tolist()
        self.min_requests: list[float] = limits.min_requests.tolist()
        self.min_seconds: list[float] = limits.min_seconds.tolist()

    def outcome(self, at: int) -> Outcome:
        """Rollback before promotion before the deadline. A tick without telemetry promotes nothing."""
        charge = self.charges.get(at)
        if charge is not None and charge.leg is not None:
            return "rollback"
        open_ = self.unshown.get(at)
        if open_ is not None and not open_.missing and self.seen[at]:
            return "promote"
        return "inconclusive" if self.over[at] else "continue"

    def waiting(self, at: int) -> str:
        """What is missing for a decision."""
        if at in self.unshown:
            missing, beside = self.unshown[at]
            wanted = (f"not shown yet: {words.listed(missing)}" if missing else "everything asked for promotion is shown") + beside
        else:
            wanted = f"{words.exposed(self.requests[at], self.min_requests[at])}, {words.watched(self.t[at], self.min_seconds[at])}"
        if self.warming[at]:
            wanted += "; the latency of young pods is not judged yet"
        if self.odd[at]:
            wanted += _ODD[self.odd[at]]
        charge = self.charges.get(at)
        if charge is None:
            return wanted
        return f"{charge.why_not(float(alone.wanted(self.rows, self.limits)[0][at]))}; {wanted}"

    def short_of(self, at: int, case: report.Case) -> str:
        """At the deadline: how long what is missing would have taken, and what the silence so far is worth."""
        said, requests, missing = "", self.requests[at], self.min_requests[at] - self.requests[at]
        if requests > 0.0 and missing > 0.0:
            said = f"; it takes {release.forecast(missing, requests=requests, seconds=self.t[at])}"
        if at not in self.unshown:
            said += asides.beside(case.rows, case.limits)[0]
        if at not in self.charges:
            said += f"; {visible.sentence(case.rows, case.limits)}"
        return said

    def without(self, at: int) -> str:
        """Of a canary without traffic, before all else that comes of it."""
        served = self.rows.counts[at, B_REQ]
        if self.requests[at] > 0.0 or served <= 0.0:
            return ""
        beside = f"the canary served no request, and the baseline {words.count(served)}"
        return f"{beside}: look at the canary's weight and route; "

    def case(self, at: int) -> report.Case:
        """One release by itself."""
        place = np.array([at])
        rows, limits = Rows(self.rows.raw[place]), self.limits.take(place)
        e_values = self.evidence.legs[at].tolist()
        guards, others = conviction.notes(rows, self.evidence.tallies[at], e_values), asides.notes(rows, limits)
        notes = {leg: f"{others.get(leg, '')} {guards.get(leg, '')}".strip() for leg in (*others, *guards)}
        return report.Case(
            rows=rows,
            limits=limits,
            charge=self.charges.get(at),
            e_values=tuple(e_values),
            beyond=tuple(self.evidence.tolerated[at].tolist()),
            notes=notes,
        )

    def findings(self, at: int) -> tuple[Finding, ...]:
        """What each leg of a release says, whether its ruling is final or not."""
        with np.errstate(all="ignore"):
            found = report.findings(self.case(at))
        return found if self.limits.timed[at] > 0.0 else report.found_of_connections(found)

    def final(self, ruling: Ruling, at: int) -> Ruling:
        """A final ruling with its reason, findings and classical figures."""
        case = self.case(at)
        charge = case.charge
        leg = charge.leg if charge is not None and ruling.outcome == "rollback" else None
        if charge is not None and leg is not None:
            reason = report.harm_sentence(case, charge, leg)
            if self.ageless[at] and leg in LATENCY:
                reason += "; the ages of its pods are not known: a cold start would look the same"
        elif ruling.outcome == "promote":
            reason = report.safe_sentence(case)
        else:
            reason = f"no decision after {ruling.t:.0f} s: {self.without(at)}{self.waiting(at)}{self.short_of(at, case)}"
        return replace(
            ruling,
            leg=None if leg is None else NAMES[leg],
            reason=reason,
            findings=report.findings(case),
            fixed_horizon=report.fixed_horizon(case),
        )


def rule(rows: Rows, limits: Limits, tick: Tick, evidence: Evidence, *, waiting: Container[int] = ()) -> list[Ruling]:
    """Rule on every release of a batch after its tick was folded. Those that wait for a person end by a rollback only."""
    batch = _Batch(rows, limits, tick, evidence)
    columns = rows.head[:, TICK], evidence.total, limits.boundary, evidence.legs, evidence.tolerated
    facts = zip(*(column.tolist() for column in columns), strict=True)
    rulings, effects = [], harm.Effects(rows, limits)
    asked = batch.charges.keys() | batch.unshown.keys()
    for at, (ticks, total, boundary, e_values, beyond) in enumerate(facts):
        outcome = batch.outcome(at) if at in asked or batch.over[at] else "continue"
        if at in waiting and outcome != "rollback":
            outcome = "continue"
        ruling = Ruling(
            outcome=outcome,
            tick=int(ticks),
            t=batch.t[at],
            evidence=total,
            boundary=boundary,
            legs=LegsNow(NAMES, e_values, beyond, effects.of, batch.findings, at),
            leg=None,
            reason=batch.waiting(at) if outcome == "continue" else "",
        )
        rulings.append(ruling if outcome == "continue" else batch.final(ruling, at))
    for at in np.flatnonzero(limits.timed == 0.0).tolist():
        rulings[at] = report.of_connections(rulings[at])
    return rulings
