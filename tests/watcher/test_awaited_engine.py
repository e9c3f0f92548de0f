"""An announcement without arms and a watch of the routes, behind one engine, in both orders: one release, and both are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from daemon.engine.dependencies import Ports
from daemon.engine.engine import Engine
from daemon.model import Outline, Release
from tests.engine.test_joined import StandingClock
from tests.hand.clock import PatientClock
from tests.hand.ports import HandAnnouncement, HandRouter, HandTelemetry, Scene, SentByHand, running, until
from tests.hand.samples import gap
from tests.watcher.world import NAMESPACE, World, two_versions, virtual_service

ID = "web-0123456789abcdef"
NEW = Outline(service="web", namespace=NAMESPACE, artifact="reg/web:green", policy="strict")


class Istio(Scene):
    """A scene whose mesh is called as that of the routes."""

    def ports(self) -> Ports:
        ports = super().ports()
        return replace(ports, meshes={"istio": ports.meshes["edge"]})


@asynccontextmanager
async def engine(world: World) -> AsyncIterator[tuple[Engine, Scene]]:
    scene = Istio(telemetry=HandTelemetry([gap()]))
    scene.clock = StandingClock()  # type: ignore[assignment]  # a clock too: nothing is decided until somebody does
    scene.policies["strict"] = scene.policies["default"]
    scene.awaiting, scene.more_events["routes"] = world.awaited, world.watcher()
    scene.pods = HandRouter()
    async with running(scene) as at_work:
        yield at_work, scene


async def announced(scene: Scene) -> HandAnnouncement:
    event = SentByHand(ID, NEW, sender="event /ci")
    scene.events.queue.put_nowait(event)
    await until(lambda: event.answer)
    return event


@pytest.mark.parametrize("is_noticed_first", [True, False])
async def test_whoever_is_first_there_is_one_release_under_the_announced_policy_and_both_ids_are_its(
    is_noticed_first: bool,
) -> None:
    world = World(clock=PatientClock())
    world.cluster.around_objects += two_versions()
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with engine(world) as (at_work, scene):
        await world.settled()
        if not is_noticed_first:
            assert (await announced(scene)).answer == "accepted"
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await until(at_work.views)
        [first] = at_work.views()
        if is_noticed_first:
            assert first.id != ID
            assert (await announced(scene)).answer == "accepted"
        await until(lambda: world.awaited.find(ID) is None)
        [view] = at_work.views()
        assert view.id == (first.id if is_noticed_first else ID)
        assert (await at_work.view(ID)).id == view.id
        release: Release = view.release
        await world.settled()
    assert (release.baseline.subset, release.canary.subset) == ("blue", "green")
    assert (release.policy, release.artifact, release.observe) == ("strict", "reg/web:green", False)
    [kept] = world.kept()
    assert kept is not None
    assert [one.release_id for one in kept.opened] == [view.id]
