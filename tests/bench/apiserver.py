"""From a decision to the patch on a real API server: what it takes to look where the traffic would go, and to read anew.

The API server is the only other party: no istiod, no traffic. ``warm``: connections are open, as seconds after another call;
``cold``: a client that has its credentials and no connection, as after an hour without a release.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from config.settings import Kubernetes, Limits
from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.engine.reverting import PATCH_SENT, Reverting
from daemon.kube.client import KubeClient
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.router import IstioRouter
from daemon.model import Action, ArmSpec, Release
from tests.bench.figures import Figure, percentile, spread
from tests.hand import istio_objects
from tests.hand.istio_cluster import istio_cluster
from tests.hand.istio_objects import NAMESPACE, SERVICE

RUNS = 200
_LOOKS = 20
_ROUTES = 500
_ARMS = {
    "by subset": (ArmSpec(subset="v1"), ArmSpec(subset="v2")),
    "by version": (ArmSpec(version="v1"), ArmSpec(version="v2")),
}


def figures(*, runs: int = RUNS) -> list[Figure]:
    """Each way of naming the arms, warm and cold."""
    return asyncio.run(_measure(runs))


async def _measure(runs: int) -> list[Figure]:
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="verdictd-bench-apiserver-") as name:
        async with istio_cluster(Path(name) / "cluster") as api:
            written = api.write_kubeconfig(Path(name) / "kubeconfig.json")
            settings, config = Kubernetes(auth="kubeconfig", kubeconfig=str(written)), written.read_text(encoding="utf-8")
            for how, (baseline, canary) in _ARMS.items():
                release = Release(service=SERVICE, namespace=NAMESPACE, baseline=baseline, canary=canary)
                for kind in ("warm", "cold"):
                    seconds = await _series(settings, release, runs=runs, cold=kind == "cold")
                    found.append(_figure(f"arms {how}, {kind}", seconds))
            found += await _among_many(settings, config, runs=min(runs, _LOOKS))
    return found


async def _among_many(settings: Kubernetes, kubeconfig: str, *, runs: int) -> list[Figure]:
    """To find one canary among many routes and say what would be written: by listing them, and as they are watched."""
    baseline, canary = _ARMS["by subset"]
    release = Release(service=SERVICE, namespace=NAMESPACE, baseline=baseline, canary=canary)
    kube = KubeClient(settings)
    operations = [{"op": "replace", "path": "/spec", "value": istio_objects.virtual_service()["spec"]}]
    await kube.patch(VIRTUAL_SERVICES, name=SERVICE, namespace=NAMESPACE, operations=operations)
    await _create_others(kubeconfig)
    router, found = IstioRouter(kube), []
    found.append(_look_figure("listed", [await _look(router, release) for _ in range(runs)]))
    heard: set[str] = set()
    async with background(router.follow(lambda: heard.add("something"))):
        async with asyncio.timeout(60.0):
            while not heard:
                await asyncio.sleep(0.05)
        found.append(_look_figure("watched", [await _look(router, release) for _ in range(runs)]))
    await kube.close()
    return found


async def _create_others(kubeconfig: str) -> None:
    """Routes of other services in the same namespace, a few at a time."""
    config = json.loads(kubeconfig)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trusted = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {user['token']}"}
    connector = aiohttp.TCPConnector(ssl=trusted, limit=8)
    async with aiohttp.ClientSession(cluster["server"], headers=headers, connector=connector) as session:

        async def one(number: int) -> None:
            item = istio_objects.virtual_service()
            item["metadata"] = {"name": f"other-{number}", "namespace": NAMESPACE}
            text = json.dumps(item).replace(istio_objects.HOST, f"other-{number}").replace(f'"{SERVICE}"', f'"other-{number}"')
            async with session.post(f"{istio_objects.ISTIO}/virtualservices", json=json.loads(text)) as response:
                response.raise_for_status()

        await asyncio.gather(*map(one, range(_ROUTES)))


async def _look(router: IstioRouter, release: Release) -> float:
    clock = SystemClock()
    began = clock.monotonic()
    placement = await router.locate(release)
    await router.plan(release, located=placement.located)
    return clock.monotonic() - began


def _look_figure(how: str, seconds: Sequence[float]) -> Figure:
    what = f"API server, a canary among {_ROUTES} routes, {how}: found, and what would be written, ms"
    return Figure(what=what, measured=spread([1e3 * one for one in seconds]), goal="median <= 100, watched")


def _figure(what: str, seconds: Sequence[float]) -> Figure:
    ms = [1e3 * one for one in seconds]
    measured = f"{spread(ms)}, p99 {percentile(ms, 0.99):.1f}"
    return Figure(what=f"API server, {what}: decision to patch on the wire, ms", measured=measured, goal="p99 <= 50")


async def _series(settings: Kubernetes, release: Release, *, runs: int, cold: bool) -> list[float]:
    """The first one is thrown away: it pays for the library that reads credentials."""
    kube = KubeClient(settings)
    router = IstioRouter(kube)
    seconds = [await _revert(kube, router, release, cold=cold) for _ in range(runs + 1)]
    await kube.close()
    return seconds[1:]


async def _revert(kube: KubeClient, router: IstioRouter, release: Release, *, cold: bool) -> float:
    """Seconds from the decision to the patch."""
    operations = [{"op": "replace", "path": "/spec", "value": istio_objects.virtual_service()["spec"]}]
    await kube.patch(VIRTUAL_SERVICES, name=SERVICE, namespace=NAMESPACE, operations=operations)
    await router.locate(release)
    if cold:
        await kube.close()
        await kube.connect()
    clock = SystemClock()
    began = clock.now()
    outcome = await Reverting(clock=clock, limits=Limits(), random=lambda: 0.5).run(router, release)
    if outcome.action is not Action.REVERT:
        raise RuntimeError(outcome.reason)
    return next(mark.at for mark in outcome.steps if mark.step == PATCH_SENT) - began
