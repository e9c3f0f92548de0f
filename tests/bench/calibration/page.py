"""The page for readers: first what it means, in words and with the figures of this very run, then the tables."""

from collections.abc import Callable
from typing import Final

from tests.bench.calibration.figures import delay, share
from tests.bench.calibration.tables import Tables

_PLOTS: Final = "plots"


def _found(tables: Tables, section: str, key: str) -> Callable[[str], list[float]]:
    first = next(first for cell, first in tables.of(section) if cell.key == key)
    return lambda column: list(first[column])


def _quick_answers(tables: Tables) -> str:
    healthy = share(_found(tables, "product", "clean")("rollback"))
    promoted = _found(tables, "product", "clean")("promote")
    strict = share(_found(tables, "false", "clean")("guarded"))
    lines = [
        "| question | answer |",
        "|---|---|",
        (
            f"| How often is a healthy release taken back? | {healthy} of the releases under the default policy "
            f"({healthy.runs} simulated). If nothing at all were tolerated and every release watched for 300 ticks: {strict} "
            f"({strict.runs} simulated). The policy promises at most 1 %. |"
        ),
        (
            f"| How soon is a healthy release promoted? | half of them after {delay(promoted, 0).median:g} s, nine of ten after "
            f"{delay(promoted, 0).p90:g} s (the default asks for at least 60 s). |"
        ),
    ]
    for key, words in (
        ("e20", "one request in five fails"),
        ("e5", "5 % of the requests fail"),
        ("e1", "1 % of the requests fail, 0.1 % before"),
        ("x1.5", "everything takes half as long again"),
        ("x1.2", "everything takes 20 % longer"),
        ("t1.5", "only the slowest requests get slower (p99 + 50 %)"),
    ):
        found = delay(_found(tables, "product", key)("rollback"), 0)
        lines.append(
            f"| How fast is a bad release found when {words}? | half of them after {found.median:g} s, "
            f"nine of ten after {found.p90:g} s; {found.found:.1f} % are taken back. |"
        )
    return "\n".join(lines)


_HOW: Final = """
## How this was measured

Releases were simulated of which the truth is known: how many requests per second each version gets, which share fails, how
long requests take. If not said otherwise: a tick a second, 50 requests a second to the canary and 950 to the baseline,
0.1 % of them fail, half take less than 40 ms and one in a hundred more than 240 ms, latency is read from Istio's default
buckets, successes only. verdictd's judge, the same code that runs in the cluster, watched each of them. A healthy release is one
in which both versions are the same; taking it back is a mistake. Which releases are simulated depends on a seed only:
`make calibration` gives these figures again, and measures again what a change of the judge has made stale (with `--adopt`: the
first 500 releases of each row, and the rest is taken over where these end at the same ticks as before).

How to read the tables:
- **0.45 ± 0.05 %**: measured share and its standard error; where ten releases or more were counted the truth is within two of
  them in 95 of 100 cases. Where none was, it is below three divided by the number of releases.
- **9 / 20**: ticks until half and until nine of ten were found. **(98 %)**: found at all, where it is not everyone.
- **[9 / 20]**: the reference figure, from an independent program for the same method; **worse** marks what is worse
  than it by more than three standard errors of both together.
- **avg**, **mix**, **boost** are three ways of adding up the evidence, without guards. The judge uses boost where latency is
  split by outcome, avg where it is not. **guarded** is the judge as it runs: that sum with the guards.
"""

_FALSE: Final = """
## Healthy releases taken back

Every test that looks again and again finds something in the end: looking once a second with an ordinary test at 1 % takes back one
healthy release in ten within five minutes. The judge's evidence is made so that the *whole* watch, all looks together, has the
promised chance. Here nothing is tolerated and nothing is promoted, so that each release is looked at 300 times.

![Healthy releases taken back](plots/calibration-false.svg)
"""

_HAZARDS: Final = """
## Hazards: what looks like harm and is none

Requests are not as independent as a textbook's: retries fail together, pods of one version differ, a new pod is cold. Without
guards such things would convict many healthy releases. The guards only ever hold a rollback back.

![Hazards without and with guards](plots/calibration-hazards.svg)
"""

_DETECTION: Final = """
## Bad releases found

Ticks from the moment the canary turns bad to the rollback.

![Bad releases found by time](plots/calibration-detection.svg)
![Small changes](plots/calibration-small.svg)
"""

_PROMOTION: Final = """
## Promotion

A canary is promoted when everything that the policy tolerates has been *shown* to be inside its tolerance (here: errors at most
half a point above the baseline, or at most 0.5 %; typical latency and p99 at most 10 % longer). The 99th percentile takes by far
the longest to show: one request in a hundred tells about it.

![What is shown of an identical canary](plots/calibration-promotion.svg)
"""

_PRODUCT: Final = """
## The default policy as a whole

What happens to releases under the policy that an empty document gives: watch up to 300 s, tolerate errors up to 0.5 % and 10 %
more latency, promote as soon as it is shown to be harmless, but not before 60 s. A release that is worse by less than its
tolerance should be promoted, one that is exactly at it may end either way, but should not be promoted in more than 5 % of the
cases. When the evidence reaches the boundary the harm is *estimated* and compared with the tolerance; an estimate that is too
high takes a tolerated release back, which is why two cautions are taken off it: one and a half standard errors, and what the
policy's `wander` says of latency (`evidence: strict` asks for certainty instead).
"""


def _open_questions(tables: Tables) -> str:
    """What is not solved, with this run's figures."""
    walk = share(_found(tables, "hazards", "ar")("guarded"))
    usual = share(_found(tables, "product", "ar")("rollback"))
    known = share(_found(tables, "hazards", "ar known")("guarded"))
    slower = delay(_found(tables, "costs", "known x1.1")("guarded"), 0)
    even = share(_found(tables, "hazards", "even bursts")("guarded"))
    late = delay(_found(tables, "detection", "late x1.2")("guarded"), 165)
    shaking = share(_found(tables, "hazards", "jitter 10")("guarded"))
    tolerated = share(_found(tables, "product", "x1.05")("rollback"))
    undecided = share(_found(tables, "product", "base 3")("inconclusive"))
    certain = delay(_found(tables, "promotion", "same")("p99"), 0)
    return f"""## What is open

- **Latency that wanders by itself, pods not told apart** (by 5 %, for ten ticks or so): {walk} of the healthy releases are taken
  back when nothing is tolerated, {usual} under the default policy. Nothing in the arms' totals distinguishes a slow
  canary from a slow minute. Pod-level telemetry does; without it, say `wander: 0.05` in the policy of such a service:
  {known}, and a canary that is 10 % slower takes {slower.median:g} ticks (nine of ten: {slower.p90:g}).
- **Latency that jumps from tick to tick by 10 %**: {shaking}. In the first ticks nothing is known about it yet.
- **Failures in bursts of 5 with half of the traffic** (1 % in both arms): {even}. When the baseline happens to have none in
  the first ticks, the canary's look like its own.
- **A canary that is 5 % slower where 10 % are tolerated** is taken back in {tolerated} of the cases: the evidence reaches its
  boundary just when the canary looks worst. `evidence: strict` avoids it and takes longer.
- **A canary that becomes slower late in a watch**: 20 % after 165 ticks is found after {late.median:g} ticks, but nine of
  ten only after {late.p90:g}: one watch in ten has seen latency move by chance until then, and believes it less.
- **p99 within 10 %** takes {certain.median:g} ticks to show at 50 requests a second (nine of ten: {certain.p90:g}). By default it
  is not asked for, and the bound that has been shown is told instead.
- **A baseline that itself fails 3 %**: {undecided} stay inconclusive, since a difference of a quarter of a point cannot be shown in
  300 s at this traffic. Allow a larger `above_baseline`, or give the canary more traffic."""


def page(tables: Tables, *, fingerprint: str, suite: str, quick: bool) -> str:
    """The page as Markdown."""
    parts = [
        "# Calibration: how often the judge is wrong, and how fast it is",
        "This page is written by `make calibration`; do not edit it by hand."
        + (" **A quick run: figures are rough.**" if quick else ""),
        "## In short\n\n" + _quick_answers(tables),
        _HOW.strip(),
        _PRODUCT.strip() + "\n\n" + tables.product(),
        suite,
        _DETECTION.strip() + "\n\n" + tables.detection(),
        "### Other latencies\n\n" + tables.shapes(),
        _FALSE.strip() + "\n\n" + tables.false(),
        _HAZARDS.strip() + "\n\n" + tables.hazards(),
        "### What the guards cost\n\n" + tables.costs(),
        _PROMOTION.strip() + "\n\n" + tables.certified(),
        "### Promoted although at the tolerance (the policy promises at most 5 %)\n\n" + tables.wrongly_certified(),
        "### The bound on p99 that is certified\n\n" + tables.bounds(),
        _open_questions(tables),
        "## Where it is worse than the reference\n\n" + ("\n".join(f"- {line}" for line in tables.worse) or "Nowhere."),
        f"Judge, simulator and questions: `{fingerprint}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
