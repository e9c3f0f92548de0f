"""Announcements without arms whose canary no route tells apart: they join what is observed by its pods."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.aio.tasks import background
from daemon.errors import InvalidInput
from daemon.kube.resources import REPLICA_SETS
from daemon.model import ArmSpec, Outline, Release
from daemon.watcher.podsawaited import AwaitedPodsNotice, fits
from tests.watcher.test_awaited import Waiting
from tests.watcher.test_pairs import canary, put, serve
from tests.watcher.world import Json, World

ID = "web-0123456789abcdef"
NEW = Outline(service="web", namespace="shop", artifact="mirror/web:2", policy="strict", callback="https://ci.example.com/7")
OBSERVED = Release(
    service="web",
    namespace="shop",
    mesh="istio",
    strategy="pods",
    observe=True,
    artifact="reg/web:2",
    baseline=ArmSpec(workload="web", labels={"pod-template-hash": "h1"}),
    canary=ArmSpec(workload="web-canary", labels={"pod-template-hash": "h2"}),
)


@pytest.fixture
async def world() -> Waiting:
    world = Waiting(pairs_by="istio", updates_by="istio")
    serve(world)
    put(world, "web", wanted=3)
    async with world.running():
        await world.passes(1.0)
    return world


async def announce(world: World, outline: Outline = NEW) -> None:
    await world.awaited.keep(outline, release_id=ID, sender="event /ci", since=world.clock.now())


def updating(world: World) -> None:
    put(world, "web", image="reg/web:2", number=2, wanted=3, updated=1)
    old: Json = world.cluster.feed(REPLICA_SETS).objects["web-1"]
    world.cluster.feed(REPLICA_SETS).put(old)


@pytest.mark.parametrize("first", ["the announcement", "the canary", "the canary, and a restart"])
@pytest.mark.parametrize("of", ["a second Deployment", "a rolling update"])
async def test_whoever_announces_what_is_observed_by_its_pods_is_answered_with_it_in_every_order(
    world: Waiting, first: str, of: str
) -> None:
    senders: list[str] = []

    async def take(notice: Any) -> None:
        if isinstance(notice, AwaitedPodsNotice):
            senders.append(notice.sender)
        await world.take(notice)

    begins = canary if of == "a second Deployment" else updating
    async with background(world.follow(take)):
        if first == "the announcement":
            await announce(world)
        else:
            begins(world)
        await world.passes(1.0)
        assert len(world.submitted) == (first != "the announcement")
        if first == "the announcement":
            begins(world)
        elif first == "the canary":
            await announce(world)
        await world.passes(1.0)
    if first == "the canary, and a restart":
        await announce(world)
        async with background(world.follow(take)):
            await world.passes(1.0)
    watched, announced = (world.submitted.pop(one) for one in sorted(world.submitted, key=lambda one: one == ID))
    assert senders == ["event /ci"]
    assert (watched.policy, announced.policy) == ("default", "strict")
    assert (announced.baseline, announced.canary, announced.strategy) == (watched.baseline, watched.canary, "pods")
    assert (announced.artifact, announced.callback, announced.observe) == ("mirror/web:2", NEW.callback, True)
    assert world.awaited.find(ID) is None


async def test_what_is_refused_or_must_be_told_again_is_and_another_version_waits_on(world: Waiting) -> None:
    postponed = [1]

    async def take(notice: Any) -> None:
        if isinstance(notice, AwaitedPodsNotice) and postponed[0]:
            postponed[0] -= 1
            await notice.postpone()
        else:
            await world.take(notice)

    def refuse(release: Release) -> None:
        if release.policy == "strict":
            raise InvalidInput("no policy 'strict'", path="$.policy", fix="name another")

    world.refuse = refuse
    async with background(world.follow(take)):
        canary(world)
        await world.passes(1.0)
        await announce(world, msgspec.structs.replace(NEW, artifact="reg/web:3"))
        await world.passes(1.0)
        assert world.awaited.find(ID) is not None
        await world.awaited.forget(ID)
        await announce(world)
        await world.passes(1.0)
        await world.passes(40.0)
    assert world.awaited.find(ID) is None
    assert world.letters.reasons == ["$.policy: no policy 'strict'; name another"]
    assert len(world.releases) == 1


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ({}, True),
        ({"service": "web-canary"}, True),
        ({"service": "Web"}, True),
        ({"service": "till"}, False),
        ({"namespace": "other"}, False),
        ({"mesh": "linkerd"}, False),
        ({"route": "web"}, False),
        ({"artifact": "reg/web:3"}, False),
        ({"artifact": None, "version": "2"}, True),
        ({"artifact": None, "version": "1"}, False),
        ({"artifact": None, "revision": "0123456789abcdef"}, False),
        ({"artifact": None}, True),
        ({"artifact": None, "service": "till"}, False),
        ({"artifact": None, "baseline": ArmSpec(workload="till")}, False),
        ({"artifact": None, "canary": ArmSpec(workload="web-canary")}, True),
        ({"artifact": None, "canary": ArmSpec(workload="web")}, False),
        ({"baseline": ArmSpec(workload="web", labels={"pod-template-hash": "h1"})}, True),
        ({"baseline": ArmSpec(labels={"track": "stable"})}, False),
        ({"canary": ArmSpec(subset="v2")}, False),
    ],
)
def test_an_announcement_is_of_a_release_by_its_service_and_what_only_its_canary_runs_or_is_called(
    said: dict[str, Any], is_so: bool
) -> None:
    assert fits(msgspec.structs.replace(NEW, **said), OBSERVED) is is_so
