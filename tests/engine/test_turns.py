"""Many reverts at once: so many at a time, in their order; what hangs holds up nobody for long, and what follows comes after."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Self

from config.settings import Limits
from daemon.aio.tasks import cancel_all
from daemon.engine.reverting import Reverting
from daemon.engine.turns import Turns
from daemon.errors import Blocked, Unavailable
from daemon.model import Action, Release
from daemon.placement import PatchReceipt
from tests.hand.clock import HandClock
from tests.hand.routers import FakeRouter
from tests.hand.samples import RELEASE

LIMITS = Limits(revert_attempts=3, confirm_seconds=2.0)
_NEVER_SECONDS = 60.0


class Crowd:
    """Tasks that have their turn and stay until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.began = list[int]()
        self.let_go = [asyncio.Event() for _ in range(9)]
        self.tasks = list[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        self.tasks = [asyncio.create_task(self._one(number)) for number in range(9)]
        await turned()
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all(self.tasks)

    async def _one(self, number: int) -> None:
        async with self.turns.turn():
            self.began.append(number)
            await self.let_go[number].wait()


async def turned() -> None:
    """The loop has turned often enough for whatever is ready to be done."""
    for _ in range(20):
        await asyncio.sleep(0)


async def has_the_turn(turns: Turns, over: asyncio.Event) -> None:
    """Until it is over."""
    async with turns.turn():
        await over.wait()


async def test_so_many_have_their_turn_at_a_time_in_the_order_in_which_they_came() -> None:
    async with Crowd(Turns(places=3, longest_seconds=_NEVER_SECONDS)) as crowd:
        assert crowd.began == [0, 1, 2]
        crowd.let_go[1].set()
        await turned()
        assert crowd.began == [0, 1, 2, 3]
        for one in crowd.let_go:
            one.set()
        await turned()
        assert crowd.began == list(range(9))


async def test_one_that_hangs_gives_its_turn_on_after_a_moment_and_once_only() -> None:
    turns = Turns(places=2, longest_seconds=0.01)
    async with Crowd(turns) as crowd:
        while len(crowd.began) < 9:  # nobody is let go
            await asyncio.sleep(0.001)
        crowd.let_go[0].set()
        await cancel_all(crowd.tasks)
        turns._longest_seconds = _NEVER_SECONDS  # a machine with much to do takes longer than a moment to look
        again = Crowd(turns)
        async with again:
            assert again.began == [0, 1]


async def test_a_turn_that_ends_as_who_waits_for_it_is_cancelled_goes_to_the_next() -> None:
    async with Crowd(Turns(places=1, longest_seconds=_NEVER_SECONDS)) as crowd:
        crowd.let_go[0].set()
        crowd.tasks[1].cancel()
        await turned()
        assert crowd.began == [0, 2]


async def test_whoever_is_cancelled_while_it_waits_or_as_its_turn_comes_holds_up_nobody() -> None:
    async with Crowd(Turns(places=1, longest_seconds=_NEVER_SECONDS)) as crowd:
        crowd.tasks[1].cancel()
        await turned()
        crowd.let_go[0].set()
        await asyncio.sleep(0)  # the turn has been given to the third, which has not gone on yet
        crowd.tasks[2].cancel()
        await turned()
        assert crowd.began == [0, 3]
        for one in crowd.let_go:
            one.set()
        await turned()
        assert crowd.began == [0, *range(3, 9)]
        async with asyncio.timeout(_NEVER_SECONDS):
            await crowd.turns.calm()


async def test_one_that_is_cancelled_in_the_same_moment_in_which_a_turn_ends_is_passed_over() -> None:
    async with Crowd(Turns(places=1, longest_seconds=_NEVER_SECONDS)) as crowd:
        crowd.let_go[0].set()
        crowd.tasks[1].cancel()
        await turned()
        assert crowd.began == [0, 2]
    async with asyncio.timeout(_NEVER_SECONDS):
        await crowd.turns.calm()
        async with crowd.turns.turn():
            pass


async def test_what_follows_waits_until_nobody_waits_for_a_turn_but_not_for_ever() -> None:
    async with Crowd(Turns(places=2, longest_seconds=_NEVER_SECONDS, calm_seconds=_NEVER_SECONDS)) as crowd:
        following = asyncio.create_task(crowd.turns.calm())
        for one in crowd.let_go[:8]:
            one.set()
        await turned()
        assert not following.done()
        crowd.let_go[8].set()
        await following
    async with Crowd(Turns(longest_seconds=_NEVER_SECONDS, calm_seconds=0.01)) as crowd:
        await crowd.turns.calm()


class Watched(FakeRouter):
    """Tells of every call in which order it came, whichever release it is of; a patch may be held."""

    def __init__(
        self, clock: HandClock, *, told: list[str], name: str, held: asyncio.Event | None = None, away: bool = False
    ) -> None:
        super().__init__(clock, patches=(Unavailable("away") if away else True,))
        self.told, self.name, self.held = told, name, held

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        await asyncio.sleep(0)
        return await super().check_baseline(release, located=located)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        self.told.append(f"{self.name} patch")
        if self.held is not None:
            await self.held.wait()
        return await super().revert(release, located=located)

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        self.told.append(f"{self.name} look")
        return await super().canary_gets_traffic(release, located=located)


async def test_all_that_are_decided_at_once_are_patched_in_their_order_before_any_is_looked_at(clock: HandClock) -> None:
    told, turns = list[str](), Turns(places=2)
    procedure = Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5)
    names = [str(number) for number in range(7)]
    runs = [procedure.run(Watched(clock, told=told, name=name), RELEASE, turns=turns) for name in names]
    outcomes = await asyncio.gather(*runs)
    assert {one.action for one in outcomes} == {Action.REVERT}
    assert told[:7] == [f"{name} patch" for name in names]
    assert sorted(told[7:]) == [f"{name} look" for name in names]


async def test_who_would_serve_is_asked_ahead_of_the_turn_and_once_more_where_that_comes_late(clock: HandClock) -> None:
    turns, over = Turns(places=1, longest_seconds=_NEVER_SECONDS), asyncio.Event()
    procedure = Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5)

    for late_seconds, asked in ((0.0, 1), (1.5, 2)):
        over.clear()
        router = FakeRouter(clock)
        has_it = asyncio.create_task(has_the_turn(turns, over))
        waits = asyncio.create_task(procedure.run(router, RELEASE, turns=turns))
        await turned()
        assert router.calls == ["baseline"]
        clock.time += late_seconds
        over.set()
        assert (await waits).action is Action.REVERT
        assert router.calls == [*["baseline"] * asked, "patch", "look"]
        await has_it


async def test_nothing_is_patched_where_nobody_would_serve_any_more_when_the_turn_comes_late(clock: HandClock) -> None:
    turns, over = Turns(places=1, longest_seconds=_NEVER_SECONDS), asyncio.Event()

    router = FakeRouter(clock)
    has_it = asyncio.create_task(has_the_turn(turns, over))
    waits = asyncio.create_task(Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5).run(router, RELEASE, turns=turns))
    await turned()
    router.baseline, clock.time = Blocked("nobody is ready"), clock.time + 1.5
    over.set()
    assert (await waits).action is Action.BLOCKED
    assert router.calls == ["baseline", "baseline"]
    await has_it


async def test_so_many_ask_ahead_at_a_time_and_what_follows_waits_for_them_and_for_their_turn() -> None:
    turns, stages = Turns(places=1, ahead=2, longest_seconds=_NEVER_SECONDS), list[str]()
    asked, over = asyncio.Event(), asyncio.Event()

    async def one(name: str) -> None:
        async with turns.asking():
            stages.append(f"{name} asks")
            await asked.wait()
        async with turns.turn():
            stages.append(f"{name} has its turn")
            await over.wait()

    async def follows() -> None:
        await turns.calm()
        stages.append("what follows")

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(one(name))
        await turned()
        group.create_task(follows())
        assert stages == ["first asks", "second asks"]
        asked.set()
        await turned()
        assert stages == ["first asks", "second asks", "first has its turn", "third asks"]
        over.set()
    assert stages[4:] == ["second has its turn", "third has its turn", "what follows"]


async def test_the_next_one_asks_when_who_has_asked_has_its_turn(clock: HandClock) -> None:
    turns, over = Turns(places=1, ahead=1, longest_seconds=_NEVER_SECONDS), asyncio.Event()
    has_it = asyncio.create_task(has_the_turn(turns, over))
    await turned()
    procedure = Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5)
    first, second = FakeRouter(clock), FakeRouter(clock)
    runs = [asyncio.create_task(procedure.run(one, RELEASE, turns=turns)) for one in (first, second)]
    await turned()
    assert (first.calls, second.calls) == (["baseline"], [])
    over.set()
    assert {(await one).action for one in runs} == {Action.REVERT}
    await has_it


async def test_what_follows_waits_also_for_one_that_has_asked_and_comes_for_its_turn_in_that_moment() -> None:
    turns, asked, over = Turns(longest_seconds=_NEVER_SECONDS), asyncio.Event(), asyncio.Event()

    async def one() -> None:
        async with turns.asking():
            await asked.wait()
        async with turns.turn():
            await over.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        await turned()
        follows = group.create_task(turns.calm())
        await turned()
        asked.set()
        await turned()
        assert not follows.done()
        over.set()


async def test_a_revert_that_hangs_or_is_tried_again_and_again_holds_up_no_new_one(clock: HandClock) -> None:
    told, turns = list[str](), Turns(places=1, longest_seconds=0.01, calm_seconds=0.01)
    procedure = Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5)
    hanging = Watched(clock, told=told, name="hangs", held=asyncio.Event())
    failing = Watched(clock, told=told, name="fails", away=True)
    good = Watched(clock, told=told, name="good")
    async with AsyncExitStack() as stack:
        task = asyncio.create_task(procedure.run(hanging, RELEASE, turns=turns))
        stack.push_async_callback(cancel_all, [task])
        outcomes = await asyncio.gather(*(procedure.run(one, RELEASE, turns=turns) for one in (failing, good)))
        assert not task.done()
    assert [one.action for one in outcomes] == [Action.FAILED, Action.REVERT]
    with suppress(asyncio.CancelledError):
        await task
