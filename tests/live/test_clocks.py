"""A daemon's clock is set while it watches, and it is killed: the next start goes on with the watch, and ends it by evidence.

That a clock is set while one process runs is seen with a clock of our own (tests/engine/test_faults.py): over a restart it is the
broker's that tells how long nobody went on.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from daemon.demo.backend import Behaviour
from daemon.model import Action, Outcome, Stage
from tests.hand.timeofday import TimeOfDay, clock_library
from tests.live.field import FAILING, PATIENCE_SECONDS, UNHURRIED, field_of
from tests.servers.locate import require

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(180)]

HOURS_SECONDS = 7200.0
"""Longer than the watch may take."""


@pytest.fixture
def clock(tmp_path: Path) -> TimeOfDay:
    require("faketime")
    library = clock_library()
    assert library is not None
    return TimeOfDay(file=tmp_path / "clock", library=library)


@pytest.mark.parametrize(
    ("until_killed", "from_then_on"),
    [
        pytest.param(-HOURS_SECONDS, 0.0, id="it was behind, and is set right in the moment of the kill"),
        pytest.param(HOURS_SECONDS, 0.0, id="it was ahead, and is set right in the moment of the kill"),
        pytest.param(0.0, HOURS_SECONDS, id="it is ahead from the next start on"),
    ],
)
async def test_hours_that_a_clock_was_off_over_a_kill_are_not_taken_for_watched(
    tmp_path: Path, clock: TimeOfDay, until_killed: float, from_then_on: float
) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        clock.be_off(until_killed)
        async with place.daemon(clock=clock) as daemon:
            await place.ready()
            release_id = await place.submit()
            while (ticks := (await place.view(release_id)).ticks) < 4:
                await asyncio.sleep(0.05)
            clock.be_off(from_then_on)
            daemon.process.send_signal(signal.SIGKILL)
            await daemon.process.wait()
        async with place.daemon(clock=clock):
            await place.ready()
            view = await place.view(release_id)
            assert (view.stage, view.ticks >= ticks, view.seconds < PATIENCE_SECONDS) == (Stage.WATCHING, True, True)
            await place.backends["v2"].behave(FAILING)
            record = await place.record(release_id)
            published = await place.published(place.embedded_url())
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert [mark.step for mark in record.marks].count("watching") == 1
        assert [one.release_id for one in published] == [release_id]
        assert await place.canary_is_silent()
