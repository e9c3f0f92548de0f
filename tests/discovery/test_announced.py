"""Which arm runs what was announced."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.discovery.announced import Notice, concerns, fitting
from daemon.discovery.answers import Answer, Ask, FoundArms
from daemon.discovery.arms import arms
from daemon.discovery.picture import Picture, uses
from daemon.discovery.surroundings import Surroundings, Workload
from tests.discovery.hand import around, at, route, split, the_contest, versions, workload

OLD, NEW = "sha256:" + "0a" * 32, "sha256:" + "1b" * 32
HALVES = split((at("a", labels={"half": "a"}), 50), (at("b", labels={"half": "b"}), 50))


def halves(runs_a: str = "reg/web:1", runs_b: str = "reg/web:2", **of_b: str) -> Surroundings:
    return around(workload("web-a", runs=runs_a, half="a"), workload("web-b", runs=runs_b, half="b", more=of_b))


def notice(**said: Any) -> Notice:
    return Notice(service="web", namespace="shop", **said)


def told(said: Notice, there: Surroundings, *, picture: Picture = HALVES, before: Picture | None = None) -> Answer:
    return arms(the_contest(picture, there), before=None if before is None else uses(before), announcement=said)


def canary(answer: Answer) -> str:
    assert isinstance(answer, FoundArms), answer
    assert answer.by[0] == "announced"
    return answer.canary.name


def question(answer: Answer) -> str:
    assert isinstance(answer, Ask), answer
    return answer.why


def test_of_a_list_of_images_the_one_that_an_arm_alone_runs_tells_it_and_what_both_run_is_no_key() -> None:
    assert canary(told(notice(images=("reg/proxy:9", "elsewhere/web:2")), halves())) == "b"
    assert canary(told(notice(images=(f"reg/web@{NEW}",)), halves(f"reg/web:1@{OLD}", f"reg/web:1@{NEW}"))) == "b"
    assert "a (50 %) and b (50 %)" in question(told(notice(images=("reg/web:1",)), halves("reg/web:1", "reg/web:1")))
    assert "a (50 %) and b (50 %)" in question(told(notice(images=("reg/web:1", "reg/web:2")), halves()))
    assert "none of" in question(told(notice(images=("reg/web:latest", "reg/web:3")), halves("reg/web:latest", "reg/web:2")))


@pytest.mark.parametrize(
    ("said", "there"),
    [
        (notice(artifact=f"reg/web@{NEW}"), halves(f"reg/web:1@{OLD}", f"mirror.example/other/web:1@{NEW}")),
        (notice(artifact="elsewhere.example/web:2"), halves()),
        (notice(artifact="pkg:docker/shop/web@2"), halves()),
        (notice(version="v2.1"), halves(version="2.1")),
        (notice(version="2"), halves()),
        (notice(version="v0.5.3"), halves("reg/web:v0-5-2", "reg/web:v0-5-3")),
        (notice(commit="abcdef0123456789"), halves("reg/web:main-1234567", "reg/web:main-abcdef0")),
        (notice(commit="abcdef0"), halves(commit="abcdef0123456789")),
        (notice(artifact=f"reg/web@{NEW}", version="2"), halves()),
    ],
    ids=[
        "digest",
        "tag",
        "package url",
        "version label",
        "version as a tag",
        "version otherwise written",
        "commit",
        "short commit",
        "next",
    ],
)
def test_one_word_names_the_canary(said: Notice, there: Surroundings) -> None:
    answer = told(said, there)
    assert canary(answer) == "b"
    assert isinstance(answer, FoundArms)
    assert (answer.baseline.name, answer.confidence) == ("a", "strong")


@pytest.mark.parametrize("there", [halves("reg/web:1", "reg/web:1"), halves(f"reg/web@{NEW}", f"reg/web@{NEW}")])
def test_what_both_arms_run_is_no_key(there: Surroundings) -> None:
    image = there.workloads[0].images[0]
    assert "all run what is announced" in question(told(notice(artifact=str(image)), there))


def test_after_what_both_arms_run_another_word_may_tell() -> None:
    there = halves("reg/web:1", "reg/web:1", version="v2")
    assert canary(told(notice(artifact="reg/web:1", version="v2"), there)) == "b"


def test_of_what_both_arms_run_the_change_tells() -> None:
    one, other = at("a", labels={"half": "a"}), at("b", labels={"half": "b"})
    answer = told(notice(artifact="reg/web:1"), halves("reg/web:1", "reg/web:1"), before=split((one, 100), (other, 0)))
    assert isinstance(answer, FoundArms)
    assert (answer.canary.name, answer.by[0]) == ("b", "before")


def test_what_nobody_runs_is_asked_about() -> None:
    assert "none of a (50 %) and b (50 %)" in question(told(notice(artifact="reg/web:3"), halves()))
    assert "anything new" in question(told(notice(), halves()))


@pytest.mark.parametrize("artifact", ["reg/web:latest", "reg/web"])
def test_an_image_that_is_another_one_tomorrow_is_no_key(artifact: str) -> None:
    question(told(notice(artifact=artifact), halves("reg/web:1", "reg/web:latest")))


def test_a_commit_of_fewer_than_seven_characters_is_no_key() -> None:
    question(told(notice(commit="abcdef"), halves("reg/web:1", "reg/web:abcdef")))


def test_what_serves_most_already_is_asked_about() -> None:
    one, other = at("a", labels={"half": "a"}), at("b", labels={"half": "b"})
    answer = told(notice(version="2"), halves(), picture=split((one, 10), (other, 90)))
    assert "already has 90 %" in question(answer)


def test_what_has_come_to_serve_most_by_this_change_is_the_canary() -> None:
    one, other = at("a", labels={"half": "a"}), at("b", labels={"half": "b"})
    answer = told(notice(version="2"), halves(), picture=split((one, 10), (other, 90)), before=split((one, 100), (other, 0)))
    assert canary(answer) == "b"


def test_an_announcement_and_a_change_that_contradict_each_other_are_asked_about() -> None:
    one, other = at("a", labels={"half": "a"}), at("b", labels={"half": "b"})
    answer = told(notice(version="1"), halves(), picture=split((one, 90), (other, 10)), before=split((one, 100), (other, 0)))
    assert "but a runs what is announced" in question(answer)


def test_what_gets_nothing_yet_may_be_announced() -> None:
    one, other = at("a", labels={"half": "a"}), at("b", labels={"half": "b"})
    answer = told(notice(version="2"), halves(), picture=split((one, 100), (other, 0)))
    assert canary(answer) == "b"
    assert isinstance(answer, FoundArms)
    assert (answer.canary.percent, answer.strategy) == (0.0, "canary")


def test_an_announcement_goes_before_the_order_of_versions() -> None:
    answer = told(notice(version="v1"), versions("v1", "v2"), picture=split((at("v1"), 10), (at("v2"), 90)))
    assert canary(answer) == "v1"


def test_of_three_the_announcement_names_the_canary_and_asks_for_the_baseline() -> None:
    picture = split((at("v1"), 40), (at("v2"), 40), (at("v3"), 20))
    answer = told(notice(version="v3"), versions("v1", "v2", "v3"), picture=picture)
    assert isinstance(answer, Ask)
    assert answer.missing == ("baseline",)
    assert answer.canary is not None
    assert answer.canary.name == "v3"


def test_where_it_is_not_known_what_another_one_runs_it_is_only_observed() -> None:
    picture = split((at("a", labels={"half": "a"}), 50), (at(service="web-b"), 50))
    answer = told(notice(artifact="reg/web:1"), around(workload("web-a", runs="reg/web:1", half="a")), picture=picture)
    assert isinstance(answer, FoundArms)
    assert answer.confidence == "medium"
    assert "what web-b (50 %) runs is not known" in answer.why


@pytest.mark.parametrize(
    ("service", "namespace", "is_concerned"),
    [("web", "shop", True), ("Web", "shop", True), ("front", "shop", True), ("web", "other", False), ("webshop", "shop", False)],
)
def test_a_notice_concerns_what_its_service_is(service: str, namespace: str, *, is_concerned: bool) -> None:
    contest = the_contest(route(*HALVES.entries, hosts=("front.shop.example",)), halves())
    assert concerns(Notice(service=service, namespace=namespace), contest) is is_concerned


def test_a_notice_concerns_services_of_its_name_but_for_the_version() -> None:
    contest = the_contest(split((at(service="till-primary"), 90), (at(service="till-canary"), 10)))
    assert concerns(Notice(service="till", namespace="shop"), contest)


def test_a_candidate_without_workloads_runs_nothing_that_is_known() -> None:
    there = around(Workload(kind="Deployment", namespace="shop", name="far", labels={"app": "far"}))
    assert len(fitting(notice(version="1"), the_contest(HALVES, there).candidates).unknown) == 2
