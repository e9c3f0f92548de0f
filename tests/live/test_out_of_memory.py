"""Killed by the kernel for want of memory, in the middle of a watch: the same as any kill, seen with the kernel's own hand."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from daemon.demo.backend import Behaviour
from daemon.demo.children import child
from daemon.model import Action, Outcome
from tests.hand.memorygroup import memory_group
from tests.live.field import FAILING, UNHURRIED, field_of

pytestmark = [
    pytest.mark.live,
    pytest.mark.broad,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="the groups are the Linux kernel's"),
]

MIB = 1024 * 1024
EATER = f"import signal; kept = [bytes([1]) * {MIB} for _ in range(1024)]; signal.pause()"
"""Somebody else in the same container, who takes more than the kernel gets by forgetting files that were read there."""
WORTH_MOST = "1000"
"""The kernel ends who is worth it most: here always the daemon, with its broker beside it."""


async def test_killed_by_the_kernel_for_want_of_memory_the_next_start_goes_on_with_the_watch(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=Behaviour(), settings_over=UNHURRIED) as place:
        with memory_group() as group:
            async with place.daemon(within=group) as daemon:
                await place.ready()
                release_id = await place.submit()
                while (ticks := (await place.view(release_id)).ticks) < 8:
                    await asyncio.sleep(0.1)
                await asyncio.to_thread(Path(f"/proc/{daemon.pid}/oom_score_adj").write_text, WORTH_MOST)
                group.leave_room(16 * MIB)
                async with child("eater", group.inside(sys.executable, "-c", EATER), log=tmp_path / "eater.log"):
                    async with asyncio.timeout(60.0):
                        code = await daemon.process.wait()
            # The eater may go too, before what the daemon had is free.
            assert (code, group.kills > 0) == (-signal.SIGKILL, True)
        await place.backends["v2"].behave(FAILING)
        async with place.daemon():
            await place.ready()
            assert (await place.view(release_id)).ticks >= ticks
            record = await place.record(release_id)
            published = await place.published(place.embedded_url())
        assert (record.verdict.outcome, record.verdict.action) == (Outcome.ROLLBACK, Action.REVERT)
        assert [mark.step for mark in record.marks].count("watching") == 1
        assert [one.release_id for one in published] == [release_id]
        assert await place.canary_is_silent()
