"""What stands before an arm, by a real Envoy's figures in a real Prometheus, and by kubelets' in the form that they write."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from analyzers.counts import Signal
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.aio.parsing import ParserPool
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.measurements import Reading, Watch
from daemon.meshes.envoy.signs import ARM_SIGNS
from daemon.meshes.istio.signs import ARM_SIGNS as ISTIO
from daemon.model import ArmSpec, Release
from daemon.telemetry import signs
from daemon.telemetry.prometheus import slowly
from daemon.telemetry.prometheus.armsigns import ArmQuestions
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.slowly import SlowQuestion
from daemon.telemetry.signs import ArmSigns
from tests.hand.servers import app_of, serving
from tests.live.telemetry_world import static_bootstrap, static_cluster
from tests.servers.envoy import envoy
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ARMS = ("web-v1", "web-v2")
RELEASE = Release(service="web", namespace="shop", mesh="edge", baseline=ArmSpec(service=ARMS[0]), canary=ArmSpec(service=ARMS[1]))
WATCH = Watch(release_id="web-1", release=RELEASE)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowly, "EVERY_SECONDS", 0.2)


@asynccontextmanager
async def asking(url: str, mesh: ArmSigns) -> AsyncIterator[ArmQuestions]:
    settings = PrometheusTelemetry(url=url, dialect="envoy")
    async with ParserPool(unparsed_bytes=2**22) as pool:
        client, base = prometheus_client(settings, entry="telemetry.mesh", pool=pool, connections=1)
        question = SlowQuestion(client, url=base, clock=SystemClock(), what="arms")
        async with client:
            try:
                yield ArmQuestions(question, signs={"edge": mesh}, matchers={})
            finally:
                await question.close()


async def told(one: ArmQuestions, watch: Watch = WATCH) -> dict[tuple[str, str], Signal]:
    await one.look([watch])
    await asyncio.sleep(0.3)
    return {(signal.about, signal.kind): signal for signal in one.into(watch, Reading(seconds=1.0)).signals}


@dataclass
class Proxy:
    """A real Envoy before both arms; the canary fails every second request, and is asked again."""

    port: int
    client: aiohttp.ClientSession
    served: list[int] = field(default_factory=lambda: [0, 0])
    failing: bool = True
    always: bool = False
    slow_seconds: float = 0.0

    def answering(self, arm: int) -> Any:
        async def answer(_request: web.Request) -> web.Response:
            self.served[arm] += 1
            await asyncio.sleep(self.slow_seconds)
            return web.Response(status=503 if arm and self.failing and (self.always or self.served[arm] % 2) else 200)

        return answer

    async def send(self, arm: int, often: int, *, at_once: bool = False) -> list[int]:
        async def one() -> int:
            async with self.client.get(f"http://{LOOPBACK}:{self.port}/v{arm + 1}") as response:
                return response.status

        return list(await asyncio.gather(*(one() for _ in range(often)))) if at_once else [await one() for _ in range(often)]

    async def gives_up(self, arm: int, often: int) -> None:
        """Clients that go long before there is an answer."""
        for _ in range(often):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.send(arm, 1)


@asynccontextmanager
async def proxy(folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """It, and the store that scrapes it."""
    port, admin_port, *backends = free_ports(4)
    async with AsyncExitStack() as stack:
        it = Proxy(port, await stack.enter_async_context(aiohttp.ClientSession()))
        for arm, backend in enumerate(backends):
            await stack.enter_async_context(serving(app_of(it.answering(arm)), port=backend))
        bootstrap = folder / "envoy.json"
        bootstrap.write_text(json.dumps(_bootstrap(port, admin_port, backends)), encoding="utf-8")
        await stack.enter_async_context(envoy(folder, bootstrap, admin_port))
        targets = [{"targets": [f"{LOOPBACK}:{admin_port}"]}]
        job = {"job_name": "proxy", "metrics_path": "/stats/prometheus", "static_configs": targets}
        store = await stack.enter_async_context(prometheus(folder / "store", [job]))
        yield it, store.url


def _bootstrap(port: int, admin_port: int, backends: list[int]) -> dict[str, Any]:
    again = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [
        {"match": {"prefix": f"/v{arm + 1}"}, "route": {"cluster": name, "retry_policy": again}} for arm, name in enumerate(ARMS)
    ]
    clusters = [_cluster(name, backend) for name, backend in zip(ARMS, backends, strict=True)]
    return static_bootstrap(port=port, admin_port=admin_port, routes=routes, clusters=clusters)


def _cluster(name: str, port: int) -> dict[str, Any]:
    return {
        **static_cluster(name, port),
        "circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 1}]},
        "outlier_detection": {
            "consecutive_5xx": 5,
            "interval": "0.5s",
            "base_ejection_time": "30s",
            "max_ejection_percent": 100,
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


async def test_retries_that_hide_failures_are_told_with_what_users_saw_and_what_the_canary_did(tmp_path: Path) -> None:
    async with proxy(tmp_path) as (it, url), asking(url, ARM_SIGNS) as one:
        await asyncio.sleep(3.0)
        assert await told(one) == {}
        async with asyncio.timeout(60.0):
            while ("canary", "retries") not in (found := await told(one)):
                assert {*await it.send(1, 20)} == {200}, "users see nothing of it"
                await it.send(0, 5)
    assert found.keys() == {("canary", "retries")}
    retries = found["canary", "retries"]
    assert retries.effect == "says"
    said = re.fullmatch(
        r"the canary failed (\d+) % of the attempts within 2 min \((\d+) % of those that were tried again by an answer, "
        r"the others by none\); with retries, users saw 0 % fail",
        retries.words,
    )
    assert said, retries.words
    assert 45 <= int(said[1]) <= 55
    assert int(said[2]) >= 95, "each of them was answered 503"


async def test_clients_that_give_up_on_the_canary_and_not_on_the_baseline_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "WITHIN_SECONDS", 4)
    async with proxy(tmp_path) as (it, url), asking(url, ARM_SIGNS) as one:
        it.failing = False
        async with asyncio.timeout(60.0):
            for _ in range(12):
                await it.send(0, 5)
                await it.send(1, 5)
                assert await told(one) == {}, "all are answered, one after the other"
            it.slow_seconds = 0.5
            found: dict[tuple[str, str], Signal] = {}
            while ("canary", "gave_up") not in found:
                it.slow_seconds = 0.0
                await it.send(0, 3)
                it.slow_seconds = 0.5
                await it.gives_up(1, 3)
                found = await told(one)
            holds = found["canary", "gave_up"]
            assert found.keys() == {("canary", "gave_up")}
            assert holds.effect == "holds"
            assert re.fullmatch(r"clients gave up on \d+ % of the requests to the canary within 2 min, .+", holds.words)
            while ("baseline", "gave_up") not in found or found["canary", "gave_up"].effect == "holds":
                for arm in (0, 1):
                    await it.gives_up(arm, 3)
                found = await told(one)
    assert {signal.effect for signal in found.values()} == {"says"}, "the baseline's clients go as well"


async def test_breakers_that_are_open_and_endpoints_that_are_ejected_are_told(tmp_path: Path) -> None:
    async with proxy(tmp_path) as (it, url), asking(url, ARM_SIGNS) as one:
        it.failing, it.slow_seconds = False, 0.3
        await it.send(0, 1)
        await asyncio.sleep(3.0)
        async with asyncio.timeout(60.0):
            while ("baseline", "breaker_open") not in (found := await told(one)):
                assert 503 in await it.send(0, 6, at_once=True)
        assert found["baseline", "breaker_open"].effect == "says"
        assert " kept " in found["baseline", "breaker_open"].words
        it.slow_seconds = 0.0
        it.failing = it.always = True
        async with asyncio.timeout(60.0):
            while ("canary", "ejected") not in (found := await told(one)):
                await it.send(1, 3)
    ejected = found["canary", "ejected"]
    assert (ejected.effect, ejected.words) == (
        "holds",
        "1 of the endpoints of the canary are ejected by outlier detection, and are sent nothing",
    )


class Kubelet:
    """What cAdvisor tells of two sidecars."""

    def __init__(self) -> None:
        self.throttled, self.periods, self.used = 0, 0, 50

    async def answer(self, _request: web.Request) -> web.Response:
        lines = []
        for pod, much in (("web-v1-0", 0), ("web-v2-0", 1)):
            labels = f'container="istio-proxy",namespace="shop",pod="{pod}"'
            lines += [
                f"container_cpu_cfs_throttled_periods_total{{{labels}}} {self.throttled * much}",
                f"container_cpu_cfs_periods_total{{{labels}}} {self.periods}",
                f"container_memory_working_set_bytes{{{labels}}} {self.used * much + 10}",
                f"container_spec_memory_limit_bytes{{{labels}}} 100",
            ]
        return web.Response(text="\n".join([*lines, ""]), content_type="text/plain")


async def test_a_sidecar_that_is_short_of_cpu_or_memory_holds_its_canary_and_is_said_to_be_the_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "WITHIN_SECONDS", 6)
    kubelet = Kubelet()
    arms = {
        arm: ArmPods(pods=(ArmPod(name=f"web-{version}-0", namespace="shop", address="", ready=True),))
        for arm, version in (("baseline", "v1"), ("canary", "v2"))
    }
    watch = msgspec.structs.replace(WATCH, pods=PodsByArm(**arms))
    async with serving(app_of(kubelet.answer)) as port:
        job = {"job_name": "kubelet", "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}
        async with prometheus(tmp_path, [job]) as store, asking(store.url, ISTIO) as one:
            for _ in range(10):
                kubelet.periods += 10
                assert await told(one, watch) == {}
            async with asyncio.timeout(60.0):
                while ("canary", "sidecar_cpu") not in (found := await told(one, watch)):
                    kubelet.periods += 10
                    kubelet.throttled += 5
            assert found.keys() == {("canary", "sidecar_cpu")}
            assert found["canary", "sidecar_cpu"].effect == "holds"
            said = found["canary", "sidecar_cpu"].words
            assert said.startswith("a sidecar of the canary (istio-proxy) is short of CPU: throttled in ")
            kubelet.used = 85
            async with asyncio.timeout(60.0):
                while ("canary", "sidecar_memory") not in (found := await told(one, watch)):
                    pass
    assert found["canary", "sidecar_memory"].words == "a sidecar of the canary (istio-proxy) uses 95 % of the memory that it may"
