"""Proxies of every dialect, as their pages look: what each writes of a request or a connection, by how that ended.

Names and labels are those of real pages: Envoy's and Consul's were read here from the proxies that the live tests run; Linkerd's
are those that its proxy wrote in 2025; OSM's those that its Prometheus configuration (1.2) makes of its sidecars' names; Istio's
those of its sidecars and waypoints since 1.20.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from daemon.model import ArmSpec, Protocol

How = Literal["served", "failed", "grpc", "unreached"]
"""A request was served, failed by its status, failed under HTTP 200, or found nobody, which the proxy answers as gRPC wants it."""

Ending = Literal["closed", "refused", "broken"]
"""A connection ended as it should, was refused when it was opened, or was broken off later."""

Labels = Mapping[str, str]
Written = list[tuple[str, Labels]]
"""The series that grow by one."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way to write.

    Attributes:
        schema: whose it is.
        arms: what a release names.
        request: what is written of a request to this arm. connection: of one that is opened, and of one that has ended.
        grpc: whether it can tell calls that fail under HTTP 200.
        reporter: to be chosen in the settings; empty: it is the usual one.
        on_page: whether its own page tells the arms.
    """

    schema: str
    arms: tuple[ArmSpec, ArmSpec]
    request: Callable[[int, How], Written] | None = None
    opened: Callable[[int], Written] | None = None
    ended: Callable[[int, Ending], Written] | None = None
    grpc: bool = True
    reporter: str | None = None
    on_page: bool = True

    @property
    def protocol(self) -> Protocol:
        """What is counted of a release."""
        return "tcp" if self.request is None else "http"


@dataclass
class Proxy:
    """One proxy's page."""

    counters: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)

    def writes(self, written: Written) -> None:
        """Each of these series grows by one."""
        for name, labels in written:
            self.counters[name, tuple(labels.items())] += 1

    def restarts(self) -> None:
        """Its process begins anew."""
        self.counters.clear()

    @property
    def page(self) -> bytes:
        """In Prometheus' text format."""
        lines = [
            name + "{" + ",".join(f'{label}="{value}"' for label, value in labels) + f"}} {value}"
            for (name, labels), value in self.counters.items()
        ]
        return "".join(f"{line}\n" for line in lines).encode()


def _istio(arm: int, how: How, reporter: str) -> Written:
    code, grpc, flags = {
        "served": ("200", "", "-"),
        "failed": ("503", "", "UC"),
        "grpc": ("200", "13", "-"),
        "unreached": ("200", "14", "UF"),
    }[how]
    return [
        (
            "istio_requests_total",
            {**_istio_peers(arm, reporter), "request_protocol": "http", "response_code": code, "grpc_response_status": grpc}
            | {"response_flags": flags, "connection_security_policy": "mutual_tls"},
        )
    ]


def _istio_peers(arm: int, reporter: str) -> dict[str, str]:
    return {
        "reporter": reporter,
        "source_workload": "istio-ingressgateway" if reporter == "source" else "client",
        "destination_workload": f"web-v{arm + 1}",
        "destination_workload_namespace": "shop",
        "destination_version": f"v{arm + 1}",
        "destination_service_name": "web",
    }


def _istio_opened(arm: int) -> Written:
    labels = {**_istio_peers(arm, "destination"), "request_protocol": "tcp", "response_flags": "-"}
    return [("istio_tcp_connections_opened_total", labels)]


def _istio_ended(arm: int, how: Ending) -> Written:
    flags = {"closed": "-", "refused": "UF,URX", "broken": "UC"}[how]
    labels = {**_istio_peers(arm, "destination"), "request_protocol": "tcp", "response_flags": flags}
    return [("istio_tcp_connections_closed_total", labels)]


def _linkerd_outbound(arm: int) -> dict[str, str]:
    return {
        "direction": "outbound",
        "authority": "web.shop.svc.cluster.local:8080",
        "target_addr": f"10.42.0.{arm}:8080",
        "target_ip": f"10.42.0.{arm}",
        "target_port": "8080",
        "tls": "true",
        "server_id": f"web-v{arm + 1}.shop.serviceaccount.identity.linkerd.cluster.local",
        "dst_control_plane_ns": "linkerd",
        "dst_deployment": f"web-v{arm + 1}",
        "dst_namespace": "shop",
        "dst_pod": f"web-v{arm + 1}-5597c667f6-4ttcq",
        "dst_pod_template_hash": "5597c667f6",
        "dst_service": f"web-v{arm + 1}",
        "dst_serviceaccount": f"web-v{arm + 1}",
        "dst_zone": "",
        "dst_zone_locality": "unknown",
    }


def _linkerd_inbound(arm: int) -> dict[str, str]:
    return {
        "direction": "inbound",
        "target_addr": "0.0.0.0:8080",
        "target_ip": "0.0.0.0",
        "target_port": "8080",
        "tls": "true",
        "client_id": "client.shop.serviceaccount.identity.linkerd.cluster.local",
        "srv_group": "",
        "srv_kind": "default",
        "srv_name": "all-unauthenticated",
        "srv_port": "8080",
        "route_group": "",
        "route_kind": "default",
        "route_name": "default",
        # Added by whoever scrapes.
        "namespace": "shop",
        "deployment": f"web-v{arm + 1}",
        "pod": f"web-v{arm + 1}-5597c667f6-4ttcq",
    }


def _linkerd(labels: Labels, how: How) -> Written:
    status, classification, grpc, error = {
        "served": ("200", "success", "", ""),
        "failed": ("503", "failure", "", ""),
        "grpc": ("200", "failure", "13", ""),
        "unreached": ("503", "failure", "", "unexpected"),
    }[how]
    ended = {"status_code": status, "classification": classification, "grpc_status": grpc, "error": error}
    return [("response_total", {**labels, **ended})]


def _linkerd_ended(labels: Labels, how: Ending) -> Written:
    errno = {"closed": "", "refused": "ECONNREFUSED", "broken": "ECONNRESET"}[how]
    return [("tcp_close_total", {**labels, "errno": errno})]


def _envoy(labels: Labels, how: How) -> Written:
    """gRPC's statistics count what its own answers say as well."""
    status, grpc = {"served": ("2", "0"), "failed": ("5", ""), "grpc": ("2", "13"), "unreached": ("5", "14")}[how]
    written: Written = [("envoy_cluster_upstream_rq_xx", {**labels, "envoy_response_code_class": status})]
    if grpc:
        written.append((f"envoy_cluster_grpc_{grpc}", labels))
    return written


def _envoy_ended(labels: Labels, how: Ending) -> Written:
    """Envoy cannot tell a connection that was broken off from one that ended."""
    return [("envoy_cluster_upstream_cx_connect_fail", labels)] if how == "refused" else []


def _consul(arm: int) -> dict[str, str]:
    return {
        "local_cluster": "client",
        "consul_source_service": "client",
        "consul_source_namespace": "default",
        "consul_source_datacenter": "dc1",
        "consul_destination_service": "web",
        "consul_destination_service_subset": f"v{arm + 1}",
        "consul_destination_namespace": "default",
        "consul_destination_datacenter": "dc1",
        "consul_destination_routing_type": "internal",
        "envoy_cluster_name": f"v{arm + 1}",
    }


def _osm(arm: int, how: How) -> Written:
    code = {"served": "200", "failed": "503", "grpc": "200", "unreached": "503"}[how]
    labels = {
        "response_code": code,
        "source_namespace": "shop",
        "source_kind": "Deployment",
        "source_name": "client",
        "source_pod": "client-6d5b",
        "destination_namespace": "shop",
        "destination_kind": "Deployment",
        "destination_name": f"web-v{arm + 1}",
        "destination_pod": f"web-v{arm + 1}-7c9f",
    }
    return [("osm_request_total", labels)]


def _of(cluster: str) -> Callable[[int], dict[str, str]]:
    return lambda arm: {"envoy_cluster_name": cluster.format(arm + 1)}


WORKLOADS = (ArmSpec(workload="web-v1"), ArmSpec(workload="web-v2"))
SERVICES = (ArmSpec(service="web-v1"), ArmSpec(service="web-v2"))
SUBSETS = (ArmSpec(service="web", subset="v1"), ArmSpec(service="web", subset="v2"))
_RULE, _OSM_CLUSTER = "httproute/shop/web/rule/0/backend/{}", "shop/web-v{}|8080"


def _clusters(name: str) -> tuple[ArmSpec, ArmSpec]:
    return ArmSpec(service=name.format(1)), ArmSpec(service=name.format(2))


def _from_envoys(schema: str, arms: tuple[ArmSpec, ArmSpec], labels: Callable[[int], Labels]) -> tuple[Dialect, Dialect]:
    return (
        Dialect(schema=schema, arms=arms, request=lambda arm, how: _envoy(labels(arm), how)),
        Dialect(
            schema=schema,
            arms=arms,
            opened=lambda arm: [("envoy_cluster_upstream_cx_total", labels(arm))],
            ended=lambda arm, how: _envoy_ended(labels(arm), how),
        ),
    )


_ENVOY = _from_envoys("envoy", SERVICES, _of("web-v{}"))
_GATEWAY = _from_envoys("envoy-gateway", _clusters(_RULE), _of(_RULE))
_CONSUL = _from_envoys("consul", SUBSETS, _consul)
_OSM = _from_envoys("osm", _clusters(_OSM_CLUSTER), _of(_OSM_CLUSTER))

REQUESTS: Mapping[str, Dialect] = {
    "istio": Dialect(schema="istio", arms=WORKLOADS, request=lambda arm, how: _istio(arm, how, "destination")),
    "istio waypoint": Dialect(
        schema="istio", arms=WORKLOADS, request=lambda arm, how: _istio(arm, how, "waypoint"), reporter="waypoint"
    ),
    "istio gateway": Dialect(
        schema="istio", arms=WORKLOADS, request=lambda arm, how: _istio(arm, how, "source"), reporter="gateway"
    ),
    "linkerd inbound": Dialect(
        schema="linkerd", arms=WORKLOADS, request=lambda arm, how: _linkerd(_linkerd_inbound(arm), how), on_page=False
    ),
    "linkerd outbound": Dialect(schema="linkerd", arms=SERVICES, request=lambda arm, how: _linkerd(_linkerd_outbound(arm), how)),
    "envoy": _ENVOY[0],
    "envoy gateway": _GATEWAY[0],
    "consul": _CONSUL[0],
    "osm": Dialect(schema="osm", arms=WORKLOADS, request=_osm, grpc=False, on_page=False),
    "osm by clusters": _OSM[0],
}

CONNECTIONS: Mapping[str, Dialect] = {
    "istio": Dialect(schema="istio", arms=WORKLOADS, opened=_istio_opened, ended=_istio_ended),
    "linkerd inbound": Dialect(
        schema="linkerd",
        arms=WORKLOADS,
        opened=lambda arm: [("tcp_open_total", {**_linkerd_inbound(arm), "peer": "src"})],
        ended=lambda arm, how: _linkerd_ended({**_linkerd_inbound(arm), "peer": "src"}, how),
        on_page=False,
    ),
    "linkerd outbound": Dialect(
        schema="linkerd",
        arms=SERVICES,
        opened=lambda arm: [("tcp_open_total", {**_linkerd_outbound(arm), "peer": "dst"})],
        ended=lambda arm, how: _linkerd_ended({**_linkerd_outbound(arm), "peer": "dst"}, how),
    ),
    "envoy": _ENVOY[1],
    "envoy gateway": _GATEWAY[1],
    "consul": _CONSUL[1],
    "osm by clusters": _OSM[1],
}
