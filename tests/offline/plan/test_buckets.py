"""What a plan says of the latency buckets before its table: which tolerances they can tell, and whether finer ones could."""

import msgspec
import pytest

from analyzers.fitness import resolutions
from config.policy import LatencyTolerance, Policy, Tolerances
from daemon.offline.plan.latency import Histogram
from daemon.offline.plan.regressions import Regression
from daemon.offline.plan.scenarios import Plan, plan, scenarios_for
from daemon.offline.plan.service import Service, resolved
from daemon.offline.plan.words import lines

BROAD = Service(rps=100.0, weight=10.0, median_ms=40.0, p99_ms=240.0, tick_seconds=30.0)
NARROW = Service(rps=100.0, weight=10.0, median_ms=370.0, p99_ms=430.0, tick_seconds=30.0)
SEEN = Histogram(bounds_ms=(10.0, 100.0, 250.0), counts=(500.0, 465.0, 34.0, 1.0))


def tolerating(typical: float, p99: float) -> Policy:
    return Policy(tolerances=Tolerances(latency=LatencyTolerance(typical=typical, slow_end=p99)))


def planned(service: Service, policy: Policy) -> Plan:
    scenarios, slow = scenarios_for(service, policy=policy), [Regression(kind="latency", size=5.0)]
    return plan(scenarios, policy=policy, regressions=slow, releases=1, seed=1, processes=1, progress=lambda done, of: None)


def said(service: Service, policy: Policy) -> list[str]:
    """The lines between the description and the table."""
    found = list(lines(planned(service, policy)))
    begin = found.index("What these latency buckets can tell of the tolerances:")
    return found[begin + 1 : found.index("", begin)]


def test_buckets_that_can_tell_are_said_to_and_finer_ones_are_not_spoken_of() -> None:
    assert said(BROAD, Policy()) == [
        "  the median and 34 % of all requests lie in 25-50 ms: 10 % slower can be told",
        "  p99 lies in 100-250 ms: 10 % slower can be told",
    ]


def test_buckets_that_cannot_are_said_to_with_the_bound_that_would_help() -> None:
    told = " ".join(line.strip() for line in said(NARROW, tolerating(1.3, 1.3)))
    assert told == (
        "the median and over 99.99 % of all requests lie in 250-500 ms: "
        "30 % slower cannot be told by these buckets, 100 % slower can; "
        "the mean judges it; add a bound near 350 ms "
        "p99 lies in 250-500 ms: 30 % slower cannot be told by these buckets, 100 % slower can; add a bound near 350 ms "
        "the finer buckets of the last column can tell a typical latency 30 % slower and a p99 30 % slower"
    )
    assert max(map(len, said(NARROW, tolerating(1.3, 1.3)))) <= 100


@pytest.mark.parametrize(
    ("policy", "last"),
    [
        (tolerating(1.1, 1.1), "can tell a p99 10 % slower, but not a typical latency 10 % slower"),
        (tolerating(1.02, 1.02), "cannot tell a typical latency 2 % slower and a p99 2 % slower either"),
        (tolerating(1.1, 3.0), "cannot tell a typical latency 10 % slower either"),
    ],
)
def test_what_finer_buckets_would_change_is_said_for_what_these_cannot_tell(policy: Policy, last: str) -> None:
    told = " ".join(line.strip() for line in said(NARROW, policy))
    assert told.endswith(f"the finer buckets of the last column {last}")


def test_where_finer_buckets_have_no_column_they_are_not_spoken_of() -> None:
    assert "finer" not in " ".join(said(NARROW.finer(), Policy()))


def test_the_counts_are_those_observed_and_those_of_other_bounds_are_the_distributions() -> None:
    service = msgspec.structs.replace(BROAD, histogram=SEEN, bounds_ms=SEEN.bounds_ms)
    assert resolved(service, Policy()) == resolutions(SEEN.bounds_ms, SEEN.counts, typical=1.1, slow_end=1.1)
    p99 = resolved(msgspec.structs.replace(service, bounds_ms=(10.0, 100.0, 140.0, 250.0)), Policy())[1]
    assert (p99.lower_ms, p99.upper_ms, p99.resolved) == (140.0, 250.0, True)


def test_every_scenario_has_its_own_in_the_json() -> None:
    found = msgspec.json.decode(msgspec.json.encode(planned(NARROW, Policy())), type=Plan)
    assert found == planned(NARROW, Policy())
    assert [[one.resolved for one in scenario.buckets] for scenario in found.scenarios] == [[False, False]] * 2 + [[False, True]]
    beyond = msgspec.structs.replace(NARROW, bounds_ms=(10.0, 20.0))
    assert [(one.upper_ms, one.told_apart) for one in resolved(beyond, Policy())] == [(None, None)] * 2
