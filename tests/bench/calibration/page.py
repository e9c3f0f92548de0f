"""The page for readers: first what it means, in words and with the figures of this very run, then the table of rows."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.bench.calibration import figures
from tests.bench.calibration.before import Before
from tests.bench.calibration.row import Row, Section
from tests.bench.calibration.watching import Ends

_HOW: Final = """
## How this was measured

Releases were simulated of which the truth is known: how many requests each version gets, which share fails, how long they take.
If not said otherwise: a tick a second, 50 requests a second to the canary and 950 to the baseline, .1 % of them fail, latency is \
a mixture of 85 % gamma (half take less than {gamma} ms) and 15 % lognormal (half take less than {slow} ms), read from Istio's \
default buckets, successes only.
"lognormal" is one with a median of 40 ms and a p99 of 240 ms; so are the rows about the slow end.
verdictd's judge, the same code that runs in the cluster, watched each of them under the default policy.
If not said otherwise a release is watched for 300 s and **promotion is put off to the end**: a release that is promoted is not \
looked at any longer, so that this is the worst case for wrong rollbacks.
Which releases are simulated depends on a seed only: `make calibration` gives these figures again.

How to read the tables:

- **0.30 (0.04-1.1) %**: the measured share and its exact 95 % limits (Clopper and Pearson). None of 500 is "0 (0-0.74) %".
- **9/20 (8-10, 17-24)**: ticks until half and until nine of ten were found, counted from the moment the canary turned bad, and \
the exact limits of both. **[98 %]**: found at all, where it is not everyone.
- **met**: the exact limits reach what is wanted. A row without a wanted value is told, not judged.
- **0.1**: the same row under version 0.1, with its limits and the number of releases.
- **after 300/310**, in the table of promotions: ticks until half and nine of ten of those promoted were promoted.
"""

_SECTIONS: Final[dict[Section, tuple[str, str]]] = {
    "same code": (
        "The same code, or better: taken back",
        "Both versions are the same, or the canary is faster. Taking such a release back is a mistake, whatever disturbs it.",
    ),
    "tolerated": (
        "Within the tolerance, or right at it: taken back",
        (
            "The policy tolerates errors up to .5 % (and .25 points above the baseline) and 10 % more latency. "
            "What is worse, but tolerated, should stay; what is right at its tolerance may end either way."
        ),
    ),
    "bad": ("Bad releases: how soon they are found", "Ticks from the moment the canary turns bad to the rollback."),
    "promotion": (
        "Promotion under the default policy",
        (
            "Shares promoted, and after how many ticks. Releases as good as the baseline, or better, should be promoted; "
            "bad ones, and those right at a tolerance, should not."
        ),
    ),
    "default watch": (
        "The default watch: 900 ticks of 1 s",
        "Three times as many looks as above; promotion is put off here too.",
    ),
    "short ticks": ("Ticks of .25 s", "A sidecar that is asked four times a second: 1200 looks in 300 s."),
    "alone": (
        "One arm alone",
        (
            "No baseline from the start, or none after a switch (blue-green), under `evidence: strict`: "
            "nothing tells the day's load from harm, so that only what is sure is taken back."
        ),
    ),
    "held back": (
        "Held back: releases of a second generator",
        (
            "These come from another program, with other shapes of latency, other histograms, rates, failures and moods of load. "
            "**No constant of the judge was chosen by them.** The rows above were looked at while it was made, "
            "so that these say more about a service that nobody has seen."
        ),
    ),
}
_PICTURES: Final[dict[Section, str]] = {
    "same code": "![Same code, taken back](plots/calibration-same.svg)",
    "tolerated": "![Tolerated, taken back](plots/calibration-tolerated.svg)",
    "bad": "![Bad releases found by time](plots/calibration-detection.svg)\n![Small changes](plots/calibration-small.svg)",
}
Answers = Mapping[str, Ends]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned table."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _met(met: bool | None) -> str:
    return "" if met is None else "met" if met else "**not met**"


def table(rows: Sequence[Row], answers: Answers, before: Before) -> str:
    """Rows with what was measured, what is wanted, and what 0.1 did."""
    cells = []
    for row in rows:
        answer = row.asked.answer(answers[row.name], row.onset)
        cells.append([row.title, f"{answer.runs}", answer.figure, row.asked.wanted, _met(answer.met), before.figure(row)])
    return markdown(["release", "n", "measured", "wanted", "", "0.1"], cells)


def not_met(rows: Sequence[Row], answers: Answers) -> list[str]:
    """A line for each row that does not reach what is wanted of it."""
    found = []
    for row in rows:
        answer = row.asked.answer(answers[row.name], row.onset)
        if answer.met is False:
            found.append(f"- {row.name}: {answer.figure}, wanted {row.asked.wanted}")
    return found


def _in_short(answers: Answers) -> str:
    """Questions that a newcomer has; empty where a row is missing (a part was measured)."""
    rates = [
        ("How often is a release of the same code taken back, if it is watched for 300 s?", "same code: clean"),
        ("And if one version stands still once for half a second?", "same code: one pause of .5 s"),
        ("And a canary that is faster in all it does?", "same code: faster, x.8"),
        ("How often is a canary taken back that fails .4 %, where .5 % are tolerated?", "tolerated: errors .4 %"),
        ("And one that is 8 % slower, where 10 % are?", "tolerated: x1.08"),
    ]
    ticks = [
        ("one request in five fails", "bad: errors 20 %"),
        ("5 % of the requests fail", "bad: errors 5 %"),
        ("1 % of the requests fail", "bad: errors 1 %"),
        ("everything takes half as long again", "bad: x1.5"),
        ("everything takes 20 % longer", "bad: x1.2"),
        ("only the slowest requests get slower (p99 +50 %)", "bad: p99 +50 %"),
    ]
    wanted = [*(name for _, name in rates), *(name for _, name in ticks), "promotion: same"]
    if not all(name in answers for name in wanted):
        return ""
    lines = [[question, f"{figures.rolled_back(answers[name])}"] for question, name in rates]
    for words, name in ticks:
        found = figures.delay(answers[name])
        lines.append(
            [f"How soon is it found when {words}?", f"half of them within {found.median} s, nine of ten within {found.p90} s"]
        )
    share, (median, p90) = figures.promoted(answers["promotion: same"]), figures.until_promoted(answers["promotion: same"])
    lines.append(
        [
            "How soon is a release of the same code promoted?",
            f"{share}, half of those after {median:g} s, nine of ten after {p90:g} s",
        ]
    )
    return "## In short\n\n" + markdown(["question", "answer"], lines)


def page(
    rows: Sequence[Row], answers: Answers, *, before: Before, fingerprint: str, quick: bool, gamma_ms: float, slow_ms: float
) -> str:
    """The page as Markdown."""
    missed = not_met(rows, answers)
    parts = [
        "# Calibration: how often the judge is wrong, and how fast it is",
        "This page is written by `make calibration`; do not edit it by hand."
        + (" **A quick run: figures are rough.**" if quick else ""),
        _in_short(answers),
        _HOW.strip().format(gamma=f"{gamma_ms:g}", slow=f"{slow_ms:g}"),
        "## What is not reached\n\n" + ("\n".join(missed) or "Nothing that is wanted."),
    ]
    for section, (title, words) in _SECTIONS.items():
        chosen = [row for row in rows if row.section == section]
        if chosen:
            parts += [f"## {title}", words, "" if quick else _PICTURES.get(section, ""), table(chosen, answers, before)]
    parts.append(f"Judge, simulator and questions: `{fingerprint}`.")
    return "\n\n".join(part for part in parts if part) + "\n"
