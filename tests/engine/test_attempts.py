"""Which attempt is meant by who names none."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from analyzers.reference import Reference
from daemon.engine import attempts
from daemon.engine.attempts import Attempts
from daemon.engine.lifecycle import admitted
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.model import After, Release, Stage
from tests.hand.ports import Scene, running
from tests.hand.samples import OTHER, POLICY, RELEASE, verdict

SILENCE_SECONDS = 60.0


class World:
    """Sessions, questions about them, and a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.registry = Registry(max_ended=10)
        self.attempts = Attempts(self.registry, now=lambda: self.now)

    def ask(self, about: Release = RELEASE) -> str | None:
        return self.attempts.meant(about, silence_seconds=SILENCE_SECONDS)

    def begin(self, release_id: str, *, of: Release = RELEASE) -> Session:
        session = admitted(
            of,
            release_id=release_id,
            policy=POLICY,
            policy_hash="",
            cluster="test",
            tick_seconds=1.0,
            split=False,
            now=self.now,
        )
        self.registry.put(session)
        return session

    def end(self, session: Session) -> None:
        decided = verdict(session.release_id, decided_at=self.now)
        self.registry.put(replace(session, stage=Stage.ENDED, verdict=decided, settled=True))


def test_the_one_under_way_is_meant_until_nobody_has_asked_for_a_while_after_its_end() -> None:
    world = World()
    assert world.ask() is None
    session = world.begin("web-1")
    world.now += 3_600.0
    assert world.ask() == "web-1"
    world.end(session)
    for _ in range(5):
        world.now += SILENCE_SECONDS
        assert world.ask() == "web-1"
    world.now += SILENCE_SECONDS + 0.1
    assert world.ask() is None
    assert world.ask(OTHER) is None


def test_a_question_to_which_nothing_began_does_not_prolong_the_attempt_that_has_ended() -> None:
    world = World()
    world.end(world.begin("web-1"))
    world.now += 3_600.0
    for _ in range(3):
        assert world.ask() is None
        world.now += 1.0


def test_the_newest_is_meant_whoever_began_it() -> None:
    world = World()
    world.end(world.begin("web-1"))
    world.now += 1.0
    world.begin("web-0")
    assert world.ask() == "web-0"


def test_a_watch_after_a_promotion_is_nobody_s_attempt() -> None:
    """Who goes on asking is told of the promotion, and the next attempt is one of its own while it is still watched on."""
    world = World()
    world.end(world.begin("web-1"))
    watch = world.begin("web-2")
    world.registry.put(replace(watch, after=After(of="web-1", seconds=900.0, reference=Reference())))
    world.now += 30.0
    assert world.ask() == "web-1"
    world.now += SILENCE_SECONDS + 0.1
    assert world.ask() is None


def test_of_services_without_end_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_MOST_SERVICES", 2)
    world = World()
    world.end(world.begin("web-1"))
    world.now += 50.0
    assert world.ask() == "web-1"
    for name in ("a", "b"):
        world.begin(f"{name}-1", of=msgspec.structs.replace(RELEASE, service=name))
        assert world.ask(msgspec.structs.replace(RELEASE, service=name)) == f"{name}-1"
    world.now += 20.0
    assert world.ask() is None


async def test_two_that_ask_at_once_begin_one() -> None:
    async with running(Scene()) as engine:

        async def asked(number: int) -> str:
            asking = engine.attempt(RELEASE, release_id=f"web-{number}", sender="gate prometheus", silence_seconds=SILENCE_SECONDS)
            return (await asking).id

        assert len({*await asyncio.gather(*(asked(number) for number in range(50)))}) == 1
