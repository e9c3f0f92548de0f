"""The telemetry of a plain Envoy, which knows arms as its clusters; the meshes that are made of Envoys have it too.

gRPC fails under HTTP 200. Envoy tells by its filter of gRPC statistics (``envoy.filters.http.grpc_stats``), whose counters count
the same calls once more; without it a failed call is one that was served.
"""

from daemon.telemetry.schema import (
    ArmLabels,
    BinName,
    Counter,
    Ended,
    EnvoyStats,
    Schema,
    Selector,
    Told,
    View,
)

_FAILED_GRPC = "(2|4|12|13|14|15)"
"""The statuses that OpenTelemetry counts as server errors."""
_CLUSTER = r"cluster\.(?P<envoy_cluster_name>.+?)"

TOLD = Told(status_class="envoy_response_code_class")
STATISTICS = rf"(upstream_rq_(\dxx|time)|grpc(-web)?\.(.+\.)?{_FAILED_GRPC}|upstream_cx_(total|connect_fail|none_healthy))"
"""RE2 of all that is read of a cluster, by Envoy's own names."""


def bin_names(cluster: str = _CLUSTER) -> tuple[BinName, ...]:
    """The names on Envoy's JSON page. ``cluster``: pattern of what stands before the statistic, whose named groups are labels."""
    return (
        BinName(pattern=rf"{cluster}\.upstream_rq_(?P<envoy_response_code_class>\d)xx", metric="envoy_cluster_upstream_rq_xx"),
        BinName(pattern=rf"{cluster}\.upstream_rq_time", metric="envoy_cluster_upstream_rq_time"),
        BinName(
            pattern=rf"{cluster}\.(?P<statistic>grpc(?:-web)?\.(?:.+\.)?(?P<status>{_FAILED_GRPC}))",
            metric=r"envoy_cluster_grpc_\g<status>",
        ),
        BinName(
            pattern=rf"{cluster}\.upstream_(?P<statistic>cx_(?:total|connect_fail|none_healthy))",
            metric=r"envoy_cluster_upstream_\g<statistic>",
        ),
    )


def cluster_views(arms: ArmLabels, *, always: Selector = ()) -> tuple[View, View]:
    """Requests and connections to Envoy's clusters, as they count at whoever asks. ``arms``: how clusters are known."""
    return (
        View(
            # Not upstream_rq_total, which leaves out what Envoy failed itself: a dead canary would show no requests at all.
            requests="envoy_cluster_upstream_rq_xx",
            latency="envoy_cluster_upstream_rq_time",
            # With statistics by method its name stands in the middle. What Envoy answers itself for a dead canary is here as well.
            beside=(Counter(names=f"envoy_cluster_grpc(_.+)?_{_FAILED_GRPC}", ended=Ended.FAILED_AMONG),),
            always=always,
            arms=arms,
        ),
        View(
            protocol="tcp",
            requests="envoy_cluster_upstream_cx_total",
            latency=None,
            beside=(
                Counter(names="envoy_cluster_upstream_cx_connect_fail", ended=Ended.FAILED_AMONG),
                # Of these no connection was begun.
                Counter(names="envoy_cluster_upstream_cx_none_healthy", ended=Ended.FAILED),
            ),
            always=always,
            arms=arms,
        ),
    )


SCHEMA = Schema(
    name="envoy",
    outcome=(),
    told=TOLD,
    split=False,
    views=cluster_views(ArmLabels(whose=(("service", ("envoy_cluster_name",)),), cut_at_dot=True)),
    scrape=EnvoyStats(filter=rf"^cluster\.({{arms}})\.{STATISTICS}$", bins=bin_names()),
)
