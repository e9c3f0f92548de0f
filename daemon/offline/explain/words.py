"""An account as an SRE reads it at three in the morning: what happened, why, how sure, what was done, what to check."""

import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from analyzers import words
from analyzers.legs.table import LEGS, NAMES, SLOW_END
from analyzers.release import NOTEWORTHY
from analyzers.ruling import Finding
from daemon.offline.explain.account import Account, Check
from daemon.offline.explain.amounts import amount, figures
from daemon.offline.explain.plot import SPOKE, plot
from daemon.offline.explain.trace import Totals

WIDTH = 80
CLASSICAL = "Classical figures (fixed horizon, not what decides)"
LEGEND = "(against its tolerance, 95 % sure; in brackets: the evidence of this line alone, before its share and the guards)"
CONVICTS = "CONVICTS"
"""What is said of the line that carries a rollback: surely worse at all, and surely worse than tolerated."""
STANDINGS = {"inside": "within", "outside": "BEYOND", "open": "not shown", "idle": "no data", "convicts": CONVICTS}
"""Where a quantity is surely known to lie against its tolerance."""
_LEG_COLUMNS = 8
_ALWAYS_ASKED = frozenset({"errors", "typical"})
"""Lines that every promotion waits for. The others only where they speak against the canary, or the policy asks."""
_NAMES = {leg.name: leg.words for leg in LEGS}

_ACTIONS = {
    "none": "none: the traffic was left as it was",
    "revert": "revert: the traffic was taken back to the baseline",
    "abort": "abort: the owner of the release was told to take it back",
    "promote": "promote: the owner of the release was told to go on",
    "blocked": "BLOCKED: the traffic was NOT taken back",
    "failed": "FAILED: the traffic could NOT be taken back",
}


def lines(told: Account, *, colours: bool) -> Iterator[str]:
    """The whole account."""
    against = f"against baseline {told.baseline}" if told.after is None else f"alone, after the promotion of release {told.after}"
    yield f"{told.outcome.upper()}  {told.namespace}/{told.service}  canary {told.canary} {against}"
    yield ""
    yield from _wrapped(f"{told.reason}.", indent=2)
    yield ""
    yield from _named(facts(told))
    curves = told.curves
    for title, body in (
        ("What each line of evidence says", list(_findings(told))),
        ("What was missing", [line for one in missing(told) for line in _wrapped(one, indent=4, first="  - ")]),
        ("Timeline", list(_timeline(told))),
        ("Evidence over time", [] if curves is None else plot(told, curves, colours=colours)),
        (CLASSICAL, [f"  {name:<52} {value}" for name, value in figures(told.fixed_horizon or {})]),
        ("To check it", list(_named(provenance(told)))),
    ):
        if body:
            yield from ("", title, *body)


def facts(told: Account) -> Iterator[tuple[str, str]]:
    """Of what it is, who decided, when, what was done, how strong the evidence is, on how much traffic."""
    if told.revision:
        yield "revision", told.revision
    if told.initiated_by:
        yield "initiated", f"by {told.initiated_by}"
    after = "" if told.seconds is None else f" after {told.seconds:.1f} s"
    yield (
        "decided",
        f"by {who(told)}{after}, {told.ticks} ticks" + ("" if told.leg is None else f", on {_NAMES.get(told.leg, told.leg)}"),
    )
    if told.action is not None:
        yield "done", _ACTIONS.get(told.action, told.action)
    if told.meaning is not None and told.meaning != told.outcome:
        yield "means", told.meaning if told.by in {"person", "superseded"} else f"{told.meaning}, by the policy's on_inconclusive"
    yield "evidence", evidence(told)
    yield from (("beyond", text) for text in beyond(told))
    for name, totals in (("canary", told.canary_totals), ("baseline", told.baseline_totals)):
        if totals is not None and (told.after is None or name == "canary"):
            yield name, traffic(totals)


def who(told: Account) -> str:
    """Who decided, in words."""
    return {
        "judge": "the judge",
        "deadline": "the end of the watch",
        "person": "a person",
        "superseded": "a newer release of the service",
    }.get(told.by, f"nobody: {told.by}")


def evidence(told: Account) -> str:
    """How strong the evidence is that the canary is worse at all, and what that means."""
    reached, what = min((told.evidence, "this"), (told.boundary, "that"))
    sure = f"; a canary that is no worse reaches {what} with a chance of {words.odds(reached)}" if reached > 1.0 else ""
    needed = f"a rollback needs {amount(told.boundary)}{sure}"
    if told.after is not None:
        return f"{amount(told.evidence)} that a share of the canary's requests is above what is tolerated; {needed}"
    return f"{amount(told.evidence)} that the canary is worse at all, before the guards; {needed}"


def beyond(told: Account) -> Iterator[str]:
    """The second thing a rollback needs, where the first is there: that the canary is worse than tolerated."""
    known = [one for one in told.findings if one.beyond is not None]
    if told.evidence < told.boundary or not known or told.after is not None:
        return
    one = max(known, key=lambda finding: (finding.leg == told.leg, finding.e_value))
    asked = f"the policy asks for {words.to_one(told.beyond_boundary)} as well (evidence: {told.policy.evidence})"
    leg = _NAMES.get(one.leg, one.leg)
    yield f"{words.to_one(one.beyond or 0.0)} that it is worse than tolerated, by {leg}, before the guards; {asked}"


def traffic(totals: Totals) -> str:
    """What an arm served."""
    denied = f", {words.count(totals.denied)} denied by policy" if totals.denied else ""
    gone = f", {words.count(totals.unanswered)} more got no answer before their clients gave up" if totals.unanswered else ""
    untold = f" ({words.count(totals.unclassified)} whose end is not told)" if totals.unclassified else ""
    return f"{words.count(totals.requests)} requests{untold}, {words.count(totals.errors)} failed{denied}{gone}"


def _named(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from _wrapped(text, indent=12, first=f"  {name:<10}")


def _findings(told: Account) -> Iterator[str]:
    if told.findings:
        yield from _wrapped(LEGEND, indent=3, first="  ")
    width = max([_LEG_COLUMNS, *(len(finding.leg) for finding in told.findings)])
    for finding in told.findings:
        mark = f"  {finding.leg:<{width}} {standing(finding, told):<9} "
        yield from _wrapped(said(finding), indent=width + 13, first=mark)


def standing(finding: Finding, told: Account) -> str:
    """Where a quantity surely lies against its tolerance, or that it is the one that convicts."""
    return CONVICTS if finding.leg == told.leg else STANDINGS[finding.standing]


def said(finding: Finding) -> str:
    """Its sentence with the evidence of this line alone, and where it may be worse at all, how surely it is more than tolerated."""
    if finding.standing == "idle":
        return finding.sentence
    more = finding.beyond is not None and finding.e_value >= SPOKE
    than = f"; {words.to_one(finding.beyond or 0.0)} that it is more than tolerated" if more else ""
    return f"{finding.sentence} (evidence {amount(finding.e_value)}{than})"


def missing(told: Account) -> Iterator[str]:
    """Only what was not decided lacks something: what is not shown, and the gaps. A torn recording lacks its end."""
    if told.outcome == "inconclusive":
        for finding in told.findings:
            if _asked(finding, told) and finding.standing not in {"inside", "convicts"}:
                yield finding.sentence if finding.tolerance is None else _open(finding)
    if told.torn_line is not None:
        yield f"the end of the recording: its last line ({told.torn_line}) is torn, and was left out"
    if told.curves is not None and told.curves.gaps:
        reasons = list(dict.fromkeys(told.curves.gaps.values()))
        yield f"telemetry in {len(told.curves.gaps)} of {told.ticks} ticks: {'; '.join(reasons[:3])}"


def _asked(finding: Finding, told: Account) -> bool:
    """Whether a promotion waited for it; of what earlier versions judged, it is not known, and said."""
    required = finding.leg == NAMES[SLOW_END] and told.policy.tolerances.latency.require_slow_end
    return finding.leg in _ALWAYS_ASKED or finding.leg not in NAMES or required or finding.e_value >= NOTEWORTHY


def _open(finding: Finding) -> str:
    """How far a quantity is known, and how far it would have to be."""
    low, high = (_value(value, finding) for value in (finding.low, finding.high))
    allowed, sure = f"allowed {_value(finding.tolerance, finding)}", f"over the whole watch ({100.0 * finding.level:.0f} % sure)"
    match finding.low, finding.high:
        case None, None:
            return f"{finding.leg}: nothing is excluded yet; {allowed}"
        case None, _:
            return f"{finding.leg}: at most {high} {sure}; {allowed}"
        case _, None:
            return f"{finding.leg}: at least {low} {sure}; {allowed}"
        case least, most:
            span = words.between(least, most) if finding.unit == "ratio" else f"between {low} and {high}"
            return f"{finding.leg}: {span} {sure}; {allowed}"


def _value(value: float | None, finding: Finding) -> str:
    if value is None:
        return "unknown"
    match finding.unit:
        case "points":
            return f"{100.0 * value:+.2f} points"
        case "ratio":
            return words.times(value)
        case "probability":
            return f"{value:.3f}"


def _timeline(told: Account) -> Iterator[str]:
    if not told.steps:
        return
    yield f"  from {datetime.fromtimestamp(told.steps[0].at, UTC):%Y-%m-%d %H:%M:%S} UTC; in brackets: since the step before"
    for step in told.steps:
        mark = f"  {step.after_seconds:9.3f} s  (+{step.took_seconds:.3f})".ljust(27) + f" {step.step}"
        # The reason stands at the top already.
        detail = "" if step.detail and step.detail in told.reason else step.detail
        if len(mark) + len(detail) + 2 <= WIDTH:
            yield f"{mark}  {detail}".rstrip()
            continue
        yield mark
        yield from _wrapped(detail, indent=30)


def provenance(told: Account) -> Iterator[tuple[str, str]]:
    """What identifies the verdict's inputs, and whether they were checked."""
    if told.release_id is not None:
        yield "release", told.release_id
    yield "policy", told.policy_hash
    yield "samples", told.sample_digest or "none were judged"
    if told.check is not None:
        yield "checked", checked(told.check)
    elif told.source == "record":
        yield "checked", "no: give the recording (--recording FILE) to check it and to see the evidence over time"
    else:
        yield "checked", "no: only the recording is known, judged again here"


def checked(check: Check) -> str:
    """What came of holding the recording against the record."""
    samples = "its samples are those that were judged" if check.digest == "equal" else "its samples are NOT those that were judged"
    again = {
        "same": "judged again they give the same verdict",
        "differs": "judged again they do NOT give the same verdict",
        "other": "the judge did not decide, so there is no verdict to compare",
    }[check.verdict]
    return f"{check.file}: {samples}; {again}" + (f" ({check.detail})" if check.detail else "")


def _wrapped(text: str, *, indent: int, first: str | None = None) -> list[str]:
    # A number and its unit stay together.
    lead = " " * indent if first is None else first
    joined = text.replace(" %", "\u00a0%")
    wrapped = textwrap.wrap(
        joined, WIDTH, initial_indent=lead, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False
    )
    return [line.replace("\u00a0", " ") for line in wrapped]
