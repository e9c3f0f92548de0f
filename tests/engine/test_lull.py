"""Who is in waits for a lull of those who are let in: not for long, and not at all where nobody is."""

import asyncio
import itertools

import msgspec

from daemon.engine.lull import Lull
from daemon.model import Release
from daemon.placement import Placement
from tests.hand.ports import HandRouter, HandTelemetry, Scene, running, until
from tests.hand.samples import RELEASE, gap


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_nobody_waits_where_nobody_is_let_in() -> None:
    async with asyncio.timeout(10.0):
        await Lull().wait(seconds=1000.0)


async def test_all_who_wait_go_on_when_the_last_is_in() -> None:
    lull = Lull()
    with lull.busy():
        with lull.busy():
            waiting = asyncio.ensure_future(lull.wait(seconds=1000.0))
            await turns(5)
        await turns(5)
        assert not waiting.done()
    await turns(5)
    assert waiting.done()


async def test_who_waits_goes_on_after_a_moment_however_many_keep_coming() -> None:
    lull = Lull()
    with lull.busy():
        await lull.wait(seconds=0.01)


async def test_canaries_of_a_flood_are_looked_for_when_all_are_in() -> None:
    kept_by_then: list[int] = []

    class Router(HandRouter):
        async def locate(self, release: Release) -> Placement:
            kept_by_then.append(len(scene.sessions.data))
            return await super().locate(release)

    scene = Scene(telemetry=HandTelemetry([gap()]), router=Router())
    put, number = scene.sessions.put, itertools.count()

    async def later_each(key: str, value: bytes, *, over: int | None = None) -> int:
        await turns(20 * next(number))
        return await put(key, value, over=over)

    scene.sessions.put = later_each  # type: ignore[method-assign]
    async with running(scene) as engine:
        releases = [msgspec.structs.replace(RELEASE, service=f"web-{n}") for n in range(20)]
        await asyncio.gather(*(engine.submit(one, release_id=one.service) for one in releases))
        await until(lambda: len(kept_by_then) >= len(releases))
    assert min(kept_by_then) == len(releases)
