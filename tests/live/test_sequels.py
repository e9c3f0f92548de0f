"""What comes after a verdict, by a whole daemon on a real proxy: whoever was told the verdict hears what became of the traffic."""

import asyncio
from pathlib import Path

import pytest

from tests.hand.servers import Stub, says, stub
from tests.live.field import FAILING, POLICY, field_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


async def until_told(target: Stub, event_id: str) -> None:
    async with asyncio.timeout(60.0):
        while event_id not in {event["id"] for _, _, event in target.requests}:
            await asyncio.sleep(0.05)


async def test_a_webhook_hears_the_verdict_that_its_traffic_left_and_that_somebody_put_it_back_in_vain(tmp_path: Path) -> None:
    async with stub(says(status=202)) as target:
        over = {
            "policies": {"default": POLICY},
            "limits": {"guard_seconds": 120.0},
            "sinks": {"ci": {"kind": "webhook", "url": f"{target.url}/hook"}},
        }
        async with field_of(tmp_path, canary=FAILING, settings_over=over) as place, place.daemon():
            await place.ready()
            release_id = await place.submit()
            await until_told(target, f"{release_id}.traffic_left")
            place.edge.route({"v1": 70, "v2": 30}, version_info="put back")
            await until_told(target, f"{release_id}.reverted_again")
            assert await place.canary_is_silent()
        events = [event for _, _, event in target.requests]
        assert [event["id"] for event in events][:3] == [
            f"{release_id}.{name}" for name in ("verdict", "traffic_left", "reverted_again")
        ]
        assert [event["type"] for event in events][:2] == ["io.verdictd.verdict.v1", "io.verdictd.sequel.v1"]
        assert events[0]["data"]["action"] == "revert"
        assert [event["data"]["kind"] for event in events[1:3]] == ["traffic_left", "reverted_again"]
