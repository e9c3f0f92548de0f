"""Releases that a controller steps: its word goes before all signs, and each of its attempts is one release."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from daemon import stored
from daemon.aio.tasks import background
from daemon.delivery.flagger import CANARIES
from daemon.errors import Unavailable
from daemon.kube.resources import ROLLOUTS
from daemon.model import ArmSpec
from daemon.watcher.endnotices import EndNotice
from daemon.watcher.notices import RouteNotice
from daemon.watcher.watches import Watches
from tests.hand.clock import HandClock
from tests.hand.ports import until
from tests.watcher.world import NAMESPACE, World, deployment, service

Json = dict[str, Any]


def route(stable: int, canary: int, *, baseline: str = "web-stable") -> Json:
    targets = [{"destination": {"host": host}, "weight": weight} for host, weight in ((baseline, stable), ("web-canary", canary))]
    return {
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"hosts": ["web"], "http": [{"route": targets}]},
    }


def rollout(current: str, *, stable: str = "111", abort: bool = False) -> Json:
    canary = {"stableService": "web-stable", "canaryService": "web-canary"}
    return {
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"strategy": {"canary": canary}},
        "status": {"stableRS": stable, "currentPodHash": current, "abort": abort},
    }


def replica_set(revision: str) -> Json:
    made = deployment(f"web-{revision}", image=f"reg/web:{revision}", **{"rollouts-pod-template-hash": revision})
    return {**made, "kind": "ReplicaSet"}


def canary(phase: str, *, applied: str = "1") -> Json:
    return {
        "kind": "Canary",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"targetRef": {"name": "web"}},
        "status": {"phase": phase, "lastAppliedSpec": applied},
    }


@pytest.fixture
def argo() -> World:
    world = World(mode="enforce")
    world.cluster.around_objects += [service("web-stable", app="web"), service("web-canary", app="web")]
    world.cluster.around_objects += [replica_set("111"), replica_set("222"), replica_set("333")]
    return world


@pytest.fixture
def flagger() -> World:
    world = World(mode="enforce")
    world.cluster.around_objects += [service("web", app="web"), service("web-canary", app="web")]
    world.cluster.around_objects += [service("web-primary", app="web-primary")]
    world.cluster.around_objects += [
        deployment("web", image="reg/web:2"),
        deployment("web-primary", image="reg/web:1", app="web-primary"),
    ]
    return world


async def test_a_rollouts_step_is_a_release_of_its_two_services_with_the_image_that_is_new(argo: World) -> None:
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("111"))
    argo.cluster.routes.put(route(100, 0))
    async with argo.running():
        await argo.settled()
        rollouts.put(rollout("222"))
        argo.cluster.routes.put(route(90, 10))
        await argo.settled()
    (release,) = argo.releases
    assert (release.service, release.observe, release.artifact) == ("web", False, "reg/web:222")
    assert release.baseline == ArmSpec(service="web-stable", labels={"app": "web", "rollouts-pod-template-hash": "111"})
    assert release.canary == ArmSpec(service="web-canary", labels={"app": "web", "rollouts-pod-template-hash": "222"})


async def test_a_rollout_that_steps_when_the_watch_begins_is_a_release_since_its_owner_says_so(argo: World) -> None:
    argo.cluster.feed(ROLLOUTS).put(rollout("222"))
    argo.cluster.routes.put(route(70, 30))
    for _ in range(2):
        async with argo.running():
            await argo.settled()
            await argo.turns()
    assert len(argo.submitted) == 1


async def test_a_rollout_that_tries_another_version_in_the_middle_is_a_release_of_its_own(argo: World) -> None:
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with argo.running():
        await argo.settled()
        rollouts.put(rollout("333"))
        await argo.turns()
    assert [one.artifact for one in argo.releases] == ["reg/web:222", "reg/web:333"]


async def test_an_aborted_rollout_that_tries_the_same_version_again_is_a_release_of_its_own(argo: World) -> None:
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with argo.running():
        await argo.settled()
        rollouts.put(rollout("222", abort=True))
        argo.cluster.routes.put(route(100, 0))
        await argo.settled()
        rollouts.put(rollout("222"))
        argo.cluster.routes.put(route(90, 10))
        await argo.settled()
    assert len(argo.submitted) == 2


async def test_flaggers_release_is_of_its_primary_and_ends_by_its_word_though_the_route_did_not_change(flagger: World) -> None:
    canaries = flagger.cluster.feed(CANARIES)
    canaries.put(canary("Initialized", applied="0"))
    flagger.cluster.routes.put(route(100, 0, baseline="web-primary"))
    async with flagger.running():
        await flagger.settled()
        canaries.put(canary("Progressing"))
        flagger.cluster.routes.put(route(90, 10, baseline="web-primary"))
        await flagger.settled()
        flagger.cluster.routes.put(route(100, 0, baseline="web-primary"))
        canaries.put(canary("Finalising"))
        await flagger.settled()
        await flagger.turns()
        assert [len(one.opened) for one in flagger.kept() if one] == [1]
        canaries.put(canary("Succeeded"))
        await flagger.turns()
        assert [len(one.opened) for one in flagger.kept() if one] == [0]
        canaries.put(canary("Progressing"))
        flagger.cluster.routes.put(route(90, 10, baseline="web-primary"))
        await flagger.settled()
    assert [(one.service, one.baseline.service, one.canary.service) for one in flagger.releases] == [
        ("web", "web-primary", "web-canary")
    ] * 2


async def test_an_owner_that_is_gone_and_comes_again_with_the_same_words_is_heard_of_both_times() -> None:
    heard: list[str] = []
    cluster = World(mode="enforce").cluster
    rollouts = cluster.feed(ROLLOUTS)
    watches = Watches(
        "here",
        kinds={},
        owning=[one for one in cluster.owning if one.resource == ROLLOUTS],
        namespaces=(),
        source=cluster.source,
        clock=HandClock(),
        changed=lambda _: None,
        owner_changed=heard.append,
    )
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watches.run({}))
        for times in (1, 3):
            rollouts.put(rollout("222"))
            await until(lambda times=times: len(heard) == times)  # type: ignore[misc]
            rollouts.remove("web")
            await until(lambda times=times: len(heard) == times + 1)  # type: ignore[misc]
        watching.cancel()
    assert heard == [NAMESPACE] * 4


async def test_what_an_owner_says_before_the_routes_are_listed_takes_no_route_for_gone(argo: World) -> None:
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with argo.running():
        await argo.settled()
    (before,) = argo.kept()
    away = [True]

    def cut(_where: str) -> None:
        if away:
            raise Unavailable("not yet")

    argo.cluster.routes.cut = cut
    rollouts.put(rollout("333"))
    async with argo.running():
        await argo.turns()
        assert argo.kept() == [before]
        away.clear()
        await argo.turns(2_000)
    assert [one.artifact for one in argo.releases] == ["reg/web:222", "reg/web:333"]


async def test_a_kept_route_of_a_kind_or_place_that_is_not_watched_now_is_said_once_and_left_alone(
    argo: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with argo.running():
        await argo.settled()
    (kept,) = argo.kept()
    assert kept is not None
    elsewhere = [{"kind": "HTTPRoute"}, {"cluster": "away"}, {"group": "example.org"}]
    for other in elsewhere:
        one = msgspec.structs.replace(kept, key=replace(kept.key, **other))
        argo.store.data[one.key.stored] = stored.encode(one, carried={})
    caplog.clear()
    async with argo.running():
        for revision in ("333", "444"):
            rollouts.put(rollout(revision))
            await argo.turns()
    assert [one.message for one in caplog.records if "defect" in one.message] == []
    assert [one.message for one in caplog.records].count("routes that were watched once are not followed now") == 1
    assert len(argo.store.data) == 1 + len(elsewhere)


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (rollout("222", abort=True), "it has given this version up"),
        (rollout("222", stable="222"), "it has promoted this version: both arms are the same from now on"),
    ],
)
async def test_a_rollout_that_is_done_with_its_canary_ends_the_release_once_though_the_route_says_nothing_yet(
    argo: World, then: Json, why: str
) -> None:
    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with argo.running():
        await argo.settled()
        assert argo.ended == []
        rollouts.put(then)
        await argo.turns()
        argo.cluster.routes.put(route(100, 0))
        await argo.settled()
    ((release_id, command),) = argo.ended
    assert list(argo.submitted) == [release_id]
    assert (command.command, command.by, command.reason) == ("cancel", "Rollout shop/web", why)


async def test_that_a_release_is_over_is_told_until_it_is_taken(argo: World) -> None:
    away = [3]

    async def take(notice: RouteNotice | EndNotice) -> None:
        if isinstance(notice, EndNotice) and away[0] > 0:
            away[0] -= 1
            await (notice.postpone() if away[0] % 2 else notice.put_back())
        else:
            await argo.take(notice)

    rollouts = argo.cluster.feed(ROLLOUTS)
    rollouts.put(rollout("222"))
    argo.cluster.routes.put(route(90, 10))
    async with background(argo.follow(take)):
        await argo.settled()
        rollouts.put(rollout("222", abort=True))
        await argo.turns(3_000)
    assert (away[0], len(argo.ended)) == (0, 1)
    assert [one.opened for one in argo.kept() if one] == [()]


async def test_a_route_alone_ends_no_watch(argo: World) -> None:
    argo.cluster.around_objects += [deployment("web-a", image="reg/web:1", track="stable")]
    async with argo.running():
        for canary_percent in (0, 10, 0):
            argo.cluster.routes.put(route(100 - canary_percent, canary_percent))
            await argo.settled()
    assert argo.ended == []
