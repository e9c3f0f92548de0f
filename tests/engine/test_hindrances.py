"""What keeps a watch from being judged: said soon after its start, by its cause, once in the log, and again in the verdict."""

import logging

import msgspec
import pytest

from daemon.engine import hindrances, ticker
from daemon.engine.feed import view
from daemon.engine.session import Session
from daemon.measurements import Cadence, Reading
from tests.engine.test_ticker import Workshop
from tests.hand.ports import HandTelemetry
from tests.hand.samples import ID, POLICY, gap, healthy

USUAL = Cadence(spacing_seconds=15.0, late_seconds=2.0, longest_seconds=300.0)


def with_cadence(reading: Reading, **changes: float) -> Reading:
    return msgspec.structs.replace(reading, cadence=msgspec.structs.replace(USUAL, **changes))


def watching(*readings: Reading) -> Workshop:
    shop = Workshop(HandTelemetry(readings))
    shop.watch(ID)
    return shop


async def ticked(shop: Workshop, *, seconds: float = 1.0, ticks: int = 1) -> Session:
    for _ in range(ticks):
        shop.scene.clock.time += seconds
        await shop.ticker.tick()
    return shop.decided[-1] if shop.decided else shop.registry.get(ID)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.__dict__["reason"] for one in caplog.records if one.name == ticker.__name__ and one.levelno == logging.WARNING]


async def test_how_samples_come_is_in_the_status_and_the_metrics_of_their_source() -> None:
    shop = watching(with_cadence(healthy()))
    after = await ticked(shop)
    assert view(after).cadence == USUAL
    assert view(after).hindrances == ()
    assert shop.scene.meter.cadences == [USUAL]


async def test_a_tick_without_an_answer_forgets_nothing_and_one_that_is_read_otherwise_does() -> None:
    shop = watching(with_cadence(healthy()), gap("prometheus: timed out"), healthy())
    await ticked(shop)
    assert (await ticked(shop)).cadence == USUAL
    assert (await ticked(shop)).cadence is None


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"spacing_seconds": POLICY.window_seconds / 2},
            "a watch of 60 s sees too few of them; raise window_seconds of the policy (and the release's deadline) to 92 or more",
        ),
        (
            {"longest_seconds": 10.0},
            "15 s apart and up to 2 s late, and none that is older than 10 s counts: raise stale_after_seconds",
        ),
        ({"ahead_seconds": 40.0}, "our clock is at least 40 s ahead of the store's: let both follow one time"),
        ({"ahead_seconds": -40.0}, "our clock is at least 40 s behind the store's: let both follow one time"),
    ],
)
async def test_what_is_wrong_with_samples_is_said_at_once_and_once_and_in_the_verdict(
    changes: dict[str, float], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = watching(with_cadence(gap("canary: no new scrape of web-v2-0 yet"), **changes))
    first = await ticked(shop)
    [said] = view(first).hindrances
    assert cause in said
    ended = await ticked(shop, seconds=POLICY.window_seconds / 10, ticks=11)
    assert ended.decision is not None
    assert ended.decision.reason.startswith(said)
    assert [one for one in warnings(caplog) if cause in one] == [said]


async def test_a_watch_that_counts_nothing_says_why_after_half_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    shop = watching(gap("the counters are sums over several pods"))
    await ticked(shop)
    assert (await ticked(shop, seconds=19.0)).ticks == 2
    assert warnings(caplog) == []
    after = await ticked(shop, seconds=15.0, ticks=2)
    assert view(after).hindrances == ("nothing was counted in 50 s: the counters are sums over several pods",)
    assert warnings(caplog) == ["nothing was counted in 35 s: the counters are sums over several pods"]


async def test_samples_that_are_far_apart_are_given_the_time_that_they_take() -> None:
    shop = watching(with_cadence(gap("canary: no new scrape of web-v2-0 yet")))
    await ticked(shop)
    assert view(await ticked(shop, seconds=14.0, ticks=3)).hindrances == ()
    assert list(hindrances.hindrances(await ticked(shop, seconds=7.0))) == [hindrances.NOTHING_COUNTED]


async def test_one_tick_that_counted_is_enough_not_to_be_called_blind() -> None:
    shop = watching(healthy(), gap("prometheus: timed out"))
    assert view(await ticked(shop, seconds=15.0, ticks=3)).hindrances == ()


def test_of_several_releases_the_worst_of_each_is_the_sources() -> None:
    late = msgspec.structs.replace(USUAL, spacing_seconds=5.0, late_seconds=60.0)
    assert hindrances.slowest([USUAL, None, late]) == msgspec.structs.replace(USUAL, late_seconds=60.0)
    assert hindrances.slowest([None]) is None
