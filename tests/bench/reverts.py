"""Many canaries taken back at once on a real API server, by the engine's procedure alone; and a bare loop of the same questions.

No broker, no telemetry and no judge: what is left is what a revert itself asks and works out. Both loops are in this process, one
after the other, so that CPU seconds compare where other work shares the machine. ``python -m tests.bench.reverts 200`` is one size.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.settings import Limits
from daemon.aio import interpreter
from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.engine.dependencies import MeshCluster
from daemon.engine.fanout import FanOut
from daemon.engine.reverting import BASELINE_CHECKED, PATCH_ACKNOWLEDGED, Reverting, RevertOutcome
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action
from daemon.ports.routing import says_ready
from tests.bench import bareloop, fleet
from tests.bench.bareloop import FIRST, Bare
from tests.bench.figures import Figure, table
from tests.bench.loadseen import asked_of
from tests.hand.istio_cluster import client_of, cluster_of
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.locate import require_crds

SIZES = (20, 200)
ROUNDS = 3


def figures(*, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """A row for each size."""
    return [figure for size in sizes for figure in asyncio.run(_measured(size))]


async def _measured(releases: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="verdictd-bench-reverts-") as name:
        async with cluster_of(Path(name) / "cluster", crds=[require_crds("istio")], objects=()) as api:
            await fleet.create(api, releases)
            kube = client_of(api, Path(name) / "kubeconfig.json")
            router = IstioRouter(kube)
            heard = asyncio.Event()
            async with background(router.follow(heard.set)):
                await heard.wait()
                interpreter.settle()  # as the daemon's own process is
                found = [await _round(api, router, releases) for _ in range(ROUNDS)]
            await kube.close()
    return [figure for number, one in enumerate(found, start=1) for figure in _figures(releases, number, *one)]


async def _round(
    api: KubeApiServer, router: IstioRouter, releases: int
) -> tuple[Sequence[RevertOutcome], float, float, Bare, Counter[str]]:
    """All of them taken back, and given their share again by the bare loop."""
    clusters: Mapping[str, MeshCluster] = {"only": MeshCluster(router=router)}
    procedure = FanOut(reverting=Reverting(clock=SystemClock(), limits=Limits(), random=lambda: 0.5))
    placed = [(fleet.release(number), (await router.locate(fleet.release(number))).located) for number in range(releases)]
    before, began, cpu = await asked_of(api), time.time(), time.process_time()
    outcomes = await asyncio.gather(*(procedure.run(clusters, one, located=located) for one, located in placed))
    cpu = time.process_time() - cpu
    asked = await asked_of(api) - before
    return outcomes, began, cpu, await bareloop.shared_out(api, range(releases)), asked


def _figures(
    releases: int, number: int, outcomes: Sequence[RevertOutcome], began: float, cpu: float, bare: Bare, asked: Counter[str]
) -> list[Figure]:
    if failed := [one.reason for one in outcomes if one.action is not Action.REVERT]:
        raise RuntimeError(failed[0])
    steps = [step for one in outcomes for step in one.steps]
    seconds = sorted(step.at - began for step in steps if step.step == PATCH_ACKNOWLEDGED)
    known = sum(says_ready(step.detail) for step in steps if step.step == BASELINE_CHECKED)
    at, ratio = min(FIRST, releases) - 1, seconds[-1] / bare.seconds[-1]
    told = ", ".join(f"{what} {count}" for what, count in sorted(asked.items()))
    beside = f"bare: {bare.seconds[at]:.3f}, {bare.seconds[-1]:.2f} ({bare.cpu_seconds:.2f} CPU s)"
    return [
        Figure(
            what=f"{releases} taken back at once, {number}: patch {at + 1} and the last, s ({cpu:.2f} CPU s)",
            measured=f"{seconds[at]:.3f}, {seconds[-1]:.2f}: {ratio:.2f} times the bare loop",
            goal=f"the first {FIRST} <= 0.05, <= 1.3 times",
            parts=f"{beside}; who would serve is known of {known}; {told}",
        )
    ]


if __name__ == "__main__":
    print(table(figures(sizes=[int(one) for one in sys.argv[1:]] or SIZES)))
