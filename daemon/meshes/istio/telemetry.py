"""The telemetry of Istio's sidecars and gateways: its standard metrics, as the pod that served reports them."""

from daemon.telemetry.schema import (
    ArmLabels,
    Begins,
    DenialCounter,
    Ended,
    EnvoyStats,
    Is,
    Like,
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
    views=(
        View(
            requests="istio_requests_total",
            latency="istio_request_duration_milliseconds",
            # What the pod served. Reporters are never added up: each request is counted by both ends.
            always=(("reporter", "destination"),),
            server_side=True,
            arms=ArmLabels(
                whose=(("workload", ("destination_workload",)), ("service", ("destination_service_name",))),
                also={"version": "destination_version"},
                # By custom a subset has the name of its version.
                instead={"subset": "destination_version"},
                service="destination_service_name",
                namespace="destination_workload_namespace",
                pod_labels={
                    "version": "destination_version",
                    "app": "destination_app",
                    "service.istio.io/canonical-name": "destination_canonical_service",
                    "service.istio.io/canonical-revision": "destination_canonical_revision",
                },
            ),
        ),
    ),
    about=SelfReport(
        denials=(
            DenialCounter(names="envoy_http_(.+_)?rbac_denied", when=(Is(_DENIED, ("denied", "")),), unless=_OF_OTHERS),
            DenialCounter(names="envoy_http_(.+_)?rbac", when=(Is(_DENIED, ("denied",)),), unless=_OF_OTHERS),
        ),
        age=Uptime("envoy_server_uptime"),
    ),
    scrape=EnvoyStats(filter=r"istio_(requests_total|request_duration_milliseconds)|^http\..*rbac\.denied$|^server\.uptime$"),
)
