"""How often the judge is wrong and how long it takes, cell by cell, beside the figures it was designed to reach.

``python -m tests.bench.calibration [RUNS]`` prints the table (200 runs a cell by default; 2000 take a quarter of an hour). A
rollback counts as soon as the evidence convicts: tolerances are set to nothing, so that only statistics and guards are
measured. Standard errors are binomial.
"""

import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np

from analyzers.judge import Terms, terms_of
from config.policy import ErrorTolerance, LatencyTolerance, Policy, Promotion, Tolerances
from tests.bench.streams import ISTIO_MS, Stream, judge

WINDOW = 300
CONVICT = Policy(
    warmup_seconds=0.0,
    tolerances=Tolerances(
        errors=ErrorTolerance(max_rate=0.0, above_baseline=0.0), latency=LatencyTolerance(typical=1.0001, p99=1.0001)
    ),
    promotion=Promotion(min_requests=10**9),
)


def promoting(*, max_rate: float = 0.0, above: float = 0.005, typical: float = 1.10, p99: bool = False) -> Policy:
    """A policy that promotes as soon as it can and practically never rolls back."""
    return Policy(
        alpha=1e-9,
        warmup_seconds=0.0,
        tolerances=Tolerances(
            errors=ErrorTolerance(max_rate=max_rate, above_baseline=above),
            latency=LatencyTolerance(typical=typical, p99=1.10, require_p99_certificate=p99),
        ),
        promotion=Promotion(min_requests=0, min_seconds=0.0),
    )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One line of the table: a stream, what counts, and the figure the design reached."""

    name: str
    expected: str
    stream: Stream = field(default_factory=Stream)
    policy: Policy = CONVICT
    outcome: str = "rollback"
    ticks: int = WINDOW
    split: bool = True

    def terms(self) -> Terms:
        """Terms whose deadline is beyond the cell's ticks where promotions are counted."""
        window = float(WINDOW if self.outcome == "rollback" else self.ticks + 1)
        return terms_of(self.policy, tick_seconds=1.0, window_seconds=window, split=self.split, bounds_ms=ISTIO_MS)


EQUAL = Stream(canary_rps=500.0, baseline_rps=500.0)

DETECTION = (
    Cell(name="errors .5 %", expected="28 / 65", stream=Stream(errors=0.005)),
    Cell(name="errors 1 %", expected="9 / 20", stream=Stream(errors=0.01)),
    Cell(name="errors 5 %", expected="2 / 3", stream=Stream(errors=0.05)),
    Cell(name="errors 20 %", expected="2 / 2", stream=Stream(errors=0.20)),
    Cell(name="latency x1.05", expected="95 / 191", stream=Stream(factor=1.05)),
    Cell(name="latency x1.1", expected="22 / 44", stream=Stream(factor=1.1)),
    Cell(name="latency x1.2", expected="6 / 11", stream=Stream(factor=1.2)),
    Cell(name="p99 +50 % (tail only)", expected="18 / 35", stream=Stream(tail=1.5)),
    Cell(name="errors 1 % and x1.2", expected="4 / 8", stream=Stream(errors=0.01, factor=1.2)),
    Cell(name="500/500 rps, x1.05", expected="19 / 37", stream=replace(EQUAL, factor=1.05)),
    Cell(name="500/500 rps, p99 +50 %", expected="6 / 9", stream=replace(EQUAL, tail=1.5)),
    Cell(name="onset 165: errors 1 %", expected="18 / 32", stream=Stream(errors=0.01, onset=165)),
    Cell(name="onset 165: errors 5 %", expected="3 / 5 (no guards)", stream=Stream(errors=0.05, onset=165)),
    Cell(name="onset 165: errors 20 %, 150 rps", expected="1 / 1 (goal)", stream=Stream(errors=0.2, onset=165, canary_rps=150.0)),
    Cell(name="onset 165: x1.2", expected="11 / 17 (no guards)", stream=Stream(factor=1.2, onset=165)),
    Cell(name="errors 1 %, not split", expected="10 / 21", stream=Stream(errors=0.01), split=False),
    Cell(name="x1.2, not split", expected="6 / 11", stream=Stream(factor=1.2), split=False),
)

HEALTHY = (
    Cell(name="A/A clean", expected="<= 1 % (.6 %)"),
    Cell(name="A/A, not split", expected="<= 1 % (.4 %)", split=False),
    Cell(name="A/A 5/95 rps", expected="<= 1 % (.4 %)", stream=Stream(canary_rps=5.0, baseline_rps=95.0)),
    Cell(name="A/A 500/500 rps", expected="<= 1 % (.5 %)", stream=EQUAL),
    Cell(name="A/A base errors 1 %", expected="<= 1 % (.7 %)", stream=Stream(base_errors=0.01, errors=0.01)),
    Cell(name="A/A drift 65 %", expected="<= 1 % (.6 %)", stream=Stream(drift=0.65)),
    Cell(name="A/A errors in bursts of 5", expected="<= 1 % (.3 %)", stream=Stream(clump=5)),
    Cell(name="A/A errors in bursts of 10", expected="not designed for", stream=Stream(clump=10)),
    Cell(name="A/A tick jitter 5 %", expected=".8 %", stream=Stream(jitter=(0.05, 0.011))),
    Cell(name="A/A tick jitter 10 %", expected="2.2 %", stream=Stream(jitter=(0.10, 0.023))),
    Cell(name="A/A AR(1) .9 of 5 %, pods unknown", expected="14 %", stream=Stream(jitter=(0.05, 0.011), ar=0.9)),
    Cell(name="A/A pods differ 5 %, 3 of 13", expected="<= 1.5 % (1.3 %)", stream=Stream(pods=(3, 10), pod_spread=0.05)),
    Cell(name="A/A pods differ 5 %, 1 of 11", expected="<= 1.5 % (.8 %)", stream=Stream(pods=(1, 10), pod_spread=0.05)),
    Cell(
        name="A/A AR(1) .9 of 5 % per pod, 3 of 13",
        expected="<= 1.5 % (1.2 %)",
        stream=Stream(pods=(3, 10), ar=0.9, jitter=(0.05, 0.05)),
    ),
)

PROMOTION = (
    Cell(name="identical: errors, rank, mean", expected="27 / 48", policy=promoting(), outcome="promote"),
    Cell(name="identical, 500/500 rps", expected="9 / 12", stream=EQUAL, policy=promoting(), outcome="promote"),
    Cell(name="x1.05", expected="74 / 170", stream=Stream(factor=1.05), policy=promoting(), outcome="promote"),
    Cell(
        name="identical, with p99 within 10 %",
        expected="151 / 427",
        policy=promoting(max_rate=0.5, p99=True),
        outcome="promote",
        ticks=600,
    ),
    Cell(
        name="at tolerance: errors +.5 points",
        expected="<= 5 % (1.6 %)",
        stream=Stream(errors=0.006),
        policy=promoting(typical=50.0),
        outcome="promote",
        ticks=600,
    ),
    Cell(
        name="at tolerance: errors .5 %",
        expected="<= 5 % (3.4 %)",
        stream=Stream(errors=0.005),
        policy=promoting(max_rate=0.005, above=0.0, typical=50.0),
        outcome="promote",
        ticks=600,
    ),
    Cell(
        name="at tolerance: x1.10",
        expected="<= 5 % (.8 %)",
        stream=Stream(factor=1.1),
        policy=promoting(max_rate=0.5),
        outcome="promote",
        ticks=600,
    ),
    Cell(
        name="at tolerance: p99 +10 % (tail only)",
        expected="<= 5 % (2.8 %)",
        stream=Stream(tail=1.1),
        policy=promoting(max_rate=0.5, typical=1.5, p99=True),
        outcome="promote",
        ticks=600,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Share of the releases that ended as counted, and the median and 90th percentile of ticks from the onset to that end."""

    share: float
    median: float
    ninety: float


def measure(cell: Cell, *, runs: int, seed: int) -> Measured:
    """Watch ``runs`` releases of a cell; ticks are infinite for releases that ended otherwise."""
    ends = judge(cell.stream, cell.terms(), releases=runs, ticks=cell.ticks, seed=seed)
    counted = np.array(ends.outcomes) == cell.outcome
    delays = np.where(counted, ends.ticks - float(cell.stream.onset), np.inf)
    median, ninety = np.quantile(delays, [0.5, 0.9], method="higher")
    return Measured(share=float(counted.mean()), median=float(median), ninety=float(ninety))


def main(runs: int) -> None:
    """Print every cell's figures beside the expected ones."""
    for title, cells in (("Detection", DETECTION), ("Healthy canaries", HEALTHY), ("Promotion", PROMOTION)):
        print(f"\n{title}, {runs} releases a cell\n{'':40}{'ended so':>18}{'ticks':>14}  expected")
        for cell in cells:
            began = time.perf_counter()
            got = measure(cell, runs=runs, seed=1)
            error = np.sqrt(got.share * (1.0 - got.share) / runs)
            share = f"{100 * got.share:.2f} +- {100 * error:.2f} %"
            spent = time.perf_counter() - began
            print(
                f"{cell.name:40}{share:>18}{f'{got.median:.0f} / {got.ninety:.0f}':>14}  {cell.expected}  ({spent:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
