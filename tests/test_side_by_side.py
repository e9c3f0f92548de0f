"""What running side by side rests on: tests that share a server run in one process, and none that is long begins last."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one test after the other")
def test_a_group_is_known_to_the_one_who_hands_out_the_tests(request: pytest.FixtureRequest) -> None:
    # It is told by the name alone. A pytest that keeps the name as it was breaks up all groups and says nothing.
    assert request.node.nodeid.endswith("@together")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one test after the other")
async def test_the_tests_of_a_file_that_share_a_loop_are_a_group(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@tests/test_side_by_side.py")


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one test after the other")
def test_who_may_take_longest_begins_first(request: pytest.FixtureRequest) -> None:
    allowed = [item.get_closest_marker("timeout") for item in request.session.items]
    unmarked = [index for index, one in enumerate(allowed) if one is None]
    assert all(one is None for one in allowed[unmarked[0] :])
