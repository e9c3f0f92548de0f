"""The telemetry of Istio's sidecars and gateways: its standard metrics, as the pod that served reports them."""

from collections.abc import Mapping
from dataclasses import replace

from daemon.meshes.kind import Mend
from daemon.telemetry.schema import (
    ArmLabels,
    Begins,
    Counter,
    DenialCounter,
    Ended,
    EnvoyStats,
    Is,
    Like,
    Lists,
    PodLabel,
    Rule,
    Schema,
    SelfReport,
    Told,
    Uptime,
    View,
)

_CODE, _GRPC, _FLAGS = "response_code", "grpc_response_status", "response_flags"
_DENIED = "authz_enforce_result"
_OF_OTHERS = (
    # Managers of listeners whose requests are not the pod's own.
    Begins("http_conn_manager_prefix", ("outbound",)),
    Begins("envoy_http_conn_manager_prefix", ("outbound",)),
)

_SPECS = ArmLabels(
    whose=(("workload", ("destination_workload",)), ("service", ("destination_service_name",))),
    also={"version": "destination_version"},
    # By custom a subset has the name of its version; that is believed only where nobody can say what it means.
    instead={"subset": "destination_version"},
    service="destination_service_name",
    namespace="destination_workload_namespace",
    pod_labels={
        "version": "destination_version",
        "app": "destination_app",
        "app.kubernetes.io/name": "destination_canonical_service",
        "service.istio.io/canonical-name": "destination_canonical_service",
        "app.kubernetes.io/version": "destination_canonical_revision",
        "service.istio.io/canonical-revision": "destination_canonical_revision",
    },
    pods=(
        PodLabel(fact="workload", label="destination_workload"),
        PodLabel(fact="revision", label="destination_canonical_revision"),
        PodLabel(fact="version", label="destination_version"),
        # The target's own label, and so of the pod that reports.
        PodLabel(fact="pod", label="pod", alone=True),
    ),
)

_SERVED = View(
    requests="istio_requests_total",
    latency="istio_request_duration_milliseconds",
    # What the pod served. Reporters are never added up: each request is counted by both ends.
    always=(("reporter", "destination"),),
    server_side=True,
    arms=_SPECS,
)

_CONNECTIONS = replace(
    _SERVED,
    protocol="tcp",
    requests="istio_tcp_connections_opened_total",
    latency=None,
    beside=(
        Counter(
            names="istio_tcp_connections_closed_total",
            # Nobody to connect to, refused, given up, or broken off by the other side; in whatever company.
            when=(Lists(_FLAGS, ("UF", "UH", "UO", "UC", "URX", "NC")),),
            ended=Ended.FAILED_AMONG,
        ),
    ),
)


def _seen_by(reporter: str, **always: str) -> tuple[View, View]:
    """The same from elsewhere: the proxies that report are not those of the pods."""
    arms = replace(_SPECS, pods=tuple(label for label in _SPECS.pods if label.fact != "pod"))
    labels = tuple(sorted({"reporter": reporter, **always}.items()))
    return (
        replace(_SERVED, always=labels, server_side=False, arms=arms),
        replace(_CONNECTIONS, always=labels, server_side=False, arms=arms),
    )


MENDS: Mapping[Mend, str] = {
    "ages": "have envoy_server_uptime scraped with the sidecars' other series (keep it in metric_relabel_configs)",
    "denials": (
        "let the sidecars tell them: annotation proxy.istio.io/config with proxyStatsMatcher.inclusionRegexps: "
        '[".*rbac.*"], and keep them where series are dropped'
    ),
    "buckets": "add that bound to the sidecars' histograms (annotation sidecar.istio.io/statsHistogramBuckets)",
}
"""What Istio can be told so that its telemetry tells more, whichever routes steer it."""

SCHEMA = Schema(
    name="istio",
    outcome=(
        # How a policy filter answers what it denies, and the same for gRPC.
        Rule(when=(Is(_CODE, ("403",)),), ended=Ended.FORBIDDEN),
        Rule(when=(Is(_GRPC, ("7",)),), ended=Ended.FORBIDDEN),
    ),
    told=Told(
        status=_CODE,
        none=("0",),
        gone=("0", "499"),
        grpc=_GRPC,
        speaks_grpc=Is("request_protocol", ("grpc",)),
        flags=_FLAGS,
        # No label of the standard metrics says so; the host does, where the Telemetry API adds it by its documented name.
        mirrored=Like("request_host", "[^:]*-shadow(:[0-9]+)?"),
    ),
    split=True,
    # A websocket, which began with this answer.
    streams=(Is(_CODE, ("101",)),),
    views=(_SERVED, _CONNECTIONS),
    reporters={
        "destination": (_SERVED, _CONNECTIONS),
        "source": _seen_by("source"),
        "waypoint": _seen_by("waypoint"),
        "gateway": _seen_by("source", source_workload="istio-ingressgateway"),
    },
    about=SelfReport(
        denials=(
            DenialCounter(names="envoy_http_(.+_)?rbac_denied", when=(Is(_DENIED, ("denied", "")),), unless=_OF_OTHERS),
            DenialCounter(names="envoy_http_(.+_)?rbac", when=(Is(_DENIED, ("denied",)),), unless=_OF_OTHERS),
        ),
        age=Uptime("envoy_server_uptime"),
    ),
    scrape=EnvoyStats(
        filter=(
            r"istio_(requests_total|request_duration_milliseconds|tcp_connections_(opened|closed)_total)"
            r"|^http\..*rbac\.denied$|^server\.uptime$"
        ),
        port=15090,
    ),
)
