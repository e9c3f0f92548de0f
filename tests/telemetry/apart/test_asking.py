"""Readings that come from a sampler are those that would have been read here, and what is said to it is little."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from analyzers.counts import Arm, Latency, Pod, Signal
from config.policy import Failures
from config.settings import PrometheusTelemetry
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.measurements import Cadence, Reading, Watch
from daemon.meshes.registry import schemas
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.apart.answering import answer
from daemon.telemetry.apart.asking import SampledApart
from daemon.telemetry.apart.sampler import Sampler
from daemon.telemetry.apart.words import AT_A_TIME, Begin, Done, Line, Read, Readings, Watching, Word
from daemon.telemetry.factory import schema_of, telemetry_from
from tests.hand.clock import HandClock
from tests.hand.servers import stub
from tests.telemetry.support import workloads

SETTINGS = PrometheusTelemetry(url="http://127.0.0.1:1", dialect="istio", tick_seconds=1.0)
BEGIN = Begin(name="near", settings=SETTINGS, unparsed_bytes=2**20, log_level="info")
ARM = Arm(
    requests=7,
    errors=1,
    latency=Latency(counts=(1, 2, 3), sum_ms=4.5),
    pods={"web-v1-0": Pod(requests=7, latency=Latency(counts=(1, 2, 3), sum_ms=4.5), age_seconds=3.0)},
)
READING = Reading(
    seconds=5.0,
    baseline=ARM,
    canary=ARM,
    bounds_ms=(1.0, 2.5),
    at=1e9,
    signals=(Signal(kind="restarted", about="canary", effect="holds", words="a pod was started anew"),),
    cadence=Cadence(spacing_seconds=15.0, ahead_seconds=-0.5),
)
PODS = PodsByArm(
    baseline=ArmPods(pods=(ArmPod(namespace="shop", name="web-v1-0", address="10.1.0.1", ready=True),)),
    canary=ArmPods(unknown="nobody has said"),
)


@dataclass
class Told:
    """Telemetry that notes what it is told, and answers what a test says."""

    asked: list[list[Watch]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    failure: str | None = None
    wait_seconds: float | None = None
    reading: Reading = READING

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        self.asked.append(list(watches))
        return {watch.release_id: self.reading for watch in watches}

    def forget(self, release_id: str) -> None:
        self.forgotten.append(release_id)


@dataclass
class Near:
    """A sampler in a task."""

    line: Line
    task: asyncio.Task[None]
    pid: int = 7

    async def end(self) -> None:
        self.line.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Serve = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def apart(serve: Serve, *, clock: HandClock | None = None, answer_seconds: float = 20.0) -> AsyncIterator[SampledApart]:
    async def start() -> Sampler:
        ours, theirs = socket.socketpair()
        far = await Line.opened(theirs)

        async def served() -> None:
            try:
                await serve(far)
            finally:
                far.close()

        near = Near(await Line.opened(ours), asyncio.create_task(served()))
        await near.line.say(BEGIN)
        return cast("Sampler", near)

    schema = schema_of(SETTINGS, schemas())
    made = SampledApart(start, schema=schema, tick_seconds=1.0, answer_seconds=answer_seconds, clock=clock or HandClock())
    async with made:
        yield made


def serving(telemetry: object) -> Serve:
    @asynccontextmanager
    async def opening(first: Begin) -> AsyncIterator[Telemetry]:
        assert first == BEGIN
        yield cast("Telemetry", telemetry)

    return lambda line: answer(line, opening)


async def test_a_reading_comes_over_as_it_is_however_many_there_are() -> None:
    told = Told(failure="one of two is away", wait_seconds=3.5)
    watches = [workloads(f"web-{n}") for n in range(2 * AT_A_TIME + 1)]
    async with apart(serving(told)) as telemetry:
        found = await telemetry.read(watches)
        assert found == {watch.release_id: READING for watch in watches}
        assert told.asked == [watches]
        assert (telemetry.failure, telemetry.wait_seconds, telemetry.pid, telemetry.starts) == (told.failure, 3.5, 7, 1)
    assert telemetry.pid is None


async def test_only_what_has_changed_of_the_watches_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told, said = Told(), list[Word]()
    say = Line.say

    async def noting(line: Line, word: Word) -> None:
        said.append(word)
        await say(line, word)

    monkeypatch.setattr(Line, "say", noting)
    one, two = workloads("web-1"), workloads("web-2")
    looked = msgspec.structs.replace(one, pods=PODS)
    again = msgspec.convert(msgspec.to_builtins(looked), Watch)  # another value, the same words
    async with apart(serving(told)) as telemetry:
        for watches in ([one, two], [one, two], [looked, two], [again, two], [again]):
            await telemetry.read(watches)
        telemetry.forget("web-2")
        telemetry.forget("web-1")
        telemetry.forget("web-1")
        await telemetry.read([])
    assert told.asked == [[one, two], [one, two], [looked, two], [looked, two], [looked], []]
    assert sorted(told.forgotten) == ["web-1", "web-2"], "also the one that was not watched any more: it is remembered there"
    changes = [[one.release_id for one in word.watches] for word in said if isinstance(word, Watching) and word.watches]
    assert changes == [["web-1", "web-2"], ["web-1"]]


async def test_one_that_ends_while_a_sampler_is_started_is_forgotten_after_it_was_read() -> None:
    told = Told()
    async with apart(serving(told)) as telemetry:
        start = telemetry._start

        async def meanwhile() -> Sampler:
            telemetry.forget("web-1")
            return await start()

        telemetry._start = meanwhile
        await telemetry.read([workloads()])
        assert told.forgotten == []
        await telemetry.read([])
        assert told.forgotten == ["web-1"]


async def test_one_that_is_forgotten_while_others_are_told_and_comes_back_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with apart(serving(Told())) as telemetry:
        await telemetry.read([workloads()])
        say, forgets = Line.say, ["web-1"]

        async def meanwhile(line: Line, word: Word) -> None:
            await say(line, word)
            while forgets:
                telemetry.forget(forgets.pop())

        monkeypatch.setattr(Line, "say", meanwhile)
        for _ in range(2):
            assert await telemetry.read([workloads()]) == {"web-1": READING}


@pytest.mark.parametrize("requests", [0, 40])
async def test_what_is_counted_there_is_what_would_have_been_counted_here(requests: int) -> None:
    clock = HandClock(1_000_000.0)

    def page(tick: int) -> str:
        labels = {"reporter": "destination", "destination_workload_namespace": "default", "response_code": "200"}
        rows: list[dict[str, object]] = [
            {
                "metric": {"__name__": "istio_requests_total", **labels, "destination_workload": workload, "pod": workload},
                "values": [[1_000_000.0 + at, str(100 + requests * at)] for at in range(max(0, tick - 3), tick + 1)],
            }
            for workload in ("web-v1", "web-v2")
        ]
        return msgspec.json.encode({"status": "success", "data": {"resultType": "matrix", "result": rows}}).decode()

    async with stub() as server:
        settings = msgspec.structs.replace(SETTINGS, url=server.url)

        @asynccontextmanager
        async def opening(_first: Begin) -> AsyncIterator[Telemetry]:
            async with telemetry_from(settings, clock=clock, schemas=schemas()) as telemetry:
                yield telemetry

        async with (
            telemetry_from(settings, clock=clock, schemas=schemas()) as here,
            apart(lambda line: answer(line, opening), clock=clock) as there,
        ):
            assert (there.tick_seconds, there.split) == (here.tick_seconds, here.split)
            assert there.cannot_tell(Failures()) == here.cannot_tell(Failures())
            release = workloads().release
            assert (there.cannot_count(release), there.timed(release)) == (here.cannot_count(release), here.timed(release))
            counted = 0
            for tick in range(8):
                clock.time = 1_000_000.0 + tick
                server.says(page(tick))
                readings = await there.read([workloads()])
                assert readings == await here.read([workloads()])
                assert (there.failure, there.wait_seconds) == (here.failure, here.wait_seconds)
                canary = readings["web-1"].canary
                counted += 0 if canary is None else canary.requests
            assert (counted > 0) == (requests > 0)


async def dies(line: Line) -> None:
    await line.heard()
    await line.heard()


async def hangs(line: Line) -> None:
    await asyncio.Event().wait()


async def talks(line: Line) -> None:
    await line.heard()
    await line.say(Read())


async def mumbles(line: Line) -> None:
    line._writer.write(b"\x00\x00\x00\x01\xc1")
    await line._writer.drain()
    await asyncio.Event().wait()


async def boasts(line: Line) -> None:
    line._writer.write(b"\xff\xff\xff\xff")
    await line._writer.drain()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("serve", "seconds", "said"),
    [
        (dies, 20.0, "the sampler cannot be talked to: it has ended"),
        (hangs, 0.2, "the sampler did not answer within 0.2 s"),
        (talks, 20.0, "it says Read"),
        (mumbles, 20.0, "the sampler cannot be talked to"),
        (boasts, 20.0, "a word of 4294967295 bytes"),
    ],
)
async def test_a_sampler_that_fails_is_a_gap_that_says_so_and_another_one_is_started(
    serve: Serve, seconds: float, said: str
) -> None:
    clock, told, fails = HandClock(), Told(), [True, True, False]
    good = serving(told)

    async def sometimes(line: Line) -> None:
        await (serve if fails.pop(0) else good)(line)

    async with apart(sometimes, clock=clock, answer_seconds=seconds) as telemetry:
        for times in (1, 2):
            found = (await telemetry.read([workloads()]))["web-1"]
            assert said in (found.gap or "")
            assert (found.baseline, telemetry.failure, telemetry.wait_seconds) == (None, found.gap, None)
            assert (telemetry.starts, telemetry.pid) == (times, None)
        assert said in ((await telemetry.read([workloads()]))["web-1"].gap or ""), "not started at every tick"
        assert telemetry.starts == 2
        clock.time += 60.0
        assert await telemetry.read([workloads()]) == {"web-1": READING}
        assert (telemetry.starts, telemetry.failure, told.asked) == (3, None, [[workloads()]])


async def test_one_that_is_cancelled_in_the_middle_of_an_answer_begins_anew() -> None:
    told, begun = Told(), asyncio.Event()

    @dataclass
    class Slow(Told):
        async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
            begun.set()
            await asyncio.Event().wait()
            return {}

    serves = [serving(Slow()), serving(told)]

    async def in_turn(line: Line) -> None:
        await serves.pop(0)(line)

    async with apart(in_turn) as telemetry:
        reading = asyncio.create_task(telemetry.read([workloads()]))
        await begun.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert telemetry.pid is None
        assert await telemetry.read([workloads()]) == {"web-1": READING}


@pytest.mark.parametrize("word", [BEGIN, Readings({}), Done(None, None)])
async def test_a_sampler_takes_no_words_but_those_for_it(word: Word) -> None:
    ours, theirs = socket.socketpair()
    near, far = await Line.opened(ours), await Line.opened(theirs)
    task: asyncio.Task[Any] = asyncio.ensure_future(serving(Told())(far))
    await near.say(BEGIN)
    await near.say(word)
    with pytest.raises(ValueError, match="a sampler is not told"):
        await task
    near.close()
    far.close()


async def test_one_whose_daemon_says_nothing_ends() -> None:
    ours, theirs = socket.socketpair()
    near, far = await Line.opened(ours), await Line.opened(theirs)
    near.close()
    await serving(Told())(far)
    far.close()
