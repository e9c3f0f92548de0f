"""A real API server, istiod, NATS and sidecars' pages, and one thing wrong with them at a time: what a doctor is called for.

Each fault is a row of ``FAULTS``: what is done, and what must be found. The tests run them, and ``python -m tests.mesh.doctorpage``
prints what docs/doctor.md shows of each.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from daemon.aio.clock import SystemClock
from daemon.cli.releasefile import load_release
from daemon.doctor.diagnosis import Code, Findings
from daemon.doctor.examination import Examination
from daemon.doctor.routes import case_of
from daemon.settings import load_settings
from tests.hand.istio_cluster import istio_cluster, post
from tests.hand.istio_objects import CORE, ISTIO, PORT, SERVICE, SLICES, endpoint_slice
from tests.hand.servers import app_of, serving
from tests.packaging.manifests import collection, documents
from tests.servers.istiod import istiod
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.nats_server import nats_server
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, until

Json = dict[str, Any]
Relabelling = Sequence[Mapping[str, object]]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
BCRYPT = "$2b$04$abcdefghijklmnopqrstuup6GLPuM7ehomp76C.VzkGRTFRpamsoq"
"""Of "first pass"."""
BOUNDS_MS = ("1", "5", "10", "25", "50", "100", "250", "500", "1000")
PATIENCE_SECONDS = 60.0
_PER_SECOND = {"v1": 180.0, "v2": 20.0}
_BEGAN_SECONDS = 600.0


@dataclass
class Sidecar:
    """A sidecar's page: counters that grow with the time, as of a pod that began ten minutes ago.

    Attributes:
        version: whose.
        late_seconds: how old its samples are, by their own word.
        idle: it has served, and does no more.
        bounds_ms: of its buckets.
        beside: what else stands on the page.
    """

    version: str
    late_seconds: float = 0.0
    idle: bool = False
    bounds_ms: Sequence[str] = BOUNDS_MS
    beside: Sequence[str] = ()
    began: float = field(default_factory=time.time)
    scraped: int = 0

    async def page(self, _request: web.Request) -> web.Response:
        self.scraped += 1
        at = time.time() - self.late_seconds
        served = _PER_SECOND[self.version] * (_BEGAN_SECONDS + (0.0 if self.idle else at - self.began))
        when = f" {round(at * 1000)}" if self.late_seconds else ""
        labels = (
            f'reporter="destination",destination_workload="{SERVICE}-{self.version}",destination_workload_namespace="shop",'
            f'destination_service_name="{SERVICE}",destination_version="{self.version}",'
            f'destination_canonical_revision="{self.version}",request_protocol="http",response_code="200",response_flags="-"'
        )
        shares = [(bound, _below(float(bound))) for bound in self.bounds_ms]
        lines = [
            f"istio_requests_total{{{labels}}} {int(served)}{when}",
            *(
                f'istio_request_duration_milliseconds_bucket{{{labels},le="{le}"}} {int(served * share)}{when}'
                for le, share in [*shares, ("+Inf", 1.0)]
            ),
            f"istio_request_duration_milliseconds_sum{{{labels}}} {int(served) * 40}{when}",
            f"istio_request_duration_milliseconds_count{{{labels}}} {int(served)}{when}",
            f"envoy_server_uptime {int(at - self.began + _BEGAN_SECONDS)}{when}",
            f'envoy_http_rbac_denied{{http_conn_manager_prefix="inbound_0.0.0.0_8080"}} 0{when}',
        ]
        return web.Response(text="\n".join([*lines, *self.beside]) + "\n", content_type="text/plain")


def _below(ms: float) -> float:
    """The share of requests that are faster: most between 10 and 100 ms, a hundredth beyond 250."""
    known = {1.0: 0.0, 5.0: 0.02, 10.0: 0.1, 25.0: 0.4, 50.0: 0.7, 100.0: 0.9, 250.0: 0.988, 500.0: 0.996, 1000.0: 0.999}
    return known[ms]


@dataclass(frozen=True)
class World:
    """What is well, and runs for all faults."""

    folder: Path
    api: KubeApiServer
    istiod: str
    nats: str
    tokens: Mapping[str, str]
    """By account: the daemon's, one that nothing is bound to, and one that there is not."""


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """All of it started; the daemon's account may watch and revert in the namespace shop."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(istio_cluster(folder / "cluster"))
        for document in documents():
            await post(api, collection(document), document)
        await bind(api, "verdictd-observe")
        await bind(api, "verdictd-enforce")
        await misspelt(api)
        await post(api, "/api/v1/namespaces/verdictd/serviceaccounts", {"metadata": {"name": "bare"}})
        tokens = {"stranger": "nobody's"} | {account: await token(api, account) for account in ("verdictd", "bare")}
        pilot = await stack.enter_async_context(istiod(folder / "istiod", api))
        broker = await stack.enter_async_context(nats_server(folder / "nats"))
        yield World(folder, api, pilot.monitoring.removeprefix("http://"), broker.url, tokens)


async def misspelt(api: KubeApiServer) -> None:
    """A second service of the same pods; its canary's subset chooses none of them."""
    versions = {"v1": "v1", "v2": "typo"}
    subsets = [{"name": name, "labels": {"version": version}} for name, version in versions.items()]
    route = [{"destination": {"host": "api", "subset": name}, "weight": weight} for name, weight in (("v1", 90), ("v2", 10))]
    made: dict[str, tuple[str, Json]] = {
        f"{CORE}/services": ("Service", {"selector": {"app": SERVICE}, "ports": [{"name": "http", "port": PORT}]}),
        f"{ISTIO}/destinationrules": ("DestinationRule", {"host": "api", "subsets": subsets}),
        f"{ISTIO}/virtualservices": ("VirtualService", {"hosts": ["api"], "http": [{"route": route}]}),
    }
    for path, (kind, spec) in made.items():
        version = "v1" if kind == "Service" else "networking.istio.io/v1"
        metadata = {"name": "api", "namespace": "shop"}
        await post(api, path, {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    slices = endpoint_slice()
    slices["metadata"] = {"name": "api-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "api"}}
    await post(api, SLICES, slices)


async def bind(api: KubeApiServer, role: str, *, account: str = "verdictd") -> None:
    """What the README's `kubectl create rolebinding` does."""
    binding = {
        "metadata": {"name": f"{role}-{account}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "verdictd"}],
    }
    await post(api, f"{RBAC}/namespaces/shop/rolebindings", binding)


async def token(api: KubeApiServer, account: str) -> str:
    """What a pod of this account would be given."""
    path = f"/api/v1/namespaces/verdictd/serviceaccounts/{account}/token"
    made = await post(api, path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    return str(made["status"]["token"])


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        name: for a person.
        found: what must be found, with a word of it; no other fault or warning may be, but for ``also``.
        also: what comes with it.
        sidecars: the pages that are scraped.
        jobs: further scrapes of them, by the label that each has.
        relabel: what is done to their series.
        interval: of the scrapes.
        scrapes: of each page, before anything is examined.
        scrapes_istiod: whether the control plane is scraped.
        web: Prometheus' own configuration of who may ask.
        telemetry, settings, release, policy: what is written otherwise.
        sidecars_entry: releases are read from their sidecars, and the store stands in for them.
        account: whose token is shown to the API server.
        api_dead: nobody answers at its address.
        ahead_seconds: how far our clock is ahead.
        observe_seconds: how long to look.
    """

    name: str
    found: tuple[tuple[Code, str], ...] = ()
    also: tuple[Code, ...] = ()
    sidecars: Callable[[], Sequence[Sidecar]] = lambda: (Sidecar("v1"), Sidecar("v2"))
    jobs: Sequence[Mapping[str, str]] = ({},)
    relabel: Relabelling = ()
    interval: str = "1s"
    scrapes: int = 3
    scrapes_istiod: bool = True
    web: Mapping[str, object] | None = None
    telemetry: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    release: Mapping[str, object] = field(default_factory=dict)
    policy: Mapping[str, object] = field(default_factory=dict)
    sidecars_entry: bool = False
    account: str = "verdictd"
    api_dead: bool = False
    ahead_seconds: float = 0.0
    observe_seconds: float = 20.0


class ShiftedClock(SystemClock):
    """The clock of a machine that nobody sets."""

    def __init__(self, ahead_seconds: float) -> None:
        self._ahead_seconds = ahead_seconds

    def now(self) -> float:
        return super().now() + self._ahead_seconds


@asynccontextmanager
async def examined(world: World, fault: Fault, folder: Path) -> AsyncIterator[Examination]:
    """What is to be examined where this is wrong, with all that it needs running."""
    async with AsyncExitStack() as stack:
        jobs: list[Json] = []
        pages = []
        for sidecar in fault.sidecars():
            ports = [await stack.enter_async_context(serving(app_of(sidecar.page))) for _ in fault.jobs]
            pages.append((sidecar, ports))
        for number, more in enumerate(fault.jobs):
            targets = [
                {
                    "targets": [f"{LOOPBACK}:{ports[number]}"],
                    "labels": {"pod": f"{SERVICE}-{sidecar.version}-0", "namespace": "shop", **more},
                }
                for sidecar, ports in pages
            ]
            name = "sidecars" if number == 0 else f"sidecars-{number + 1}"
            jobs.append({"job_name": name, "static_configs": targets, "metric_relabel_configs": list(fault.relabel)})
        if fault.scrapes_istiod:
            jobs.append({"job_name": "istiod", "static_configs": [{"targets": [world.istiod]}]})
        server = await stack.enter_async_context(
            prometheus(folder / "prometheus", jobs, scrape_interval=fault.interval, web=fault.web)
        )

        async def seen() -> bool:
            return all(sidecar.scraped >= fault.scrapes for sidecar, _ in pages)

        await until(seen, within=PATIENCE_SECONDS)
        yield _examination(world, fault, folder, url=server.url)


def _examination(world: World, fault: Fault, folder: Path, *, url: str) -> Examination:
    kubeconfig = world.api.write_kubeconfig(folder / "kubeconfig", token=world.tokens[fault.account])
    if fault.api_dead:
        kubeconfig.write_text(
            kubeconfig.read_text(encoding="utf-8").replace(world.api.url, "https://127.0.0.1:9"), encoding="utf-8"
        )
    settings: Json = {
        "nats": {"url": world.nats},
        "kubernetes": {"auth": "kubeconfig", "kubeconfig": str(kubeconfig), "request_timeout_seconds": 10.0},
        "telemetry": {
            "mesh": {
                "kind": "prometheus",
                "url": url,
                "dialect": "istio",
                "tick_seconds": 1.0,
                "timeout_seconds": 10.0,
                **fault.telemetry,
            },
            **({"pods": {"kind": "sidecars", "dialect": "istio", "fallback": "mesh"}} if fault.sidecars_entry else {}),
        },
        "meshes": {"istio": {"kind": "istio", "telemetry": "pods" if fault.sidecars_entry else "mesh"}},
        "policies": {"default": {"tolerances": {"latency": {"typical": 3.0, "slow_end": 3.0}}, **fault.policy}},
        **fault.settings,
    }
    release: Json = {
        "service": SERVICE,
        "namespace": "shop",
        "baseline": {"subset": "v1"},
        "canary": {"subset": "v2"},
        **fault.release,
    }
    (folder / "verdictd.yaml").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "web.yaml").write_text(json.dumps(release), encoding="utf-8")
    loaded = load_settings(folder / "verdictd.yaml")
    return Examination(
        settings=loaded,
        cases=[case_of(loaded, load_release(str(folder / "web.yaml")))],
        seconds=fault.observe_seconds,
        clock=ShiftedClock(fault.ahead_seconds),
    )


def wrong(findings: Findings) -> list[tuple[Code, str]]:
    """The faults and warnings."""
    return [(one.code, one.found) for one in findings.diagnoses if one.severity != "note"]
