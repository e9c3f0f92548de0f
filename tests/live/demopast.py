"""``python -m tests.live.demopast``: the past that docs/backtest.md shows, made of the demo's proxy, versions and users.

Nobody watches it: a Prometheus scrapes the proxy, each canary has its share for a minute, and people take away what was bad,
late. Then ``verdictd backtest`` is asked what it would have done, and what it says is printed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import join
from typing import Any

from daemon.demo import routes
from daemon.demo.acts import ACTS, CANARY_PERCENT, HEALTHY, Act
from daemon.demo.backends import backends
from daemon.demo.edge import edge
from daemon.demo.routes import NAMESPACE, SERVICE
from daemon.demo.traffic import users
from daemon.demo.watchdog import policy
from daemon.model import Outcome
from tests.cli.binary import Done, verdictd
from tests.servers.prometheus import Prometheus, prometheus

_SETTLE_SECONDS = 8.0
"""Between two releases: users must have come to what is there now, and be scraped."""


@dataclass(frozen=True)
class Lived:
    """A release that is over: the act, and when its canary came into traffic and left it."""

    act: Act
    begin: float
    end: float


@asynccontextmanager
async def lived(
    folder: Path, acts: Sequence[Act], *, seconds: float, rate: float = 300.0
) -> AsyncIterator[tuple[Prometheus, list[Lived]]]:
    """A Prometheus that has seen these releases, each ``seconds`` long, served by the demo's parts."""
    versions = {acts[0].baseline: HEALTHY} | {act.canary: act.behaviour for act in acts}
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(backends(versions, folder=folder, seed=1))
        ports = {version: one.port for version, one in running.items()}
        proxy = await stack.enter_async_context(edge(folder=folder, backends=ports, weights={acts[0].baseline: 100}))
        target = {"targets": [proxy.admin.removeprefix("http://")]}
        jobs = [{"job_name": "edge", "metrics_path": "/stats/prometheus", "static_configs": [target]}]
        server = await stack.enter_async_context(prometheus(folder / "prometheus", jobs))
        await stack.enter_async_context(users(url=proxy.url, rate=rate, seed=1, folder=folder))
        await asyncio.sleep(_SETTLE_SECONDS)
        over = []
        for act in acts:
            begin = time.time()
            proxy.route({act.baseline: 100 - CANARY_PERCENT, act.canary: CANARY_PERCENT}, version_info=f"canary {act.canary}")
            await asyncio.sleep(seconds)
            stays = act.canary if act.outcome is Outcome.PROMOTE else act.baseline
            over.append(Lived(act=act, begin=begin, end=time.time()))
            proxy.route({stays: 100}, version_info=f"{stays} for all")
            await asyncio.sleep(_SETTLE_SECONDS)
        yield server, over


def releases(over: Sequence[Lived]) -> dict[str, Any]:
    """The file that lists them, with what people know of each."""
    return {
        "service": SERVICE,
        "namespace": NAMESPACE,
        "weight": CANARY_PERCENT,
        "releases": [
            {
                "from": _moment(one.begin),
                "to": _moment(one.end),
                "baseline": {"service": routes.cluster(one.act.baseline), "version": one.act.baseline},
                "canary": {"service": routes.cluster(one.act.canary), "version": one.act.canary},
                "label": "healthy" if one.act.fault is None else "bad",
            }
            for one in over
        ],
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def backtested(folder: Path, server: Prometheus, over: Sequence[Lived], *further: str) -> Done:
    """What ``verdictd backtest`` says of them, under the demo's policy and one that tolerates more."""
    (folder / "releases.yaml").write_text(json.dumps(releases(over)), encoding="utf-8")
    ours = policy()
    lenient = ours | {
        "tolerances": {"errors": {"max_rate": 0.10, "above_baseline": 0.10}, "latency": {"typical": 2.0, "slow_end": 3.0}}
    }
    for name, one in (("ours.yaml", ours), ("lenient.yaml", lenient)):
        (folder / name).write_text(json.dumps(one), encoding="utf-8")
    policies = (str(folder / "ours.yaml"), str(folder / "lenient.yaml"))
    kept = ("--recordings", str(folder / "backtest-recordings"))
    which = ("--releases", str(folder / "releases.yaml"), "--policy", *policies)
    return await verdictd("backtest", "--prometheus", server.url, "--dialect", "envoy", "--tick", "1", *which, *kept, *further)


async def _main(seconds: float) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with lived(folder, ACTS, seconds=seconds) as (server, over):
            done = await backtested(folder, server, over)
        shown = ("--releases", "releases.yaml", "--policy", "ours.yaml", "lenient.yaml")
        command = ("verdictd", "backtest", "--prometheus", "http://prometheus:9090", "--dialect", "envoy", "--tick", "1", *shown)
        sys.stdout.write(f"$ {join(command)}\n{(done.err + done.out).replace(name + '/', '')}")
        return done.code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.live.demopast", description="Print what docs/backtest.md shows.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each release (default %(default)g)")
    sys.exit(asyncio.run(_main(parser.parse_args().seconds)))
