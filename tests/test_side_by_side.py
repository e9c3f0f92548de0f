"""Tests that share a server run in one process: in several, each would start a server of its own."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one test after the other")
def test_a_group_is_known_to_the_one_who_hands_out_the_tests(request: pytest.FixtureRequest) -> None:
    # It is told by the name alone. A pytest that keeps the name as it was breaks up all groups and says nothing.
    assert request.node.nodeid.endswith("@together")
