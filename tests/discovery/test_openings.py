"""What a change of a route means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daemon.discovery.announced import Notice
from daemon.discovery.openings import Asks, Ends, GoesOn, OpenRelease, Opens, Outcome, Quiet, outcomes
from daemon.discovery.owned import Owned, OwnedArm, OwnerState
from daemon.discovery.picture import Picture
from daemon.discovery.surroundings import Surroundings
from daemon.placement import ObjectName
from tests.discovery.hand import COOKIE, around, at, entry, mirrored, path, route, split, versions

V1, V2, V3 = at("v1"), at("v2"), at("v3")
THERE = versions("v1", "v2", "v3")
OPENED = OpenRelease(baseline=V1, canary=V2)
OWNER = ObjectName(kind="Canary", namespace="shop", name="web")


def the_one(
    before: Picture | None,
    after: Picture,
    there: Surroundings = THERE,
    *,
    opened: OpenRelease | None = None,
    announcement: Notice | None = None,
) -> Outcome:
    told = [] if opened is None else [opened]
    (found,) = outcomes(before, after, around=there, opened=told, announcement=announcement)
    return found


def owned(state: OwnerState, *, attempt: str = "1") -> Surroundings:
    one = Owned(
        owner=OWNER,
        state=state,
        baseline=OwnedArm(service="web-primary"),
        canary=OwnedArm(service="web-canary"),
        attempt=attempt,
    )
    return around(owned=[one], web_primary={"app": "web-primary"}, web_canary={"app": "web"})


PRIMARY, CANARY = at(service="web-primary"), at(service="web-canary")
OF_OWNER = OpenRelease(baseline=PRIMARY, canary=CANARY, attempt="1")


class TestOpening:
    def test_a_share_that_leaves_nothing_opens(self) -> None:
        found = the_one(split((V1, 100), (V2, 0)), split((V1, 95), (V2, 5)))
        assert isinstance(found, Opens)
        assert found.found.canary.name == "v2"

    def test_a_destination_that_was_not_there_opens(self) -> None:
        assert isinstance(the_one(split((V1, 100)), split((V1, 95), (V2, 5))), Opens)

    def test_a_new_pin_opens(self) -> None:
        after = route(entry((V2, 100), pins=[COOKIE]), entry((V1, 100)))
        found = the_one(split((V1, 100)), after)
        assert isinstance(found, Opens)
        assert found.found.strategy == "header"

    def test_a_new_mirror_opens(self) -> None:
        found = the_one(split((V1, 100)), route(mirrored(V1, copies=V2)))
        assert isinstance(found, Opens)
        assert found.found.strategy == "mirror"

    def test_a_share_after_a_pin_opens(self) -> None:
        before = route(entry((V2, 100), pins=[COOKIE]), entry((V1, 100)))
        assert isinstance(the_one(before, route(*before.entries[:1], entry((V1, 90), (V2, 10)))), Opens)

    def test_the_old_one_that_takes_over_at_once_is_asked_about(self) -> None:
        assert isinstance(the_one(split((V2, 100), (V1, 0)), split((V2, 10), (V1, 90))), Asks)

    def test_a_route_that_has_just_come_with_two_is_asked_about(self) -> None:
        assert isinstance(the_one(route(), split((V1, 90), (V2, 10))), Asks)

    def test_a_path_that_has_just_come_is_asked_about(self) -> None:
        after = route(entry((V2, 100), on=[path("/next")]), entry((V1, 100)))
        assert isinstance(the_one(split((V1, 100)), after), Asks)

    def test_a_third_one_opens_a_release_of_its_own_while_another_goes_on(self) -> None:
        before, after = split((V1, 60), (V2, 40)), split((V1, 50), (V2, 40), (V3, 10))
        goes_on, opens = outcomes(before, after, around=THERE, opened=[OPENED])
        assert isinstance(goes_on, GoesOn)
        assert isinstance(opens, Opens)
        assert (opens.found.canary.name, opens.found.baseline.name) == ("v3", "v1")

    def test_two_contests_of_one_route_have_an_outcome_each(self) -> None:
        one, other = at("v1", service="till"), at("v2", service="till")
        before = route(entry((V1, 100), (V2, 0)), entry((one, 50), (other, 50), on=[path("/till")]))
        after = route(entry((V1, 90), (V2, 10)), entry((one, 50), (other, 50), on=[path("/till")]))
        found = outcomes(before, after, around=THERE)
        assert [type(outcome) for outcome in found] == [Quiet, Opens]


class TestWhatOpensNothing:
    @pytest.mark.parametrize(
        "picture",
        [
            split((V1, 90), (V2, 10)),
            split((at("stable"), 90), (at("canary"), 10)),
            route(mirrored(V1, copies=V2)),
            route(entry((V2, 100), pins=[COOKIE]), entry((V1, 100))),
        ],
        ids=["shares", "words", "mirror", "pin"],
    )
    def test_what_stands_there_at_first_sight_is_asked_about(self, picture: Picture) -> None:
        found = the_one(None, picture)
        assert isinstance(found, Asks)
        assert "was not seen" in found.ask.why
        assert found.ask.missing == ("canary",)

    def test_what_has_not_changed_is_quiet(self) -> None:
        standing = split((V1, 90), (V2, 10))
        assert the_one(standing, standing) == Quiet(why="nothing has changed")

    def test_all_to_one_is_quiet_at_first_sight(self) -> None:
        assert the_one(None, split((V1, 0), (V2, 100))) == Quiet(why="v2 gets all of it")

    def test_shares_that_move_between_two_that_had_some_are_asked_about(self) -> None:
        found = the_one(split((V1, 80), (V2, 20)), split((V1, 20), (V2, 80)))
        assert isinstance(found, Asks)

    def test_words_do_not_open_where_shares_only_move(self) -> None:
        before, after = split((at("stable"), 80), (at("canary"), 20)), split((at("stable"), 20), (at("canary"), 80))
        found = the_one(before, after)
        assert isinstance(found, Asks)
        assert "which of them is new was not seen" in found.ask.why

    def test_all_replaced_in_one_change_is_quiet(self) -> None:
        found = the_one(split((V1, 100), (V2, 0)), split((V1, 0), (V2, 100)))
        assert isinstance(found, Quiet)
        found = the_one(route(entry((V1, 100))), route(entry((V2, 50), (V3, 50))))
        assert isinstance(found, Asks)

    def test_two_that_replace_one_beside_each_other_are_quiet(self) -> None:
        found = the_one(split((V1, 100), (V2, 0), (V3, 0)), split((V1, 0), (V2, 50), (V3, 50)))
        assert isinstance(found, Quiet)
        assert "replaced in one change" in found.why

    @pytest.mark.parametrize(
        ("picture", "why"),
        [
            (route(), "nothing anywhere"),
            (split((V1, 100)), "one destination"),
            (
                route(entry((at(service="web"), 100), on=[path("/a")]), entry((at(service="till"), 100))),
                "no versions of each other",
            ),
            (route(mirrored(at(), copies=at(service="recorder"))), "another application"),
        ],
    )
    def test_a_route_without_versions_is_quiet_and_says_why(self, picture: Picture, why: str) -> None:
        found = the_one(None, picture)
        assert isinstance(found, Quiet)
        assert why in found.why


class TestOpenReleases:
    def test_goes_on_whatever_its_share_is(self) -> None:
        for percent in (1.0, 60.0, 99.0):
            found = the_one(split((V1, 50), (V2, 50)), split((V1, 100 - percent), (V2, percent)), opened=OPENED)
            assert found == GoesOn(release=OPENED, percent=percent)

    def test_goes_on_after_a_restart(self) -> None:
        assert isinstance(the_one(None, split((V1, 30), (V2, 70)), opened=OPENED), GoesOn)

    def test_goes_on_while_its_canary_is_pinned(self) -> None:
        after = route(entry((V2, 100), pins=[COOKIE]), entry((V1, 100), (V2, 0)))
        assert isinstance(the_one(split((V1, 90), (V2, 10)), after, opened=OPENED), GoesOn)

    @pytest.mark.parametrize(("shares", "how"), [((0, 100), "promoted"), ((100, 0), "taken back"), ((0, 0), "gone")])
    def test_ends_when_one_has_all(self, shares: tuple[float, float], how: str) -> None:
        found = the_one(split((V1, 50), (V2, 50)), split((V1, shares[0]), (V2, shares[1])), opened=OPENED)
        assert found == Ends(release=OPENED, how=how)  # type: ignore[arg-type]  # parametrised

    def test_ends_with_its_route(self) -> None:
        assert Ends(release=OPENED, how="gone") in outcomes(split((V1, 50), (V2, 50)), route(), around=THERE, opened=[OPENED])


class TestOwners:
    def test_an_owner_that_is_stepping_opens_at_first_sight_too(self) -> None:
        found = the_one(None, split((PRIMARY, 90), (CANARY, 10)), owned("stepping"))
        assert isinstance(found, Opens)
        assert found.attempt == "1"
        assert found.found.confidence == "certain"

    def test_an_owner_that_gives_its_canary_nothing_yet_opens_nothing(self) -> None:
        found = the_one(None, split((PRIMARY, 100), (CANARY, 0)), owned("stepping"))
        assert isinstance(found, Quiet)
        assert "nothing yet" in found.why

    @pytest.mark.parametrize("state", ["idle", "promoting", "promoted", "taken back"])
    def test_an_owner_that_is_not_stepping_opens_nothing(self, state: OwnerState) -> None:
        assert isinstance(the_one(split((PRIMARY, 100), (CANARY, 0)), split((PRIMARY, 50), (CANARY, 50)), owned(state)), Quiet)

    @pytest.mark.parametrize(("state", "how"), [("promoted", "promoted"), ("taken back", "taken back")])
    def test_the_owner_says_how_it_ended_since_the_route_looks_the_same(self, state: OwnerState, how: str) -> None:
        after = split((PRIMARY, 100), (CANARY, 0))
        found = the_one(split((PRIMARY, 50), (CANARY, 50)), after, owned(state), opened=OF_OWNER)
        assert found == Ends(release=OF_OWNER, how=how, by=OWNER)  # type: ignore[arg-type]  # parametrised

    @pytest.mark.parametrize("state", ["stepping", "promoting"])
    def test_a_canary_without_traffic_whose_owner_goes_on_goes_on(self, state: OwnerState) -> None:
        after = split((PRIMARY, 100), (CANARY, 0))
        assert isinstance(the_one(split((PRIMARY, 50), (CANARY, 50)), after, owned(state), opened=OF_OWNER), GoesOn)

    def test_an_owner_that_knows_nothing_leaves_it_to_the_route(self) -> None:
        after = split((PRIMARY, 100), (CANARY, 0))
        assert the_one(None, after, owned("idle"), opened=OF_OWNER) == Ends(release=OF_OWNER, how="taken back")

    def test_without_the_owner_that_it_had_nobody_knows_how_it_ended(self) -> None:
        after = split((PRIMARY, 100), (CANARY, 0))
        assert the_one(None, after, around(), opened=OF_OWNER) == Ends(release=OF_OWNER, how="unknown")

    def test_nor_where_an_owner_could_not_be_read(self) -> None:
        there = replace(THERE, unread=("the Canaries of Flagger could not be read: forbidden",))
        assert the_one(None, split((V1, 100), (V2, 0)), there, opened=OPENED) == Ends(release=OPENED, how="unknown")

    def test_another_attempt_of_the_owner_ends_one_release_and_opens_the_next(self) -> None:
        standing = split((PRIMARY, 50), (CANARY, 50))
        ends, opens = outcomes(standing, standing, around=owned("stepping", attempt="2"), opened=[OF_OWNER])
        assert ends == Ends(release=OF_OWNER, how="superseded", by=OWNER)
        assert isinstance(opens, Opens)
        assert opens.attempt == "2"


class TestAnnouncements:
    SAID = Notice(service="web", namespace="shop", version="v2")

    def test_an_announcement_opens_at_first_sight(self) -> None:
        assert isinstance(the_one(None, split((V1, 90), (V2, 10)), announcement=self.SAID), Opens)

    def test_an_announcement_of_what_is_open_goes_on_with_it(self) -> None:
        standing = split((V1, 90), (V2, 10))
        assert isinstance(the_one(standing, standing, opened=OPENED, announcement=self.SAID), GoesOn)

    def test_an_announcement_that_comes_twice_opens_nothing(self) -> None:
        assert isinstance(the_one(None, split((V1, 5), (V2, 95)), announcement=self.SAID), Asks)

    def test_an_announcement_of_another_service_is_told_so(self) -> None:
        other = Notice(service="till", namespace="shop", version="v2")
        standing = split((V1, 90), (V2, 10))
        quiet = outcomes(standing, standing, around=THERE, announcement=other)
        assert [type(one) for one in quiet] == [Quiet, Quiet]
        assert quiet[-1] == Quiet(why="the route sends to no two versions of till")
