"""What is asked about routes is open from when it is asked until it is answered, or nobody need answer."""

from __future__ import annotations

import pytest

from daemon.errors import InvalidInput, Unavailable
from daemon.model import Release
from tests.watcher.world import World, key, two_versions, virtual_service


@pytest.fixture
def world() -> World:
    world = World()
    world.cluster.around_objects += two_versions()
    return world


async def test_a_question_is_open_over_restarts_with_how_to_answer_it_and_not_once_an_annotation_does(world: World) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    async with world.running():
        await world.settled()
    (first,) = await world.questions()
    world.clock.time += 60.0
    async with world.running():
        await world.turns()
    (asked,) = await world.questions()
    assert asked == first
    assert (asked.about, asked.namespace, asked.since < world.clock.now() - 60.0) == ("VirtualService shop/web", "shop", True)
    assert asked.question == "which of blue (60 %) and green (40 %) is the new one?"
    assert asked.answer.startswith("annotate the route with verdictd.io/canary: blue or green")
    assert (asked.annotations, asked.fields) == (("verdictd.io/canary", "verdictd.io/watch"), ("canary",))
    async with world.running():
        world.cluster.routes.put(virtual_service(annotations={"verdictd.io/canary": "green"}, blue=60, green=40))
        await world.settled()
    assert await world.questions() == []
    assert len(world.releases) == 1


async def test_a_question_about_a_route_that_is_gone_or_serves_one_version_alone_again_is_over(world: World) -> None:
    async with world.running():
        for name in ("web", "cart"):
            world.cluster.routes.put(virtual_service(name, blue=60, green=40))
        await world.settled()
        assert {one.about for one in await world.questions()} == {"VirtualService shop/web", "VirtualService shop/cart"}
        world.cluster.routes.remove("cart")
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled("web", "cart")
        assert await world.questions() == []


async def test_what_must_be_mended_is_open_until_it_is(world: World) -> None:
    def refuse(release: Release) -> None:
        if release.policy == "strikt":
            raise InvalidInput("no policy 'strikt'", path="$.policy", fix="use one of: default")

    world.refuse = refuse
    async with world.running():
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.routes.put(virtual_service(annotations={"verdictd.io/watch": "of"}, blue=90, green=10))
        await world.turns()
        (asked,) = await world.questions()
        assert (asked.question, asked.answer) == (
            "VirtualService shop/web verdictd.io/watch: is 'of'",
            "write off, observe or enforce",
        )
        world.cluster.routes.put(virtual_service(annotations={"verdictd.io/policy": "strikt"}, blue=90, green=10))
        await world.turns()
        (asked,) = await world.questions()
        assert asked.question == "a release could not be announced: $.policy: no policy 'strikt'; use one of: default"
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
        assert await world.questions() == []
    assert [one.policy for one in world.releases] == ["default"]


async def test_a_question_that_cannot_be_kept_now_is_kept_later_and_the_route_is_not_taken_for_done(world: World) -> None:
    world.asked.failing = Unavailable("away")
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    async with world.running():
        await world.turns()
        assert world.kept_of("web") is None
        world.asked.failing = None
        await world.settled()
    assert [one.id.startswith(key().stored) for one in await world.questions()] == [True]
