"""Estimates of harm: what they are, and the cautions taken off before a tolerance is held against them."""

import numpy as np
import pytest

from analyzers import buckets, memory
from analyzers.conviction import sure
from analyzers.judge import start
from analyzers.layout import GAIN, Rows
from analyzers.terms import Limits
from config.policy import LatencyTolerance, Policy, Tolerances
from daemon.simulation.trials import judge
from daemon.simulation.world import Change, Part, Times, Unsteady, World
from tests.analyzers.streams import terms

BOUNDS = np.array([[100.0, 250.0]])


def test_a_p99_right_above_a_bound_lies_near_it() -> None:
    """Pareto's tail between the bounds: with 1.2 % above 100 ms and 0.05 % above 250, one per cent is above 105.4 ms."""
    edges = buckets.log_edges(BOUNDS)
    counts = np.array([[9880.0, 115.0, 5.0]])
    exact = 100.0 * (0.012 / 0.01) ** (np.log(2.5) / np.log(0.012 / 0.0005))
    assert buckets.tail_quantile(counts, edges, 0.99)[0] == pytest.approx(exact)
    assert buckets.quantile(counts, edges, 0.99)[0] > 110.0


def test_a_tail_ends_with_its_last_request() -> None:
    edges = buckets.log_edges(BOUNDS)
    found = buckets.tail_quantile(np.array([[0.0, 100.0, 0.0], [0.0, 0.0, 0.0]]), edges[[0, 0]], 0.99)
    assert 100.0 < found[0] <= 250.0
    assert np.isfinite(found[1])


def test_a_memory_is_as_long_as_the_ticks_it_weighs() -> None:
    lengths = memory.lengths(np.array([0.0, 1.0, 1e6]))
    assert lengths[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert lengths[1] == pytest.approx([1.0, 1.5, 1.875, 1.96875])
    assert lengths[2] == pytest.approx([1e6, 3.0, 15.0, 63.0])


def test_what_is_sure_beyond_the_boundary_is_what_the_evidence_is_without_the_multiplier() -> None:
    one = terms()
    rows = Rows(np.stack([start(one).row] * 3))
    rows.head[:, GAIN] = [1.0, 4.0, 4.0]
    assert sure(rows, Limits([one] * 3), np.array([5000.0, 5000.0, 150.0])).tolist() == [5000.0, 1250.0, 100.0]


TOLERATED = World(times=Times(parts=(Part(median_ms=24.4, p99_ms=105.0),)), change=Change(factor=1.08))


def test_a_tolerated_change_of_a_p99_right_above_a_bound_is_not_taken_back() -> None:
    """p99 of 105 ms in 100-250 ms, 8 % slower where 10 % is allowed."""
    ends = judge(TOLERATED, Policy(tolerances=Tolerances(latency=LatencyTolerance(wander=0.01))), releases=60, seed=1)
    assert ends.share("rollback") < 0.1


def test_latency_known_to_wander_is_not_taken_back_for_it() -> None:
    wandering = World(unsteady=Unsteady(jitter=(0.08, 0.02), correlation=0.9))
    unknown = judge(wandering, Policy(), releases=60, seed=2)
    known = judge(wandering, Policy(tolerances=Tolerances(latency=LatencyTolerance(wander=0.08))), releases=60, seed=2)
    assert known.share("rollback") < unknown.share("rollback")
    assert known.share("rollback") <= 1 / 60
