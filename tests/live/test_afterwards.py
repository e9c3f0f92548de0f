"""After a promotion, on a real proxy with requests going through it: what goes bad then is taken back, by the next daemon too."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from daemon.demo.backend import Behaviour
from daemon.model import Action, Outcome
from daemon.offline.replay import replay_file
from daemon.releaseview import ReleaseView
from tests.live.field import FAILING, Field, field_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

_POLICY: Final[dict[str, Any]] = {
    "window_seconds": 120.0,
    "warmup_seconds": 0.0,
    "after": "15m",
    "promotion": {"min_seconds": 2.0, "min_requests": 100},
    # Of a machine that does other things meanwhile no latency is asked for.
    "tolerances": {"latency": {"typical": 50.0, "slow_end": 50.0}},
}


async def watched_on(place: Field, release_id: str) -> str:
    """The id of the watch after a promotion, once the release has its record."""
    record = await place.record(release_id)
    assert record.verdict.outcome is Outcome.PROMOTE, record.verdict.reason
    [after_id] = [mark.detail for mark in record.marks if mark.step == "watched_on"]
    return after_id


async def ticks_of(place: Field, after_id: str, *, more_than: int) -> ReleaseView:
    async with asyncio.timeout(60.0):
        while (view := await place.view(after_id)).ticks <= more_than:
            await asyncio.sleep(0.1)
    return view


async def test_a_promoted_canary_that_goes_bad_is_taken_back_also_by_the_next_daemon(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over={"policies": {"default": _POLICY}}) as place:
        async with place.daemon() as daemon:
            await place.ready()
            release_id = await place.submit()
            after_id = await watched_on(place, release_id)
            place.edge.route({"v2": 100}, version_info="promoted")
            view = await ticks_of(place, after_id, more_than=5)
            assert (view.after, view.window_seconds) == (release_id, 900.0)
            os.kill(daemon.pid, signal.SIGKILL)
            async with asyncio.timeout(30.0):
                await daemon.process.wait()
        async with place.daemon():
            await place.ready()
            assert (await place.view(after_id)).ticks >= view.ticks
            await place.backends["v2"].behave(FAILING)
            record = await place.record(after_id)
            told = await place.published(place.embedded_url())
        verdict = record.verdict
        assert (verdict.outcome, verdict.action, verdict.after) == (Outcome.ROLLBACK, Action.REVERT, release_id), verdict.reason
        assert verdict.leg == "errors"
        assert [one.release_id for one in told] == [release_id, after_id]
        assert await place.canary_is_silent()
        replayed = replay_file(tmp_path / "recordings" / f"{after_id}.jsonl")
        assert (replayed.verdict, replayed.decided_at_tick) == ("rollback", verdict.ticks)
