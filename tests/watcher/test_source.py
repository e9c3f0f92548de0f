"""From changes of routes to announcements, on a cluster by hand."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.aio.tasks import background
from daemon.errors import InvalidInput, Unavailable
from daemon.model import ArmSpec, Release
from daemon.watcher.notices import RouteNotice
from tests.watcher.world import Json, World, deployment, key, service, two_versions, virtual_service

BLUE = {"app": "web", "version": "blue"}
GREEN = {"app": "web", "version": "green"}


@pytest.fixture
def world() -> World:
    world = World()
    world.cluster.around_objects += two_versions()
    return world


async def test_a_weight_that_leaves_0_is_announced_with_arms_image_and_mesh_and_only_observed(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    (release,) = world.releases
    assert (release.service, release.namespace, release.mesh, release.policy) == ("web", "shop", "istio", "default")
    assert release.baseline == ArmSpec(subset="blue", labels=BLUE)
    assert release.canary == ArmSpec(subset="green", labels=GREEN)
    assert (release.strategy, release.artifact, release.observe) == ("canary", "reg/web:green", True)


async def test_what_stands_there_at_the_first_start_is_asked_about_and_never_announced(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    async with world.running():
        await world.settled()
    assert not world.submitted
    (reason,) = world.letters.reasons
    assert reason.startswith(
        "VirtualService shop/web: which of blue (60 %) and green (40 %) is the new one?; annotate the route with"
    )


async def test_a_restart_in_the_middle_of_a_release_announces_it_no_second_time(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    world.cluster.routes.put(virtual_service(blue=50, green=50))
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=20, green=80))
        await world.settled()
    assert len(world.submitted) == 1
    assert not world.letters.kept


async def test_a_weight_that_left_0_while_no_daemon_ran_is_announced_at_the_start(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    world.cluster.routes.put(virtual_service(blue=70, green=30))
    async with world.running():
        await world.settled()
    assert [one.canary.subset for one in world.releases] == ["green"]


async def begun(world: World) -> None:
    """A release is open."""
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    await world.settled()
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    await world.settled()


async def test_our_own_revert_ends_a_release_and_our_restore_of_it_is_no_new_one(world: World) -> None:
    async with world.running():
        await begun(world)
        world.cluster.routes.put(virtual_service(blue=100, green=0), by="verdictd")
        await world.settled()
        assert [one.opened for one in world.kept() if one] == [()]
        world.cluster.routes.put(virtual_service(blue=90, green=10), by="verdictd")
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=70, green=30))
        await world.settled()
        (kept,) = world.kept()
    assert len(world.submitted) == 1
    assert kept is not None
    assert [one.release_id for one in kept.opened] == list(world.submitted)
    assert not world.letters.kept


async def test_a_revert_that_somebody_undoes_is_announced_anew_only_once_nobody_guards_it_any_more(world: World) -> None:
    async with world.running():
        await begun(world)
        world.cluster.routes.put(virtual_service(blue=100, green=0), by="verdictd")
        await world.settled()
        reverted_at = world.clock.time
        world.cluster.routes.put(virtual_service(blue=90, green=10), by="argocd-controller")
        await world.settled()
    assert len(world.submitted) == 2
    assert world.clock.time >= reverted_at + world.guard_seconds


async def test_another_content_under_the_name_of_a_canary_that_was_taken_back_is_announced_at_once(world: World) -> None:
    async with world.running():
        await begun(world)
        world.cluster.routes.put(virtual_service(blue=100, green=0), by="verdictd")
        await world.settled()
        reverted_at = world.clock.time
        world.cluster.around_objects += [deployment("web-green", image="reg/web:mended", version="green")]
        world.cluster.around_objects.remove(deployment("web-green", image="reg/web:green", version="green"))
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    assert [one.artifact for one in world.releases] == ["reg/web:green", "reg/web:mended"]
    assert world.clock.time < reverted_at + world.guard_seconds


async def test_a_canary_that_somebody_else_takes_back_ends_its_release_and_its_next_attempt_is_another(world: World) -> None:
    async with world.running():
        await begun(world)
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    assert len(world.submitted) == 2


async def test_told_to_enforce_what_is_surely_the_canary_may_be_taken_back_and_nothing_where_something_could_not_be_read(
    world: World,
) -> None:
    world.mode = "enforce"
    async with world.running():
        await begun(world)
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.unread = ("the Deployments of shop could not be read: forbidden",)
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    assert [one.observe for one in world.releases] == [False, True]


async def test_a_question_is_asked_once_over_steps_and_restarts_and_an_annotation_of_the_route_answers_it(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    for green in (40, 45):
        async with world.running():
            world.cluster.routes.put(virtual_service(blue=100 - green, green=green))
            await world.settled()
    assert len(world.letters.kept) == 1
    async with world.running():
        world.cluster.routes.put(virtual_service(annotations={"verdictd.io/canary": "green"}, blue=50, green=50))
        await world.settled()
        world.cluster.routes.put(virtual_service(annotations={"verdictd.io/canary": "green"}, blue=20, green=80))
        await world.settled()
    assert [(one.baseline.subset, one.canary.subset, one.observe) for one in world.releases] == [("blue", "green", True)]
    assert len(world.letters.kept) == 1


async def test_a_route_that_is_not_to_be_watched_is_not_and_one_may_be_enforced_alone_under_a_policy_of_its_own(
    world: World,
) -> None:
    said = {"verdictd.io/watch": "off"}
    async with world.running():
        world.cluster.routes.put(virtual_service(annotations=said, blue=100, green=0))
        await world.settled()
        world.cluster.routes.put(virtual_service(annotations=said, blue=90, green=10))
        await world.settled()
        assert not world.submitted
        said = {"verdictd.io/watch": "enforce", "verdictd.io/policy": "strict"}
        world.cluster.routes.put(virtual_service(annotations=said, blue=100, green=0))
        await world.settled()
        world.cluster.routes.put(virtual_service(annotations=said, blue=90, green=10))
        await world.settled()
    assert [(one.observe, one.policy) for one in world.releases] == [(False, "strict")]


async def test_what_stands_on_a_service_counts_where_the_route_says_nothing(world: World) -> None:
    world.cluster.around_objects += [service(annotations={"verdictd.io/policy": "strict"})]
    async with world.running():
        await begun(world)
    assert [one.policy for one in world.releases] == ["strict"]


async def test_an_annotation_that_means_nothing_is_told_once_and_the_release_announced_when_it_is_mended(world: World) -> None:
    wrong, right = ({"verdictd.io/watch": word} for word in ("of", "observe"))
    async with world.running():
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.routes.put(virtual_service(annotations=wrong, blue=90, green=10))
        await world.turns()
        world.cluster.routes.put(virtual_service(annotations=wrong, blue=80, green=20))
        await world.turns()
        assert world.letters.reasons == [
            "VirtualService shop/web verdictd.io/watch: is 'of'; write off, observe or enforce",
        ]
        assert not world.submitted
        world.cluster.routes.put(virtual_service(annotations=right, blue=80, green=20))
        await world.settled()
    assert [one.canary.subset for one in world.releases] == ["green"]


async def test_a_release_that_the_engine_refuses_is_kept_with_the_reason_and_announced_when_it_is_mended(world: World) -> None:
    def refuse(release: Release) -> None:
        if release.policy != "default":
            raise InvalidInput(f"no policy {release.policy!r}", path="$.policy", fix="use one of: default")

    world.refuse = refuse
    said = {"verdictd.io/policy": "strikt"}
    async with world.running():
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        for green in (10, 20):
            world.cluster.routes.put(virtual_service(annotations=said, blue=100 - green, green=green))
            await world.turns()
        assert world.letters.reasons == ["$.policy: no policy 'strikt'; use one of: default"]
        world.cluster.routes.put(virtual_service(blue=80, green=20))
        await world.settled()
    assert [one.policy for one in world.releases] == ["default"]


async def test_two_routes_that_give_the_same_canary_traffic_are_one_release(world: World) -> None:
    def both(green: int) -> None:
        for name in ("web", "gateway"):
            item = virtual_service(blue=100 - green, green=green)
            world.cluster.routes.put({**item, "metadata": {**item["metadata"], "name": name}})

    async with world.running():
        both(0)
        await world.settled()
        both(10)
        await world.settled()
        kept = world.kept()
    assert len(world.submitted) == 1
    assert [[one.release_id for one in route.opened] for route in kept if route] == [list(world.submitted)] * 2


async def test_a_route_that_is_gone_is_forgotten_also_where_it_went_while_no_daemon_ran(world: World) -> None:
    async with world.running():
        for name in ("web", "cart"):
            world.cluster.routes.put(virtual_service(name, blue=100, green=0))
        await world.settled()
        world.cluster.routes.remove("cart")
        await world.settled("cart")
    world.cluster.routes.remove("web")
    async with world.running():
        await world.settled("web")
    assert not world.store.data


async def test_what_cannot_be_read_now_is_looked_at_again_until_it_can(world: World) -> None:
    async with world.running():
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.failing = Unavailable("the API server is away")
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns()
        assert not world.submitted
        world.cluster.failing = None
        await world.settled()
    assert len(world.submitted) == 1


async def test_a_question_that_the_dead_letters_do_not_take_now_is_asked_again(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    world.letters.failing = Unavailable("away")
    async with world.running():
        await world.turns()
        world.letters.failing = None
        await world.settled()
    assert len(world.letters.kept) == 1


async def test_a_release_that_meets_a_defect_each_time_ends_among_the_dead_letters(world: World) -> None:
    async def take(notice: RouteNotice) -> None:
        await notice.put_back()

    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    async with background(world.follow(take)):
        await world.turns(3_000)
    assert world.letters.reasons == ["it has failed 20 times, through a defect"]


async def test_defects_that_a_canary_met_before_it_was_taken_back_do_not_count_against_it_when_it_comes_again(world: World) -> None:
    defects = [10]

    async def take(notice: RouteNotice) -> None:
        if defects[0] > 0:
            defects[0] -= 1
            if defects[0] == 0:
                world.cluster.routes.put(virtual_service(blue=100, green=0))
            await notice.put_back()
        else:
            await world.take(notice)

    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with background(world.follow(take)):
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns(3_000)
        await world.settled()
        assert (defects[0], world.releases) == (0, [])
        defects[0] = 15
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns(3_000)
    assert not world.letters.kept


async def test_a_route_of_another_form_is_told_and_the_others_are_watched(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.cluster.routes.put({**virtual_service("cart"), "spec": {"hosts": ["cart"], "http": "all of it"}})
    async with world.running():
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled("web")
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled("web")
    assert len(world.submitted) == 1
    assert any("VirtualService shop/cart" in str(record.__dict__.get("reason")) for record in caplog.records)


async def test_what_is_kept_in_a_form_that_is_not_known_counts_as_not_known(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    world.store.data[key().stored] = b"{"
    async with world.running():
        await world.turns()
        await world.settled()
    assert len(world.letters.kept) == 1


async def test_a_route_with_one_destination_costs_no_question_to_the_cluster(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100))
    async with world.running():
        await world.settled()
    assert world.cluster.read == 0


async def test_two_daemons_beside_one_store_announce_a_release_under_one_id(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running(), world.running():
        await world.settled()
        for green in (10, 40, 0, 10):
            world.cluster.routes.put(virtual_service(blue=100 - green, green=green))
            await world.settled()
            await world.turns()
    assert [one.canary.subset for one in world.releases] == ["green", "green"]
    assert not world.letters.kept


async def test_a_canary_of_some_users_or_of_copies_is_announced_with_its_strategy(world: World) -> None:
    def split(**entry: Any) -> Json:
        item = virtual_service(blue=100)
        to = {"destination": {"host": "web", "subset": "green"}}
        http = {
            "header": [{"match": [{"headers": {"x-me": {"exact": "yes"}}}], "route": [to]}, *item["spec"]["http"]],
            "mirror": [{**item["spec"]["http"][0], "mirror": to["destination"]}],
            "canary": item["spec"]["http"],
        }[entry["strategy"]]
        return {**item, "spec": {"hosts": ["web"], "http": http}}

    async with world.running():
        for strategy in ("header", "mirror"):
            world.cluster.routes.put(split(strategy="canary"))
            await world.settled()
            world.cluster.routes.put(split(strategy=strategy))
            await world.settled()
    assert [one.strategy for one in world.releases] == ["header", "mirror"]
