"""Which arm is which: each sign, their order, and what gainsays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from daemon.discovery.answers import Answer, Ask, FoundArms, NoRelease
from daemon.discovery.arms import arms
from daemon.discovery.owned import Owned, OwnedArm, OwnerState
from daemon.discovery.picture import Destination, Entry, Picture, Share, Use, uses
from daemon.discovery.surroundings import Surroundings
from daemon.placement import ObjectName
from tests.discovery.hand import COOKIE, HEADER, around, at, entry, mirrored, path, route, split, the_contest, versions, workload


def found(answer: Answer) -> FoundArms:
    assert isinstance(answer, FoundArms), answer
    return answer


def asked(answer: Answer) -> Ask:
    assert isinstance(answer, Ask), answer
    return answer


def told(
    picture: Picture, there: Surroundings | None = None, *, before: Picture | Mapping[Destination, Use] | None = None
) -> Answer:
    was = uses(before) if isinstance(before, Picture) else before
    return arms(the_contest(picture, there), before=was)


def owner(state: OwnerState = "stepping", *, baseline: str = "web-primary", canary: str = "web-canary", name: str = "web") -> Owned:
    return Owned(
        owner=ObjectName(kind="Canary", namespace="shop", name=name),
        state=state,
        baseline=OwnedArm(service=baseline),
        canary=OwnedArm(service=canary),
    )


PRIMARY, CANARY = at(service="web-primary"), at(service="web-canary")
OWNED_SPLIT = split((PRIMARY, 40), (CANARY, 60))
OF_FLAGGER = {"web_primary": {"app": "web-primary"}, "web_canary": {"app": "web"}}


class TestOwners:
    def test_the_owners_word_is_certain_whatever_the_shares_are(self) -> None:
        answer = found(told(OWNED_SPLIT, around(owned=[owner()], **OF_FLAGGER)))
        assert (answer.canary.name, answer.baseline.name) == ("web-canary", "web-primary")
        assert answer.confidence == "certain"
        assert answer.by == ("owner",)
        assert answer.owner == owner().owner
        assert "Canary shop/web says" in answer.why

    def test_the_owners_word_goes_before_names_that_say_otherwise(self) -> None:
        backwards = owner(baseline="web-canary", canary="web-primary")
        assert found(told(OWNED_SPLIT, around(owned=[backwards], **OF_FLAGGER))).canary.name == "web-primary"

    @pytest.mark.parametrize(("state", "why"), [("idle", "nothing new"), ("promoted", "nothing new"), ("promoting", "promoting")])
    def test_an_owner_whose_arms_are_the_same_has_nothing_to_compare(self, state: OwnerState, why: str) -> None:
        answer = told(OWNED_SPLIT, around(owned=[owner(state)], **OF_FLAGGER))
        assert isinstance(answer, NoRelease)
        assert why in answer.why

    def test_two_owners_of_the_same_arms_are_asked_about(self) -> None:
        both = [owner(), owner(name="other")]
        assert "both claim" in asked(told(OWNED_SPLIT, around(owned=both, **OF_FLAGGER))).why

    def test_an_owner_of_one_of_the_two_only_is_no_owner(self) -> None:
        answer = found(told(OWNED_SPLIT, around(owned=[owner(baseline="web-other")], **OF_FLAGGER)))
        assert answer.owner is None
        assert answer.by[0] == "words"


class TestWhatWasBefore:
    def test_what_left_nothing_is_the_canary_of_what_had_most(self) -> None:
        answer = found(told(split((at("a"), 90), (at("b"), 10)), before=split((at("a"), 100), (at("b"), 0))))
        assert (answer.canary.name, answer.baseline.name) == ("b", "a")
        assert answer.confidence == "strong"
        assert answer.by == ("before", "share")
        assert answer.canary.percent == 10

    def test_of_three_both_arms_are_named(self) -> None:
        answer = found(told(split((at("a"), 60), (at("b"), 30), (at("c"), 10)), before=split((at("a"), 70), (at("b"), 30))))
        assert (answer.canary.name, answer.baseline.name) == ("c", "a")

    def test_a_tie_before_asks_for_the_baseline_only(self) -> None:
        answer = asked(told(split((at("a"), 45), (at("b"), 45), (at("c"), 10)), before=split((at("a"), 50), (at("b"), 50))))
        assert answer.missing == ("baseline",)
        assert answer.canary is not None
        assert answer.canary.name == "c"
        assert "beside which" in answer.why

    def test_what_had_most_and_is_gone_is_no_baseline(self) -> None:
        answer = found(told(split((at("a"), 0), (at("b"), 80), (at("c"), 20)), before=split((at("a"), 90), (at("b"), 10))))
        assert (answer.canary.name, answer.baseline.name) == ("c", "b")

    def test_several_that_come_at_once_are_asked_about(self) -> None:
        answer = asked(told(split((at("a"), 80), (at("b"), 10), (at("c"), 10)), before=split((at("a"), 100))))
        assert "from one change on" in answer.why

    def test_a_canary_of_an_older_version_is_one_but_only_observed(self) -> None:
        answer = found(told(split((at("v2"), 90), (at("v1"), 10)), versions("v1", "v2"), before=split((at("v2"), 100))))
        assert answer.canary.name == "v1"
        assert answer.confidence == "medium"
        assert not answer.confidence.may_revert
        assert "though v2 is newer than v1" in answer.why

    def test_an_older_version_that_takes_more_than_half_at_once_is_asked_about(self) -> None:
        answer = told(split((at("v2"), 40), (at("v1"), 60)), versions("v1", "v2"), before=split((at("v2"), 100)))
        assert "is newer than v1" in asked(answer).why

    def test_words_that_say_otherwise_are_asked_about(self) -> None:
        answer = told(split((at("canary"), 90), (at("stable"), 10)), before=split((at("canary"), 100)))
        assert "called a canary" in asked(answer).why


class TestWhatCouldNotBeRead:
    UNREAD = ("the Canaries of Flagger could not be read: forbidden",)

    def test_whoever_could_not_be_read_may_say_otherwise_so_that_it_is_only_observed(self) -> None:
        there = replace(around(), unread=self.UNREAD)
        answer = found(told(split((at("a"), 90), (at("b"), 10)), there, before=split((at("a"), 100))))
        assert answer.confidence == "medium"
        assert "could not be read" in answer.why

    def test_the_owners_own_word_is_certain_all_the_same(self) -> None:
        there = replace(around(owned=[owner()], **OF_FLAGGER), unread=self.UNREAD)
        assert found(told(OWNED_SPLIT, there)).confidence == "certain"


class TestCopiesAndPins:
    def test_what_gets_copies_only_is_the_canary(self) -> None:
        answer = found(told(route(mirrored(at("a"), copies=at("b"), percent=10))))
        assert (answer.canary.name, answer.strategy, answer.confidence) == ("b", "mirror", "strong")

    def test_copies_for_another_service_of_the_same_application_are_a_release(self) -> None:
        workloads = workload("web-a", half="a"), workload("web-b", half="b")
        there = around(*workloads, shadow={"app": "web", "half": "a"})
        answer = found(told(route(mirrored(at("b", labels={"half": "b"}), copies=at(service="shadow"))), there))
        assert answer.canary.name == "shadow"

    def test_copies_for_the_older_version_are_asked_about(self) -> None:
        asked(told(route(mirrored(at("v2"), copies=at("v1"))), versions("v1", "v2")))

    def test_copies_of_two_that_share_the_requests_ask_for_the_baseline(self) -> None:
        there = [*mirrored(at("a"), copies=at("c")).mirrors]
        one = entry((at("a"), 50), (at("b"), 50))
        picture = route(type(one)(place=one.place, shares=one.shares, mirrors=tuple(there)))
        answer = asked(told(picture))
        assert answer.canary is not None
        assert answer.canary.name == "c"
        assert answer.missing == ("baseline",)

    def test_copies_back_to_one_that_serves_say_nothing(self) -> None:
        back = Entry(place="", shares=entry((at("a"), 90), (at("b"), 10)).shares, mirrors=(Share(to=at("a"), percent=100.0),))
        asked(told(route(back)))

    def test_two_that_get_copies_are_asked_about(self) -> None:
        first, second = mirrored(at("a"), copies=at("b")), mirrored(at("a"), copies=at("c"))
        both = type(first)(place="", shares=first.shares, mirrors=(*first.mirrors, *second.mirrors))
        asked(told(route(both)))

    def test_what_is_pinned_only_is_the_canary_and_only_observed(self) -> None:
        answer = found(told(route(entry((at("b"), 100), pins=[COOKIE]), entry((at("a"), 100)))))
        assert (answer.canary.name, answer.baseline.name, answer.strategy) == ("b", "a", "header")
        assert answer.confidence == "medium"

    def test_a_pin_whose_coming_was_seen_is_strong(self) -> None:
        now = route(entry((at("b"), 100), pins=[COOKIE]), entry((at("a"), 100)))
        assert found(told(now, before=split((at("a"), 100)))).confidence == "strong"

    def test_two_pins_and_nothing_for_all_others_are_asked_about(self) -> None:
        now = route(entry((at("a"), 100), pins=[COOKIE]), entry((at("b"), 100), pins=[HEADER]))
        assert "nobody else" in asked(told(now)).why

    def test_a_pinned_test_double_is_asked_about(self) -> None:
        now = route(entry((at("mock"), 100), pins=[HEADER]), entry((at("v1"), 100)))
        assert "test double" in asked(told(now, before=split((at("v1"), 100)))).why

    def test_one_with_copies_and_one_that_is_pinned_are_asked_about(self) -> None:
        now = route(mirrored(at("a"), copies=at("b")), entry((at("c"), 100), pins=[HEADER]))
        assert "which is new" in asked(told(now)).why

    def test_a_pinned_one_beside_two_that_share_asks_for_the_baseline(self) -> None:
        now = route(entry((at("v3"), 100), pins=[HEADER]), entry((at("v1"), 50), (at("v2"), 50)))
        answer = asked(told(now, versions("v1", "v2", "v3")))
        assert answer.canary is not None
        assert (answer.canary.name, answer.missing) == ("v3", ("baseline",))


class TestNames:
    def test_words_are_strong(self) -> None:
        answer = found(told(split((at("canary"), 30), (at("stable"), 70))))
        assert (answer.canary.name, answer.confidence, answer.by) == ("canary", "strong", ("words", "share"))

    def test_words_of_the_pods_labels_count(self) -> None:
        there = around(workload("web-a", track="stable", half="a"), workload("web-b", track="canary", half="b"))
        halves = split((at("a", labels={"half": "a"}), 50), (at("b", labels={"half": "b"}), 50))
        assert found(told(halves, there)).canary.name == "b"

    def test_a_word_is_heeded_past_half_of_the_requests(self) -> None:
        assert found(told(split((at("canary"), 70), (at("stable"), 30)))).confidence == "strong"

    def test_words_of_services_count_where_these_are_of_one_stem(self) -> None:
        york, london = at(service="office-new-york"), at(service="office-london")
        asked(told(split((york, 10), (london, 90)), around(office_new_york={"app": "y"}, office_london={"app": "l"})))

    def test_the_order_of_versions_is_only_observed(self) -> None:
        answer = found(told(split((at("v1"), 90), (at("v2"), 10)), versions("v1", "v2")))
        assert (answer.canary.name, answer.confidence, answer.by) == ("v2", "medium", ("versions", "share"))
        assert answer.canary.workloads == ("web-v2",)
        assert answer.canary.version == "v2"

    def test_sorts_of_names_that_disagree_say_nothing(self) -> None:
        there = around(workload("web-a", version="v2"), workload("web-b", version="v1"))
        one, other = at("v1", labels={"version": "v2"}), at("v2", labels={"version": "v1"})
        assert "which of" in asked(told(split((one, 50), (other, 50)), there)).why

    def test_words_and_versions_that_disagree_are_asked_about(self) -> None:
        there = around(workload("web-new", version="v1"), workload("web-old", version="v2"))
        one, other = at("canary", labels={"version": "v1"}), at("stable", labels={"version": "v2"})
        asked(told(split((one, 50), (other, 50)), there))

    def test_versions_and_shares_that_disagree_are_asked_about(self) -> None:
        asked(told(split((at("v1"), 30), (at("v2"), 70)), versions("v1", "v2")))

    def test_a_younger_workload_agrees_and_tells_nothing_alone(self) -> None:
        old, new = (
            workload("web-1", created_at="2026-01-01T00:00:00Z", half="a"),
            workload("web-1", created_at="2026-02-01T00:00:00Z", half="b"),
        )
        halves = split((at("x", labels={"half": "a"}), 50), (at("y", labels={"half": "b"}), 50))
        asked(told(halves, around(old, new)))
        named = split((at("stable", labels={"half": "a"}), 50), (at("canary", labels={"half": "b"}), 50))
        assert found(told(named, around(old, new))).by == ("words", "age")

    def test_names_of_more_than_two_are_asked_about(self) -> None:
        answer = asked(told(split((at("v1"), 50), (at("v2"), 40), (at("v3"), 10)), versions("v1", "v2", "v3")))
        assert answer.canary is None
        assert [one.name for one in answer.candidates] == ["v1", "v2", "v3"]

    @pytest.mark.parametrize("percent", [1.0, 10.0, 50.0, 99.0])
    def test_the_share_tells_nothing_alone(self, percent: float) -> None:
        assert asked(told(split((at("blue"), percent), (at("green"), 100 - percent)))).missing == ("canary",)


class TestWhatIsNoRelease:
    def test_one_that_gets_all_is_none(self) -> None:
        answer = told(split((at("v1"), 100), (at("v2"), 0)), versions("v1", "v2"))
        assert answer == NoRelease(why="v1 gets all of it")

    def test_weights_of_nobody_are_none(self) -> None:
        assert told(split((at("v1"), 0), (at("v2"), 0))) == NoRelease(why="nobody gets anything")

    def test_places_are_none_though_one_has_just_come(self) -> None:
        one, other = at("a", labels={"zone": "1"}), at("b", labels={"zone": "2"})
        answer = told(split((one, 50), (other, 50)), before=split((one, 100)))
        assert isinstance(answer, NoRelease)
        assert "told apart by place" in answer.why

    def test_paths_of_one_host_are_asked_about(self) -> None:
        now = route(entry((at("v2"), 100), on=[path("/next")]), entry((at("v1"), 100)))
        assert "two interfaces" in asked(told(now, versions("v1", "v2"))).why

    def test_what_nobody_says_the_weights_of_is_asked_about(self) -> None:
        one = entry((at("v1"), 50), (at("v2"), 50))
        unclear = type(one)(place="http #0", shares=one.shares, unclear="http #0 has several destinations and no weight")
        assert "no weight" in asked(told(route(unclear), versions("v1", "v2"))).why


class TestArmsThatCannotBeCompared:
    def test_a_whole_host_holds_its_subsets(self) -> None:
        answer = asked(told(split((at(), 90), (at("v2"), 10)), versions("v1", "v2"), before=split((at(), 100))))
        assert answer.missing == ("baseline.subset",)
        assert answer.canary is not None
        assert answer.canary.name == "v2"

    def test_so_it_does_where_its_labels_are_not_known(self) -> None:
        unknown = Destination(namespace="shop", host="web.shop.svc", service="web", subset="v2", labels=None)
        assert asked(told(split((at(), 90), (unknown, 10)), before=split((at(), 100)))).missing == ("baseline.subset",)

    def test_arms_of_the_same_labels_are_asked_about(self) -> None:
        one, other = at("stable", labels={"version": "v1"}), at("canary", labels={"version": "v1"})
        assert "the same labels" in asked(told(split((one, 50), (other, 50)), versions("v1"))).why

    def test_the_hash_that_an_owner_says_tells_its_arms_apart(self) -> None:
        told_apart = Owned(
            owner=ObjectName(kind="Rollout", namespace="shop", name="web"),
            state="stepping",
            baseline=OwnedArm(service="web", labels={"hash": "old"}),
            canary=OwnedArm(service="web-new", labels={"hash": "new"}),
        )
        there = around(workload("web-old", hash="old"), workload("web-new", hash="new"), owned=[told_apart], web_new={"app": "web"})
        answer = found(told(split((at(), 90), (at(service="web-new"), 10)), there))
        assert answer.canary.labels == {"app": "web", "hash": "new"}
        assert answer.canary.workloads == ("web-new",)

    def test_services_of_two_namespaces_are_apart(self) -> None:
        answer = told(split((at("stable"), 90), (at("canary", namespace="b"), 10)))
        assert found(answer).canary.name == "canary"
