"""What stands in for proxies that cannot be read: it does, it says so, it ends, and nothing is counted twice."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import pytest

from analyzers.counts import Arm
from config.policy import Failures
from daemon.measurements import Reading, Watch
from daemon.model import ArmSpec, Release
from daemon.telemetry.fallback import PATIENCE_SECONDS, FallbackTelemetry
from tests.hand.clock import HandClock
from tests.telemetry.support import watch

WATCH, OTHER = watch("web-1"), watch("web-2")


def reading(at: float, seconds: float, requests: int = 10) -> Reading:
    return Reading(seconds=seconds, baseline=Arm(requests=requests), canary=Arm(requests=requests), at=at)


class Source:
    """A source whose readings a test gives. Without one it reads everything since it last did."""

    wait_seconds: float | None = None
    split = True

    def __init__(self, clock: HandClock, *, tick_seconds: float, late_seconds: float = 0.0) -> None:
        self.tick_seconds = tick_seconds
        self.failure: str | None = None
        self.broken: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.forgotten: list[str] = []
        self.untold: tuple[str, ...] = ()
        self.uncounted: dict[str, str] = {}
        self.ends: Callable[[], None] = lambda: None
        self.tells_latencies = True
        self._clock, self._late = clock, late_seconds
        self._last: dict[str, float] = {}

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        return self.untold

    def cannot_count(self, release: Release) -> str | None:
        return self.uncounted.get(release.protocol)

    def timed(self, release: Release) -> bool:
        return self.tells_latencies

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self.asked.append([one.release_id for one in watches])
        forgotten = len(self.forgotten)
        self.ends()
        return {one.release_id: self._read(one.release_id) for one in watches if one.release_id not in self.forgotten[forgotten:]}

    def _read(self, release_id: str) -> Reading:
        if release_id in self.broken:
            return Reading(seconds=0.0, gap=self.broken[release_id])
        at = self._clock.now() - self._late
        last, self._last[release_id] = self._last.get(release_id), at
        return Reading(seconds=0.0, gap="first reading: counting starts here") if last is None else reading(at, at - last)

    def forget(self, release_id: str) -> None:
        self.forgotten.append(release_id)
        self._last.pop(release_id, None)


class Scene:
    def __init__(self, *, late_seconds: float = 3.0) -> None:
        self.clock = HandClock()
        self.first = Source(self.clock, tick_seconds=1.0)
        self.second = Source(self.clock, tick_seconds=5.0, late_seconds=late_seconds)
        self.both = FallbackTelemetry(
            self.first,
            self.second,
            unreached=lambda: self.first.broken,
            name="the sidecars of telemetry mesh",
            instead="telemetry prom",
            clock=self.clock,
        )

    async def read(self, *watches: Watch) -> Mapping[str, Reading]:
        self.clock.time += 1.0
        return await self.both.read(watches or (WATCH,))

    async def ticks(self, count: int) -> list[Reading]:
        return [(await self.read())["web-1"] for _ in range(count)]


async def test_while_the_proxies_answer_nobody_else_is_asked() -> None:
    scene = Scene()
    found = await scene.ticks(5)
    assert [one.gap for one in found[1:]] == [None] * 4
    assert ({one.fallback for one in found}, scene.second.asked) == ({""}, [])
    assert (scene.both.tick_seconds, scene.both.split, scene.both.wait_seconds, scene.both.failure) == (1.0, True, None, None)


async def test_a_short_silence_is_borne_and_a_long_one_is_stood_in_for() -> None:
    scene = Scene()
    await scene.ticks(3)
    scene.first.broken = {"web-1": "none of the 2 proxies of the canary can be read: timed out"}
    silent = await scene.ticks(int(PATIENCE_SECONDS))
    assert {one.fallback for one in silent} == {""}
    found = await scene.ticks(30)
    assert {one.fallback for one in found} == {
        "read from telemetry prom instead of the proxies: none of the 2 proxies of the canary can be read: timed out"
    }
    assert len([one for one in found if one.gap is None]) >= 4
    assert len(scene.second.asked) == 6, "as often as it has something new, and not at every tick"
    assert {one.gap for one in found if one.gap} >= {"telemetry prom is asked every 5 s", "first reading: counting starts here"}


async def test_when_the_proxies_answer_again_they_are_read_again() -> None:
    scene = Scene()
    await scene.ticks(3)
    scene.first.broken = {"web-1": "away"}
    await scene.ticks(30)
    scene.first.broken = {}
    found = await scene.ticks(4)
    assert found[-1].fallback == ""
    assert found[-1].gap is None
    assert scene.second.forgotten == ["web-1"], "should it be needed again, it counts from then on"


@pytest.mark.parametrize("late_seconds", [0.0, 3.0, 20.0])
async def test_whatever_the_second_source_is_late_no_time_is_counted_twice(late_seconds: float) -> None:
    scene = Scene(late_seconds=late_seconds)
    counted: list[tuple[float, float]] = []
    for turn in range(200):
        scene.first.broken = {"web-1": "away"} if 20 <= turn < 90 or 120 <= turn < 160 else {}
        one = (await scene.read())["web-1"]
        if one.gap is None:
            assert one.at is not None
            counted.append((one.at - one.seconds, one.at))
    for (_, end), (begin, _) in itertools.pairwise(counted):
        assert begin >= end - 1e-6, "a time is counted once at most"
    assert sum(end - begin for begin, end in counted) >= 80.0, "and most of it is"


async def test_one_release_that_cannot_be_read_does_not_take_the_others_along() -> None:
    scene = Scene()
    scene.first.broken = {"web-2": "away"}
    for _ in range(11):
        await scene.read(WATCH, OTHER)
    found = await scene.read(WATCH, OTHER)
    assert found["web-1"].fallback == ""
    assert found["web-2"].fallback.startswith("read from telemetry prom")
    assert all(asked == ["web-2"] for asked in scene.second.asked)


async def test_it_is_said_once_in_the_log_that_it_stands_in_and_once_that_it_does_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene = Scene()
    scene.first.broken = {"web-1": "away"}
    await scene.ticks(40)
    scene.first.broken = {}
    await scene.ticks(10)
    assert [record.message for record in caplog.records] == ["does not work", "works again"]
    assert getattr(caplog.records[0], "reason", "") == "away; telemetry prom is read instead, for 1 releases"


async def test_where_neither_can_be_read_both_reasons_are_said() -> None:
    scene = Scene()
    scene.first.broken = {"web-1": "away"}
    scene.first.failure = "away"
    scene.second.broken = {"web-1": "no answer"}
    scene.second.failure = "no answer"
    found = [one for one in await scene.ticks(12) if one.fallback]
    assert {one.gap for one in found} == {"no answer", "telemetry prom is asked every 5 s"}
    assert scene.both.failure in {"no answer", "away"}


async def test_a_release_that_has_ended_is_forgotten_by_both() -> None:
    scene = Scene()
    await scene.ticks(2)
    scene.both.forget("web-1")
    assert (scene.first.forgotten, scene.second.forgotten) == (["web-1"], ["web-1"])


def test_what_either_source_never_tells_is_said_once() -> None:
    scene = Scene()
    scene.first.untold, scene.second.untold = ("resets",), ("resets", "flags")

    assert list(scene.both.cannot_tell(Failures())) == ["resets", "flags"]


def test_what_either_never_counts_is_never_counted() -> None:
    scene = Scene()
    tcp = Release(service="web", protocol="tcp", baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))
    assert scene.both.cannot_count(tcp) is None
    scene.second.uncounted = {"tcp": "nor does the second"}
    assert scene.both.cannot_count(tcp) == "nor does the second"
    scene.first.uncounted = {"tcp": "the first has no connections"}
    assert scene.both.cannot_count(tcp) == "the first has no connections"


async def test_a_release_that_ends_while_proxies_are_asked_costs_the_others_nothing() -> None:
    """It may end between the question and the answer; what is said of it then is nobody's."""
    scene = Scene()
    await scene.read(WATCH, OTHER)
    for source in (scene.first, scene.second):
        scene.first.broken = {"web-1": "away", "web-2": "away"} if source is scene.second else {}
        for _ in range(int(PATIENCE_SECONDS) + 2):
            await scene.read(WATCH, OTHER)
        scene.clock.time += scene.second.tick_seconds
        source.ends = lambda: scene.both.forget("web-2")
        found = await scene.read(WATCH, OTHER)
        assert set(found) == {"web-1"}
        assert set(scene.both._releases) == {"web-1"}, "nothing of it is kept"


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False)])
def test_latencies_are_waited_for_where_either_tells_them(first: bool, second: bool) -> None:
    scene = Scene()
    scene.first.tells_latencies, scene.second.tells_latencies = first, second
    assert scene.both.timed(WATCH.release) == (first or second)
