"""What the judge rules, and what it says about it."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from analyzers.counts import Arm, Sample
from analyzers.judge import Terms
from analyzers.ruling import Finding, LegsNow, Ruling
from config.policy import DenialTolerance, ErrorTolerance, LatencyTolerance, Policy, Promotion, Tolerances
from tests.analyzers.streams import ISTIO_MS, World, latency, sample, terms, watch

EARLY = Policy(promotion=Promotion(min_requests=0, min_seconds=0.0), warmup_seconds=0.0)


def _tolerating(**tolerances: object) -> Policy:
    return replace(EARLY, tolerances=Tolerances(**tolerances))  # type: ignore[arg-type]  # given by each test


def _finding(ruling: Ruling, leg: str) -> Finding:
    return next(finding for finding in ruling.findings if finding.leg == leg)


def test_five_per_cent_of_errors_are_rolled_back_within_seconds() -> None:
    _, ruling = watch(terms(), World(errors=(0.05, 0.001)).ticks(1, 300))
    assert (ruling.outcome, ruling.leg) == ("rollback", "errors")
    assert ruling.tick <= 5
    assert ruling.evidence >= ruling.boundary == pytest.approx(100.0)
    assert " requests failed since the start (95 % sure: at least " in ruling.reason
    assert " of the baseline's in the same seconds; allowed 0.5 %; at most 1 in " in ruling.reason
    assert " canaries that are no worse would look as bad; " in ruling.reason
    assert " to 1 that it is worse than allowed; the evidence grew in " in ruling.reason
    finding = _finding(ruling, "errors")
    assert finding.effect is not None
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low < finding.effect < finding.high
    assert ruling.fixed_horizon is not None
    assert ruling.fixed_horizon["binomial_p"] is not None
    assert ruling.fixed_horizon["binomial_p"] < 0.01


def test_a_canary_twenty_per_cent_slower_is_rolled_back_for_its_latency() -> None:
    _, ruling = watch(terms(), World(factor=1.2).ticks(2, 300))
    assert (ruling.outcome, ruling.leg) == ("rollback", "typical")
    assert ruling.tick <= 25
    assert ruling.reason.startswith("typical latency is about 1.")
    assert _finding(ruling, "typical").standing == "convicts"


def test_a_healthy_canary_is_promoted_as_soon_as_the_policy_allows() -> None:
    _, ruling = watch(terms(ticks=400), World().ticks(3, 400))
    assert ruling.outcome == "promote"
    assert 300 <= ruling.tick <= 320
    assert ruling.leg is None
    assert "shown to be within tolerance" in ruling.reason
    assert _finding(ruling, "errors").standing in {"inside", "open"}
    assert _finding(ruling, "typical").standing == "inside"
    assert _finding(ruling, "denied").standing == "idle"


def test_while_it_goes_on_it_says_what_is_missing() -> None:
    _, early = watch(terms(), World().ticks(4, 3))
    assert early.outcome == "continue"
    assert "of 500 canary requests seen, 3 of 300 s watched" in early.reason
    assert early.findings == ()
    assert early.fixed_horizon is None
    _, exposed = watch(terms(EARLY), World().ticks(4, 2))
    assert "not shown yet: an error rate below 0.5 % (about" in exposed.reason
    assert "more canary requests, 17 s at 53/s)" in exposed.reason
    assert "and a typical latency within its tolerance (not in sight at this rate)" in exposed.reason


@pytest.mark.parametrize("world", [World(errors=(0.05, 0.001)), World(factor=1.2), World(canary_rps=1.0, baseline_rps=19.0)])
def test_what_each_leg_says_can_be_asked_at_any_tick_and_is_at_last_what_the_verdict_says(world: World) -> None:
    stream = list(world.ticks(5, 300))
    _, ruling = watch(terms(), stream)
    assert isinstance(ruling.legs, LegsNow)
    assert ruling.legs.findings() == ruling.findings
    _, before = watch(terms(), stream[: ruling.tick - 1])
    assert isinstance(before.legs, LegsNow)
    assert before.findings == ()
    found = before.legs.findings()
    assert [one.leg for one in found] == [one.leg for one in ruling.findings]
    assert "convicts" not in {one.standing for one in found}


def test_what_each_leg_says_before_anything_was_seen_is_that() -> None:
    _, ruling = watch(terms(), [Sample(t=1.0, seconds=1.0, baseline=None, canary=None, gap="no answer")])
    assert isinstance(ruling.legs, LegsNow)
    assert {one.standing for one in ruling.legs.findings()} == {"idle"}


def test_at_the_deadline_it_is_inconclusive_and_says_why() -> None:
    _, ruling = watch(terms(ticks=70), World(canary_rps=1.0, baseline_rps=19.0).ticks(5, 80))
    assert (ruling.outcome, ruling.tick) == ("inconclusive", 70)
    assert ruling.reason.startswith("no decision after 70 s: ")
    assert "of 500 canary requests seen" in ruling.reason
    assert " more canary requests, 9 min at 0.9/s; from the start, an error rate of about " in ruling.reason
    assert ruling.reason.endswith(" times the baseline's would have been taken back by now in about half of such watches")
    assert ruling.findings


def test_before_any_time_has_gone_by_no_time_is_forecast() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=()), [sample(0.0, canary=(100, 0))])
    assert "an error rate below 0.5 % (about " in ruling.reason
    assert "more canary requests) and" in ruling.reason


def test_at_the_deadline_a_canary_without_requests_is_told_so_first_and_no_time() -> None:
    _, ruling = watch(terms(ticks=3), (sample(float(t), canary=(0, 0), baseline=(100, 0)) for t in range(1, 4)))
    assert ruling.reason == (
        "no decision after 3 s: the canary served no request, and the baseline 300: look at the canary's weight and route; "
        "0 of 500 canary requests seen, 3 of 300 s watched; no regression could have been taken back by now"
    )


def test_where_nobody_served_a_request_nothing_is_said_of_the_canary_alone() -> None:
    _, ruling = watch(terms(ticks=3), (sample(float(t), canary=(0, 0), baseline=(0, 0)) for t in range(1, 4)))
    assert ruling.reason.startswith("no decision after 3 s: 0 of 500 canary requests seen")


def test_the_deadline_is_the_samples_own_time_not_the_number_of_ticks() -> None:
    _, ruling = watch(terms(ticks=70), [Sample(t=71.0, seconds=1.0, baseline=None, canary=None, gap="no telemetry")])
    assert (ruling.outcome, ruling.tick) == ("inconclusive", 1)
    assert _finding(ruling, "errors").standing == "idle"
    assert _finding(ruling, "errors").sentence == "Errors could not be compared: the canary served no request."
    assert _finding(ruling, "typical").standing == "idle"
    assert _finding(ruling, "typical").sentence == "Latency was not compared."
    assert _finding(ruling, "slow_end").sentence == "The slow end of latency was not measured."


def _errors(canary: int, ticks: int = 200, baseline: int = 1) -> Iterator[Sample]:
    for t in range(1, ticks + 1):
        yield sample(float(t), canary=(1000, canary), baseline=(1000, baseline))


def test_surely_worse_but_within_tolerance_stays() -> None:
    """0.4 % of errors against 0.1 %, where 0.5 % is always accepted: no rollback, and the ruling says so."""
    _, ruling = watch(terms(bounds_ms=(), ticks=200), _errors(4, 60))
    assert ruling.outcome == "continue"
    assert ruling.evidence > 100.0
    assert ruling.reason.startswith("errors look worse than the baseline's (fewer than 1 in a billion ")
    assert "but not shown to be worse than is allowed (evidence less than 1 to 1; 5 to 1 would do)" in ruling.reason


def test_a_baseline_that_fails_as_much_is_compared_with_itself() -> None:
    """3 % in both arms is no reason to revert, though the absolute limit is 0.5 %."""
    _, ruling = watch(terms(EARLY, bounds_ms=(), ticks=60), _errors(30, 60, baseline=30))
    assert ruling.outcome == "inconclusive"
    assert ruling.evidence < 10.0
    assert "; the baseline itself fails 3 % since the start: the canary is compared with it only; " in ruling.reason
    assert _finding(ruling, "errors").sentence.endswith(
        "The baseline itself fails 3 % since the start: the canary is compared with it only."
    )


def test_a_baseline_that_may_fail_beyond_the_limit_by_chance_is_not_called_unwell() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), ticks=9), _errors(1, 1, baseline=6))
    assert ruling.outcome == "continue"
    assert "baseline itself" not in ruling.reason


def test_latency_that_was_never_measured_is_not_promoted() -> None:
    _, ruling = watch(terms(EARLY, bounds_ms=(), ticks=60), _errors(1, 60))
    assert ruling.outcome == "inconclusive"
    assert "any latency to compare" in ruling.reason


def test_denials_by_policy_roll_back() -> None:
    stream = [Sample(t=float(t), seconds=1.0, baseline=Arm(requests=950), canary=Arm(requests=45, denied=5)) for t in range(1, 20)]
    _, ruling = watch(terms(bounds_ms=()), stream)
    assert (ruling.outcome, ruling.leg) == ("rollback", "denied")
    assert ruling.tick == 3
    assert ruling.reason.startswith(
        "10 % of the canary's 150 requests were denied by policy since the start (95 % sure: at least 3."
    )
    assert "), 0 % of the baseline's in the same seconds; allowed 0 %; at most 1 in " in ruling.reason
    assert _finding(ruling, "denied").effect == pytest.approx(0.1)


def test_denials_that_are_tolerated_are_not_promoted_while_they_stand_out() -> None:
    policy = _tolerating(denied=DenialTolerance(above_baseline=0.2))
    stream = [Sample(t=float(t), seconds=1.0, baseline=Arm(requests=950), canary=Arm(requests=45, denied=5)) for t in range(1, 61)]
    _, ruling = watch(terms(policy, bounds_ms=(), ticks=60), stream)
    assert ruling.outcome == "inconclusive"
    assert "as few policy denials" in ruling.reason


def test_without_a_baseline_the_absolute_limit_is_the_whole_judge() -> None:
    """After a blue-green switch the baseline arm is there and serves nothing."""
    _, bad = watch(terms(bounds_ms=()), (sample(float(t), canary=(1000, 50), baseline=(0, 0)) for t in range(1, 60)))
    assert (bad.outcome, bad.leg) == ("rollback", "errors")
    assert bad.tick == 2
    assert "no baseline to compare with" in bad.reason
    _, good = watch(terms(bounds_ms=(), ticks=60), (sample(float(t), canary=(1000, 1), baseline=(0, 0)) for t in range(1, 61)))
    assert good.outcome == "inconclusive"


def test_a_baseline_that_is_merely_not_seen_yet_convicts_nobody() -> None:
    """The first canary requests fail before the baseline's first request is counted: too few for the absolute limit to judge."""
    stream = [sample(float(t), canary=(50, 25), baseline=(0, 0)) for t in range(1, 6)]
    _, ruling = watch(terms(bounds_ms=()), stream)
    assert ruling.outcome == "continue"
    assert ruling.evidence == pytest.approx(1.0)


def _slow_tail(t: float) -> Sample:
    """The canary's slowest 4 % lie one bucket higher: p99 far beyond, the rest alike."""
    counts_canary = (500, 300, 100, 60, 40)
    counts_baseline = (500, 300, 100, 96, 4)
    return sample(t, canary=(1000, 0), baseline=(1000, 0), slow=(latency(counts_canary), latency(counts_baseline)))


def test_a_slow_tail_is_rolled_back_by_the_tail() -> None:
    _, ruling = watch(terms(bounds_ms=(10.0, 20.0, 40.0, 80.0)), (_slow_tail(float(t)) for t in range(1, 60)))
    assert (ruling.outcome, ruling.leg) == ("rollback", "slow_end")
    assert ruling.reason.startswith("4 % of the canary's requests took longer than 80 ms since the start (95 % sure: at least ")
    assert "), 0.4 % of the baseline's in the same seconds; " in ruling.reason


def test_a_mean_beyond_its_tolerance_in_one_bucket_is_rolled_back_by_the_mean() -> None:
    """All requests in one bucket: ranks and tails are blind, the mean is not."""
    one = terms(bounds_ms=(250.0, 500.0))
    stream = (
        sample(float(t), slow=(latency((0, 50, 0), 50 * (440.0 + t % 3)), latency((0, 950, 0), 950 * (380.0 + t % 2))))
        for t in range(1, 60)
    )
    _, ruling = watch(one, stream)
    assert (ruling.outcome, ruling.leg) == ("rollback", "typical")
    assert ruling.reason.startswith("typical latency, by the means, is about 1.1")
    assert ", by the means, is" in _finding(ruling, "typical").sentence
    assert ruling.legs["slow_end"].e_value == pytest.approx(1.0)


def test_one_bucket_promotes_by_the_mean_alone() -> None:
    one = terms(EARLY, bounds_ms=(250.0, 500.0))
    stream = (
        sample(float(t), slow=(latency((0, 50, 0), 50 * (380.0 + t % 3)), latency((0, 950, 0), 950 * (380.0 + t % 2))))
        for t in range(1, 200)
    )
    _, ruling = watch(one, stream)
    assert ruling.outcome == "promote"


def _p99_policy(wanted: bool) -> Policy:
    return _tolerating(latency=LatencyTolerance(slow_end=1.15, require_slow_end=wanted))


def test_a_p99_certificate_is_waited_for_when_asked() -> None:
    quick = watch(terms(_p99_policy(wanted=False)), World().ticks(6, 300))[1]
    certified = watch(terms(_p99_policy(wanted=True)), World().ticks(6, 300))[1]
    assert (quick.outcome, certified.outcome) == ("promote", "promote")
    assert quick.tick < certified.tick
    finding = _finding(certified, "slow_end")
    assert finding.high is not None
    assert finding.high <= 1.15
    assert finding.standing == "inside"


@pytest.mark.parametrize(
    ("bounds_ms", "why"),
    [
        (ISTIO_MS, "the slow end is at most 1.06 times the baseline's; about"),
        ((50.0,), "p99 could not be told: there is a single latency bound)"),
    ],
    ids=["few requests", "a single bound"],
)
def test_a_slow_end_that_cannot_be_shown_is_named(bounds_ms: tuple[float, ...], why: str) -> None:
    policy = _tolerating(latency=LatencyTolerance(slow_end=1.05, typical=4.0, require_slow_end=True))
    world = World().ticks(7, 20)
    if len(bounds_ms) == 1:
        world = (sample(float(t), slow=(latency((30, 20)), latency((570, 380)))) for t in range(1, 21))
    _, ruling = watch(terms(policy, bounds_ms=bounds_ms, ticks=20), world)
    assert ruling.outcome == "inconclusive"
    assert f"a slow end within its tolerance ({why}" in ruling.reason
    assert _finding(ruling, "slow_end").standing == "open"


def test_a_traffic_share_far_from_the_configured_weight_is_not_promoted() -> None:
    """Weight 30 %, but 5 % of the requests go to the canary; with weight 5 % the same stream is promoted."""
    refused = watch(terms(EARLY, weight=30.0, ticks=70), World().ticks(8, 70))[1]
    assert refused.outcome == "inconclusive"
    assert (
        "the traffic of its weight (the canary answers 12 % of the requests that its weight gives it; "
        "lost, or sticky sessions: set share_factor)"
    ) in refused.reason
    assert watch(terms(EARLY, weight=5.0, ticks=70), World().ticks(8, 70))[1].outcome == "promote"


@pytest.mark.parametrize(("weight", "why"), [(10.0, "the traffic of its weight"), (None, "an error rate below 0.5 %")])
def test_a_canary_that_gets_nothing_but_health_checks_is_not_promoted(weight: float | None, why: str) -> None:
    """Two a second, all well, where 10 % of 100 were meant for it; without a weight it is too few to show anything."""
    stream = (sample(float(t), canary=(2, 0), baseline=(100, 0)) for t in range(1, 301))
    ruling = watch(terms(Policy(), weight=weight, timed=False), stream)[1]
    assert ruling.outcome == "inconclusive"
    assert why in ruling.reason


def test_errors_of_a_bad_baseline_promote_by_comparison() -> None:
    """Both arms fail 3 %: the absolute limit cannot be shown, the relative one can."""
    policy = _tolerating(errors=ErrorTolerance(max_rate=0.005, above_baseline=0.02))
    _, ruling = watch(terms(policy), World(errors=(0.03, 0.03)).ticks(9, 300))
    assert ruling.outcome == "promote"


def _strict(one: Policy) -> Terms:
    return terms(replace(one, evidence="strict"))


def test_strict_evidence_takes_longer_and_convicts_the_same_leg() -> None:
    for world in (World(errors=(0.015, 0.001)), World(factor=1.3)):
        _, plain = watch(terms(), world.ticks(10, 300))
        _, strict = watch(_strict(Policy()), world.ticks(10, 300))
        assert (plain.outcome, strict.outcome) == ("rollback", "rollback")
        assert plain.leg == strict.leg
        assert plain.tick < strict.tick


@pytest.mark.broad
@pytest.mark.parametrize("faster", [1.0, 0.5])
def test_strict_evidence_promotes_a_canary_that_is_as_fast_or_faster(faster: float) -> None:
    assert watch(_strict(Policy()), World(factor=faster).ticks(11, 300))[1].outcome == "promote"


@pytest.mark.broad
def test_strict_evidence_promotes_a_canary_that_is_faster_in_the_body_and_as_slow_at_the_end() -> None:
    """As a cache makes it: 97 of 100 requests are twice as fast, the others take as long as ever."""
    bounds_ms = (5.0, 10.0, 25.0, 250.0)
    quick, usual = latency((970, 0, 0, 30, 0), 9_000.0), latency((0, 970, 0, 30, 0), 13_000.0)
    stream = (sample(float(t), canary=(1000, 1), baseline=(1000, 1), slow=(quick, usual)) for t in range(1, 301))
    assert watch(terms(Policy(evidence="strict"), bounds_ms=bounds_ms), stream)[1].outcome == "promote"


@pytest.mark.parametrize("bounds_ms", [(), (50.0,)], ids=["no buckets", "a single bound"])
def test_strict_evidence_needs_no_buckets_for_errors(bounds_ms: tuple[float, ...]) -> None:
    one = terms(Policy(evidence="strict"), bounds_ms=bounds_ms)
    slow = (latency((500, 500)), latency((500, 500))) if bounds_ms else (None, None)
    stream = (sample(float(t), canary=(1000, 30), baseline=(1000, 1), slow=slow) for t in range(1, 30))
    assert watch(one, stream)[1].leg == "errors"


def test_strict_evidence_waits_where_a_harm_is_near_its_tolerance() -> None:
    """0.8 % where 0.5 % is allowed: the default is sure enough of it long before strict is."""
    policy = replace(EARLY, promotion=Promotion(min_requests=10**6))
    stream = list(_errors(8, 40))
    quick, sure = (watch(terms(replace(policy, evidence=word), bounds_ms=()), stream)[1] for word in ("balanced", "strict"))
    assert (quick.outcome, sure.outcome) == ("rollback", "rollback")
    assert 2 * quick.tick < sure.tick
