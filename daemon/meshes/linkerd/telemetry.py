"""The telemetry of Linkerd's proxies: at the pods that serve (inbound), where whoever scrapes says whose they are, and at those
who ask (outbound), whose own page names the pods, workloads and Services that they ask.
"""

from daemon.telemetry.schema import (
    ArmLabels,
    Begins,
    Counter,
    DenialCounter,
    Ended,
    Is,
    PodLabel,
    Rule,
    Schema,
    SelfReport,
    StartedAt,
    TextPage,
    View,
)

_CLASS, _STATUS, _ERRNO = "classification", "status_code", "errno"
_PORT = 4191
_INBOUND, _OUTBOUND = ("direction", "inbound"), ("direction", "outbound")

_AT_THE_PODS = ArmLabels(
    whose=(("workload", ("deployment", "statefulset", "daemonset")),),
    also={"version": "version"},
    namespace="namespace",
    # Linkerd's own Prometheus, and its documents, have pods' labels copied.
    pod_labels={
        "version": "version",
        "app": "app",
        "app.kubernetes.io/name": "app_kubernetes_io_name",
        "app.kubernetes.io/version": "app_kubernetes_io_version",
        "pod-template-hash": "pod_template_hash",
        "rollouts-pod-template-hash": "rollouts_pod_template_hash",
    },
    pods=(PodLabel(fact="pod", label="pod", alone=True),),
)
_AT_WHO_ASKS = ArmLabels(
    whose=(("service", ("dst_service",)), ("workload", ("dst_deployment", "dst_statefulset", "dst_daemonset"))),
    namespace="dst_namespace",
    pod_labels={"pod-template-hash": "dst_pod_template_hash"},
    pods=(PodLabel(fact="pod", label="dst_pod", alone=True),),
)
_OF_REQUESTS = frozenset(
    {
        *("direction", "peer", "authority", "tls", "no_tls_reason", "client_id", "server_id", "error", _STATUS, _CLASS, _ERRNO),
        *("target_addr", "target_ip", "target_port", "srv_group", "srv_kind", "srv_name", "srv_port"),
        *("route_group", "route_kind", "route_name", "authz_group", "authz_kind", "authz_name"),
        *("dst_control_plane_ns", "dst_deployment", "dst_statefulset", "dst_daemonset", "dst_namespace", "dst_pod"),
        *("dst_pod_template_hash", "dst_service", "dst_serviceaccount", "dst_zone", "dst_zone_locality"),
    }
)
_CLOSED_BY_FAILURE = (
    # The system's name of what went wrong; empty for a connection that ended as it should.
    Counter(names="tcp_close_total", when=(Begins(_ERRNO, ("E", "UNKNOWN")),), ended=Ended.FAILED_AMONG),
    # Before there was one.
    Counter(names="tcp_close_total", when=(Is(_CLASS, ("failure",)), Is(_ERRNO, ("",))), ended=Ended.FAILED_AMONG),
)

_SERVED = View(
    requests="response_total",
    latency="response_latency_ms",
    always=(_INBOUND,),
    server_side=True,
    on_page=False,
    arms=_AT_THE_PODS,
)
_ASKED = View(requests="response_total", latency="response_latency_ms", always=(_OUTBOUND,), arms=_AT_WHO_ASKS)
_ACCEPTED = View(
    protocol="tcp",
    requests="tcp_open_total",
    latency=None,
    beside=_CLOSED_BY_FAILURE,
    # From the client to the proxy; the proxy's own one to the application is another.
    always=(_INBOUND, ("peer", "src")),
    server_side=True,
    on_page=False,
    arms=_AT_THE_PODS,
)
_OPENED = View(
    protocol="tcp",
    requests="tcp_open_total",
    latency=None,
    beside=_CLOSED_BY_FAILURE,
    always=(_OUTBOUND, ("peer", "dst")),
    arms=_AT_WHO_ASKS,
)

SCHEMA = Schema(
    name="linkerd",
    outcome=(
        # The proxy's own endpoints: whoever scrapes it, and the kubelet's probes of it.
        Rule(when=(Is("target_port", (str(_PORT),)),), ended=Ended.EXCUSED),
        # Probes of the application, which ask both arms alike whatever their traffic.
        Rule(when=(Is("route_kind", ("default",)), Is("route_name", ("probe",))), ended=Ended.EXCUSED),
        # How policy answers what it denies, and the same for gRPC.
        Rule(when=(Is(_STATUS, ("403",)),), ended=Ended.FORBIDDEN),
        Rule(when=(Is("grpc_status", ("7",)),), ended=Ended.FORBIDDEN),
        Rule(when=(Is(_CLASS, ("failure",)),), ended=Ended.FAILED),
        # Its latencies have no classification.
        Rule(when=(Begins(_STATUS, ("5",)),), ended=Ended.FAILED),
        Rule(when=(Is(_CLASS, ("",)),), ended=Ended.UNCLASSIFIED),
    ),
    split=True,
    # A websocket, which began with this answer.
    streams=(Is(_STATUS, ("101",)),),
    of_requests=_OF_REQUESTS,
    views=(_SERVED, _ASKED, _ACCEPTED, _OPENED),
    reporters={"inbound": (_SERVED, _ACCEPTED), "outbound": (_ASKED, _OPENED)},
    about=SelfReport(denials=(DenialCounter(names="inbound_http_authz_deny_total"),), age=StartedAt("process_start_time_seconds")),
    scrape=TextPage(path="/metrics", port=_PORT),
)
