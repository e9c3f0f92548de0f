"""What a watch's buckets cannot tell of its policy: said from the first latencies on, beside the way, and never twice."""

import json
import logging
from dataclasses import replace

import msgspec
import pytest

from analyzers import fitness
from daemon.engine import deciding, fitting, keptforms
from daemon.engine.feed import view
from daemon.engine.session import Session
from daemon.interventions import Command
from daemon.measurements import Reading
from tests.engine.test_ticker import Workshop
from tests.hand.ports import HandTelemetry, Scene, killed, running, until
from tests.hand.samples import BOUNDS, ID, POLICY, RELEASE, arm, gap

LONG = msgspec.structs.replace(POLICY, window_seconds=1e6)
NARROW = (0, 0, 0, 1000, 0, 0)
BROAD = (0, 300, 300, 300, 91, 9)
"""Of 1000 requests. p99 lies right below the bound of 250 ms."""
TYPICAL = (
    "the median and 100 % of all requests lie in 50-100 ms: 10 % slower cannot be told by these buckets, 100 % slower can; "
    "the mean judges it; add a bound near 71 ms"
)
P99 = "p99 lies in 50-100 ms: 10 % slower cannot be told by these buckets, 100 % slower can; add a bound near 71 ms"


def reading(requests: int, counts: tuple[int, ...] = NARROW) -> Reading:
    """A tick in which the baseline serves so many requests, and the canary too few for a verdict; by default in one bucket."""
    baseline, canary = (arm(number, counts=tuple(number * count // 1000 for count in counts)) for number in (requests, 10))
    return Reading(seconds=1.0, baseline=baseline, canary=canary, bounds_ms=BOUNDS)


def watching(*readings: Reading) -> Workshop:
    shop = Workshop(HandTelemetry(readings))
    shop.watch(ID)
    return shop


async def ticked(shop: Workshop, ticks: int = 1) -> Session:
    for _ in range(ticks):
        shop.scene.clock.time += 1
        await shop.ticker.tick()
    return shop.registry.get(ID)


async def test_it_is_said_from_the_first_tick_that_has_enough_latencies(caplog: pytest.LogCaptureFixture) -> None:
    """Long before the exposure that the policy asks for, with a line in the log."""
    shop = watching(gap("first reading"), reading(900))
    assert (await ticked(shop)).unresolved == ()
    after = await ticked(shop)
    assert after.unresolved == (TYPICAL, P99)
    assert view(after).unresolved == (TYPICAL, P99)
    [line] = [one for one in caplog.records if one.name == fitting.__name__]
    assert (line.levelno, line.__dict__["release"], line.__dict__["reason"]) == (logging.WARNING, ID, f"{TYPICAL}; {P99}")


async def test_buckets_that_can_tell_are_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    shop = watching(reading(1000, BROAD))
    after = await ticked(shop, 5)
    assert (after.unresolved, after.fitted_at) == ((), 4000)
    assert after.judge is not None
    assert len(fitness.of_watch(after.judge.row, after.terms)) == 2
    assert fitting.__name__ not in {one.name for one in caplog.records}


async def test_it_is_looked_at_again_only_when_twice_as_much_was_seen(caplog: pytest.LogCaptureFixture) -> None:
    shop = watching(reading(150))
    looks = [(await ticked(shop)).fitted_at for _ in range(9)]
    assert looks == [0, 300, 300, 600, 600, 600, 600, 1200, 1200]
    assert len([one for one in caplog.records if one.name == fitting.__name__]) == 1


async def test_what_more_requests_show_to_be_fine_is_not_said_any_more() -> None:
    shop = watching(reading(250), reading(1000, BROAD))
    assert (await ticked(shop)).unresolved == (TYPICAL, P99)
    assert (await ticked(shop, 9)).unresolved == ()


async def test_latencies_that_come_late_are_waited_for() -> None:
    """Envoy merges its histograms every few seconds."""
    shop = watching(*[reading(250, (0,) * len(NARROW))] * 2, reading(250))
    assert (await ticked(shop, 2)).unresolved == ()
    assert (await ticked(shop, 2)).unresolved == (TYPICAL, P99)


async def test_a_turn_looks_at_a_few_releases_and_the_next_one_at_others() -> None:
    shop = Workshop(HandTelemetry([reading(900)]))
    for number in range(40):
        shop.watch(f"web-{number}")
    said = []
    for _ in range(2):
        shop.scene.clock.time += 1
        await shop.ticker.tick()
        said.append(sum(bool(one.unresolved) for one in shop.registry.views()))
    assert said == [32, 40]


async def test_a_release_that_was_decided_meanwhile_is_left_alone() -> None:
    """Its findings say it in full."""
    shop = watching(reading(900))
    after = await ticked(shop)
    assert fitting.due([replace(after, fitted_at=0)]) != []
    decided = deciding.commanded(after, Command(command="cancel", by="ada"), now=0.0)
    assert fitting.due([replace(decided, fitted_at=0)]) == []
    assert view(decided).unresolved == ()


async def test_a_restart_goes_on_with_what_was_said() -> None:
    scene = Scene(telemetry=HandTelemetry([reading(50)]), policies={"default": LONG})
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID)
        await until(lambda: b"cannot be told" in scene.sessions.data.get(ID, b""))
    scene.telemetry.readings = [gap()]
    async with running(scene) as engine:
        assert engine.views()[0].unresolved == (TYPICAL, P99)


async def test_a_checkpoint_of_a_version_that_said_nothing_of_it_is_taken_up_and_looked_at() -> None:
    shop = watching(reading(900))
    kept = json.loads(keptforms.encode(await ticked(shop)))
    for name in ("unresolved", "fitted_at"):
        del kept["session"][name]
    back = keptforms.decode(json.dumps(kept).encode(), now=0.0).session
    assert (back.unresolved, back.fitted_at) == ((), 0)
    assert fitting.looked(back).unresolved == (TYPICAL, P99)
