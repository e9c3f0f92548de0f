"""What a fleet of releases costs one daemon: to accept and find them, to watch them, and to take all of them back at once.

The daemon is the product's own process beside a real broker and a real API server; Prometheus is a stand-in, whose answers have
the size of real ones. Where other work shares the machine, CPU seconds say more than seconds: both are told.
``python -m tests.bench.load 1000`` measures one size, ``python -m tests.bench.load 1000 own`` the same with a sampler.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from daemon.aio.tasks import background
from daemon.demo.children import child
from daemon.model import Record
from tests.bench import bareloop, fleet
from tests.bench.bareloop import FIRST, Bare
from tests.bench.figures import Figure, percentile, spread, table
from tests.bench.loadseen import Seen, seen
from tests.hand.daemons import DaemonApi
from tests.hand.istio_cluster import cluster_of
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports

SIZES = (50, 200, 1000)
HOLD_SECONDS = 40.0
TICK_SECONDS = 5.0
_SENDERS = 32
_LOOK_SECONDS = 1.0
_SCRAPE_SECONDS = 15.0
_AGAIN_SECONDS = 0.5
_PATIENCE_SECONDS = 900.0
_TAKEN_BACK_SECONDS = 180.0
_MIB = 2**20


def figures(*, sizes: Sequence[int] = SIZES, own: bool = False) -> list[Figure]:
    """A row for each size and quantity. ``own``: telemetry is read in a process of its own."""
    return [figure for size in sizes for figure in asyncio.run(_measured(size, own=own))]


async def _measured(releases: int, *, own: bool) -> list[Figure]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="verdictd-bench-load-")))
        api = await stack.enter_async_context(cluster_of(folder / "cluster", crds=[require_crds("istio")], objects=()))
        await fleet.create(api, releases)
        prometheus = stack.enter_context(fleet.apart(releases))
        (folder / "nats").mkdir()
        broker = await stack.enter_async_context(nats_server(folder / "nats"))
        (port,) = free_ports(1)
        file = folder / "settings.json"
        settings = _settings(folder, api, nats=broker.url, prometheus=prometheus, port=port, own=own)
        file.write_text(json.dumps(settings))
        argv = [sys.executable, "-m", "daemon.cli", "run", "--config", str(file)]
        await stack.enter_async_context(child("verdictd", argv, log=folder / "verdictd.log"))
        run = _Run(api=api, daemon=DaemonApi(port=port), prometheus=prometheus, releases=releases)
        await run.daemon.ready()
        return await run.figures()


def _settings(folder: Path, api: KubeApiServer, *, nats: str, prometheus: str, port: int, own: bool) -> dict[str, Any]:
    telemetry = {
        "kind": "prometheus",
        "url": prometheus,
        "dialect": "istio",
        "tick_seconds": TICK_SECONDS,
        "timeout_seconds": 4.5,
        "process": "own" if own else "shared",
    }
    return {
        "cluster": "bench",
        "nats": {"url": nats},
        "http": {"listen": f"127.0.0.1:{port}"},
        "kubernetes": {"auth": "kubeconfig", "kubeconfig": str(api.write_kubeconfig(folder / "kubeconfig.json"))},
        "telemetry": {"mesh": telemetry},
        "meshes": {"istio": {"kind": "istio", "telemetry": "mesh"}},
        "policies": {"default": {"window_seconds": 3600.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 3000.0}}},
        "limits": {"guard_seconds": 2.0},
    }


@dataclass(kw_only=True)
class _Run:
    """One size."""

    api: KubeApiServer
    daemon: DaemonApi
    prometheus: str
    releases: int
    most_memory: float = 0.0
    refused: Counter[int] = field(default_factory=Counter)

    async def figures(self) -> list[Figure]:
        """Accept, watch, take back; and beside that it is scraped as a Prometheus does."""
        async with background(self._scraped()):
            return await self._phases()

    async def _phases(self) -> list[Figure]:
        began = await seen(self.daemon, self.api)
        ids = await self._announced()
        seconds = time.monotonic() - began.at
        located = await self._until_watched()
        accepting = self._of_accepting(began, located, seconds=seconds)
        holding = await self._held()
        before = await seen(self.daemon, self.api)
        async with aiohttp.ClientSession() as session, session.put(f"{self.prometheus}/failing/{time.time()}") as answer:
            answer.raise_for_status()
        records = await self._records(ids)
        after = await seen(self.daemon, self.api)
        bare = await bareloop.shared_out(self.api, range(self.releases))
        return [*accepting, *holding, *self._of_reverting(records, before, after, bare)]

    def _of_accepting(self, began: Seen, located: Seen, *, seconds: float) -> list[Figure]:
        n, cpu = self.releases, located.cpu_since(began)
        lists, asked = located.asked_since(began)
        found = f"{located.at - began.at:.1f}"
        return [
            self._figure("accepted (202), releases/s", f"{n / seconds:.0f}", ">= 200", f"else: {dict(self.refused) or 0}"),
            self._figure("accepted and found, s", found, "", f"{cpu:.1f} CPU s: {1e3 * cpu / n:.1f} ms each"),
            self._figure("listings asked of the API server meanwhile", str(lists), "", asked),
        ]

    def _of_holding(self, before: Seen, after: Seen, late: Sequence[float], reads: Sequence[float]) -> list[Figure]:
        wall, cpu = after.at - before.at, after.cpu_since(before)
        turns = after.since(before, "verdictd_sampling_seconds_count")
        sampling, judging = (after.since(before, f"verdictd_{one}_seconds_sum") / max(1, turns) for one in ("sampling", "judging"))
        lists, asked = after.asked_since(before)
        ms = [1e3 * one for one in reads]
        return [
            self._figure("watched, CPU in percent of a core", f"{100 * cpu / wall:.0f}", "", f"over {wall:.0f} s"),
            self._figure("listings meanwhile", str(lists), "", asked),
            self._figure("a tick: sampling and judging, s", f"{sampling:.2f} + {judging:.2f}", "", f"{turns:.0f} ticks"),
            self._figure("ticks late by, s", spread(late, digits=2), "p99 < 0.5"),
            self._figure("the loop's lag", after.lag_since(before), "never > 20 ms"),
            self._figure("/healthz and a page of releases, ms", f"{spread(ms)}, p99 {percentile(ms, 0.99):.1f}", "p99 < 100"),
            self._figure("memory, MiB", f"{self.most_memory / _MIB:.0f}", "1024 at 5000"),
        ]

    def _of_reverting(self, records: Sequence[Record], before: Seen, after: Seen, bare: Bare) -> list[Figure]:
        marks = [{mark.step: mark.at for mark in record.marks} for record in records]
        taken = [one for one in marks if "patch_acknowledged" in one]
        waits = [one["patch_acknowledged"] - one["decided"] for one in taken] or [float("nan")]
        began = min((one["decided"] for one in taken), default=0.0)
        since = sorted(one["patch_acknowledged"] - began for one in taken) or [float("nan")]
        first = f"{since[0]:.2f} .. {since[-1]:.2f}, {FIRST} of them by {since[min(FIRST, len(since)) - 1]:.3f}"
        measured = f"{spread(waits, digits=2)}, p99 {percentile(waits, 0.99):.2f}"
        parts = f"{len(taken)} of {self.releases} taken back"
        cpu = f"{after.cpu_since(before):.1f} CPU s until the last record; {after.asked_since(before)[1]}"
        beside = f"the last after {bare.seconds[-1]:.2f} s, {FIRST} by {bare.seconds[min(FIRST, self.releases) - 1]:.3f}"
        return [
            self._figure("all fail at once: decision to acknowledged patch, s", measured, "all <= 15", parts),
            self._figure("first and last patch after the first decision, s", first, f"{FIRST} by 0.05", cpu),
            self._figure("the same in times of a bare loop", f"{since[-1] / bare.seconds[-1]:.2f}", "<= 1.3", beside),
            self._figure("the loop's lag meanwhile", after.lag_since(before), "never > 20 ms"),
        ]

    def _figure(self, what: str, measured: str, goal: str, parts: str = "") -> Figure:
        return Figure(what=f"N={self.releases}: {what}", measured=measured, goal=goal, parts=parts)

    async def _announced(self) -> list[str]:
        """All of them, by so many senders; each tries again until it is accepted."""
        numbers = iter(range(self.releases))
        async with aiohttp.ClientSession(self.daemon.url, timeout=aiohttp.ClientTimeout(total=60.0)) as session:

            async def sender() -> list[str]:
                return [await self._submitted(session, number) for number in numbers]

            return [one for ids in await asyncio.gather(*(sender() for _ in range(_SENDERS))) for one in ids]

    async def _submitted(self, session: aiohttp.ClientSession, number: int) -> str:
        headers = {"Idempotency-Key": f"bench-{number}", "Content-Type": "application/json"}
        while True:
            body = msgspec.json.encode(fleet.release(number))
            async with session.post("/v1/releases", data=body, headers=headers) as answer:
                said = await answer.read()
            if answer.status == 202:
                return str(json.loads(said)["id"])
            self.refused[answer.status] += 1
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _until_watched(self) -> Seen:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while (await self._seen()).stages.get("watching", 0.0) < self.releases:
                await asyncio.sleep(_LOOK_SECONDS)
        return await seen(self.daemon, self.api)

    async def _held(self) -> list[Figure]:
        """Watched for a while: how late ticks were, and how long reads took."""
        before, late, reads = await seen(self.daemon, self.api), list[float](), list[float]()
        ends_at, told = time.monotonic() + HOLD_SECONDS, 0.0
        async with aiohttp.ClientSession(self.daemon.url) as session:
            while time.monotonic() < ends_at:
                for path in ("/healthz", "/v1/releases?limit=20"):
                    began = time.monotonic()
                    async with session.get(path) as answer:
                        await answer.read()
                    reads.append(time.monotonic() - began)
                at = (await self._seen()).values["verdictd_round_timestamp_seconds"]
                if told and at != told:
                    late.append(max(0.0, at - told - TICK_SECONDS))
                told = at
                await asyncio.sleep(_LOOK_SECONDS)
        return self._of_holding(before, await seen(self.daemon, self.api), late or [float("nan")], reads)

    async def _records(self, ids: Sequence[str]) -> list[Record]:
        """Those that there are in time."""
        found = []
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKEN_BACK_SECONDS):
                for release_id in ids:
                    found.append(await self.daemon.record(release_id, within=_TAKEN_BACK_SECONDS))  # noqa: PERF401 - what is there
        return found

    async def _scraped(self) -> None:
        """For ever; the whole page."""
        while True:
            with suppress(TimeoutError):  # a scrape that fails is one without samples
                await self.daemon.until_answered("/metrics")
            await asyncio.sleep(_SCRAPE_SECONDS)

    async def _seen(self) -> Seen:
        now = await seen(self.daemon)
        self.most_memory = max(self.most_memory, now.memory_bytes)
        return now


if __name__ == "__main__":
    asked = [one for one in sys.argv[1:] if one != "own"]
    print(table(figures(sizes=[int(one) for one in asked] or SIZES, own="own" in sys.argv)))
