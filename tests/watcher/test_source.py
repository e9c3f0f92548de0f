"""From changes of routes to announcements, on a cluster by hand."""

from __future__ import annotations

import pytest

from daemon.model import ArmSpec
from tests.watcher.world import World, two_versions, virtual_service

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
