"""What a route says of an announcement that waits: its arms, a question, or why it waits on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.discovery.announced import Notice
from daemon.discovery.answers import Confidence
from daemon.discovery.awaiting import Told, announced_at
from daemon.discovery.openings import Asks, OpenRelease, Opens, Quiet
from daemon.discovery.picture import Picture, uses
from daemon.model import ArmSpec
from tests.discovery.hand import around, at, split, workload
from tests.discovery.test_cases import CASES, NAMESPACE, found, read
from tests.discovery.test_properties import ROUTES, SOME, WORLD
from tests.discovery.world import pictures, surroundings

ANNOUNCED = [path for path in CASES if "announced" in read(path)]
V1, V2, V3 = (at(name) for name in ("v1", "v2", "v3"))
VERSIONS = around(*(workload(f"web-{name}", runs=f"reg/web:{name}", version=name) for name in ("v1", "v2", "v3")))


def notice(**said: Any) -> Notice:
    return Notice(service="web", namespace="shop", **said)


def told(said: Notice, picture: Picture, *, before: Picture | None = None, opened: tuple[OpenRelease, ...] = ()) -> Told | None:
    return announced_at(said, None if before is None else uses(before), picture, around=VERSIONS, opened=opened)


@pytest.mark.parametrize("path", ANNOUNCED, ids=lambda path: path.stem)
def test_each_case_that_is_announced_comes_out_as_it_says(path: Path) -> None:
    case = read(path)
    expect, (picture,) = case["expect"], pictures(case["objects"])
    outcome = announced_at(Notice(**case["announced"]), None, picture, around=surroundings(case["objects"]))
    match outcome:
        case Opens():
            assert expect["outcome"] == "opens"
            arms = (outcome.found.baseline, outcome.found.canary)
            assert [arm.destination.subset for arm in arms if arm.destination] == [
                expect[arm]["subset"] for arm in ("baseline", "canary")
            ]
            assert outcome.found.confidence == expect["confidence"]
        case Asks():
            assert expect["outcome"] == "asks"
            assert list(outcome.ask.missing) == expect["missing"]
            assert expect["why"] in outcome.ask.why
        case _:
            pytest.fail(f"{outcome}")


@pytest.mark.parametrize("path", [path for path in CASES if path not in ANNOUNCED], ids=lambda path: path.stem)
def test_no_other_case_opens_for_the_announcement_of_what_nobody_runs(path: Path) -> None:
    case = read(path)
    there = pictures(case["objects"])
    for picture in there:
        for service in {share.to.service for entry in picture.entries for share in entry.shares}:
            said = Notice(service=service, namespace=NAMESPACE, artifact="registry.example/none:0.0.1")
            outcome = announced_at(said, None, picture, around=surroundings(case["objects"]))
            assert outcome is None or isinstance(outcome, Asks | Quiet)


@pytest.mark.parametrize(
    "path",
    [path for path in CASES if path not in ANNOUNCED and read(path)["expect"]["outcome"] == "opens"],
    ids=lambda path: path.stem,
)
def test_a_case_that_opens_by_itself_opens_with_the_same_arms_for_the_image_of_its_canary(path: Path) -> None:
    case = read(path)
    if "service" in case["expect"]:
        return  # it has no route
    opens, around_it = found(case), surroundings(case["objects"])
    assert isinstance(opens, Opens)
    there, labels = opens.found.canary.destination, opens.found.canary.labels
    assert there is not None
    assert labels is not None
    [workload_of_it] = around_it.carrying(labels, namespace=NAMESPACE)
    said = Notice(service=there.service, namespace=NAMESPACE, artifact=str(workload_of_it.images[0]))
    (picture,) = pictures(case["objects"])
    announced = announced_at(said, None, picture, around=around_it)
    assert isinstance(announced, Opens)
    assert (announced.found.baseline, announced.found.canary) == (opens.found.baseline, opens.found.canary)


def test_a_route_of_another_service_or_namespace_says_nothing() -> None:
    picture = split((V1, 90), (V2, 10))
    assert told(Notice(service="till", namespace="shop", version="v2"), picture) is None
    assert told(Notice(service="web", namespace="rest", version="v2"), picture) is None
    assert told(notice(version="v2"), split((V1, 100))) is None


@pytest.mark.parametrize("said", [{"artifact": "reg/web:v2"}, {"version": "2"}, {"canary": ArmSpec(version="v2")}])
def test_a_canary_without_traffic_waits_and_one_with_some_opens(said: dict[str, Any]) -> None:
    waits = told(notice(**said), split((V1, 100), (V2, 0)))
    assert isinstance(waits, Quiet)
    opens = told(notice(**said), split((V1, 95), (V2, 5)))
    assert isinstance(opens, Opens)
    assert (opens.found.baseline.name, opens.found.canary.name) == ("v1", "v2")
    assert opens.found.confidence is Confidence.STRONG


def test_a_canary_that_has_everything_has_nobody_to_be_compared_with() -> None:
    said = notice(canary=ArmSpec(subset="v2"), baseline=ArmSpec(subset="v1"))
    assert told(said, split((V1, 0), (V2, 100))) == Quiet(why="v2 gets all of it, and v1 nothing to be compared with")


def test_among_three_the_baseline_is_asked_for_and_named_with_it_nothing_is() -> None:
    picture = split((V1, 40), (V2, 40), (V3, 20))
    asks = told(notice(version="v3"), picture)
    assert isinstance(asks, Asks)
    assert asks.ask.missing == ("baseline",)
    opens = told(notice(version="v3", canary=ArmSpec(subset="v3"), baseline=ArmSpec(subset="v1")), picture)
    assert isinstance(opens, Opens)
    assert (opens.found.baseline.name, opens.found.canary.name) == ("v1", "v3")


def test_an_arm_that_none_or_not_only_one_of_them_is_waits() -> None:
    picture = split((V1, 90), (V2, 10))
    none = told(notice(canary=ArmSpec(subset="v9")), picture)
    assert none == Quiet(why="none of v1 (90 %) and v2 (10 %) is the canary that is announced")
    both = told(notice(canary=ArmSpec(labels={"app": "web"})), picture)
    assert both == Quiet(why="not only one of v1 (90 %) and v2 (10 %) is the canary that is announced")


def test_what_is_under_way_is_joined_by_its_own_version_alone_and_only_observed_where_that_is_not_known() -> None:
    picture, opened = split((V1, 30), (V2, 70)), (OpenRelease(baseline=V1, canary=V2, attempt="7"),)
    joins = told(notice(version="v2"), picture, opened=opened)
    assert isinstance(joins, Opens)
    assert (joins.found.canary.name, joins.attempt, joins.found.confidence) == ("v2", "7", Confidence.STRONG)
    for other in ({"version": "v1"}, {"artifact": "reg/web:v9"}, {"canary": ArmSpec(subset="v1")}):
        assert isinstance(told(notice(**other), picture, opened=opened), Quiet)
    commit = told(notice(commit="f95f852bd8"), picture, opened=opened)
    assert isinstance(commit, Opens)
    assert commit.found.confidence is Confidence.MEDIUM


def test_a_commit_that_stands_nowhere_is_what_entered_and_waits_where_nothing_has() -> None:
    said = notice(commit="f95f852bd8")
    entered = told(said, split((V1, 90), (V2, 10)), before=split((V1, 100), (V2, 0)))
    assert isinstance(entered, Opens)
    assert entered.found.canary.name == "v2"
    for before in (None, split((V1, 90), (V2, 10))):
        waits = told(said, split((V1, 90), (V2, 10)), before=before)
        assert isinstance(waits, Quiet)


@SOME
@given(picture=ROUTES, before=st.none() | ROUTES, version=st.sampled_from(("v1", "v2", "canary", "blue", "none")))
def test_whatever_a_route_sends_where_a_release_has_two_live_arms_of_which_the_canary_alone_runs_what_is_announced(
    picture: Picture, before: Picture | None, version: str
) -> None:
    said = Notice(service="web", namespace="shop", artifact=f"reg/web:{version}")
    was = None if before is None else uses(before)
    met = announced_at(said, was, picture, around=WORLD)
    assert met == announced_at(said, was, picture, around=WORLD)
    if isinstance(met, Opens):
        arms = (met.found.canary, met.found.baseline)
        assert all(arm.destination is not None and uses(picture)[arm.destination].is_live for arm in arms)
        assert any(name.endswith(version) for name in met.found.canary.workloads or ())
