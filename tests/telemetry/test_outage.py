"""A source that does not answer is asked less often, within bounds, and what is not asked is a gap."""

import pytest

from daemon.errors import InvalidInput, Throttled, Unavailable, VerdictdError
from daemon.telemetry.outage import LONGEST_PAUSE_SECONDS, Outage
from tests.hand.clock import HandClock


class Source:
    """Fails by ``error``, where there is one."""

    def __init__(self, error: VerdictdError | None = None) -> None:
        self.error = error
        self.asked: list[float] = []

    async def ask(self, clock: HandClock) -> str:
        self.asked.append(clock.time)
        if self.error is not None:
            raise self.error
        return "data"


async def ticks(source: Source, outage: Outage, clock: HandClock, *, count: int, tick_seconds: float) -> list[str]:
    """What came of so many ticks."""
    came = []
    for _ in range(count):
        try:
            came.append(await outage.bridged(lambda: source.ask(clock), tick_seconds=tick_seconds))
        except VerdictdError as error:
            came.append(str(error))
        clock.time += tick_seconds
    return came


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
async def test_pauses_grow_up_to_a_bound_and_one_answer_ends_them(draw: float) -> None:
    clock, source = HandClock(), Source(Unavailable("it is away"))
    outage = Outage(clock=clock, draw=lambda: draw)
    came = await ticks(source, outage, clock, count=300, tick_seconds=1.0)
    apart = [later - earlier for earlier, later in zip(source.asked, source.asked[1:], strict=False)]
    assert apart[0] == 1.0, "one failure costs no tick"
    assert apart == sorted(apart)
    assert LONGEST_PAUSE_SECONDS / 2 <= max(apart) <= LONGEST_PAUSE_SECONDS
    assert all(one.startswith("it is away") for one in came)
    assert sum("; it is asked less often until it answers" in one for one in came) == 300 - len(source.asked)
    source.error = None
    after = await ticks(source, outage, clock, count=20, tick_seconds=1.0)
    first = after.index("data")
    assert first <= LONGEST_PAUSE_SECONDS
    assert set(after[first:]) == {"data"}


async def test_ticks_that_are_far_apart_are_none_fewer() -> None:
    clock, source = HandClock(), Source(Unavailable("it is away"))
    await ticks(source, Outage(clock=clock, draw=lambda: 0.999), clock, count=50, tick_seconds=30.0)
    assert len(source.asked) == 50


async def test_who_asks_to_be_left_alone_is_from_the_first_time_on_and_not_for_ever() -> None:
    for wanted, left_alone in ((4.0, 4.0), (1e9, LONGEST_PAUSE_SECONDS)):
        clock, source = HandClock(), Source(Throttled("slow down", retry_after_seconds=wanted))
        await ticks(source, Outage(clock=clock), clock, count=30, tick_seconds=1.0)
        assert source.asked[1] - source.asked[0] == left_alone


async def test_what_trying_again_cannot_mend_is_no_outage() -> None:
    clock, source = HandClock(), Source(InvalidInput("nan is not a count"))
    await ticks(source, Outage(clock=clock), clock, count=10, tick_seconds=1.0)
    assert len(source.asked) == 10
