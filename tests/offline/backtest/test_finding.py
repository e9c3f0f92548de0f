"""Releases found by what was there."""

from collections.abc import Iterable

from daemon.offline.backtest.finding import Presence, found
from daemon.offline.backtest.past import Past, arm_words

STEP = 60.0


def there(first: int, last: int) -> list[float]:
    """At every step from one to another."""
    return [STEP * step for step in range(first, last + 1)]


def pasts(*, presume: bool = False, last: int = 100, **workloads: Iterable[float]) -> list[Past]:
    present: Presence = {(("workload", name),): list(at) for name, at in workloads.items()}
    return found(present, service="web", namespace="shop", begin=0.0, end=last * STEP, step_seconds=STEP, presume=presume)


def told(found_ones: list[Past]) -> list[tuple[str, float, str | None]]:
    return [
        (
            f"{arm_words(one.release.baseline)} -> {arm_words(one.release.canary)}",
            one.begin / STEP,
            None if one.label is None else one.label.label,
        )
        for one in found_ones
    ]


def test_a_version_that_shows_up_beside_an_older_one_is_a_release() -> None:
    ones = pasts(v1=there(0, 100), v2=there(20, 40), presume=True)
    assert told(ones) == [("v1 -> v2", 20.0, "bad")]
    assert ones[0].became == "it went after 20 min, the old one stayed"


def test_one_that_outlives_the_old_one_is_taken_for_good_only_when_asked_to_presume() -> None:
    assert told(pasts(v1=there(0, 50), v2=there(20, 100), presume=True)) == [("v1 -> v2", 20.0, "healthy")]
    assert told(pasts(v1=there(0, 50), v2=there(20, 100))) == [("v1 -> v2", 20.0, None)]


def test_nothing_follows_where_both_stay_or_both_go_at_once() -> None:
    ones = [*pasts(v1=there(0, 100), v2=there(20, 100), presume=True), *pasts(v1=there(0, 50), v2=there(20, 50), presume=True)]
    assert [one.label for one in ones] == [None, None]
    assert [one.became for one in ones] == ["both are still there", "both went at once"]


def test_what_was_there_from_the_first_look_or_comes_alone_is_no_release() -> None:
    assert pasts(v1=there(0, 100), v2=there(0, 30)) == []
    assert pasts(v1=there(0, 20), v2=there(30, 100)) == []
    assert pasts() == []


def test_releases_follow_one_another_and_the_same_version_can_come_back() -> None:
    ones = pasts(v1=there(0, 40), v2=[*there(10, 15), *there(20, 100)], v3=there(60, 70))
    assert told(ones) == [("v1 -> v2", 10.0, None), ("v1 -> v2", 20.0, None), ("v2 -> v3", 60.0, None)]


def test_a_missed_step_ends_nothing() -> None:
    at = there(10, 40)
    del at[7]
    assert told(pasts(v1=there(0, 100), v2=at)) == [("v1 -> v2", 10.0, None)]
