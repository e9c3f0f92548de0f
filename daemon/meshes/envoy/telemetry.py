"""The telemetry of a plain Envoy, which knows arms as its clusters."""

from daemon.telemetry.schema import ArmLabels, BinNames, EnvoyStats, Schema, Told, View

SCHEMA = Schema(
    name="envoy",
    outcome=(),
    told=Told(status_class="envoy_response_code_class"),
    split=False,
    views=(
        View(
            # Not upstream_rq_total, which leaves out what Envoy failed itself: a dead canary would show no requests at all.
            requests="envoy_cluster_upstream_rq_xx",
            latency="envoy_cluster_upstream_rq_time",
            arms=ArmLabels(whose=(("service", ("envoy_cluster_name",)),), cut_at_dot=True),
        ),
    ),
    scrape=EnvoyStats(
        filter=r"^cluster\.({arms})\.upstream_rq_(\dxx|time)$",
        bins=BinNames(prefix="cluster.", infix=".upstream_rq_", arm="envoy_cluster_name", status="envoy_response_code_class"),
    ),
)
