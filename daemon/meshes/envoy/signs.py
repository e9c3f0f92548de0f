"""What an Envoy knows of the arms that it asks, beside how their answers were: retries, ejections, circuit breakers, TLS.

Its figures of a cluster count what users saw: an attempt that failed and was tried again is a retry there, and no failure.
"""

from typing import Literal

from daemon.model import ArmSpec, Release
from daemon.telemetry.signs import ArmSign, ArmSigns
from daemon.telemetry.wire import literal

_LEAST_GONE = 5
"""Fewer clients that go are nobody's fault, whatever share they are of few requests."""


def _sum(series: str) -> str:
    return f"sum by ($by) (increase({series}[$within]))"


def _grown(kind: str, *, series: str, words: str) -> ArmSign:
    """A counter that should stand still."""
    expression = f"({_sum(f'{series}{{$those}}')} > 0)"
    return ArmSign(kind=kind, effect="says", by="cluster", expressions=(expression,), series=series, several="sum", words=words)


def cluster_signs(*, response_class: str, failed: str) -> tuple[ArmSign, ...]:
    """The signs of clusters. Meshes differ in the label of a response's class, and in how they write 5."""
    seen = _sum("envoy_cluster_upstream_rq_xx{$those}")
    failed_ones = _sum(f'envoy_cluster_upstream_rq_xx{{{response_class}="{failed}",$those}}')
    failures = f"({failed_ones} or 0 * {seen})"
    retries = _sum("envoy_cluster_upstream_rq_retry{$those}")
    return (
        ArmSign(
            kind="retries",
            effect="says",
            by="cluster",
            expressions=(
                f"(({failures} + {retries}) / ({seen} + {retries}) and {retries} / {seen} > 0.001)",
                f"({failures} / {seen})",
                f"({_sum('envoy_cluster_retry_upstream_rq_xx{$those}')} / {retries})",
            ),
            series="envoy_cluster_upstream_rq_retry",
            several="max",
            words=(
                "{whose} failed {p0} of the attempts within 2 min ({p2} of those that were tried again by an answer, "
                "the others by none); with retries, users saw {p1} fail"
            ),
        ),
        ArmSign(
            kind="ejected",
            effect="holds",
            by="cluster",
            expressions=("(max by ($by) (envoy_cluster_outlier_detection_ejections_active{$those}) > 0)",),
            series="envoy_cluster_outlier_detection_ejections_active",
            several="max",
            words="{v0} of the endpoints of {whose} are ejected by outlier detection, and are sent nothing",
        ),
        _grown(
            "breaker_open",
            series="envoy_cluster_upstream_rq_pending_overflow",
            words="a circuit breaker kept {v0} requests from {whose} within 2 min",
        ),
        _grown(
            "pool_full",
            series="envoy_cluster_upstream_cx_overflow",
            words="the proxies' pool of connections to {whose} was full {v0} times within 2 min",
        ),
        _grown(
            "tls_failed",
            series="envoy_cluster_ssl_connection_error",
            words="{v0} TLS connections to {whose} failed within 2 min",
        ),
    )


def _given_up(response: str, *, offset: str = "") -> str:
    """How many requests, since the proxies began, were sent and neither answered nor are still waited for, by their clients or by
    the proxy: Envoy counts no answer for those whose clients have gone, and no reset where it speaks HTTP/1.

    An attempt that is tried again is no request. What Envoy answers itself it has not sent: where that is much, less is told.
    """

    def total(name: str) -> str:
        return f"sum by ($by) (envoy_cluster_upstream_rq_{name}{{$those}}{offset})"

    return f"({total('total')} - {total('retry')} - {total('active')} - {response})"


def _gave_up() -> ArmSign:
    """Requests whose clients had gone before there was an answer, which no other counter of a plain Envoy has."""

    def answered(offset: str = "") -> str:
        every = "sum by ($by) (envoy_cluster_upstream_rq_{}{{$those}}{})"
        return f"({every.format('xx', offset)} or 0 * {every.format('total', offset)})"

    # Not by increase(): a class of answers that is new begins with its first scrape, and would be missing here.
    before = " offset $within"
    gone = f"({_given_up(answered())} - {_given_up(answered(before), offset=before)})"
    ended = f"(({answered()} - {answered(before)} >= 0) + {gone})"
    return ArmSign(
        kind="gave_up",
        effect="holds",
        against_baseline=True,
        by="cluster",
        expressions=(f"(({gone} >= {_LEAST_GONE}) / {ended} > 0.05)",),
        series="envoy_cluster_upstream_rq_total",
        several="max",
        words="clients gave up on {p0} of the requests to {whose} within 2 min, before there was an answer",
    )


def sidecar_signs(container: str) -> tuple[ArmSign, ...]:
    """Whether the sidecars are short of CPU or memory, by what kubelets tell of a container (cAdvisor)."""
    of = f'{{container="{container}",$those}}'
    throttled, periods = (_sum(f"container_cpu_cfs_{name}_total{of}") for name in ("throttled_periods", "periods"))
    used, limit = (f"max by ($by) (container_{name}_bytes{of})" for name in ("memory_working_set", "spec_memory_limit"))

    def sign(kind: Literal["sidecar_cpu", "sidecar_memory"], expression: str, *, series: str, words: str) -> ArmSign:
        return ArmSign(kind=kind, effect="holds", by="pod", expressions=(expression,), series=series, several="max", words=words)

    return (
        sign(
            "sidecar_cpu",
            f"({throttled} / {periods} > 0.25)",
            series="container_cpu_cfs_periods_total",
            words=f"a sidecar of {{whose}} ({container}) is short of CPU: throttled in {{p0}} of the time",
        ),
        sign(
            "sidecar_memory",
            f"({used} / ({limit} > 0) > 0.9)",
            series="container_spec_memory_limit_bytes",
            words=f"a sidecar of {{whose}} ({container}) uses {{p0}} of the memory that it may",
        ),
    )


def _cluster(release: Release, arm: ArmSpec) -> str | None:
    del release
    return None if arm.service is None else literal(arm.service.partition(".")[0])


ARM_SIGNS = ArmSigns(
    signs=(*cluster_signs(response_class="envoy_response_code_class", failed="5"), _gave_up()),
    clusters=_cluster,
    install={"cluster": "keep envoy_cluster_.* where series are dropped; a cluster without outlier detection has none of it"},
)
