"""A notice is told again and again, ever later, until it is taken, can never be, or is too old; then it is a dead letter."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from daemon.errors import Forbidden, InvalidEvent, InvalidInput, Refused, Throttled, TimedOut, Unavailable, VerdictdError
from daemon.ports.notices import Backlog, News, Notice, PersonWanted, Sequel, SequelKind
from daemon.sinks.courier import AT_A_TIME, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WANTED_SECONDS, Courier
from tests.hand.clock import HandClock
from tests.hand.samples import RELEASE, verdict

HOUR = 3_600.0


@dataclass(slots=True, kw_only=True)
class Queued:
    """Implements ``QueuedNotice``; hands itself out again when its time has come, as the queue does."""

    clock: HandClock
    release_id: str = "web-1"
    attempt: int = 1
    queued_at: float = 1_000_000.0
    unreadable: bool = False
    wanted_until: float | None = None
    sequel: SequelKind | None = None
    answers: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def notice(self) -> News:
        if self.unreadable:
            raise InvalidEvent("no notice")
        if self.wanted_until is not None:
            return PersonWanted(
                release=RELEASE, release_id=self.release_id, cluster="prod", until=self.wanted_until, reason="found good"
            )
        if self.sequel is not None:
            return Sequel(release=RELEASE, of=verdict(self.release_id), kind=self.sequel, at=self.queued_at)
        return Notice(release=RELEASE, verdict=verdict(self.release_id))

    async def done(self) -> None:
        self.answers.append("done")

    async def later(self, *, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.time += seconds
        self.attempt += 1

    async def give_up(self, reason: str) -> None:
        self.answers.append(reason)


@dataclass(slots=True, kw_only=True)
class Queue:
    """Implements ``NoticeQueue``, of a list."""

    items: list[Queued] = field(default_factory=list)

    async def put(self, notice: News, *, asked_as: str = "") -> None:
        raise AssertionError(notice)

    async def notices(self) -> AsyncGenerator[Queued, None]:
        for item in self.items:
            yield item
        await asyncio.Event().wait()

    async def backlog(self) -> Backlog:
        return Backlog(waiting=len(self.items), oldest_at=5.0)


@dataclass(slots=True, kw_only=True)
class Meter:
    """Implements ``NoticeMeter``."""

    events: list[tuple[str, ...]] = field(default_factory=list)
    backlogs: list[Backlog] = field(default_factory=list)

    def told(self, channel: str) -> None:
        self.events.append(("told", channel))

    def failed(self, channel: str, error: Exception) -> None:
        self.events.append(("failed", channel, type(error).__name__))

    def gave_up(self, channel: str) -> None:
        self.events.append(("gave up", channel))

    def waits(self, channel: str, backlog: Backlog) -> None:
        self.backlogs.append(backlog)


@dataclass(slots=True, kw_only=True)
class Target:
    """Implements ``Teller``: fails until it is back."""

    clock: HandClock
    back_at: float = 0.0
    error: Exception | None = None
    told: list[str] = field(default_factory=list)
    attempt_seconds: float = 30.0

    async def tell(self, notice: News) -> None:
        self.told.append(notice.id)
        if self.clock.time < self.back_at:
            raise self.error or Unavailable("away")


def courier(target: Target, clock: HandClock, *, queue: Queue | None = None, meter: Meter | None = None) -> Courier:
    return Courier(
        "ci",
        queue=queue or Queue(),
        to=target,
        attempt_seconds=30.0,
        give_up_seconds=6 * HOUR,
        clock=clock,
        meter=meter or Meter(),
    )


async def until_answered(one: Courier, queued: Queued) -> None:
    while not queued.answers:
        await one.deliver(queued)


async def test_a_target_that_is_away_for_an_hour_is_told_under_the_same_id_after_a_few_attempts() -> None:
    clock, meter = HandClock(), Meter()
    target, queued = Target(clock=clock, back_at=clock.time + HOUR), Queued(clock=clock)
    await until_answered(courier(target, clock, meter=meter), queued)
    assert queued.answers == ["done"]
    assert set(target.told) == {"web-1.verdict"}
    # One a second at first, then one in some minutes: enough, and no more.
    assert 15 <= len(target.told) <= 40
    assert queued.pauses[0] <= 1.0
    assert max(queued.pauses) <= LONGEST_PAUSE_SECONDS
    assert meter.events[-1] == ("told", "ci")
    assert ("failed", "ci", "Unavailable") in meter.events


async def test_a_target_that_stays_away_gets_no_more_attempts_and_the_verdict_is_a_dead_letter_with_the_reason() -> None:
    clock, meter = HandClock(), Meter()
    target, queued = Target(clock=clock, back_at=float("inf")), Queued(clock=clock)
    await until_answered(courier(target, clock, meter=meter), queued)
    assert queued.answers == [f"sink ci was not told in {len(target.told)} attempts: away"]
    assert sum(queued.pauses) <= 6 * HOUR
    assert len(target.told) <= 170
    assert meter.events[-1] == ("gave up", "ci")


@pytest.mark.parametrize("error", [Refused("400"), InvalidInput("no")], ids=repr)
async def test_what_can_never_be_told_is_given_up_at_once(error: VerdictdError) -> None:
    clock = HandClock()
    target, queued = Target(clock=clock, back_at=float("inf"), error=error), Queued(clock=clock)
    await until_answered(courier(target, clock), queued)
    assert len(target.told) == 1
    assert queued.answers == [f"sink ci was not told in 1 attempts: {error}"]


async def test_a_token_that_is_not_taken_is_tried_again_since_somebody_may_renew_it() -> None:
    clock = HandClock()
    target, queued = Target(clock=clock, back_at=clock.time + 600.0, error=Forbidden("401")), Queued(clock=clock)
    await until_answered(courier(target, clock), queued)
    assert queued.answers == ["done"]


async def test_who_asks_us_to_slow_down_is_left_alone_for_as_long_as_it_says() -> None:
    clock = HandClock()
    error = Throttled("429", retry_after_seconds=60.0)
    target, queued = Target(clock=clock, back_at=clock.time + 1.0, error=error), Queued(clock=clock)
    await until_answered(courier(target, clock), queued)
    assert queued.pauses == [60.0]


async def test_what_cannot_be_read_is_a_dead_letter_and_nobody_is_told() -> None:
    clock = HandClock()
    target, queued = Target(clock=clock), Queued(clock=clock, unreadable=True)
    await until_answered(courier(target, clock), queued)
    assert target.told == []
    assert queued.answers[0].endswith("no notice")


async def test_a_defect_of_a_channel_is_an_attempt_that_failed_and_ends_nothing() -> None:
    clock, meter = HandClock(), Meter()
    target = Target(clock=clock, back_at=clock.time + 1.5, error=ZeroDivisionError())
    queued = Queued(clock=clock)
    await until_answered(courier(target, clock, meter=meter), queued)
    assert queued.answers == ["done"]
    assert ("failed", "ci", "Defect") in meter.events


async def test_one_that_hangs_is_left_after_its_time_and_the_others_are_told_meanwhile() -> None:
    clock, meter = HandClock(), Meter()
    hanging = asyncio.Event()

    class Hanging(Target):
        async def tell(self, notice: News) -> None:
            self.told.append(notice.id)
            if notice.id == "slow.verdict":
                hanging.set()
                await asyncio.Event().wait()

    queue = Queue(items=[Queued(clock=clock, release_id="slow"), *(Queued(clock=clock, release_id=f"r{n}") for n in range(9))])
    target = Hanging(clock=clock)
    one = courier(target, clock, queue=queue, meter=meter)
    running = asyncio.ensure_future(one.run())
    async with asyncio.timeout(30.0):
        while len(meter.events) < 9:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert hanging.is_set()
    assert [item.answers for item in queue.items] == [[], *[["done"]] * 9]
    assert AT_A_TIME > 1

    impatient = Courier("ci", queue=queue, to=target, attempt_seconds=0.0, give_up_seconds=HOUR, clock=clock, meter=meter)
    await impatient.deliver(queue.items[0])
    assert meter.events[-1] == ("failed", "ci", TimedOut.__name__)
    assert queue.items[0].attempt == 2


async def test_what_waits_is_measured_again_and_again() -> None:
    clock, meter = HandClock(), Meter()
    watching = asyncio.ensure_future(courier(Target(clock=clock), clock, meter=meter).watch())
    async with asyncio.timeout(30.0):
        while len(meter.backlogs) < 3:
            await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait([watching])
    assert meter.backlogs[0] == Backlog(waiting=0, oldest_at=5.0)


async def test_that_a_person_is_waited_for_is_told_before_the_verdict_and_never_after_it_or_when_it_is_too_late() -> None:
    clock = HandClock()
    target = Target(clock=clock)
    one = courier(target, clock)

    def wanted(*, until: float = clock.time + HOUR, age: float = 0.0) -> Queued:
        return Queued(clock=clock, wanted_until=until, queued_at=clock.time - age)

    for queued in (
        wanted(),
        wanted(until=clock.time),
        wanted(age=WANTED_SECONDS + 1.0),
        Queued(clock=clock),
        wanted(),
        Queued(clock=clock, release_id="web-2"),
    ):
        await until_answered(one, queued)
        assert queued.answers == ["done"]
    assert target.told == ["web-1.person", "web-1.verdict", "web-2.verdict"]


async def test_a_verdict_waits_for_the_answer_to_that_a_person_is_waited_for_which_would_take_its_place() -> None:
    clock, asked, answered = HandClock(), asyncio.Event(), asyncio.Event()
    told: list[str] = []

    class Slow(Target):
        async def tell(self, notice: News) -> None:
            asked.set()
            if isinstance(notice, PersonWanted):
                await answered.wait()
            told.append(notice.id)

    one = courier(Slow(clock=clock), clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(one.deliver(Queued(clock=clock, wanted_until=clock.time + HOUR, queued_at=clock.time)))
        await asked.wait()
        group.create_task(one.deliver(Queued(clock=clock)))
        await one.deliver(Queued(clock=clock, release_id="web-2"))
        answered.set()
    assert told == ["web-2.verdict", "web-1.person", "web-1.verdict"]


async def test_what_came_after_a_verdict_waits_until_the_verdict_was_told_and_so_does_what_came_after_that() -> None:
    clock = HandClock()
    target = Target(clock=clock, back_at=clock.time + 60.0)
    one = courier(target, clock)
    said, again, left = Queued(clock=clock), Queued(clock=clock, sequel="reverted_late"), Queued(clock=clock, sequel="traffic_left")
    begun = clock.time
    await one.deliver(said)
    due = clock.time
    clock.time = begun
    await one.deliver(again)
    assert clock.time == due + FIRST_PAUSE_SECONDS
    assert target.told == ["web-1.verdict"]
    clock.time = begun + 60.0
    await one.deliver(said)
    target.back_at = clock.time + 1.0
    await one.deliver(again)
    clock.time -= again.pauses[-1]
    await one.deliver(left)
    clock.time = target.back_at
    for queued in (again, left):
        await one.deliver(queued)
        assert queued.answers == ["done"]
    assert target.told[1:] == ["web-1.verdict", *["web-1.reverted_late"] * 2, "web-1.traffic_left"]


@pytest.mark.parametrize("set_by_seconds", [HOUR, -HOUR])
async def test_what_came_after_a_verdict_waits_for_it_as_long_when_the_clock_is_set_meanwhile(set_by_seconds: float) -> None:
    clock = HandClock()
    target = Target(clock=clock, back_at=clock.time + 10 * HOUR)
    one = courier(target, clock)
    said, after = Queued(clock=clock), Queued(clock=clock, sequel="traffic_left")
    begun = clock.time
    await one.deliver(said)
    clock.time, clock.booted = begun + set_by_seconds, set_by_seconds
    await one.deliver(after)
    assert after.pauses == [pytest.approx(said.pauses[0] + FIRST_PAUSE_SECONDS)]


async def test_what_came_after_a_verdict_that_was_given_up_is_tried_all_the_same() -> None:
    clock = HandClock()
    target = Target(clock=clock, back_at=float("inf"), error=Refused("400"))
    one = courier(target, clock)
    await until_answered(one, Queued(clock=clock))
    target.back_at = 0.0
    after = Queued(clock=clock, sequel="traffic_left")
    await until_answered(one, after)
    assert after.answers == ["done"]


async def test_what_came_after_a_verdict_does_not_wait_for_one_that_another_replica_has_told_meanwhile() -> None:
    clock = HandClock()
    target = Target(clock=clock, back_at=clock.time + 1.0)
    one = courier(target, clock)
    await one.deliver(Queued(clock=clock))
    after = Queued(clock=clock, sequel="traffic_left")
    await until_answered(one, after)
    assert after.answers == ["done"]
    assert sum(after.pauses) <= 60.0
