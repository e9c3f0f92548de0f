"""What does not work is said where the daemon is asked how it is, and what works goes on."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.aio.tasks import background
from daemon.delivery.ownerkind import Owning
from daemon.discovery.owned import Owned
from daemon.discovery.picture import Picture
from daemon.errors import Forbidden, NotFound, Unavailable, VerdictdError
from daemon.kube.resources import ROLLOUTS
from daemon.meshes.istio.mesh import ISTIO
from daemon.watcher import looking
from daemon.watcher.kept import KeptRoute
from daemon.watcher.reading import Around
from daemon.watcher.seen import Seen
from daemon.watcher.steps import Step
from tests.hand.clock import HandClock
from tests.watcher.test_owners import rollout
from tests.watcher.world import World, two_versions, virtual_service


@pytest.fixture
def world() -> World:
    world = World()
    world.cluster.around_objects += two_versions()
    return world


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Forbidden("cannot watch"), "watch of virtualservices.networking.istio.io in home: cannot watch"),
        (Unavailable("away"), "watch of virtualservices.networking.istio.io in home: away"),
        (NotFound("no such kind"), "watch of virtualservices.networking.istio.io in home: no such kind"),
    ],
)
async def test_a_watch_that_cannot_be_had_is_a_problem_until_it_can(world: World, error: VerdictdError, said: str) -> None:
    failing: list[VerdictdError] = [error]

    def cut(_where: str) -> None:
        if failing:
            raise failing[0]

    world.cluster.routes.cut = cut
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        await world.turns()
        assert watcher.problem == said
        failing.clear()
        await world.turns(2_000)
        assert watcher.problem is None


async def test_what_stands_around_a_route_and_cannot_be_read_is_a_problem_until_it_can(world: World) -> None:
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.failing = Unavailable("away")
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns()
        assert watcher.problem == "what stands around routes: away"
        world.cluster.failing = None
        await world.settled()
        assert watcher.problem is None


async def test_what_says_what_is_meant_in_a_route_and_cannot_be_read_is_a_problem_until_it_can(world: World) -> None:
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.settled()
        world.cluster.rules_failing = Unavailable("away")
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns()
        assert watcher.problem == "what stands around routes: away"
        world.cluster.rules_failing = None
        await world.settled()
        assert watcher.problem is None
    assert len(world.releases) == 1


async def test_a_store_that_cannot_be_read_at_the_start_is_raised_where_the_source_is_read(world: World) -> None:
    world.store.failing = Unavailable("no broker")
    with pytest.raises(Unavailable, match="no broker"):
        await world.follow()


async def test_a_defect_of_the_watch_is_told_as_one_with_its_cause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world, "clock", HandClock())
    monkeypatch.setattr(world.clock, "sleep", broken)
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    with pytest.raises(VerdictdError, match="a defect of the watch of routes"):
        await world.follow()


async def test_a_route_or_an_owner_that_meets_a_defect_of_its_reader_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = looking.look

    def look(kept: KeptRoute | None, seen: Seen, around: Around, **more: Any) -> Step:
        if seen.key.name == "cart":
            raise ZeroDivisionError
        return right(kept, seen, around, **more)

    def unreadable(item: Any) -> Owned:
        raise ZeroDivisionError

    def pictured(settings: Any, /, *, kind: Any, item: Any, beside: Any) -> Picture:
        if item["metadata"]["name"] == "mail":
            raise ZeroDivisionError
        assert ISTIO.pictured is not None
        return ISTIO.pictured.picture(settings, kind=kind, item=item, beside=beside)

    monkeypatch.setattr(looking, "look", look)
    world.cluster.owning = [Owning(resource=ROLLOUTS, read=unreadable)]
    world.cluster.feed(ROLLOUTS).put(rollout("222"))
    world.picture = pictured
    async with world.running():
        for green in (0, 10):
            for name in ("cart", "mail", "web"):
                world.cluster.routes.put(virtual_service(name, blue=100 - green, green=green))
            await world.turns()
            await world.settled("web")
    assert [one.service for one in world.releases] == ["web"]
    assert {record.message for record in caplog.records if record.exc_info} == {
        "a route cannot be read, through a defect",
        "a route cannot be looked at, through a defect",
        "an owner cannot be read, through a defect",
    }
