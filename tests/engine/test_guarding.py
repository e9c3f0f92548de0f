"""The guard of a revert, on a router that answers what it is told and a clock that nobody waits for."""

import asyncio

import pytest

from config.settings import Limits
from daemon.engine import reverting
from daemon.engine.guarding import GIVEN_UP, Guarding
from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK
from daemon.engine.reverting import Reverting
from daemon.errors import Blocked, Conflict, Forbidden, NotFound, Throttled, Unavailable, VerdictdError
from daemon.model import Release, TimedStep
from daemon.placement import PatchReceipt
from tests.engine.test_reverting import LIMITS, RELEASE
from tests.hand.clock import HandClock
from tests.hand.routers import FakeRouter, names_of, partly


def guarding(clock: HandClock, limits: Limits) -> Guarding:
    return Guarding(reverting=Reverting(clock=clock, limits=limits, random=lambda: 0.5))


async def reasserted(router: FakeRouter, *, limits: Limits = LIMITS) -> tuple[TimedStep, ...]:
    return await guarding(router.clock, limits).reassert(router, RELEASE)


async def test_the_guard_leaves_an_undisturbed_route_alone(clock: HandClock) -> None:
    router = FakeRouter(clock)
    steps = await reasserted(router)
    assert names_of(steps) == [GUARD_ENDED]
    assert "patch" not in router.calls
    assert clock.time == pytest.approx(1_010.0)


async def test_the_guard_takes_the_traffic_back_each_time_and_counts(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=["back at 95/5", None, "back at 95/5", None])
    steps = await reasserted(router)
    assert names_of(steps) == [PUT_BACK, PUT_BACK, GUARD_ENDED]
    assert steps[0].detail == "back at 95/5"
    assert "put back 2 times" in steps[-1].detail
    assert router.calls.count("patch") == 2


async def test_the_last_word_says_when_it_was_put_back_last_and_what_was_found(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=["back at 95/5", None])
    *_, end = await reasserted(router)
    assert end.detail.startswith("put back 1 times and taken back each time, the last time at 1970-01-01T00:16:40Z: back at 95/5;")


async def test_each_time_is_told_at_once_and_none_is_kept_for_the_end(clock: HandClock) -> None:
    told: list[tuple[float, TimedStep]] = []
    router = FakeRouter(clock, looks=["back at 95/5", None])
    await guarding(clock, LIMITS).reassert(router, RELEASE, undone=lambda step: told.append((clock.time, step)))
    [(at, step)] = told
    assert (step.step, step.detail, step.at) == (PUT_BACK, "back at 95/5", at)
    assert at < clock.time


async def held(router: FakeRouter, *, quiet_seconds: float = 5.0) -> tuple[bool, list[str], float]:
    """Whether it stays, what happened, and how long that was looked at."""
    start = router.clock.time
    limits = Limits(guard_seconds=12.0)
    found = await guarding(router.clock, limits).hold(router, RELEASE, quiet_seconds=quiet_seconds)
    return found.stays, names_of(found.steps), round(router.clock.time - start, 6)


async def test_a_revert_that_nobody_undoes_holds_after_as_long_as_its_owner_takes(clock: HandClock) -> None:
    assert await held(FakeRouter(clock)) == (True, [GUARD_ENDED], 5.0)


async def test_one_that_is_undone_is_done_again_and_holds_when_it_was_quiet_for_so_long(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=[None, None, "back at 95/5", None])
    assert await held(router) == (True, [PUT_BACK, GUARD_ENDED], 10.0)
    assert router.calls.count("patch") == 1


async def test_one_that_is_undone_again_and_again_does_not_hold(clock: HandClock) -> None:
    stays, _, seconds = await held(FakeRouter(clock, looks=["back at 95/5"]))
    assert (stays, seconds) == (False, 15.0)


async def test_an_owner_that_takes_longer_than_the_guard_is_waited_for_once(clock: HandClock) -> None:
    assert await held(FakeRouter(clock, looks=["back at 95/5"]), quiet_seconds=65.0) == (
        False,
        [PUT_BACK] * 10 + [GUARD_ENDED],
        65.0,
    )


async def test_the_guard_survives_whatever_the_mesh_answers(clock: HandClock) -> None:
    looks: list[str | VerdictdError | None] = [Unavailable("500"), Throttled("slow", retry_after_seconds=3.0), "back at 95/5", None]
    router = FakeRouter(clock, looks=looks, patches=[Conflict("changed"), True])
    steps = await reasserted(router)
    assert names_of(steps) == [GUARD_ENDED]
    assert "3 looks failed" in steps[-1].detail
    assert max(clock.slept) == pytest.approx(3.0)


async def test_the_guard_gives_nothing_to_a_baseline_that_has_gone_since_and_says_so(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=["back at 95/5"], baseline=Blocked("nobody is left"))
    [step] = await reasserted(router)
    assert "patch" not in router.calls
    assert "put back 0 times" in step.detail
    assert step.detail.endswith("the last one: nobody is left")


async def test_a_fight_without_end_keeps_few_marks_and_the_count(clock: HandClock) -> None:
    steps = await reasserted(FakeRouter(clock, looks=["back at 95/5"]), limits=Limits(guard_seconds=60.0))
    assert len(steps) == 11
    assert "put back 300 times" in steps[-1].detail


async def retried(router: FakeRouter, *, limits: Limits = LIMITS) -> tuple[TimedStep, ...]:
    return await guarding(router.clock, limits).keep_retrying(router, RELEASE)


async def test_a_failed_revert_is_tried_on_until_a_patch_is_acknowledged(clock: HandClock) -> None:
    router = FakeRouter(clock, patches=[*[Unavailable("away")] * 60, Forbidden("not yet"), True])
    steps = await retried(router)
    assert names_of(steps) == [reverting.PATCH_SENT, reverting.PATCH_ACKNOWLEDGED, reverting.TRAFFIC_LEFT]
    assert 40 < clock.time - 1_000.0 < 900
    assert max(clock.slept) <= 10.0


async def test_a_revert_that_failed_in_part_is_tried_on_until_nothing_is_left(clock: HandClock) -> None:
    patches: list[bool | VerdictdError | PatchReceipt] = [Unavailable("away"), partly(clock, "one", two=Unavailable("away")), True]
    steps = await retried(FakeRouter(clock, patches=patches))
    assert [step.detail for step in steps if step.step == reverting.PATCH_SENT] == [
        "one: v2 -> v1; two: away",
        "web: v2 -> v1",
    ]


async def test_a_failed_revert_is_not_tried_on_while_nobody_would_serve(clock: HandClock) -> None:
    router = FakeRouter(clock, baseline=Blocked("nobody is left"))
    [step] = await retried(router, limits=Limits(insist_seconds=60.0))
    assert (step.step, step.detail) == (GIVEN_UP, "nobody is left")
    assert "patch" not in router.calls


async def test_a_failed_revert_without_a_route_any_more_has_nothing_left_to_do(clock: HandClock) -> None:
    step, left = await retried(FakeRouter(clock, patches=[NotFound("the route is gone")]))
    assert (step.step, step.detail) == (reverting.NOTHING_TO_TAKE_BACK, "the route is gone")
    assert left.step == reverting.TRAFFIC_LEFT


async def test_a_failed_revert_is_given_up_when_its_evidence_is_too_old(clock: HandClock) -> None:
    [step] = await retried(FakeRouter(clock, patches=[Forbidden("no")]), limits=Limits(insist_seconds=60.0))
    assert (step.step, step.detail) == (GIVEN_UP, "no")
    assert clock.time == 1_060.0


async def test_no_guard_is_stood_where_none_is_wanted(clock: HandClock) -> None:
    router = FakeRouter(clock)
    await reasserted(router, limits=Limits(guard_seconds=0.0))
    assert router.calls == []


async def test_cancellation_ends_the_guard(clock: HandClock) -> None:
    task = asyncio.ensure_future(reasserted(FakeRouter(clock), limits=Limits(guard_seconds=1e9)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class AwayRouter(FakeRouter):
    """Its server is away until a time."""

    back_at = 0.0

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        if self.clock.time < self.back_at:
            raise Unavailable("connection refused")
        return await super().revert(release, located=located)


@pytest.mark.parametrize("away_seconds", [7.0, 60.0, 61.3, 599.0])
async def test_however_long_the_server_was_away_the_patch_is_there_within_a_second_of_its_return(
    clock: HandClock, away_seconds: float
) -> None:
    router = AwayRouter(clock)
    router.back_at = clock.time + away_seconds
    steps = await retried(router, limits=Limits(insist_seconds=900.0))
    assert names_of(steps) == [reverting.PATCH_SENT, reverting.PATCH_ACKNOWLEDGED, reverting.TRAFFIC_LEFT]
    assert clock.time - router.back_at <= 1.0
