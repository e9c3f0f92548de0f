"""What a mesh's telemetry looks like, as data: names, labels, units, and what counts as a failure.

A new mesh is one more table here. Nothing else in this package knows a metric or a label by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from daemon.model import ArmSpec, Release

Selector = tuple[tuple[str, str], ...]
"""Labels and the values they must have, sorted by label: how the series of one arm are known."""


class Ended(IntEnum):
    """How the requests that a series counts have ended.

    ``FORBIDDEN`` ones were answered as a policy filter answers, be it by one or by the application: those that its own counter
    has not denied were served. ``EXCUSED`` ones are nobody's fault and are not counted at all.
    """

    SERVED = 0
    FAILED = 1
    FORBIDDEN = 2
    EXCUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Which label values mean failure.

    Attributes:
        code: label with the HTTP status or its class; ``failed_code`` is how a failure begins.
        no_response: value of ``code`` when no response was sent. A failure, unless ``excused_without_response`` has a flag of it.
        grpc_status: label with the numeric gRPC status, whose failures travel under HTTP 200.
        grpc_failed: statuses that are the server's fault (those that OpenTelemetry counts as server errors).
        flags: label with Envoy's response flags, comma-joined.
        excused: flags of requests that were failed on purpose (fault injection).
        forbidden_code: how a policy filter answers what it denies.
        forbidden_grpc_status: the same for gRPC, whose denials travel under HTTP 200.
    """

    code: str
    failed_code: str = "5"
    no_response: str | None = None
    grpc_status: str | None = None
    grpc_failed: frozenset[str] = frozenset()
    flags: str | None = None
    excused_without_response: frozenset[str] = frozenset()
    excused: frozenset[str] = frozenset()
    forbidden_code: str | None = None
    forbidden_grpc_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denials:
    """Where a pod's proxy counts the requests that security policy denied. These series carry no arm: the pod tells whose they are.

    Attributes:
        names: pattern of the metric's names, which differ between versions of Envoy and of the mesh.
        suffix: end of the names that count denied requests only.
        result: label, and its value for denied requests, under the other names.
        listener: labels with the name of the listener's manager.
        others: how the names of managers begin whose requests are not the pod's own.
    """

    names: str
    suffix: str
    result: tuple[str, str]
    listener: tuple[str, ...]
    others: str

    def counted(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a series that matches ``names`` counts requests to the pod that were denied."""
        if any(labels.get(label, "").startswith(self.others) for label in self.listener):
            return False
        label, denied = self.result
        return labels.get(label, denied if name.endswith(self.suffix) else "") == denied


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLabels:
    """Which fields of an arm stand in which labels.

    Attributes:
        whose: fields that tell an arm from all other workloads, best first; the first that the arm names is used.
        version: label of the version, used in addition when the arm names one (or has it among its pod labels).
        service: label of the release's service, added when only a version is known: versions are shared by many workloads.
        namespace: label of the namespace, always added.
        pod_labels: pod labels that the telemetry carries.
        subset_is_version: an arm known by its subset only is taken to have the version of that name, as is the custom.
        cut_at_dot: in Prometheus' format a name ends at its first dot, the rest going into the metric's name.
    """

    whose: tuple[tuple[str, str], ...]
    version: str | None = None
    service: str | None = None
    namespace: str | None = None
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    subset_is_version: bool = False
    cut_at_dot: bool = False

    @property
    def labels(self) -> frozenset[str]:
        """All labels by which arms are known."""
        named = (self.version, self.service, self.namespace)
        return frozenset({label for label in named if label}.union(dict(self.whose).values(), self.pod_labels.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One mesh's telemetry.

    Attributes:
        requests: counter of requests by outcome.
        latency: base name of the latency histogram.
        unit_ms: what one unit of the histogram is in ms.
        split: the histogram carries the outcome, so that only successes are taken.
        always: labels every series of ours must have, such as the reporter.
        server_side: the proxies stand beside the pods: one target is one pod.
        denials: where requests denied by security policy are counted; null: they cannot be told from others.
        uptime: gauge of the seconds since a proxy began, which stands for the age of its pod; null: ages are not known.
        stat_filter: RE2 on Envoy's internal stat names; ``{arms}`` becomes the alternatives of the arms' names.
        stat_names: for Envoy's own JSON: text before and after the arm's name, and the label that the name stands for.
    """

    name: str
    requests: str
    latency: str
    unit_ms: float = 1.0
    split: bool
    failures: Failures
    arms: ArmLabels
    always: Selector = ()
    server_side: bool = False
    denials: Denials | None = None
    uptime: str | None = None
    stat_filter: str
    stat_names: tuple[str, str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The metric names to ask for. The histogram's count is its +Inf bucket."""
        return (self.requests, f"{self.latency}_bucket", f"{self.latency}_sum")


ENVOY = Dialect(
    name="envoy",
    # Not upstream_rq_total, which leaves out what Envoy failed itself: a dead canary would show no requests at all.
    requests="envoy_cluster_upstream_rq_xx",
    latency="envoy_cluster_upstream_rq_time",
    split=False,
    failures=Failures(code="envoy_response_code_class"),
    arms=ArmLabels(whose=(("service", "envoy_cluster_name"),), cut_at_dot=True),
    stat_filter=r"^cluster\.({arms})\.upstream_rq_(\dxx|time)$",
    stat_names=("cluster.", ".upstream_rq_", "envoy_cluster_name"),
)

ISTIO = Dialect(
    name="istio",
    requests="istio_requests_total",
    latency="istio_request_duration_milliseconds",
    split=True,
    failures=Failures(
        code="response_code",
        no_response="0",
        grpc_status="grpc_response_status",
        grpc_failed=frozenset({"2", "4", "12", "13", "14", "15"}),
        flags="response_flags",
        excused_without_response=frozenset({"DC"}),
        excused=frozenset({"FI"}),
        forbidden_code="403",
        forbidden_grpc_status="7",
    ),
    arms=ArmLabels(
        whose=(("workload", "destination_workload"), ("service", "destination_service_name")),
        version="destination_version",
        service="destination_service_name",
        namespace="destination_workload_namespace",
        pod_labels={
            "version": "destination_version",
            "app": "destination_app",
            "service.istio.io/canonical-name": "destination_canonical_service",
            "service.istio.io/canonical-revision": "destination_canonical_revision",
        },
        subset_is_version=True,
    ),
    # What the pod served. Reporters are never added up: each request is counted by both ends.
    always=(("reporter", "destination"),),
    server_side=True,
    denials=Denials(
        names="envoy_http_(.+_)?rbac(_denied)?",
        suffix="_denied",
        result=("authz_enforce_result", "denied"),
        listener=("http_conn_manager_prefix", "envoy_http_conn_manager_prefix"),
        others="outbound",
    ),
    uptime="envoy_server_uptime",
    stat_filter=r"istio_(requests_total|request_duration_milliseconds)|^http\..*rbac\.denied$|^server\.uptime$",
)

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (ENVOY, ISTIO)}


def ended(failures: Failures, labels: Mapping[str, str]) -> Ended:
    """How the requests of a series with these labels have ended. A label that is absent says nothing bad."""
    code = labels.get(failures.code, "")
    flags = frozenset(labels.get(failures.flags, "").split(",")) if failures.flags else frozenset()
    if flags & failures.excused:
        return Ended.EXCUSED
    if failures.no_response is not None and code == failures.no_response:
        return Ended.EXCUSED if flags & failures.excused_without_response else Ended.FAILED
    if code.startswith(failures.failed_code):
        return Ended.FAILED
    if failures.grpc_status is not None and labels.get(failures.grpc_status, "") in failures.grpc_failed:
        return Ended.FAILED
    if failures.forbidden_code is not None and (
        code == failures.forbidden_code
        or (failures.grpc_status is not None and labels.get(failures.grpc_status, "") == failures.forbidden_grpc_status)
    ):
        return Ended.FORBIDDEN
    return Ended.SERVED


def selector(arms: ArmLabels, arm: ArmSpec, release: Release) -> Selector | None:
    """The labels by which the arm's series are known; null when nothing that the arm names stands in this telemetry."""
    wanted: dict[str, str] = {}
    for name, label in arms.whose:
        value = getattr(arm, name)
        if value is not None:
            wanted[label] = value
            break
    known_by_name = bool(wanted)
    for key, label in arms.pod_labels.items():
        if key in arm.labels:
            wanted[label] = arm.labels[key]
    version = arm.version
    if version is None and arms.subset_is_version and not wanted:
        version = arm.subset
    if arms.version is not None and version is not None:
        wanted[arms.version] = version
    if not wanted:
        return None
    if not known_by_name and arms.service is not None:
        wanted[arms.service] = release.service
    if arms.namespace is not None:
        wanted[arms.namespace] = release.namespace
    return tuple(sorted(wanted.items()))
