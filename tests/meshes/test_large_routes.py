"""Twice as many destinations are twice the work, not four times: counted in calls, since no machine is as fast as another."""

import contextlib
import cProfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from daemon.errors import Refused
from daemon.meshes.consul import entries
from daemon.meshes.consul import routes as consul
from daemon.meshes.envoy import routes as envoy
from daemon.meshes.gatewayapi import routes as gateway
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.istio import elsewhere, virtualservice
from daemon.meshes.istio.hosts import Arms, Destination
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.linkerd import serviceprofile
from daemon.meshes.smi import trafficsplit
from daemon.meshes.undoing import applied, undo_of, undo_operations
from daemon.placement import ObjectName

Json = dict[str, Any]

PAIR = ServicePair(baseline=ServiceName(namespace="shop", name="v1"), canary=ServiceName(namespace="shop", name="v2"))
SUBSETS = Arms(
    baseline=Destination(host="web.shop.svc", subset="v1"), canary=Destination(host="web.shop.svc", subset="v2")
)  # fmt: skip
HOSTS = Arms(baseline=Destination(host="v1.shop.svc"), canary=Destination(host="v2.shop.svc"))
TARGETS = consul.Arms(baseline=entries.Target(service="web", subset="v1"), canary=entries.Target(service="web", subset="v2"))
NAME = ObjectName(kind="x", name="web")


def item(**spec: Any) -> Json:
    return {"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"}, "spec": spec}


def destination(name: str, *, subsets: bool) -> Json:
    return {"host": "web", "subset": name} if subsets else {"host": name, "port": {"number": 80}}


def in_virtual_service(names: Sequence[str], *, arms: Arms, weight: int | None) -> None:
    listed = [{"destination": destination(one, subsets=arms is SUBSETS), "weight": weight} for one in names]
    mirrors = [{"destination": destination(one, subsets=arms is SUBSETS)} for one in names]
    written = item(hosts=["web"], http=[{"route": listed, "mirrors": mirrors}, *({"route": [one]} for one in listed)])
    virtualservice.references(written, arms=arms)
    operations = virtualservice.revert(written, arms=arms).operations
    undo_operations(applied(written, operations), undo_of(written, applied(written, operations), of=NAME))
    assert len(list(elsewhere.places({VIRTUAL_SERVICES: [written]}))) > len(names)


def in_gateway_route(names: Sequence[str]) -> None:
    backends = [{"name": one, "port": 80, "weight": 1} for one in names]
    mirrors = [{"requestMirror": {"backendRef": {"name": one}}} for one in names]
    parents = [{"kind": "Service", "name": one} for one in names]
    written = item(
        parentRefs=parents, rules=[{"backendRefs": backends, "filters": mirrors}, *({"backendRefs": [one]} for one in backends)]
    )
    gateway.references(HTTP_ROUTES, written, arms=PAIR)
    gateway.revert(HTTP_ROUTES, written, arms=PAIR)


def in_traffic_split(names: Sequence[str]) -> None:
    written = item(service="web", backends=[{"service": one, "weight": 1} for one in names])
    trafficsplit.references(written, arms=PAIR)
    trafficsplit.revert(written, arms=PAIR)


def in_profile(names: Sequence[str]) -> None:
    written = item(dstOverrides=[{"authority": f"{one}.shop.svc.cluster.local:80", "weight": "1"} for one in names])
    serviceprofile.references(written, arms=PAIR)
    serviceprofile.revert(written, arms=PAIR)


def in_splitter(names: Sequence[str]) -> None:
    written = item(splits=[{"serviceSubset": one, "weight": 0.1} for one in names])
    entry = entries.of_object(written, kind="service-splitter", mirrored=False, partition="default")
    consul.references(entry, arms=TARGETS, object_name=NAME)
    consul.revert(entry, arms=TARGETS)


def in_router(names: Sequence[str]) -> None:
    written = item(routes=[{"destination": {"serviceSubset": one}} for one in names])
    entry = entries.of_object(written, kind="service-router", mirrored=False, partition="default")
    consul.references(entry, arms=TARGETS, object_name=NAME)
    entries.edited(entry, consul.revert(entry, arms=TARGETS).edits)


def in_envoys_file(names: Sequence[str]) -> None:
    clusters = [{"name": one, "weight": 1} for one in names]
    targets = [{"route": {"weighted_clusters": {"clusters": clusters}}}, *({"route": {"cluster": one}} for one in names)]
    document = {"virtual_hosts": [{"name": "a", "routes": targets}]}
    envoy.references(document, canary="v2")
    envoy.revert(document, baseline="v1", canary="v2")


def virtual_services(arms: Arms, *, weight: int | None) -> Callable[[Sequence[str]], None]:
    return lambda names: in_virtual_service(names, arms=arms, weight=weight)


READERS = {
    "subsets": virtual_services(SUBSETS, weight=1),
    "hosts": virtual_services(HOSTS, weight=1),
    "hosts without weights": virtual_services(HOSTS, weight=None),
    "gateway": in_gateway_route,
    "split": in_traffic_split,
    "profile": in_profile,
    "splitter": in_splitter,
    "router": in_router,
    "envoy": in_envoys_file,
}
NAMES = {
    "others": lambda number: ["v1", "v2", *(f"x{one}" for one in range(number))],
    "canaries": lambda number: ["v1", *["v2"] * number],
    "canaries alone": lambda number: ["v2"] * number,
    "baselines": lambda number: ["v2", *["v1"] * number],
}


def calls(work: Callable[[], None]) -> int:
    """How many calls it makes, of Python's and of C's functions."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(one.callcount for one in profile.getstats())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("names", NAMES)
def test_what_reading_and_planning_a_route_takes_grows_with_its_destinations_and_no_faster(reader: str, names: str) -> None:
    def work(number: int) -> int:
        def read() -> None:
            with contextlib.suppress(Refused):
                READERS[reader](NAMES[names](number))

        return calls(read)

    few, many = work(15), work(60)
    assert many < 4.4 * few, (few, many)
