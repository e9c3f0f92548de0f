"""Certificates by themselves."""

import numpy as np
import pytest

from analyzers import layout, p99, promotion
from analyzers.layout import Rows
from analyzers.legs import mean
from analyzers.terms import Limits
from config.policy import Policy, Promotion
from tests.analyzers.streams import World, terms, watch


def test_an_identical_canary_gets_every_certificate() -> None:
    policy = Policy(promotion=Promotion(min_requests=10**9))
    one = terms(policy)
    state, _ = watch(one, World(canary_rps=500.0, baseline_rps=500.0).ticks(1, 120))
    rows, limits = Rows(state.row[None]), Limits([one])
    found = promotion.certify(rows, limits)
    assert found.errors.all()
    assert found.rank.all()
    assert found.mean.all()
    assert found.typical_progress[0] == min(found.rank_progress[0], found.mean_progress[0])
    assert bool(p99.certified(rows, limits)[0]) == bool(p99.certified_bound(rows, limits)[0] <= 1.10)


@pytest.mark.parametrize(("errors", "requests"), [(0.0, 1e4), (3.0, 1e4), (300.0, 1e4), (9000.0, 1e4)])
def test_the_lowest_rate_is_excluded_from_below_and_the_highest_from_above(errors: float, requests: float) -> None:
    x, n, boundary = np.array([errors]), np.array([requests]), np.array([100.0])
    low, high = promotion.lowest_rate(x, n, boundary=boundary), promotion.highest_rate(x, n, boundary=boundary)
    assert 0.0 <= low[0] <= errors / requests <= high[0] <= 1.0
    assert promotion.log_below(x, n, high)[0] >= np.log(100.0) - 1e-6
    assert (low[0] == 0.0) == (errors <= 3.0), "three errors exclude nothing"
    if low[0] > 0.0:
        assert promotion.log_above(x, n, low)[0] >= np.log(100.0) - 1e-6
        nearer = promotion.log_above(x, n, 1.03 * low)[0]
        assert nearer < np.log(100.0)


def test_ticks_with_few_requests_are_merged_until_they_make_a_mean() -> None:
    """Three requests a tick: without merging a slow service, or one sampled often, could never show its mean latency."""
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    state, _ = watch(one, World(canary_rps=3.0, baseline_rps=30.0).ticks(1, 200))
    rows = Rows(state.row[None])
    requests = rows.counts[0, layout.C_LAT]
    means, waiting = rows.safe_mean[0, 0], rows.mean_wait[0, 1]
    assert waiting < mean.MIN_REQUESTS
    assert requests / (mean.MIN_REQUESTS + 15.0) < means <= requests / mean.MIN_REQUESTS


def test_merging_changes_nothing_where_every_tick_has_enough() -> None:
    one = terms(Policy(promotion=Promotion(min_requests=10**9)))
    state, _ = watch(one, World().ticks(1, 20))
    rows = Rows(state.row[None])
    assert rows.safe_mean[0, 0] == 20.0
    assert not rows.mean_wait.any()
