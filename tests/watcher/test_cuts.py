"""The watch is cut at every point, and the daemon with it: no attempt is missed, and none is announced twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from daemon.errors import Unavailable
from daemon.watcher.notices import RouteNotice
from tests.watcher.world import BY_CONSUL, BY_ISTIO, BY_LINKERD, World, ended, two_versions, virtual_service

_LIVES = 15
"""Worlds that are played; in each of them dozens of cuts."""
_ROUTES = ("web", "cart", "mail")
_TURNS = 30_000
_COLORS = ("blue", "green")
_KINDS = (BY_ISTIO, BY_LINKERD, BY_CONSUL)


@dataclass
class Trouble:
    """Everything that can be cut, by one sequence of chance."""

    world: World
    chance: random.Random
    cuts: Counter[str] = field(default_factory=Counter)
    is_over: bool = False
    daemon: asyncio.Task[None] | None = None

    def cut(self, where: str) -> None:
        """In the answers of the API server."""
        if self._strikes(0.15):
            self.cuts[where] += 1
            raise Unavailable(f"cut at a {where}")

    async def take(self, notice: RouteNotice) -> None:
        """The engine's answers: it dies before it has kept the release, or before it has said so; or it has no store now."""
        if self._strikes(0.15):
            self.cuts["killed before it was kept"] += 1
            await self._dies()
        if self._strikes(0.15):
            self.cuts["postponed"] += 1
            await notice.postpone()
            return
        if self._strikes(0.15):
            self.cuts["killed after it was kept"] += 1
            release_id = notice.release_id
            assert release_id is not None
            self.world.submitted.setdefault(release_id, notice.release())
            await self._dies()
        await self.world.take(notice)

    async def meddle(self, turns: int) -> None:
        """Let time pass, in which watches end and grow old, the store is away, and the daemon is killed and comes back."""
        for _ in range(turns):
            await asyncio.sleep(0)
            await self._meddle()

    async def settled(self) -> None:
        """Meddle until everything has been looked at, which it is in the end."""
        for turn in range(_TURNS):
            self.is_over = turn > 400
            await asyncio.sleep(0)
            await self._meddle()
            if self.is_over and all(self.world.is_settled(name) for name in _ROUTES):
                self.is_over = False
                return
        raise AssertionError(f"it never settles: {self.world.kept()}")

    async def _meddle(self) -> None:
        feed = self.world.cluster.routes
        if self._strikes(0.02):
            self.cuts["watch too old"] += 1
            feed.forget()
            feed.wake()
        if self._strikes(0.02):
            feed.wake()
        if self._strikes(0.03):
            self.cuts["written with nothing changed"] += 1
            feed.put(self.chance.choice(sorted(feed.objects.values(), key=lambda one: str(one["metadata"]["name"]))))
        if self._strikes(0.02):
            self.cuts["store away"] += 1
            self.world.store.failing = Unavailable("away")
        elif self.is_over or self._strikes(0.3):
            self.world.store.failing = None
        if self.daemon is None or self.daemon.done() or self._strikes(0.01):
            self.cuts["killed"] += self.daemon is not None
            await self.stop()
            self.daemon = asyncio.create_task(self.world.follow(self.take))

    async def stop(self) -> None:
        if self.daemon is not None:
            await ended_whatever(self.daemon)
        self.daemon = None

    async def _dies(self) -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    def _strikes(self, probability: float) -> bool:
        return not self.is_over and self.chance.random() < probability


async def ended_whatever(task: asyncio.Task[None]) -> None:
    """Its source may have failed meanwhile, as the engine's consumer expects of any."""
    with suppress(Unavailable):
        await ended(task)


@dataclass
class Route:
    """A route whose releases somebody makes by hand; ``attempts`` are their canaries, in order."""

    name: str
    baseline: int = 0
    percent: int = 0
    attempts: list[str] = field(default_factory=list)

    def step(self, world: World, chance: random.Random) -> None:
        """Begin, go on, take back or promote."""
        if self.percent == 0:
            self.percent = chance.choice((1, 10, 50))
            self.attempts.append(_COLORS[1 - self.baseline])
        else:
            self.percent = chance.choice((0, 0, 20, 60, 100, 100))
        weights = (100 - self.percent, self.percent) if self.baseline == 0 else (self.percent, 100 - self.percent)
        world.cluster.routes.put(world.by.route(self.name, blue=weights[0], green=weights[1]))
        if self.percent == 100:
            self.baseline, self.percent = 1 - self.baseline, 0


async def _play(seed: int) -> Counter[str]:
    world, chance = World(by=_KINDS[seed % len(_KINDS)]), random.Random(seed)  # noqa: S311 - what is cut is to be the same each time
    world.cluster.around_objects += two_versions(*_ROUTES)
    routes = [Route(name) for name in _ROUTES]
    for route in routes:
        world.cluster.routes.put(world.by.route(route.name, blue=100, green=0))
    trouble = Trouble(world, chance)
    world.cluster.routes.cut = trouble.cut
    await trouble.settled()
    for _ in range(6):
        for route in routes:
            if chance.random() < 0.7:
                route.step(world, chance)
                await trouble.meddle(chance.randrange(20))
        await trouble.settled()
    await trouble.stop()
    for route in routes:
        arms = [one.canary for one in world.releases if one.service == route.name]
        announced = [arm.subset or str(arm.service).removeprefix(f"{route.name}-") for arm in arms]
        assert announced == route.attempts, f"seed {seed}, {route.name}"
    assert not world.letters.kept
    return trouble.cuts


async def test_over_a_thousand_cuts_no_attempt_is_missed_and_none_is_announced_twice() -> None:
    cuts: Counter[str] = Counter()
    for seed in range(_LIVES):
        cuts += await _play(seed)
    assert cuts.total() > 1_000
    assert len(cuts) == 10, cuts


@pytest.mark.parametrize("where", ["listing", "watch", "line"])
async def test_a_feed_that_is_cut_at_every_answer_but_each_second_one_is_followed_all_the_same(where: str) -> None:
    world, asked = World(), Counter[str]()
    world.cluster.around_objects += two_versions()
    world.cluster.routes.put(virtual_service(blue=100, green=0))

    def cut(at: str) -> None:
        asked[at] += 1
        if at == where and asked[at] % 2:
            raise Unavailable("cut")

    world.cluster.routes.cut = cut
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    assert len(world.submitted) == 1
