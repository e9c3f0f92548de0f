"""The sampler's process: it answers, ends with the daemon whatever ends that, and one that is gone or hangs is replaced."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.settings import PrometheusTelemetry
from daemon.aio import process
from daemon.aio.clock import SystemClock
from daemon.meshes.registry import schemas
from daemon.sampler import ARGV
from daemon.telemetry.apart.asking import SampledApart
from daemon.telemetry.apart.sampler import Sampler
from daemon.telemetry.apart.words import Begin, Line, Word
from daemon.telemetry.factory import schema_of
from tests.hand.ports import until
from tests.hand.processes import is_running
from tests.hand.servers import stub
from tests.telemetry.support import watch

NOTHING = '{"status":"success","data":{"resultType":"matrix","result":[]}}'


@asynccontextmanager
async def sampled(*, answer_seconds: float = 60.0) -> AsyncIterator[SampledApart]:
    async with stub() as server:
        server.says(NOTHING)
        settings = PrometheusTelemetry(url=server.url, dialect="envoy", tick_seconds=0.25)
        first = Begin(name="near", settings=settings, unparsed_bytes=2**20, log_level="warning")
        async with SampledApart(
            partial(Sampler.started, ARGV, first),
            schema=schema_of(settings, schemas()),
            tick_seconds=0.25,
            answer_seconds=answer_seconds,
            clock=SystemClock(),
        ) as made:
            yield made


async def gap_of(telemetry: SampledApart) -> str:
    return (await telemetry.read([watch()]))["web-1"].gap or ""


async def test_it_reads_and_ends_with_the_daemon_in_order() -> None:
    async with sampled() as telemetry:
        assert await gap_of(telemetry) == "baseline: no series yet"
        pid = telemetry.pid
        assert pid is not None
        assert await gap_of(telemetry) == "baseline: no series yet"
        assert (telemetry.pid, telemetry.starts) == (pid, 1)
    assert not is_running(pid)


async def test_one_that_is_killed_is_replaced_at_the_next_tick() -> None:
    async with sampled() as telemetry:
        await gap_of(telemetry)
        first = telemetry.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: not is_running(first))
        assert "the sampler cannot be talked to" in await gap_of(telemetry)
        assert await gap_of(telemetry) == "baseline: no series yet"
        assert telemetry.pid not in {None, first}


async def test_a_module_of_ours_is_not_taken_from_the_folder_where_the_daemon_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    async with sampled() as telemetry:
        assert await gap_of(telemetry) == "baseline: no series yet"


async def test_one_that_hangs_is_ended_and_replaced() -> None:
    async with sampled() as telemetry:
        await gap_of(telemetry)
        first = telemetry.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        telemetry._answer_seconds = 0.5
        assert await gap_of(telemetry) == "the sampler did not answer within 0.5 s"
        assert not is_running(first)
        telemetry._answer_seconds = 60.0
        assert await gap_of(telemetry) == "baseline: no series yet"


async def test_a_program_that_cannot_be_started_is_a_gap() -> None:
    async with sampled() as telemetry:
        telemetry._start = partial(
            Sampler.started,
            ["/nonexistent"],
            Begin(name="near", settings=PrometheusTelemetry(url="http://x", dialect="envoy"), unparsed_bytes=1, log_level="info"),
        )
        assert "the sampler cannot be talked to" in await gap_of(telemetry)


async def test_one_that_cannot_be_told_what_to_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    begin = process.start

    async def noted(*given: Any, **named: Any) -> asyncio.subprocess.Process:
        made = await begin(*given, **named)
        started.append(made.pid)
        return made

    async def deaf(_line: Line, _word: Word) -> None:
        raise BrokenPipeError("nobody listens")

    monkeypatch.setattr(process, "start", noted)
    async with sampled() as telemetry:
        with monkeypatch.context() as patched:
            patched.setattr(Line, "say", deaf)
            assert "nobody listens" in await gap_of(telemetry)
        assert [is_running(pid) for pid in started] == [False]
        assert await gap_of(telemetry) == "baseline: no series yet"


PARENT = """
import asyncio, sys
from config.settings import PrometheusTelemetry
from daemon.sampler import ARGV
from daemon.telemetry.apart.sampler import Sampler
from daemon.telemetry.apart.words import Begin

async def main():
    settings = PrometheusTelemetry(url="http://127.0.0.1:1", dialect="envoy")
    made = await Sampler.started(ARGV, Begin(name="near", settings=settings, unparsed_bytes=1, log_level="info"))
    print(made.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_it_does_not_outlive_a_daemon_that_is_killed(how: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(how)
    await parent.wait()
    await until(lambda: not is_running(pid))
