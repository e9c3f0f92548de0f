"""A gate that is asked a thousand times at once about what nobody knows: bounded by what is created, whoever asks and what."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from daemon.engine.engine import Engine
from daemon.errors import InvalidInput, Unavailable, VerdictdError
from daemon.http.gates.asking import Attempt, Desk, Told
from daemon.http.gates.pace import MOST_BEGUN, WITHIN_SECONDS, Pace
from daemon.http.waiting import Waiting
from daemon.model import Release
from tests.engine.test_joined import watching
from tests.hand.ports import Scene, running
from tests.hand.samples import RELEASE

TIMES = 1_000


@asynccontextmanager
async def asked(scene: Scene) -> AsyncIterator[tuple[Engine, Desk]]:
    async with running(scene) as engine:
        yield engine, Desk(engine, engine, Waiting(), cluster="test")


async def answers(desk: Desk, *attempts: tuple[Release, str]) -> list[Told | VerdictdError]:
    """To all at once."""
    questions = (desk.ask(Attempt(release=release, key=key, gate="http")) for release, key in attempts)
    found = await asyncio.gather(*questions, return_exceptions=True)
    assert all(isinstance(one, Told | VerdictdError) for one in found)
    return [one for one in found if isinstance(one, Told | VerdictdError)]


async def test_one_attempt_that_is_asked_about_a_thousand_times_at_once_is_one_release() -> None:
    scene = watching()
    async with asked(scene) as (engine, desk):
        told = await answers(desk, *[(RELEASE, "7")] * TIMES)
        assert {one.release for one in told if isinstance(one, Told)} == {view.id for view in engine.views()}
        assert len(told) == TIMES
        assert len(engine.views()) == 1
    assert (len(scene.sessions.data), len(scene.records.data), len(scene.aliases.data)) == (1, 0, 0)


async def test_of_a_thousand_attempts_of_one_service_at_once_few_begin_and_the_others_are_told_why() -> None:
    scene = watching()
    async with asked(scene) as (engine, desk):
        told = Counter(type(one) for one in await answers(desk, *[(RELEASE, str(number)) for number in range(TIMES)]))
        assert told == {Told: MOST_BEGUN, Unavailable: TIMES - MOST_BEGUN}
        assert len(engine.views()) == MOST_BEGUN
        with pytest.raises(Unavailable, match=r"10 attempts of shop/web have begun within 60 s; does whoever asks name another"):
            await desk.ask(Attempt(release=RELEASE, key="one more", gate="http"))
        assert (await desk.ask(Attempt(release=RELEASE, key="0", gate="http"))).release
        assert (await desk.ask(Attempt(release=msgspec.structs.replace(RELEASE, service="other"), key="0", gate="http"))).release


async def test_what_cannot_be_watched_creates_nothing_however_often_it_is_asked_about_and_each_is_told_its_fault() -> None:
    scene = watching()
    async with asked(scene) as (engine, desk):
        tasks = len(asyncio.all_tasks())
        unknown = msgspec.structs.replace(RELEASE, policy="nobodys")
        for number in range(TIMES):
            with pytest.raises(InvalidInput, match="no policy 'nobodys'"):
                await desk.ask(Attempt(release=unknown, key=str(number), gate="http"))
        assert len(engine.views()) == 0
        assert len(asyncio.all_tasks()) == tasks
    assert (scene.sessions.data, scene.records.data, scene.aliases.data) == ({}, {}, {})


async def test_a_daemon_that_is_full_says_so_to_a_thousand_services_and_keeps_no_more_than_it_may() -> None:
    scene = watching()
    scene.limits = msgspec.structs.replace(scene.limits, max_releases=5)
    async with asked(scene) as (engine, desk):
        services = [(msgspec.structs.replace(RELEASE, service=f"web{number}"), "7") for number in range(TIMES)]
        told = Counter(type(one) for one in await answers(desk, *services))
        assert told == {Told: 5, Unavailable: TIMES - 5}
        assert len(engine.views()) == 5
    assert len(scene.sessions.data) == 5


def test_the_pace_is_of_one_service_and_of_the_last_minute_and_what_fails_to_begin_does_not_count() -> None:
    now = 0.0
    pace = Pace(now=lambda: now)
    for _ in range(MOST_BEGUN):
        with pace.turn(("shop", "web")):
            pass
        with pytest.raises(InvalidInput), pace.turn(("shop", "other")):
            raise InvalidInput("no policy")
    with pytest.raises(Unavailable), pace.turn(("shop", "web")):
        raise AssertionError
    with pace.turn(("shop", "other")):
        pass
    now = WITHIN_SECONDS + 1.0
    with pace.turn(("shop", "web")):
        pass


def test_one_that_fails_after_it_has_stopped_to_count_raises_its_own_error() -> None:
    now = 0.0
    pace = Pace(now=lambda: now)
    service = ("shop", "web")

    def slow() -> None:
        nonlocal now
        with pace.turn(service):
            now += 2 * WITHIN_SECONDS
            with pace.turn(service):
                pass
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        slow()
