"""A fleet that one daemon is to watch: services of two versions on a real API server, and a stand-in for their Prometheus.

A release is what ``tests.hand.istio_objects`` has of one, under a name of its own; twenty share a namespace, as a team's services
do. The stand-in answers as a Prometheus that scraped every pod a moment ago: whose series they are is asked by workload, and only
those are answered.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

from aiohttp import ClientSession, web

from daemon.model import ArmSpec, Release
from tests.hand import istio_objects
from tests.hand.clock import HandClock
from tests.hand.istio_objects import NAMESPACE, SERVICE, VERSIONS, Json
from tests.servers.kube_apiserver import KubeApiServer
from tests.servers.run import free_ports

PODS_PER_VERSION = 2
IN_A_NAMESPACE = 20
BOUNDS_MS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2500, 5000, 10000)
_SCRAPED_SECONDS = 5
_SERVED = {"v1": 450, "v2": 50}
"""Requests of each pod between two scrapes."""
_AT_A_TIME = 16
_READY = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
_MERGE = {"Content-Type": "application/merge-patch+json"}


def place(number: int) -> tuple[str, str]:
    """Name and namespace of a service."""
    return f"svc-{number:05}", f"team-{number // IN_A_NAMESPACE:03}"


def release(number: int) -> Release:
    """What a pipeline announces of it."""
    name, namespace = place(number)
    return Release(service=name, namespace=namespace, mesh="istio", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))


def route(number: int) -> tuple[str, Json]:
    """Where its VirtualService is, and what it is at first: some of the traffic is the canary's."""
    name, namespace = place(number)
    collection, item = next((where, one) for where, one in _objects(name, namespace) if one["kind"] == "VirtualService")
    return f"{collection}/{name}", item


async def create(api: KubeApiServer, releases: int) -> None:
    """All objects of so many services; their pods run and are ready."""
    places = asyncio.Semaphore(_AT_A_TIME)
    async with api.session() as session:
        for namespace in sorted({place(number)[1] for number in range(releases)}):
            await _post(session, "/api/v1/namespaces", {"metadata": {"name": namespace}})

        async def one(number: int) -> None:
            async with places:
                await _create(session, number)

        await asyncio.gather(*map(one, range(releases)))


async def _create(session: ClientSession, number: int) -> None:
    for collection, item in _objects(*place(number)):
        await _post(session, collection, item)
        if item["kind"] == "Pod":
            path = f"{collection}/{item['metadata']['name']}/status"
            async with session.patch(path, json=_READY, headers=_MERGE) as response:
                response.raise_for_status()


async def _post(session: ClientSession, collection: str, item: Json) -> None:
    async with session.post(collection, json=item) as response:
        response.raise_for_status()


def _objects(name: str, namespace: str) -> Iterator[tuple[str, Json]]:
    """Those of the one service of ``istio_objects`` under this name, with as many pods as a version has here."""
    slice_of = istio_objects.endpoint_slice()
    slice_of["endpoints"] = [one for number in range(PODS_PER_VERSION) for one in _numbered(slice_of["endpoints"], number)]
    for collection, item in (*istio_objects.created()[1:], *map(_deployment, VERSIONS)):
        several = [item]
        if item["kind"] == "Pod":
            several = [one for number in range(PODS_PER_VERSION) for one in _numbered([item], number)]
        elif item["kind"] == "EndpointSlice":
            several = [slice_of]
        elif item["kind"] == "Service":
            item["spec"]["clusterIP"] = "None"  # a test server has 254 addresses to give
        for one in several:
            text = json.dumps([collection, one]).replace(SERVICE, name).replace(NAMESPACE, namespace)
            collection_here, here = json.loads(text)
            yield collection_here, here


def _deployment(version: str) -> tuple[str, Json]:
    """That of a version's pods. No controller is there that would act on it."""
    labels = {"app": SERVICE, "version": version}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "registry.example/app"}]}}
    return f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{SERVICE}-{version}", "namespace": NAMESPACE},
        "spec": {"replicas": PODS_PER_VERSION, "selector": {"matchLabels": labels}, "template": template},
    }


def _numbered(items: list[Json], number: int) -> Iterator[Json]:
    """The same of another pod of its version; its address is its own."""
    text = re.sub(rf"({SERVICE}-v\d)-0", rf"\1-{number}", json.dumps(items)).replace("10.1.0.", f"10.1.{number}.")
    yield from json.loads(text)


@dataclass
class StandIn:
    """Answers as a Prometheus that scrapes the pods of the fleet every 5 s, all at once.

    Attributes:
        clock: what time it is there, in seconds since 1970.
        failing: since when canaries fail half of their requests, in seconds since 1970; null: they do not.
    """

    releases: int
    clock: Callable[[], float] = time.time
    failing: float | None = None
    asked: int = 0
    _began: int = field(init=False)
    _heads: dict[tuple[str, str], list[tuple[bytes, str, str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """It has run for a while."""
        self._began = int(self.clock()) // _SCRAPED_SECONDS - 100

    def app(self) -> web.Application:
        """It as a server."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/api/v1/query", self._answer)
        app.router.add_get("/api/v1/query", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        query = str((await request.post()).get("query") or request.query.get("query", ""))
        self.asked += 1
        kind = "requests" if "istio_requests_total" in query else "latencies" if "duration" in query else ""
        window = re.search(r"\[(\d+)ms\]", query)
        named = re.search(r'destination_workload=~"([^"]*)"', query)
        if not kind or window is None:
            return web.Response(body=_whole(()), content_type="application/json")
        workloads = set(named[1].replace("\\", "").split("|")) if named else None
        return web.Response(body=self._body(kind, float(window[1]) / 1000.0, workloads), content_type="application/json")

    def _body(self, kind: str, window_seconds: float, workloads: set[str] | None) -> bytes:
        now = self.clock()
        newest = int(now) // _SCRAPED_SECONDS
        scrapes = [one for one in range(newest - 12, newest + 1) if one * _SCRAPED_SECONDS > now - window_seconds]
        if not scrapes:
            return _whole(())
        parts: list[bytes] = []
        tails: dict[tuple[str, str, str], bytes] = {}
        for number in range(self.releases):
            for version in VERSIONS:
                workload = f"{place(number)[0]}-{version}"
                if workloads is not None and workload not in workloads:
                    continue
                for head, which, code, bound in self._series(kind, number, version):
                    key = (version, f"{which}{code}", bound)
                    if key not in tails:
                        count = partial(self._count, version, which, code, bound)
                        values = ",".join(f'[{one * _SCRAPED_SECONDS}.5,"{count(one)}"]' for one in scrapes)
                        tails[key] = f'"values":[{values}]}}'.encode()
                    parts.append(head + tails[key])
        return _whole(parts)

    def _count(self, version: str, which: str, code: str, bound: str, scrape: int) -> int:
        """What this counter says at a scrape."""
        total = _SERVED[version] * (scrape - self._began)
        failed = 0
        if version == "v2" and self.failing is not None:
            failed = max(0, scrape - int(self.failing) // _SCRAPED_SECONDS) * _SERVED[version] // 2
        if which == "requests":
            return failed if code == "503" else total - failed
        served = total - failed
        if which == "sum":
            return served * 8
        return served if bound == "+Inf" else min(served, served * sum(float(bound) >= one for one in BOUNDS_MS) // 8)

    def _series(self, kind: str, number: int, version: str) -> list[tuple[bytes, str, str, str]]:
        key = (kind, f"{number}-{version}")
        if key not in self._heads:
            self._heads[key] = list(_heads(kind, number, version))
        return self._heads[key]


@contextmanager
def apart(releases: int, *, clock: HandClock | None = None) -> Iterator[str]:
    """A stand-in in a process of its own, as a Prometheus is, until the end of the body; gives its address.

    ``PUT /failing/TIME`` has canaries fail from then on; ``PUT /clock/TIME`` sets its clock, where it is to have one by hand.
    """
    (port,) = free_ports(1)
    process = get_context("spawn").Process(target=_serve, args=(releases, port, clock), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _serve(releases: int, port: int, clock: HandClock | None) -> None:
    made = StandIn(releases) if clock is None else StandIn(releases, clock=clock.now)

    async def fail(request: web.Request) -> web.Response:
        made.failing = float(request.match_info["at"])
        return web.Response()

    async def turn(request: web.Request) -> web.Response:
        assert clock is not None
        clock.time = float(request.match_info["at"])
        return web.Response()

    app = made.app()
    app.router.add_put("/failing/{at}", fail)
    app.router.add_put("/clock/{at}", turn)
    web.run_app(app, host="127.0.0.1", port=port, print=None, handle_signals=False)


def _heads(kind: str, number: int, version: str) -> Iterator[tuple[bytes, str, str, str]]:
    """Each series of a version's pods up to its values: with which counter it is, its code and its bound."""
    name, namespace = place(number)
    for pod in range(PODS_PER_VERSION):
        labels = {
            "reporter": "destination",
            "destination_workload": f"{name}-{version}",
            "destination_workload_namespace": namespace,
            "destination_service_name": name,
            "destination_version": version,
            "destination_app": name,
            "pod": f"{name}-{version}-{pod}",
            "instance": f"10.{number // 250}.{number % 250}.{pod + (10 if version == 'v2' else 1)}:15020",
        }
        duration = "istio_request_duration_milliseconds"
        if kind == "requests":
            rows = [("istio_requests_total", "requests", code, "") for code in ("200", "503")]
        else:
            rows = [(f"{duration}_bucket", "bucket", "200", str(bound)) for bound in (*BOUNDS_MS, "+Inf")]
            rows.append((f"{duration}_sum", "sum", "200", ""))
        for metric, which, code, bound in rows:
            more = {"__name__": metric, **labels, "response_code": code} | ({"le": bound} if bound else {})
            yield f'{{"metric":{json.dumps(more)},'.encode(), which, code, bound


def _whole(parts: Iterable[bytes]) -> bytes:
    return b'{"status":"success","data":{"resultType":"matrix","result":[' + b",".join(parts) + b"]}}"
