"""Counters in Istio's dialect for a backend that has no sidecar: what the destination's proxy would have exported.

Istio's own filter, which counts them, is not in a stock Envoy; the tests' backends count with these too.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

BOUNDS_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
"""Istio's default buckets."""


@dataclasses.dataclass(slots=True)
class _Series:
    buckets: list[int]
    sum_ms: float = 0.0


@dataclasses.dataclass(slots=True)
class IstioExporter:
    """Counts the requests of one workload by status, each with its latency. ``bounds_ms``: of the buckets, rising."""

    service: str
    namespace: str
    workload: str
    version: str
    bounds_ms: Sequence[float] = BOUNDS_MS
    _series: dict[int, _Series] = dataclasses.field(default_factory=dict)

    def observe(self, status: int, seconds: float) -> None:
        """Count one request."""
        series = self._series.setdefault(status, _Series(buckets=[0] * (len(self.bounds_ms) + 1)))
        series.buckets[bisect.bisect_left(self.bounds_ms, 1e3 * seconds)] += 1
        series.sum_ms += 1e3 * seconds

    def text(self) -> str:
        """The exposition."""
        requests = ["# TYPE istio_requests_total counter"]
        durations = ["# TYPE istio_request_duration_milliseconds histogram"]
        for status, series in self._series.items():
            labels = self._labels(status)
            total = sum(series.buckets)
            requests.append(f"istio_requests_total{{{labels}}} {total}")
            name, cumulative = "istio_request_duration_milliseconds", 0
            for bound, count in zip([*map(str, self.bounds_ms), "+Inf"], series.buckets, strict=True):
                cumulative += count
                durations.append(f'{name}_bucket{{{labels},le="{bound}"}} {cumulative}')
            durations += [f"{name}_sum{{{labels}}} {series.sum_ms}", f"{name}_count{{{labels}}} {total}"]
        return "\n".join([*requests, *durations]) + "\n"

    def _labels(self, status: int) -> str:
        labels = {
            "reporter": "destination",
            "source_workload": "client",
            "source_workload_namespace": self.namespace,
            "destination_workload": self.workload,
            "destination_workload_namespace": self.namespace,
            "destination_app": self.service,
            "destination_version": self.version,
            "destination_service": f"{self.service}.{self.namespace}.svc.cluster.local",
            "destination_service_name": self.service,
            "destination_service_namespace": self.namespace,
            "destination_canonical_service": self.service,
            "destination_canonical_revision": self.version,
            "request_protocol": "http",
            "response_code": str(status),
            "grpc_response_status": "",
            "response_flags": "-",
            "connection_security_policy": "mutual_tls",
        }
        return ",".join(f'{name}="{value}"' for name, value in labels.items())
