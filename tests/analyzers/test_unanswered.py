"""Requests whose clients give up before anybody answers: evidence of its own, and no promotion while there are too many of them.

And requests of which it is not told how they ended: they convict nobody and promote nobody.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from analyzers.counts import Arm, Sample
from analyzers.evidence import START_WEIGHTS, Standing
from analyzers.judge import fold, start, to_end
from analyzers.layout import LENT, Rows
from analyzers.legs.table import LEGS, LENT_SHARE, UNANSWERED
from analyzers.ruling import Ruling
from config.policy import Policy, Promotion, Tolerances, UnansweredTolerance
from tests.analyzers.streams import terms, watch

SOON = Policy(promotion=Promotion(min_seconds=60.0))
NEVER = Policy(promotion=Promotion(min_requests=10**9))


def _stream(
    canary: float,
    baseline: float,
    *,
    seed: int = 1,
    ticks: int = 300,
    rps: tuple[float, float] = (50.0, 950.0),
    onset: int = 0,
    clump: int = 1,
) -> Iterator[Sample]:
    """Requests of both arms of which such shares get no answer; the canary's from ``onset`` on, in clumps."""
    rng = np.random.default_rng(seed)
    for tick in range(1, ticks + 1):
        arms = []
        for rate, share in zip(rps, (canary if tick > onset else baseline, baseline), strict=True):
            gone = clump * int(rng.poisson(rate * share / clump))
            arms.append(Arm(requests=int(rng.poisson(rate * (1.0 - share))), unanswered=gone))
        yield Sample(t=float(tick), seconds=1.0, canary=arms[0], baseline=arms[1])


def _ended(stream: Iterator[Sample], policy: Policy = SOON, *, weight: float | None = None, ticks: int = 300) -> Ruling:
    return watch(terms(policy, bounds_ms=(), ticks=ticks, weight=weight), stream)[1]


def _outcomes(streams: list[Iterator[Sample]], policy: Policy, *, ticks: int) -> list[Ruling]:
    """The last ruling of each stream, judged side by side."""
    last: dict[int, Ruling] = {}
    for now in to_end(
        [terms(policy, bounds_ms=(), ticks=ticks)] * len(streams), lambda at: [next(streams[one], None) for one in at]
    ):
        last.update(zip(now.places, now.rulings, strict=True))
    return [last[at] for at in range(len(streams))]


def _sentences(ruling: Ruling) -> dict[str, str]:
    return {finding.leg: finding.sentence for finding in ruling.findings}


@pytest.mark.parametrize("weight", [None, 5.0])
def test_a_canary_that_hangs_on_half_of_its_requests_is_taken_back(weight: float | None) -> None:
    """Also where the route's weight is known: requests without an answer are in the share of the traffic."""
    ruling = _ended(_stream(0.5, 0.002), weight=weight)
    assert (ruling.outcome, ruling.leg) == ("rollback", "unanswered")
    assert ruling.tick <= 8
    assert "got no answer before their clients gave up since the start" in ruling.reason
    assert "% of the baseline's in the same seconds; allowed " in ruling.reason
    assert ruling.findings[UNANSWERED].standing == "convicts"


def test_one_tick_convicts_nobody_however_many_gave_up_in_it() -> None:
    """A client that goes takes all of its requests with it: that is one observation."""
    quiet = list(_stream(0.002, 0.002, ticks=60))
    broken = Sample(t=61.0, seconds=1.0, canary=Arm(requests=10, unanswered=500), baseline=Arm(requests=950, unanswered=2))
    assert _ended(iter([*quiet, broken]), NEVER).outcome == "continue"


@pytest.mark.broad
def test_clients_that_go_in_clumps_are_held() -> None:
    """As many in both arms, thirty at a time: what falls on the canary is chance."""
    alike = _outcomes([_stream(0.01, 0.01, seed=seed, ticks=150, clump=30) for seed in range(100)], NEVER, ticks=300)
    assert [ruling.outcome for ruling in alike].count("rollback") <= 2
    broken = [3, 3, 0, 0, 40, 0, 0, 0, 45, 0, 0, 0, 0, 42, 0, 0, 0, 44, 0, 0, 0, 41, 0, 0, 0, 39, 0, 0, 0, 40]
    samples = [
        Sample(t=float(t), seconds=1.0, canary=Arm(requests=100, unanswered=gone), baseline=Arm(requests=900, unanswered=1))
        for t, gone in enumerate(broken, start=1)
    ]
    ruling = _ended(iter(samples), NEVER)
    assert ruling.outcome == "continue"
    assert ruling.evidence > ruling.boundary
    assert "requests without an answer look worse than the baseline's, but that may come from elsewhere" in ruling.reason
    assert "clients give up in bursts, about " in ruling.reason
    assert "Clients give up in bursts" in _sentences(_ended(iter(samples), NEVER, ticks=30))["unanswered"]


@pytest.mark.parametrize("shares", [(0.03, 0.03), (0.0, 0.02), (0.0, 0.0), (0.004, 0.0)])
def test_a_canary_whose_clients_leave_no_more_often_or_within_tolerance_is_promoted_in_time(shares: tuple[float, float]) -> None:
    """Clients leave every service: only a share that looks worse asks for a certificate. 0.4 % are inside the tolerance."""
    for ruling in _outcomes([_stream(*shares, seed=seed, ticks=120) for seed in range(10)], SOON, ticks=300):
        assert ruling.outcome == "continue"
        assert "not shown yet: any latency to compare" in ruling.reason
        assert "a share of requests without an answer" not in ruling.reason


def test_more_than_the_baseline_promotes_nobody_before_it_is_shown_to_be_within_tolerance() -> None:
    """1.2 % where the baseline has none and 1 % is allowed: too little to convict soon, too much to call good."""
    for ruling in _outcomes([_stream(0.012, 0.0, seed=seed, ticks=100) for seed in range(10)], SOON, ticks=99):
        assert ruling.outcome in {"inconclusive", "rollback"}
        assert "a share of requests without an answer below 1 % (" in ruling.reason or ruling.leg == "unanswered"


@pytest.mark.broad
def test_the_tolerances_are_the_policys() -> None:
    loose = Policy(tolerances=Tolerances(unanswered=UnansweredTolerance(max_rate=0.6)), promotion=SOON.promotion)
    assert _ended(_stream(0.5, 0.002), loose, ticks=200).outcome == "inconclusive"
    apart = Policy(tolerances=Tolerances(unanswered=UnansweredTolerance(above_baseline=0.6)), promotion=SOON.promotion)
    assert _ended(_stream(0.5, 0.002), apart, ticks=200).outcome == "inconclusive"


def test_a_canary_that_begins_to_hang_in_the_middle_is_found() -> None:
    ruling = _ended(_stream(0.3, 0.01, onset=100), NEVER)
    assert (ruling.outcome, ruling.leg) == ("rollback", "unanswered")
    assert 100 < ruling.tick <= 112


def test_where_nobody_gives_up_nothing_of_a_ruling_speaks_of_it() -> None:
    state, ruling = watch(terms(NEVER, bounds_ms=(), ticks=50), _stream(0.0, 0.0, ticks=51))
    assert [finding.leg for finding in ruling.findings] == ["errors", "denied", "typical", "slow_end"]
    assert ruling.legs["unanswered"].e_value == pytest.approx(1.0)
    assert state.row is not None
    assert Rows(state.row[None]).head[0, LENT] == 0.0


def test_what_the_other_legs_lend_is_a_part_of_what_their_evidence_is_worth() -> None:
    """The sum over all legs is the same before and after, so that alpha holds for all of them together."""
    one = terms(NEVER, bounds_ms=())
    state = start(one)
    before = list(_stream(0.0, 0.0, ticks=40))
    for sample in before:
        [(state, _)] = fold([one], [state], [sample])
    first = Sample(t=41.0, seconds=1.0, canary=Arm(requests=50, unanswered=3), baseline=Arm(requests=950))
    [(lent, ruling)] = fold([one], [state], [first])
    [(unlent, _)] = fold([one], [state], [Sample(t=41.0, seconds=1.0, canary=Arm(requests=50), baseline=Arm(requests=950))])
    waiting = START_WEIGHTS[1] * (1.0 - 41.0 / 300.0)

    def total(raw: np.ndarray, *, leg: bool) -> float:
        worse = np.exp(Standing(Rows(raw[None])).worse[0]).sum(1)
        shares = np.array([each.share for each in LEGS])
        kept = np.array([1.0 - LENT_SHARE] * 4) if leg else np.ones(4)
        own = worse[UNANSWERED] + LENT_SHARE * waiting * Rows(raw[None]).head[0, LENT] if leg else 0.0
        return float((worse[:UNANSWERED] + kept * shares[:UNANSWERED] * waiting).sum() + own)

    assert total(lent.row, leg=True) == pytest.approx(total(unlent.row, leg=False))
    assert ruling.legs["unanswered"].e_value == pytest.approx(1.0), "the tick that shows the first one is not bet on"


@pytest.mark.broad
def test_a_canary_that_is_no_worse_is_seldom_taken_back() -> None:
    alike = _outcomes([_stream(0.02, 0.02, seed=seed, ticks=200) for seed in range(150)], NEVER, ticks=300)
    assert [ruling.outcome for ruling in alike].count("rollback") <= 2


def test_a_baseline_that_is_remembered_has_its_clients_remembered() -> None:
    """After a switch 2 % give up as before: nothing; half of them: taken back."""
    together = list(_stream(0.02, 0.02, ticks=60))

    def alone(share: float) -> Iterator[Sample]:
        for sample in _stream(share, share, rps=(1000.0, 0.0), ticks=80):
            yield Sample(t=sample.t + 60.0, seconds=1.0, canary=sample.canary, baseline=Arm(requests=0))

    assert _ended(iter([*together, *alone(0.02)]), NEVER).outcome == "continue"
    ruling = _ended(iter([*together, *alone(0.5)]), NEVER)
    assert (ruling.outcome, ruling.leg) == ("rollback", "unanswered")
    assert "while it served" in ruling.reason


def _untold(canary: tuple[int, int, int], baseline: tuple[int, int, int], ticks: int) -> Iterator[Sample]:
    """Each arm is (requests, errors, unclassified)."""
    arms = [Arm(requests=asked, errors=failed, unclassified=unclear) for asked, failed, unclear in (canary, baseline)]
    for tick in range(1, ticks + 1):
        yield Sample(t=float(tick), seconds=1.0, canary=arms[0], baseline=arms[1])


def test_a_canary_of_which_nobody_says_how_its_requests_ended_is_not_promoted() -> None:
    ruling = _ended(_untold((50, 0, 50), (950, 1, 0), 120), ticks=119)
    assert ruling.outcome == "inconclusive"
    why = "an error rate below 0.5 % (how 100 % of the canary's requests ended is not told: labels are missing)"
    assert why in ruling.reason
    said = _sentences(ruling)["errors"]
    assert said.startswith("At least 0 % of the canary's ")
    assert said.endswith("before it is promoted they count as failed.")
    assert (ruling.findings[0].standing, ruling.findings[0].high) == ("open", None)


def test_a_baseline_of_which_nobody_says_how_its_requests_ended_convicts_no_canary() -> None:
    known = _ended(_untold((50, 2, 0), (950, 1, 0), 60), NEVER)
    assert (known.outcome, known.leg) == ("rollback", "errors")
    ruling = _ended(_untold((50, 2, 0), (950, 1, 949), 60), NEVER, ticks=59)
    assert ruling.outcome == "inconclusive"
    assert "of the baseline's requests ended is not told" in _sentences(ruling)["errors"]
    assert ruling.findings[0].low is None


def test_where_both_are_unclear_and_the_baseline_is_unwell_all_of_it_is_said() -> None:
    said = _sentences(_ended(_untold((50, 0, 10), (950, 90, 10), 60), NEVER, ticks=59))["errors"]
    assert "The baseline itself fails" in said
    assert "of the canary's requests ended is not told" in said
    assert "of the baseline's requests ended is not told" in said


@pytest.mark.parametrize(
    "broken",
    [
        Arm(requests=50, unanswered=-1),
        Arm(requests=50, unclassified=-1),
        Arm(requests=50, unclassified=51),
        Arm(requests=50, errors=30, unclassified=30),
    ],
)
def test_impossible_counts_are_a_gap(broken: Arm) -> None:
    sample = Sample(t=1.0, seconds=1.0, canary=broken, baseline=Arm(requests=950))
    [(_, ruling)] = fold([terms(bounds_ms=())], [start(terms(bounds_ms=()))], [sample])
    assert "its counts are impossible" in ruling.reason
