"""A soak on real parts: ``python -m tests.bench.soak [releases] [kills]``, some two minutes, not part of ``make test``.

Services behind one real Envoy, a release of each in turn, every third of them bad; the daemon is killed outright at random
moments and started again. At the end: one verdict for each on the stream, no other, the bad ones taken back in the routes
in force, and every recording replays to its verdict or says that it cannot.
"""

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import msgspec
import yaml

from daemon import recordings
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.demo import routes
from daemon.demo.backend import Behaviour
from daemon.demo.backends import backends
from daemon.demo.children import child
from daemon.demo.edge import Edge, edge
from daemon.demo.traffic import Users
from daemon.model import Action, ArmSpec, Outcome, Release
from daemon.offline.replay import replay_file
from tests.live.field import Field
from tests.servers.nats_server import nats_server
from tests.servers.run import free_ports

POLICY: dict[str, Any] = {
    "window_seconds": 40.0,
    "warmup_seconds": 0.0,
    "promotion": {"min_seconds": 8.0, "min_requests": 60},
    "tolerances": {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 10.0, "slow_end": 50.0}},
}
REQUESTS_PER_SECOND = 24.0
BETWEEN_SECONDS = 4.0


def is_bad(n: int) -> bool:
    """Every third release."""
    return n % 3 == 0


def release(n: int) -> Release:
    """The release of a service."""
    return Release(
        service=f"s{n}",
        namespace="shop",
        mesh="edge",
        baseline=ArmSpec(service=f"web-s{n}-v1"),
        canary=ArmSpec(service=f"web-s{n}-v2"),
        weight=50.0,
    )


def route_file(services: int) -> str:
    """A route for each service, by the path's beginning; half of the traffic to its canary."""
    table = [
        {
            "match": {"prefix": f"/s{n}/"},
            "route": {"weighted_clusters": {"clusters": [{"name": f"web-s{n}-v{v}", "weight": 50} for v in (1, 2)]}},
        }
        for n in range(services)
    ]
    hosts = [{"name": "web", "domains": ["*"], "routes": table}]
    resource = {"@type": routes.TYPE_URL, "name": routes.ROUTE_CONFIG, "virtual_hosts": hosts}
    return yaml.safe_dump({"version_info": "start", "resources": [resource]}, sort_keys=False)


async def load(url: str, services: int) -> None:
    """Requests to every service, open loop, for ever."""
    dice = random.Random(5)  # noqa: S311 - traffic, not secrets
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session, asyncio.TaskGroup() as group:

        async def one(n: int) -> None:
            try:
                async with session.get(f"{url}/s{n}/") as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                pass

        while True:
            await asyncio.sleep(dice.expovariate(REQUESTS_PER_SECOND * services))
            group.create_task(one(dice.randrange(services)))


@asynccontextmanager
async def place_of(folder: Path, services: int) -> AsyncIterator[Field]:
    """Everything but the daemon."""
    async with AsyncExitStack() as stack:
        behaviours = {"good": Behaviour(median_ms=3.0, p99_ms=12.0), "bad": Behaviour(median_ms=3.0, p99_ms=12.0, error_rate=0.4)}
        running = await stack.enter_async_context(backends(behaviours, folder=folder, seed=7))
        ports = {f"s{n}-v1": running["good"].port for n in range(services)}
        ports |= {f"s{n}-v2": running["bad" if is_bad(n) else "good"].port for n in range(services)}
        with patch.object(routes, "render", lambda *_, **__: route_file(services)):
            proxy: Edge = await stack.enter_async_context(edge(folder=folder, backends=ports, weights={}))
        broker_folder = folder / "broker"
        broker_folder.mkdir()
        broker = await stack.enter_async_context(nats_server(broker_folder))
        (port,) = free_ports(1)
        nobody: Users = None  # type: ignore[assignment]  # the requests are our own
        yield Field(
            folder=folder,
            backends=running,
            edge=proxy,
            users=nobody,
            port=port,
            nats_url=broker.url,
            settings_over={"policies": {"default": POLICY}, "limits": {"guard_seconds": 3.0}},
        )


async def keep_alive(place: Field, kills: list[float], stop: asyncio.Event) -> None:
    """A daemon until told to stop, killed and started again at these times."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "tests.live.crashing", str(place.settings())]
    while not stop.is_set():
        async with child("verdictd", argv, log=place.folder / "verdictd.log") as daemon:
            ends = asyncio.ensure_future(stop.wait())
            left = kills.pop(0) - (time.monotonic() - began) if kills else None
            await asyncio.wait([ends], timeout=left)
            ends.cancel()
            if not stop.is_set():
                print(f"{time.monotonic() - began:6.1f} s  kill -9")
                daemon.process.send_signal(signal.SIGKILL)


async def insist(attempt: Callable[[], Awaitable[object]]) -> None:
    """As a pipeline does: again, with the same key, until it is taken."""
    while True:
        try:
            await attempt()
        except (aiohttp.ClientError, TimeoutError, AssertionError):
            await asyncio.sleep(0.2)
        else:
            return


async def announce_all(place: Field, services: int) -> None:
    """Half of the releases over HTTP, half over NATS."""
    async with (
        connected(BrokerAddress(servers=(place.nats_url,)), name="soak", connect_timeout_seconds=5.0) as connection,
        asyncio.TaskGroup() as group,
    ):
        for n in range(services):
            if n % 2:
                event = {"specversion": "1.0", "id": f"soak-{n}", "source": "/soak", "type": "io.verdictd.release.v1"}
                body = msgspec.json.encode({**event, "data": release(n)})
                headers = {"Content-Type": "application/cloudevents+json"}
                await connection.jetstream.publish(f"verdictd.release.field.shop.s{n}", body, headers=headers)
            else:
                group.create_task(insist(lambda n=n: place.submit(release(n), key=f"soak-{n}")))  # type: ignore[misc]  # a bound default
            await asyncio.sleep(BETWEEN_SECONDS * random.uniform(0.2, 1.8))  # noqa: S311 - traffic, not secrets


async def verdicts_of(place: Field, services: int) -> None:
    """Wait until the stream has a verdict for every service, then a little longer: there must not be more."""
    async with asyncio.timeout(180.0):
        while len({v.service for v in await place.published(place.nats_url)}) < services:
            await asyncio.sleep(0.5)
    await asyncio.sleep(6.0)


async def main(services: int, kills: int) -> int:
    """Run the soak; 0 when everything is as it must be."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with place_of(folder, services) as place:
            stop = asyncio.Event()
            moments = sorted(random.uniform(8.0, services * BETWEEN_SECONDS) for _ in range(kills))  # noqa: S311 - moments, not secrets
            async with asyncio.TaskGroup() as group:
                requests = group.create_task(load(place.edge.url, services))
                keeper = group.create_task(keep_alive(place, moments, stop))
                await place.ready()
                await announce_all(place, services)
                await verdicts_of(place, services)
                faults += await judged(place, services)
                stop.set()
                await keeper
                requests.cancel()
        log = [line for line in (folder / "verdictd.log").read_text().splitlines() if '"error"' in line or "Traceback" in line]
        print(*log[:20], sep="\n")
    print(*(faults or ["all as it must be"]), sep="\n")
    return 1 if faults else 0


def shares_of(routes_file: Path) -> dict[str, int]:
    """The weight of every cluster, whoever wrote the file."""
    document = yaml.safe_load(routes_file.read_text())
    actions = [route["route"] for route in document["resources"][0]["virtual_hosts"][0]["routes"]]
    return {one["name"]: one["weight"] for action in actions for one in action.get("weighted_clusters", {}).get("clusters", [])}


async def judged(place: Field, services: int) -> list[str]:
    """What is not as it must be."""
    faults = []
    published = await place.published(place.nats_url)
    faults += [f"{service}: {n} verdicts" for service, n in Counter(v.service for v in published).items() if n != 1]
    shares = shares_of(place.edge.routes_file)
    tally: Counter[str] = Counter()
    for verdict in sorted(published, key=lambda v: int(v.service[1:])):
        n = int(verdict.service[1:])
        record = await place.record(verdict.release_id)
        stage = (await place.view(verdict.release_id)).stage
        path = place.folder / "recordings" / f"{verdict.release_id}.jsonl"
        replayed, chain = replay_file(path), ""
        for line in path.read_bytes().splitlines()[1:]:
            chain = recordings.chained(chain, line)
        same = replayed.verdict == verdict.outcome and chain == record.sample_digest
        tally["replays alike" if same else "replay says it cannot" if "ends before" in replayed.reason else "replay differs"] += 1
        taken_back = not shares.get(f"web-s{n}-v2")
        print(
            f"s{n:<3} {verdict.outcome:12} {verdict.action:8} {stage:6} {verdict.ticks:4} ticks  same={same}  {verdict.reason[:90]}"
        )
        if record.verdict != verdict:
            faults.append(f"s{n}: the record has another verdict")
        if is_bad(n) and (verdict.outcome, verdict.action, taken_back) != (Outcome.ROLLBACK, Action.REVERT, True):
            faults.append(f"s{n}: bad, yet {verdict.outcome} {verdict.action}, taken back: {taken_back}")
        if not is_bad(n) and (verdict.outcome is Outcome.ROLLBACK or taken_back):
            faults.append(f"s{n}: healthy, yet {verdict.outcome} {verdict.action}, taken back: {taken_back}")
    print(dict(tally))
    return faults + [f"{n} recordings differ" for n in [tally["replay differs"]] if n]


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*(int(one) for one in (sys.argv[1:] or ["20", "3"])))))
