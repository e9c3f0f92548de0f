"""Objects as they are now: listed, kept by a watch, cut down, and believed for so long."""

import asyncio

import pytest

from daemon.aio.tasks import background
from daemon.errors import Forbidden, Unavailable
from daemon.kube.answers import Expired
from daemon.kube.informer import Informer
from daemon.kube.resources import Json
from tests.hand.clock import HandClock
from tests.hand.ports import until
from tests.kube.test_listwatch import FakeSource, event, listing, pod


class StillClock(HandClock):
    """Nobody's sleep ends."""

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()


def name_of(item: Json) -> str:
    return str(item["metadata"]["name"]).upper()


def informer(source: FakeSource, clock: HandClock, told: list[tuple[str, str]] | None = None) -> Informer[str]:
    return Informer(source, kept=name_of, clock=clock, changed=(told if told is not None else []).append, random=lambda: 0.5)


async def test_what_is_listed_and_what_changes_is_kept_in_the_form_that_is_wanted() -> None:
    told: list[tuple[str, str]] = []
    source = FakeSource(
        [listing(5, pod("a", 1), pod("b", 2))], watches=[[event("ADDED", pod("c", 6)), event("DELETED", pod("a", 7))]]
    )
    one = informer(source, clock := HandClock(), told)
    async with background(one.run()):
        await until(lambda: len(told) == 4)
    assert one.objects(within_seconds=1.0) == {("shop", "b"): "B", ("shop", "c"): "C"}
    assert told == [("shop", "a"), ("shop", "b"), ("shop", "c"), ("shop", "a")]
    assert one.failure is None
    clock.time += 2.0
    with pytest.raises(Unavailable, match=r"nothing was heard of the API server for \d s"):
        one.objects(within_seconds=1.0)


async def test_before_the_first_listing_nothing_is_known_and_why_is_said() -> None:
    one = informer(FakeSource([Forbidden("pods are forbidden")]), StillClock())
    with pytest.raises(Unavailable, match="not been listed yet"):
        one.objects(within_seconds=1.0)
    async with background(one.run()):
        await until(lambda: one.failure is not None)
        with pytest.raises(Forbidden, match="pods are forbidden"):
            one.objects(within_seconds=1.0)


async def test_a_failure_is_over_once_the_server_is_heard_of_again() -> None:
    failures: list[str] = []
    source = FakeSource(
        [listing(5, pod("a", 1)), listing(9, pod("b", 8))],
        watches=[[Unavailable("reset")], [event("BOOKMARK", pod("", 6))], [Expired("410")]],
    )
    one = Informer(source, kept=name_of, clock=HandClock(), failed=lambda error: failures.append(str(error)), random=lambda: 0.5)
    async with background(one.run()):
        await until(lambda: source.asked.count("list") == 2 and one.failure is None)
    assert failures == ["reset", "410"]
    assert one.objects(within_seconds=100.0) == {("shop", "b"): "B"}, "the listing that followed"
