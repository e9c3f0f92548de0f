"""Where a mesh's sidecars are asked: at the port that its telemetry names, or at one that is set; refused where there is none."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from config.settings import SidecarTelemetry
from daemon.aio.parsing import ParserPool
from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.errors import InvalidInput
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.pods.sidecars import sidecars_from
from daemon.pods.watching import PodWatch
from tests.hand.clock import HandClock
from tests.hand.servers import app_of, serving
from tests.pods.cluster import PodCluster
from tests.pods.objects import pod
from tests.telemetry.made_up import SCHEMAS

RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload="web-v2"))
ADDRESSES = {"web-v1": "127.0.0.1", "web-v2": "127.0.0.2"}


def arm(workload: str) -> ArmPods:
    one = ArmPod(name=f"{workload}-0", namespace="shop", address=ADDRESSES[workload], ready=True, workloads=(workload,))
    return ArmPods(pods=(one,), labels={"app": workload})


def istios(workload: str, served: int) -> list[str]:
    labels = f'destination_workload="{workload}",destination_workload_namespace="shop",response_code="200"'
    return [f'istio_requests_total{{reporter="destination",{labels}}} {served}']


def linkerds(workload: str, served: int) -> list[str]:
    """As linkerd-proxy writes it: nothing in it says whose page it is, and both arms' pages have the same series."""
    del workload
    labels = 'direction="inbound",target_addr="0.0.0.0:8080",target_port="8080",tls="true",srv_kind="default",route_name="default"'
    asked = (
        'direction="outbound",dst_deployment="db",dst_namespace="shop",dst_pod="db-0",status_code="200",classification="success"'
    )
    return [
        f'response_total{{{labels},status_code="200",classification="success"}} {served}',
        f'response_total{{{labels},status_code="503",classification="failure"}} {served // 7}',
        f"response_total{{{asked}}} {100 * served}",
    ]


class Sidecars:
    """Both sidecars' pages, each at its pod's address."""

    def __init__(self, lines: Callable[[str, int], list[str]] = istios) -> None:
        self.lines = lines
        self.served = dict.fromkeys(ADDRESSES, 98)

    async def page(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        address, _ = request.transport.get_extra_info("sockname")
        [workload] = [name for name, its in ADDRESSES.items() if its == address]
        self.served[workload] += 7 if workload == "web-v2" else 21
        return web.Response(text="\n".join([*self.lines(workload, self.served[workload]), ""]))


async def read_at(port: int | None, *, dialect: str = "istio") -> list[Reading]:
    """Three readings of the release, whose pods' sidecars are asked at this port."""
    clock = HandClock()
    cluster = PodCluster(*(pod(f"{name}-0", labels={"app": name}, address=address) for name, address in ADDRESSES.items()))
    watch = Watch(release_id="web-1", release=RELEASE, pods=PodsByArm(baseline=arm("web-v1"), canary=arm("web-v2")))
    found = []
    async with AsyncExitStack() as stack:
        pods = await stack.enter_async_context(PodWatch(cluster.client, clock=clock))
        pool = await stack.enter_async_context(ParserPool(unparsed_bytes=2**24))
        made = sidecars_from(
            SidecarTelemetry(dialect=dialect, port=port, timeout_seconds=20.0),
            fallback=None,
            watch_of=lambda _: pods,
            schemas={**schemas(), **SCHEMAS},
            clock=clock,
            name="pods",
            pool=pool,
        )
        telemetry = await stack.enter_async_context(made)
        for _ in range(3):
            found.append((await telemetry.read([watch]))["web-1"])
            clock.time += 1.0
    return found


async def test_sidecars_are_asked_at_the_port_that_is_set() -> None:
    async with serving(app_of(Sidecars().page), addresses=2) as port:
        _, *readings = await read_at(port)
    assert [reading.canary.requests for reading in readings if reading.canary is not None] == [7, 7], readings


async def test_a_page_that_does_not_say_whose_it_is_is_its_pods() -> None:
    async with serving(app_of(Sidecars(linkerds).page), addresses=2) as port:
        _, *readings = await read_at(port, dialect="linkerd")
    counted = [(arm.requests, arm.errors) for one in readings for arm in (one.baseline, one.canary) if arm is not None]
    assert counted == [(24, 3), (8, 1)] * 2, readings


@pytest.mark.parametrize(("dialect", "port"), [("istio", 15090), ("linked", 4191), ("linkerd", 4191)])
async def test_without_one_they_are_asked_at_the_meshs_own(dialect: str, port: int) -> None:
    """Nobody listens there, and the reason says where that was."""
    first, *_ = await read_at(None, dialect=dialect)
    assert f":{port}" in (first.gap or "")


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [
        ("consul", "consul telemetry is of those who ask, not of the pods that serve"),
        ("osm", "osm telemetry is of those who ask, not of the pods that serve"),
        ("envoy", "envoy telemetry is of those who ask, not of the pods that serve"),
    ],
)
async def test_meshes_whose_pages_cannot_be_told_apart_by_their_pods_are_refused_with_the_reason(dialect: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await read_at(4191, dialect=dialect)
    assert (refused.value.path, refused.value.message) == ("telemetry.pods.dialect", reason)
