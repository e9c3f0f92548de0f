"""A daemon under the shipped configuration of nats-server: a whole release, announced and heard of by a pipeline."""

import json
from pathlib import Path

import msgspec
import pytest

from daemon.model import Action
from tests.bus.test_rights import as_user, example, shipped
from tests.hand.daemons import published
from tests.live.field import FAILING, RELEASE, field_of

pytestmark = [pytest.mark.live, pytest.mark.broad, pytest.mark.timeout(120)]


async def test_a_whole_release_takes_no_other_rights_than_the_shipped_ones(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=FAILING) as place, shipped(tmp_path, example()) as server:
        place.nats_url = server.url_of("verdictd", password="verdictd-secret")
        async with as_user(server, "pipeline") as pipeline:
            verdicts = await pipeline.client.subscribe("verdictd.verdict.>")
            async with place.daemon():
                await place.ready()
                await pipeline.jetstream.publish("verdictd.release.field.shop.web", msgspec.json.encode(RELEASE), timeout=10.0)
                told = await verdicts.next_msg(timeout=60.0)
                release_id = json.loads(told.data)["releaseid"]
                await place.record(release_id)
                await place.ready()
        async with as_user(server, "operator") as operator:
            found = [(one.release_id, one.action) for one in await published(operator)]
    assert found == [(release_id, Action.REVERT)]
    assert "does not permit" not in (tmp_path / "verdictd.log").read_text()
