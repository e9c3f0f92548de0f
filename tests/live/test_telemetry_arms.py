"""Which series are ours, through a real Prometheus: shared workloads, two clusters, other reporters, renamed and dropped labels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.measurements import Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.prometheus.nearby import AGAIN_SECONDS
from tests.hand.servers import app_of, serving
from tests.live.telemetry_world import Sums
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.run import LOOPBACK, until

pytestmark = [pytest.mark.live, pytest.mark.asyncio(loop_scope="module")]

PATIENCE_SECONDS = 30.0


@dataclass
class Proxy:
    """A proxy's page of one arm's counters; ``target`` are the labels that the scraper adds."""

    labels: dict[str, str]
    target: dict[str, str]
    served: int = 100
    failed: int = 0
    scraped: int = field(default=0)

    async def page(self, _request: web.Request) -> web.Response:
        self.scraped += 1
        lines = []
        for code, count in (("200", self.served), ("503", self.failed)):
            labels = ",".join(f'{key}="{value}"' for key, value in {**self.labels, "response_code": code}.items())
            name = "istio_request_duration_milliseconds"
            lines += [f"istio_requests_total{{{labels}}} {count}", f"{name}_sum{{{labels}}} {4 * count}"]
            lines += [f'{name}_bucket{{{labels},le="{le}"}} {count}' for le in ("10", "100", "+Inf")]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


def proxy(namespace: str, workload: str, *, reporter: str = "destination", pod: str = "", **target: str) -> Proxy:
    labels = {
        "reporter": reporter,
        "destination_workload": workload,
        "destination_workload_namespace": namespace,
        "destination_canonical_revision": "latest",
        "destination_service_name": "web",
    }
    return Proxy(labels, {"pod": pod or f"{workload}-0", "namespace": namespace, **target})


def renamed(one: Proxy, **names: str) -> Proxy:
    """The same by other labels: what a store that relabels makes of it. An empty name drops the label."""
    one.labels = {names.get(key, key): value for key, value in one.labels.items() if names.get(key, key)}
    one.target = {names.get(key, key): value for key, value in one.target.items()}
    return one


WORLD = {
    "argo": [proxy("argo", "web", pod=name) for name in ("web-6d-0", "web-6d-1", "web-7c-0", "web-8e-0")],
    "shared": [
        proxy("shared", workload, pod=f"{cluster}-{workload}", cluster=cluster)
        for cluster in ("prod", "staging")
        for workload in ("web-v1", "web-v2")
    ],
    "odd": [
        proxy("odd", workload, pod=f"{colour}-{workload}", colour=colour)
        for colour in ("blue", "green")
        for workload in ("web-v1", "web-v2")
    ],
    "clients": [proxy("clients", workload, reporter="source", pod="client") for workload in ("web-v1", "web-v2")],
    "ambient": [proxy("ambient", workload, reporter="waypoint", pod="waypoint") for workload in ("web-v1", "web-v2")],
    "edge": [
        proxy("edge", workload, reporter="source", pod=source)
        for source in ("istio-ingressgateway", "client")
        for workload in ("web-v1", "web-v2")
    ],
    "dropped": [renamed(proxy("dropped", workload), destination_workload="") for workload in ("web-v1", "web-v2")],
    "renamed": [
        renamed(proxy("renamed", "web", pod=f"web-{name}"), destination_workload="dst_workload", pod="kubernetes_pod_name")
        for name in ("v1", "v2")
    ],
}
for one in WORLD["edge"]:
    one.labels["source_workload"] = one.target["pod"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    proxies = [one for some in WORLD.values() for one in some]
    async with AsyncExitStack() as stack:
        targets = []
        for one in proxies:
            port = await stack.enter_async_context(serving(app_of(one.page)))
            targets.append({"targets": [f"{LOOPBACK}:{port}"], "labels": one.target})
        job = {"job_name": "pods", "static_configs": targets}
        server = await stack.enter_async_context(prometheus(tmp_path_factory.mktemp("prometheus"), [job]))

        async def scraped() -> bool:
            return all(one.scraped >= 2 for one in proxies)

        await until(scraped, within=PATIENCE_SECONDS)
        yield server


@asynccontextmanager
async def telemetry(store: Prometheus, **settings: Any) -> AsyncIterator[Telemetry]:
    made = PrometheusTelemetry(url=store.url, dialect="istio", tick_seconds=1.0, **settings)
    async with telemetry_from(made, clock=SystemClock(), schemas=schemas()) as source:
        yield source


def release(namespace: str, *, subsets: bool = False) -> Release:
    one, other = ("stable", "canary") if subsets else ("web-v1", "web-v2")
    baseline, canary = (ArmSpec(subset=name) if subsets else ArmSpec(workload=name) for name in (one, other))
    return Release(service="web", namespace=namespace, baseline=baseline, canary=canary)


def pods(namespace: str, *names: str, workload: str = "web") -> ArmPods:
    made = (
        ArmPod(name=name, namespace=namespace, address="10.0.0.7", ready=True, workloads=(workload,), revision="latest")
        for name in names
    )
    return ArmPods(pods=tuple(made))


async def counts(source: Telemetry, watch: Watch, *, canary: int, baseline: int) -> Sums:
    """Read until so much has been counted of both arms."""
    sums = Sums()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sums.requests[1] < canary or sums.requests[0] < baseline:
            sums.add((await source.read([watch]))["r"])
            await asyncio.sleep(0.2)
    return sums


async def begun(source: Telemetry, watch: Watch) -> None:
    """Read until there is a tick with counts."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await source.read([watch]))["r"].gap is not None:
            await asyncio.sleep(0.2)


async def gap(source: Telemetry, watch: Watch, *words: str) -> None:
    """Read until the reason for there being nothing says all of this.

    A scrape that fails takes its series away until the next one; what the store has is looked for again after a minute.
    """
    said = ""
    try:
        async with asyncio.timeout(AGAIN_SECONDS + PATIENCE_SECONDS):
            while not all(one in said for one in words):
                said = (await source.read([watch]))["r"].gap or ""
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"it is said: {said}")


async def test_arms_that_share_their_workload_are_counted_pod_by_pod_and_pods_that_come_are_met(store: Prometheus) -> None:
    one, two, canary, late = WORLD["argo"]
    arms = PodsByArm(baseline=pods("argo", "web-6d-0", "web-6d-1"), canary=pods("argo", "web-7c-0"))
    watch = Watch(release_id="r", release=release("argo", subsets=True), pods=arms)
    async with telemetry(store) as source:
        await begun(source, watch)
        one.served += 5
        two.served += 6
        canary.served += 3
        canary.failed += 4
        late.failed += 1000
        sums = await counts(source, watch, canary=7, baseline=11)
        assert (sums.requests, sums.errors) == ([11, 7], [0, 4])
        grown = PodsByArm(baseline=arms.baseline, canary=pods("argo", "web-7c-0", "web-8e-0"))
        watch = msgspec.structs.replace(watch, pods=grown)
        await begun(source, watch)
        late.served += 2
        one.served += 1
        sums = await counts(source, watch, canary=2, baseline=1)
        assert (sums.requests, sums.errors) == ([1, 2], [0, 0]), "what the new pod did before it was ours is not counted"


async def test_two_clusters_in_one_store_are_refused_with_the_fix_and_told_apart_by_a_matcher(store: Prometheus) -> None:
    watch = Watch(release_id="r", release=release("shared"))
    prod, staging = WORLD["shared"][:2], WORLD["shared"][2:]
    async with telemetry(store) as source:
        await gap(source, watch, "several clusters", "'prod', 'staging'", "set matchers of this telemetry")
    async with telemetry(store, matchers={"cluster": "prod"}) as source:
        await begun(source, watch)
        staging[1].failed += 500
        prod[0].served += 4
        prod[1].served += 3
        sums = await counts(source, watch, canary=3, baseline=4)
        assert (sums.requests, sums.errors) == ([4, 3], [0, 0])


async def test_clusters_by_a_label_of_ones_own_are_named_by_it(store: Prometheus) -> None:
    async with telemetry(store, labels={"cluster": "colour"}) as source:
        await gap(source, Watch(release_id="r", release=release("odd")), "several clusters", "'blue', 'green'")


@pytest.mark.parametrize(("namespace", "reporter"), [("clients", "source"), ("ambient", "waypoint")])
async def test_another_reporter_is_told_and_counted_once_it_is_chosen(store: Prometheus, namespace: str, reporter: str) -> None:
    watch = Watch(release_id="r", release=release(namespace))
    async with telemetry(store) as source:
        there = f'the series of destination_workload_namespace="{namespace}" have reporter {reporter}'
        await gap(source, watch, "no series yet: looked for", there)
    async with telemetry(store, reporter=reporter) as source:
        await begun(source, watch)
        WORLD[namespace][0].served += 4
        WORLD[namespace][1].failed += 3
        sums = await counts(source, watch, canary=3, baseline=4)
        assert (sums.requests, sums.errors) == ([4, 3], [0, 3])


@pytest.mark.parametrize(("matchers", "counted"), [({}, "istio-ingressgateway"), ({"source_workload": "client"}, "client")])
async def test_a_gateway_counts_what_came_through_it(store: Prometheus, matchers: dict[str, str], counted: str) -> None:
    watch = Watch(release_id="r", release=release("edge"))
    async with telemetry(store, reporter="gateway", matchers=matchers) as source:
        await begun(source, watch)
        for one in WORLD["edge"]:
            one.served += 2 if one.labels["source_workload"] == counted else 50
        sums = await counts(source, watch, canary=2, baseline=2)
        assert sums.requests == [2, 2]


async def test_a_dropped_label_and_a_wrong_namespace_are_told(store: Prometheus) -> None:
    async with telemetry(store) as source:
        looked = 'looked for destination_workload="web-v1", destination_workload_namespace="dropped"'
        await gap(source, Watch(release_id="r", release=release("dropped")), looked, "have no label destination_workload")
        elsewhere = "istio_requests_total have destination_workload_namespace ambient, argo, clients"
        await gap(source, Watch(release_id="r", release=release("shop")), 'namespace="shop"', elsewhere)


async def test_a_name_that_no_series_has_is_told_with_those_that_there_are(store: Prometheus) -> None:
    slip = msgspec.structs.replace(release("clients"), canary=ArmSpec(workload="web-v9"))
    async with telemetry(store, reporter="source") as source:
        watch = Watch(release_id="r", release=slip)
        await gap(source, watch, "canary: no series yet: looked for", "have destination_workload web-v1, web-v2")


async def test_labels_that_the_store_calls_otherwise_are_asked_for_and_read_by_its_names(store: Prometheus) -> None:
    watch = Watch(
        release_id="r",
        release=release("renamed", subsets=True),
        pods=PodsByArm(baseline=pods("renamed", "web-v1"), canary=pods("renamed", "web-v2")),
    )
    names = {"destination_workload": "dst_workload", "pod": "kubernetes_pod_name"}
    async with telemetry(store, labels=names, query={"timeout": "5s"}) as source:
        await begun(source, watch)
        WORLD["renamed"][0].served += 4
        WORLD["renamed"][1].failed += 3
        sums = await counts(source, watch, canary=3, baseline=4)
        assert (sums.requests, sums.errors) == ([4, 3], [0, 3])
