"""What docs/backtest.md shows can be made again: the demo's traffic, a real Prometheus, and the command on its history."""

import json
from pathlib import Path

import pytest

from daemon.demo.acts import ACTS
from tests.live.demopast import backtested, lived

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


async def test_a_release_of_the_demo_that_nobody_watched_would_have_been_taken_back(tmp_path: Path) -> None:
    failing = next(act for act in ACTS if act.fault == "errors")
    async with lived(tmp_path, [failing], seconds=20.0) as (server, over):
        done = await backtested(tmp_path, server, over, "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)["rows"]
    ours, lenient = row["verdicts"]
    assert ours["verdict"] == "rollback"
    assert lenient["verdict"] != "rollback"
