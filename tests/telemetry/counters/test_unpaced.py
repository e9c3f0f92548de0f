"""How long a target is waited for while nobody knows how far apart its samples are, and once that is known."""

import pytest

from tests.telemetry.support import Table, shown

WAITED = "canary: no new scrape of b yet"


@pytest.mark.parametrize(("behind", "gap"), [(90.0, WAITED), (90.5, None)])
def test_while_nobodys_spacing_is_known_a_pod_may_be_scraped_once_a_minute_and_has_missed_one_after_a_minute_and_a_half(
    behind: float, gap: str | None
) -> None:
    table = Table(stale_after_seconds=300.0)
    table.read(0, {"c": shown(0, 5)}, {"a": shown(0, 10), "b": shown(0, 20)}, unpaced={"a", "b", "c"})
    read = table.read(behind, {"c": shown(behind, 6)}, {"a": shown(behind, 11)}, unpaced={"a", "b", "c"})
    assert read.gap == gap


@pytest.mark.parametrize(("behind", "waited"), [(180.0, True), (180.5, False)])
def test_the_only_pod_is_given_up_after_three_minutes_while_nobodys_spacing_is_known(behind: float, *, waited: bool) -> None:
    table = Table(stale_after_seconds=300.0)
    table.read(0, {"c": shown(0, 5)}, {"b": shown(0, 20)}, unpaced={"b", "c"})
    assert (table.read(behind, {"c": shown(behind, 6)}, {}, unpaced={"b", "c"}).gap == WAITED) is waited


@pytest.mark.parametrize(("behind", "gap"), [(30.0, WAITED), (30.5, None)])
def test_a_pod_whose_spacing_is_not_known_is_taken_to_be_as_slow_as_the_slowest_other_of_the_release(
    behind: float, gap: str | None
) -> None:
    """Whose it is does not matter, nor what the pod itself is said to be."""
    table = Table()
    slow = {"c": shown(0, 5, spacing_seconds=20.0)}
    table.read(0, slow, {"a": shown(0, 10, spacing_seconds=5.0), "b": shown(0, 20, spacing_seconds=5.0)}, unpaced={"b"})
    slow = {"c": shown(behind, 6, spacing_seconds=20.0)}
    assert table.read(behind, slow, {"a": shown(behind, 11, spacing_seconds=5.0)}, unpaced={"b"}).gap == gap


@pytest.mark.parametrize(("behind", "gap"), [(7.5, WAITED), (8.0, None)])
def test_a_pod_is_waited_for_by_its_own_spacing_once_that_is_known(behind: float, gap: str | None) -> None:
    table = Table()
    first = {"a": shown(0, 10, spacing_seconds=5.0), "b": shown(0, 20, spacing_seconds=5.0)}
    table.read(0, {"c": shown(0, 5, spacing_seconds=20.0)}, first, unpaced={"b"})
    still = {"a": shown(1, 10, spacing_seconds=5.0), "b": shown(0, 20, spacing_seconds=5.0)}
    table.read(1, {"c": shown(1, 5, spacing_seconds=20.0)}, still, unpaced={"b"})
    later = {"a": shown(behind, 11, spacing_seconds=5.0), "b": shown(0, 20, spacing_seconds=5.0)}
    assert table.read(behind, {"c": shown(behind, 6, spacing_seconds=20.0)}, later).gap == gap
