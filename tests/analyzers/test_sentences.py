"""What is said of a release is true: of one arm alone, of buckets that tell little, of bounds and their levels."""

from collections.abc import Iterator, Sequence

import pytest

from analyzers.counts import Arm, Sample
from analyzers.ruling import Ruling
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, latency, sample, terms, watch

NEVER = Policy(promotion=Promotion(min_requests=10**9))


def _sentences(ruling: Ruling) -> dict[str, str]:
    return {finding.leg: finding.sentence for finding in ruling.findings}


def _switched(world: World, *, at: int = 30, ticks: int = 100) -> Iterator[Sample]:
    """A blue-green switch: from then on the canary has all of the traffic, and is as bad as the world says."""
    fine = World(median_ms=world.median_ms, p99_ms=world.p99_ms)
    for before, after in zip(fine.ticks(2, ticks), _busy(world).ticks(3, ticks), strict=True):
        yield before if before.t <= at else Sample(t=after.t, seconds=1.0, canary=after.canary, baseline=Arm(requests=0))


def _busy(world: World) -> World:
    return World(canary_rps=1000.0, errors=world.errors, factor=world.factor, median_ms=world.median_ms, p99_ms=world.p99_ms)


def test_a_baseline_that_is_remembered_is_not_said_to_have_served_in_the_same_seconds() -> None:
    _, ruling = watch(terms(NEVER), _switched(World(errors=(0.05, 0.001))))
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    said = _sentences(ruling)["errors"]
    assert " requests failed since second 30 (95 % sure: at least " in said
    assert "% of the baseline's while it served; allowed 0.5 %" in said
    assert ruling.reason.startswith(said.removesuffix("."))
    assert "while both served" in _sentences(ruling)["typical"]
    assert "while both served" in _sentences(ruling)["slow_end"]
    assert ruling.findings[0].standing == "convicts"
    assert ruling.findings[0].effect == pytest.approx(0.05, abs=0.02)


def test_a_promotion_after_the_switch_names_each_figures_period() -> None:
    policy = Policy(promotion=Promotion(min_seconds=95.0))
    _, ruling = watch(terms(policy), _switched(World(), at=90))
    assert ruling.outcome == "promote"
    assert " % since the start against 0." in ruling.reason
    assert " % while it served, and typical latency " in ruling.reason
    assert " times the baseline's while both served, both shown to be within tolerance on " in ruling.reason


def test_where_no_baseline_ever_served_the_evidence_is_not_said_to_have_come_in_one_tick() -> None:
    stream = (sample(float(t), canary=(1000, 12), baseline=(0, 0)) for t in range(1, 60))
    _, ruling = watch(terms(NEVER, bounds_ms=()), stream)
    assert ruling.outcome == "rollback"
    assert ruling.tick > 2
    assert "one tick" not in ruling.reason
    assert _sentences(ruling)["typical"] == "Latency was not compared."
    assert ruling.findings[0].standing == "convicts"


def test_denials_without_a_request_of_the_baseline_are_not_said_to_be_none() -> None:
    stream = [Sample(t=float(t), seconds=1.0, canary=Arm(requests=9, denied=1), baseline=Arm(requests=0)) for t in range(1, 4)]
    _, ruling = watch(terms(NEVER, bounds_ms=(), ticks=3), stream)
    assert _sentences(ruling)["denied"] == "Requests denied by policy could not be compared: the baseline served no request."
    assert _sentences(ruling)["errors"] == "Errors could not be compared: the baseline served no request."


def _slow(canary: Sequence[int], baseline: Sequence[int], bounds: Sequence[float], ticks: int = 30) -> Ruling:
    both = latency(canary), latency(baseline)
    stream = (sample(float(t), canary=(sum(canary), 0), baseline=(sum(baseline), 0), slow=both) for t in range(1, ticks + 1))
    return watch(terms(NEVER, bounds_ms=bounds, ticks=ticks), stream)[1]


@pytest.mark.parametrize(
    ("canary", "baseline", "shares"),
    [((0, 50, 0), (0, 950, 0), ("0", "0")), ((0, 0, 50), (0, 0, 950), ("100", "100")), ((20, 29, 1), (300, 641, 9), ("2", "0.95"))],
    ids=["one bucket", "above the last bound", "in the body"],
)
def test_the_slow_end_is_told_at_a_bound_that_lies_in_it(
    canary: Sequence[int], baseline: Sequence[int], shares: tuple[str, str]
) -> None:
    sentence = _sentences(_slow(canary, baseline, (250.0, 500.0)))["slow_end"]
    mine, theirs = shares
    assert sentence.startswith(f"{mine} % of the canary's requests took longer than 500 ms since the start, {theirs} % of the")


def test_what_the_buckets_cannot_tell_to_be_tolerated_is_not_said_to_be_allowed() -> None:
    narrow = _slow((0, 48, 2), (0, 949, 1), (250.0, 500.0), ticks=2)
    assert "allowed" not in _sentences(narrow)["slow_end"].partition(". ")[0]
    assert "between 1.00 and 1.00 times" not in _sentences(narrow)["typical"]


def test_the_factor_by_the_means_lies_within_its_ends() -> None:
    """Few requests a tick: the ratio of the sums would lie outside."""
    world = World(canary_rps=10.0, baseline_rps=30.0, median_ms=370.0, p99_ms=430.0)
    _, ruling = watch(terms(NEVER, ticks=120), world.ticks(5, 120))
    finding = ruling.findings[2]
    assert ", by the means, is about " in finding.sentence
    assert finding.low is not None
    assert finding.high is not None
    assert finding.effect is not None
    assert finding.low <= finding.effect <= finding.high


def test_a_lower_bound_is_said_with_its_level_and_only_where_it_tells_of_harm() -> None:
    _, ruling = watch(terms(NEVER, bounds_ms=()), (sample(float(t), canary=(10, t % 2), baseline=(100, 1)) for t in range(1, 100)))
    assert ruling.outcome == "rollback"
    assert " (95 % sure: at least " in ruling.reason
    assert " (at least " not in ruling.reason
    _, early = watch(terms(NEVER, bounds_ms=()), [sample(float(t), canary=(2, 1), baseline=(100, 1)) for t in range(1, 20)])
    assert early.outcome == "rollback"


def test_buckets_that_tell_little_are_named_with_what_they_cannot_tell() -> None:
    ruling = _slow((0, 50, 0), (0, 950, 0), (250.0, 500.0))
    assert "; the latency buckets cannot tell a median 10 % slower: the mean is judged; " in ruling.reason
    assert "; the latency buckets cannot tell a p99 10 % slower; " in ruling.reason


def test_late_denials_are_told_as_a_share_of_all_requests() -> None:
    """The evidence of errors has a period of its own: its requests are not those of the denials."""
    arms = ((100 - denied, denied) for denied in [0] * 60 + [10] * 60)
    stream = [
        Sample(t=float(t), seconds=1.0, canary=Arm(requests=served, denied=denied), baseline=Arm(requests=900))
        for t, (served, denied) in enumerate(arms, start=1)
    ]
    _, ruling = watch(terms(NEVER, bounds_ms=()), stream)
    assert (ruling.outcome, ruling.leg) == ("rollback", "denied")
    denied = 10 * (ruling.tick - 60)
    assert ruling.findings[1].effect == pytest.approx(denied / (100 * ruling.tick))
    assert " requests were denied by policy since the start" in ruling.reason


def test_denials_of_a_baseline_that_fell_silent_are_remembered_in_words() -> None:
    both = [
        Sample(t=float(t), seconds=1.0, canary=Arm(requests=96, denied=4), baseline=Arm(requests=960, denied=40))
        for t in range(1, 31)
    ]
    after = [Sample(t=float(t), seconds=1.0, canary=Arm(requests=960, denied=40), baseline=Arm(requests=0)) for t in range(31, 100)]
    _, ruling = watch(terms(NEVER, bounds_ms=(), ticks=33), [*both, *after])
    assert ", 4 % of the baseline's while it served; allowed 4 %" in _sentences(ruling)["denied"]


def test_where_one_bucket_has_most_and_nobody_says_how_long_they_took_pairs_of_requests_are_told() -> None:
    def of_two_buckets(requests: int) -> Arm:
        return Arm(requests=requests, latency=latency((9 * requests // 10, requests // 10, 0), sum_ms=0.0))

    stream = (Sample(t=float(t), seconds=1.0, canary=of_two_buckets(100), baseline=of_two_buckets(900)) for t in range(1, 61))
    _, ruling = watch(terms(NEVER, bounds_ms=(100.0, 200.0), ticks=60), stream)
    assert ruling.outcome == "inconclusive"
    assert _sentences(ruling)["typical"].startswith(
        "Typical latency: of 100 pairs of requests the canary's is the slower one in 50 since the start (alike: 50)"
    )
