"""Exit codes of the real binary against a real daemon, in front of real traffic: what a pipeline's next step acts on."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from tests.cli.binary import needs_dev_full, verdictd
from tests.live.field import FAILING, POLICY, RELEASE, field_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.usefixtures("measured"), needs_dev_full]


async def test_a_rollback_exits_1_whoever_reads_and_says_where_the_traffic_is(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=FAILING) as field:
        field.settings_over = {"policies": {"default": POLICY, "look": {**POLICY, "mode": "observe"}}}
        async with field.daemon():
            await field.ready()
            server = ["--server", field.url]
            file = tmp_path / "release.json"
            for policy, said in (("look", "the canary keeps its traffic"), ("default", "")):
                file.write_text(json.dumps(msgspec.to_builtins(msgspec.structs.replace(RELEASE, policy=policy))))
                argv = ["submit", str(file), "--wait", "--key", policy, *server]
                found = await asyncio.gather(verdictd(*argv, then="| head -1"), verdictd(*argv, "--json"))
                assert [done.code for done in found] == [1, 1]
                release_id = found[0].out.strip()
                verdict = json.loads(found[1].out)
                assert (verdict["release_id"], verdict["action"]) == (release_id, "none" if said else "revert")
                assert [said in done.err for done in found] == [True, True]
                assert ("the canary keeps its traffic" in found[0].err) == bool(said)
                for streams in ("| true", ">&-", "> /dev/full", "> /dev/full 2>&1"):
                    assert (await verdictd("wait", release_id, *server, then=streams)).code == 1, streams
            assert (await verdictd("wait", "web-0123456789abcdef", "--timeout", "1", *server)).code == 66
            assert await field.canary_is_silent()
        assert (await verdictd("wait", "web-0123456789abcdef", *server, "--patience", "0")).code == 69
