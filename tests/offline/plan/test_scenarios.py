"""A plan's figures: those of an independent simulation, within their errors; repeatable, and ordered as reason has it."""

import math

import msgspec
import pytest

from config.policy import ErrorTolerance, LatencyTolerance, Policy, Tolerances
from daemon.offline.plan import scenarios
from daemon.offline.plan.regressions import Regression
from daemon.offline.plan.scenarios import Plan, plan, scenarios_for
from daemon.offline.plan.service import Service
from daemon.offline.plan.trying import Cell, Delay, Trial, cell, ends
from daemon.offline.plan.words import lines
from tests.offline.plan.by_hand import ends_by_hand

SERVICE = Service(rps=200.0, weight=20.0, errors=0.002, median_ms=40.0, p99_ms=240.0, tick_seconds=5.0)
ERRORS, SLOW, TAIL = (
    Regression(kind="errors", size=0.03),
    Regression(kind="latency", size=1.3),
    Regression(kind="p99", size=2.0),
)


def planned(
    *regressions: Regression,
    service: Service = SERVICE,
    policy: Policy | None = None,
    only_as_planned: bool = False,
    **options: int,
) -> Plan:
    told: list[tuple[int, int]] = []
    found = plan(
        scenarios_for(service, policy=policy or Policy())[: 1 if only_as_planned else None],
        policy=policy or Policy(),
        regressions=regressions,
        releases=options.get("releases", 60),
        seed=options.get("seed", 5),
        processes=options.get("processes", 1),
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1][0] == told[-1][1] == len(told)
    return found


def counted(trial_seed: int, regression: Regression | None, *, releases: int = 150) -> Cell:
    trial = Trial(service=SERVICE, policy=Policy(), regression=regression, releases=releases, seed=(trial_seed,))
    return cell(ends(trial), wanted="promote" if regression is None else "rollback")


@pytest.mark.broad
@pytest.mark.parametrize(
    ("regression", "by_hand"),
    [(None, {}), (ERRORS, {"errors": 0.03}), (SLOW, {"factor": 1.3})],
    ids=["healthy", "errors", "slow"],
)
def test_the_figures_are_those_of_an_independent_simulation(regression: Regression | None, by_hand: dict[str, float]) -> None:
    """Within four standard errors of the difference (and the one tick in which both are counted)."""
    wanted = "promote" if regression is None else "rollback"
    mine = counted(11, regression)
    other = cell(ends_by_hand(SERVICE, Policy(), releases=150, seed=12, **by_hand), wanted=wanted)
    for one, two in ((mine.rolled_back, other.rolled_back), (mine.promoted, other.promoted)):
        assert abs(one.value - two.value) < 4.0 * math.hypot(one.error, two.error)
    for left, right in ((mine.median, other.median), (mine.p90, other.p90)):
        assert left.seconds is not None
        assert right.seconds is not None
        slack = 4.0 * math.hypot(left.error or 0.0, right.error or 0.0)
        assert abs(left.seconds - right.seconds) <= max(SERVICE.tick_seconds, slack)


def test_a_plan_is_repeatable_whatever_the_processes() -> None:
    first = planned(ERRORS, only_as_planned=True, releases=30)
    assert planned(ERRORS, only_as_planned=True, releases=30, processes=2) == first
    assert planned(ERRORS, only_as_planned=True, releases=30, seed=6) != first


def test_blocks_add_up_to_the_releases_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "_BLOCK", 10)
    found = planned(SLOW, only_as_planned=True, releases=25)
    assert found.releases == 25
    shares = found.rows[0].cells[0]
    assert shares.rolled_back.value + shares.promoted.value + shares.inconclusive.value == pytest.approx(1.0)
    assert (shares.rolled_back.value * 25) % 1 == pytest.approx(0.0, abs=1e-9)


def test_more_traffic_finds_sooner_and_healthy_canaries_are_promoted() -> None:
    found = planned(ERRORS, service=Service(rps=40.0, weight=10.0, errors=0.001, median_ms=40.0, p99_ms=240.0), releases=40)
    as_planned, heavier, _ = (one.median.seconds or math.inf for one in found.rows[0].cells)
    assert heavier < as_planned
    assert [scenario.name for scenario in found.scenarios] == ["as planned (10 %)", "20 % to the canary", "finer buckets"]


def test_what_the_policy_tolerates_is_not_rolled_back() -> None:
    tolerant = Policy(
        tolerances=Tolerances(errors=ErrorTolerance(max_rate=0.5), latency=LatencyTolerance(typical=3.0, slow_end=3.0))
    )
    found = planned(ERRORS, SLOW, policy=tolerant, only_as_planned=True, releases=20)
    for row in found.rows:
        assert row.cells[0].rolled_back.value == 0.0
        assert row.cells[0].median.seconds is None


def test_scenarios_that_would_buy_nothing_are_left_out() -> None:
    half = Service(rps=100.0, weight=50.0, median_ms=40.0, p99_ms=240.0)
    assert [one.name for one in scenarios_for(half, policy=Policy())] == ["as planned (50 %)", "finer buckets"]
    fine = half.finer()
    assert [one.name for one in scenarios_for(fine, policy=Policy())] == ["as planned (50 %)"]
    assert fine.bounds_ms[0] < 40.0 / 10 < 240.0 * 3 < fine.bounds_ms[-1]
    assert len(fine.bounds_ms) < 64
    assert max(b / a for a, b in zip(fine.bounds_ms, fine.bounds_ms[1:], strict=False)) < 1.22


def test_the_words_say_the_figures_their_errors_and_what_they_mean() -> None:
    found = planned(ERRORS, TAIL, service=msgspec.structs.replace(SERVICE, tick_seconds=15.0), releases=40)
    said = list(lines(found))
    text = "\n".join(said)
    assert "200 requests/s, 20 % of them to the canary; errors 0.2 %" in text
    assert "40 simulated releases for each figure, seed 5; ± is one standard error" in text
    assert "slow end, p99 x2" in text
    assert "slow end, p99: the slowest 5 %" in text
    assert "promoted after 300 s at the earliest, watched for 900 s at most" in text.replace("\n", " ")
    row = next(line for line in said if line.startswith("  errors 0.2 % -> 3 %"))
    assert row.count(" / ") == 3
    assert "rolled back by mistake" in text
    assert max(map(len, said)) <= 132


def test_a_large_error_is_written_out() -> None:
    found = planned(ERRORS, only_as_planned=True, releases=2)
    delay = Delay(seconds=300.0, error=180.0)
    [row] = found.rows
    cells = tuple(msgspec.structs.replace(one, median=delay, p90=delay) for one in row.cells)
    said = "\n".join(lines(msgspec.structs.replace(found, rows=(msgspec.structs.replace(row, cells=cells),))))
    assert "300±180 / 300±180 s" in said


def test_in_a_narrow_terminal_the_scenarios_stand_one_below_the_other() -> None:
    found = planned(ERRORS, TAIL, releases=4)
    wide, narrow = list(lines(found)), list(lines(found, columns=80))
    assert max(map(len, narrow)) <= 80
    for scenario in found.scenarios:
        assert sum(line.count(scenario.name) for line in narrow) == sum(line.count(scenario.name) for line in wide)
    cells = [line for line in narrow if line.startswith("  slow end, p99 x2")]
    assert len(cells) > 1
    assert sum(line.count(" / ") for line in cells) == len(found.scenarios)


def test_failures_in_bursts_take_longer_to_find() -> None:
    bursts = Service(rps=200.0, weight=20.0, errors=0.01, burst=5, jitter=0.02, median_ms=40.0, p99_ms=240.0)
    steady = Service(rps=200.0, weight=20.0, errors=0.01, median_ms=40.0, p99_ms=240.0)
    slower, faster = (planned(ERRORS, service=one, only_as_planned=True, releases=20) for one in (bursts, steady))
    delays = [one.rows[0].cells[0].median.seconds or math.inf for one in (slower, faster)]
    assert delays[0] > delays[1]
    assert "errors 1 % in bursts of 5; median 40 ms, p99 240 ms (lognormal), moving by 2 % from" in " ".join(lines(slower))


def test_what_is_not_found_within_the_window_is_said_to_be_so() -> None:
    thin = Service(rps=2.0, weight=5.0, errors=0.001, denied=0.01, median_ms=40.0, p99_ms=240.0)
    found = planned(Regression(kind="latency", size=1.2), service=thin, only_as_planned=True, releases=20)
    text = "\n".join(lines(found))
    assert ">900 / >900 s, 0.0±" in text
    assert "found" in text
    assert "promoted" in text
    assert "2 requests/s" in text
    assert "1 % denied" in text
