"""Whether a control plane works, asked of a real Prometheus that scrapes a page as istiod writes it."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web

from analyzers.counts import Signal
from config.settings import PrometheusTelemetry
from daemon.aio.clock import SystemClock
from daemon.aio.parsing import ParserPool
from daemon.measurements import Reading, Watch
from daemon.meshes.envoy.controlplane import heard_of
from daemon.meshes.istio.controlplane import CONTROL_PLANE
from daemon.meshes.linkerd.controlplane import CONTROL_PLANE as LINKERD
from daemon.model import ArmSpec, Release
from daemon.telemetry import signs
from daemon.telemetry.prometheus import slowly
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.controlplanes import ControlPlanes
from daemon.telemetry.prometheus.slowly import SlowQuestion
from daemon.telemetry.signs import ControlPlane
from tests.hand import istio_objects
from tests.hand.servers import app_of, serving
from tests.servers.envoy import envoy
from tests.servers.locate import require
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

WITHIN_SECONDS = 6
RELEASE = Release(service="web", mesh="prod", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
WATCH = Watch(release_id="web-1", release=RELEASE)
Effect = Literal["excuses", "says"]
_CLUSTER = {"cluster": "prod"}


class Page:
    """istiod's own page, with what a test says of it."""

    def __init__(self) -> None:
        self.connected = 3
        self.rejects: int | None = None
        self.late, self.in_time = 0, 100
        self.uptime_seconds = 4000
        self.there = True

    def is_rejected(self) -> None:
        self.rejects = (self.rejects or 0) + 2

    def is_late(self) -> None:
        self.late += 20

    async def answer(self, _request: web.Request) -> web.Response:
        if not self.there:
            return web.Response(status=503)
        late, name = self.in_time + self.late, "pilot_proxy_convergence_time"
        lines = [
            "# TYPE istiod_uptime_seconds gauge",
            f"istiod_uptime_seconds {self.uptime_seconds}",
            "# TYPE pilot_xds gauge",
            f'pilot_xds{{version="1.29"}} {self.connected}',
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{le="{bound}"}} {self.in_time}' for bound in ("0.1", "0.5", "1", "3", "5", "10")),
            *(f'{name}_bucket{{le="{bound}"}} {late}' for bound in ("20", "30", "+Inf")),
            f"{name}_sum {late}",
            f"{name}_count {late}",
        ]
        if self.rejects is not None:
            lines += ["# TYPE pilot_total_xds_rejects counter", f'pilot_total_xds_rejects{{type="cds"}} {self.rejects}']
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


@asynccontextmanager
async def asking(
    url: str, *, plane: ControlPlane = CONTROL_PLANE, effect: Effect = "excuses", matchers: Mapping[str, str] = _CLUSTER
) -> AsyncIterator[ControlPlanes]:
    settings, clock = PrometheusTelemetry(url=url, dialect="istio"), SystemClock()
    async with ParserPool(unparsed_bytes=2**22) as pool:
        client, base = prometheus_client(settings, entry="telemetry.mesh", pool=pool, connections=1)
        question = SlowQuestion(client, url=base, clock=clock, what="a control plane")
        async with client:
            try:
                yield ControlPlanes(question, planes={"istio": plane}, kind_of={"prod": "istio"}, matchers=matchers, heeded=effect)
            finally:
                await question.close()


class Scene:
    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url


async def told(one: ControlPlanes) -> tuple[Signal, ...]:
    await one.look([WATCH])
    await asyncio.sleep(0.3)
    return one.into(WATCH, Reading(seconds=1.0)).signals


async def known(one: ControlPlanes) -> None:
    """Wait until it has been seen, and nothing is wrong with it."""
    async with asyncio.timeout(60.0):
        while not one._known:
            assert await told(one) == ()
    await nothing_is_wrong(one)


async def nothing_is_wrong(one: ControlPlanes) -> None:
    """Nor at one look. A scrape that a busy machine has missed is said, and is no sign."""
    assert {signal.kind for signal in await told(one)} <= {"control_plane_unseen"}


async def until(one: ControlPlanes, *kinds: str, meanwhile: Callable[[], None] = lambda: None) -> tuple[Signal, ...]:
    """Wait until these are told; ``meanwhile`` goes on, since what has happened once is told for a few seconds and no longer."""
    async with asyncio.timeout(60.0):
        while True:
            meanwhile()
            signals = await told(one)
            if tuple(signal.kind for signal in signals) == kinds:
                return signals


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "WITHIN_SECONDS", WITHIN_SECONDS)
    monkeypatch.setattr(slowly, "EVERY_SECONDS", 0.2)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[Scene]:
    page = Page()
    async with serving(app_of(page.answer)) as port:
        target = {"targets": [f"{LOOPBACK}:{port}"], "labels": {"cluster": "prod", "pod": "istiod-0"}}
        async with prometheus(folder, [{"job_name": "istiod", "static_configs": [target]}]) as store:
            yield Scene(page, store.url)


async def test_what_istiod_says_of_itself_is_told_while_it_is_so_and_no_longer(tmp_path: Path) -> None:
    async with world(tmp_path) as scene, asking(scene.url) as one, asking(scene.url, effect="says") as cautious:
        async with asking(scene.url, matchers={"cluster": "elsewhere"}) as other:
            await known(one)
            assert await told(other) == ()
            assert not other._known, "its series are another cluster's"
        await asyncio.sleep(WITHIN_SECONDS + 2.0)
        await nothing_is_wrong(one)

        [rejected] = await until(one, "config_rejected", meanwhile=scene.page.is_rejected)
        assert (rejected.about, rejected.effect) == ("mesh", "excuses")
        [said] = await until(cautious, "config_rejected", meanwhile=scene.page.is_rejected)
        assert (said.about, said.effect) == ("mesh", "says")
        for one_of_them in (rejected, said):
            assert re.fullmatch(r"proxies have rejected configuration of istiod \d+ times within 2 min", one_of_them.words)
        await until(one)

        await until(one, "config_rejected", meanwhile=scene.page.is_rejected)
        scene.page.rejects = 0
        await until(one)
        [late] = await until(one, "out_of_sync", meanwhile=scene.page.is_late)
        assert late.words.endswith("% of what istiod has sent to proxies within 2 min came more than 10 s late")
        await until(one)

        scene.page.connected = 0
        assert [signal.words for signal in await until(one, "no_proxies")] == ["no proxy is connected to istiod"]
        scene.page.there = False
        [unseen] = await until(one, "control_plane_unseen")
        assert (unseen.effect, unseen.words) == (
            "says",
            "whether istiod works is not known any more: its series are not there",
        )


async def test_what_an_istiod_has_counted_that_has_just_begun_is_of_now_and_of_one_that_is_met_for_the_first_time_it_is_not_known(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as scene, asking(scene.url) as one:
        scene.page.rejects, scene.page.uptime_seconds = 7, 4000
        await known(one)
        scene.page.uptime_seconds = 3
        await until(one, "config_rejected")


async def test_a_store_that_does_not_know_the_control_plane_says_nothing_of_it(tmp_path: Path) -> None:
    async with prometheus(tmp_path, []) as store, asking(store.url) as one:
        async with asyncio.timeout(30.0):
            while not one._asking.fresh:
                assert await told(one) == ()
        assert await told(one) == ()


class ProxyPage:
    """What two proxies tell of whom they take their configuration from."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] = ()

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(text="\n".join((*self.lines, "")), content_type="text/plain")


@pytest.mark.parametrize(
    ("plane", "well", "broken", "kind", "words"),
    [
        (
            LINKERD,
            ('control_response_total{classification="success"} 100',),
            ('control_response_total{classification="success"} 100', 'control_response_total{classification="failure"} %d'),
            "control_plane_failing",
            "of what the proxies asked Linkerd's control plane within 2 min failed",
        ),
        (
            LINKERD,
            ('control_response_total{classification="success"} 100', "identity_cert_expiration_timestamp_seconds 0"),
            ('control_response_total{classification="success"} 100', "identity_cert_expiration_timestamp_seconds 1700000000"),
            "certificates_expired",
            "the certificates of 1 proxies have expired",
        ),
        (
            heard_of("Consul"),
            ("envoy_control_plane_connected_state 1", "envoy_cluster_manager_cds_update_rejected 0"),
            ("envoy_control_plane_connected_state 1", "envoy_cluster_manager_cds_update_rejected %d"),
            "config_rejected",
            "proxies have rejected configuration of Consul",
        ),
    ],
)
async def test_control_planes_that_only_their_proxies_tell_of(
    tmp_path: Path, plane: ControlPlane, well: tuple[str, ...], broken: tuple[str, ...], kind: str, words: str
) -> None:
    page = ProxyPage()
    page.lines = well
    async with serving(app_of(page.answer)) as port:
        job = {"job_name": "proxies", "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}
        async with prometheus(tmp_path, [job]) as store, asking(store.url, plane=plane, matchers={}) as one:
            await known(one)
            counted = itertools.count(1)

            def breaks() -> None:
                number = next(counted)
                page.lines = tuple(line % number if "%" in line else line for line in broken)

            [signal] = await until(one, kind, meanwhile=breaks)
    assert signal.effect == "excuses"
    assert words in signal.words


async def test_an_envoy_that_has_lost_its_control_plane_says_so(tmp_path: Path) -> None:
    require("envoy")
    (admin_port,) = free_ports(1)
    config = tmp_path / "bootstrap.json"
    nobody = istio_objects.bootstrap(istiod=f"{LOOPBACK}:9", admin_port=admin_port, proxy_port=0, backends={})
    config.write_text(json.dumps(nobody))
    async with envoy(tmp_path, config, admin_port):
        job = {
            "job_name": "proxies",
            "metrics_path": "/stats/prometheus",
            "static_configs": [{"targets": [f"{LOOPBACK}:{admin_port}"]}],
        }
        async with prometheus(tmp_path / "store", [job]) as store, asking(store.url, plane=heard_of("Consul"), matchers={}) as one:
            [lost] = await until(one, "proxies_cut_off")
    assert lost.words == "100 % of the proxies have lost Consul, and go on with what they had"
