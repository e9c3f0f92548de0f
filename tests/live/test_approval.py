"""The manual gate of a whole daemon in front of real traffic: a good canary waits for a person, and nobody else promotes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from daemon.demo.backend import Behaviour
from daemon.model import Action, Outcome, Stage
from daemon.releaseview import ReleaseView
from tests.cli.binary import verdictd
from tests.live.field import Field, field_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

_POLICY: Final[dict[str, Any]] = {
    "window_seconds": 120.0,
    "warmup_seconds": 0.0,
    "on_promote": "wait",
    "promotion": {"min_seconds": 2.0, "min_requests": 100},
    # Of a machine that does other things meanwhile no latency is asked for.
    "tolerances": {"latency": {"typical": 50.0, "slow_end": 50.0}},
}


@asynccontextmanager
async def gated(folder: Path, *, approval_seconds: float) -> AsyncIterator[tuple[Field, str]]:
    """A good canary whose policy waits for a person, and its release's id."""
    policies = {"default": {**_POLICY, "approval_seconds": approval_seconds}}
    async with field_of(folder, canary=Behaviour(), settings_over={"policies": policies}) as place, place.daemon():
        await place.ready()
        yield place, await place.submit()


async def waiting(place: Field, release_id: str) -> ReleaseView:
    """The release, once a person is waited for."""
    async with asyncio.timeout(90.0):
        while (view := await place.view(release_id)).waits_until is None:
            assert view.verdict is None, view.verdict
            await asyncio.sleep(0.1)
    return view


async def test_a_good_canary_waits_until_a_person_promotes_it_by_the_command_with_a_reason(tmp_path: Path) -> None:
    async with gated(tmp_path, approval_seconds=600.0) as (place, release_id):
        view = await waiting(place, release_id)
        assert f"verdictd promote {release_id} --reason TEXT" in view.waiting_for
        async with asyncio.timeout(60.0):
            while (later := await place.view(release_id)).ticks < view.ticks + 5:
                await asyncio.sleep(0.1)
        assert (later.stage, later.verdict) == (Stage.WATCHING, None)
        done = await verdictd("promote", release_id, "--reason", "seen by us", "--server", place.url)
        assert done.code == 0, done.err
        verdict = (await place.record(release_id)).verdict
        assert (verdict.outcome, verdict.meaning, verdict.action, verdict.by) == (Outcome.PROMOTE, "promote", Action.NONE, "person")
        assert ": seen by us; it was found good after " in verdict.reason
        assert await place.published(place.embedded_url()) == [verdict]


async def test_a_good_canary_that_no_person_promotes_in_time_is_not_promoted_and_keeps_its_traffic(tmp_path: Path) -> None:
    async with gated(tmp_path, approval_seconds=2.0) as (place, release_id):
        await waiting(place, release_id)
        verdict = (await place.record(release_id)).verdict
        told = (verdict.outcome, verdict.meaning, verdict.action, verdict.by)
        assert told == (Outcome.INCONCLUSIVE, "hold", Action.NONE, "deadline")
        assert "no person has said within 2 s that it be promoted" in verdict.reason
        late = await verdictd("promote", release_id, "--reason", "late", "--server", place.url)
        assert late.code != 0
        assert "decided already" in late.err
