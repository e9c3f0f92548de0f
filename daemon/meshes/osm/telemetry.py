"""The telemetry of Open Service Mesh, whose Envoys count at those who ask: by workload where Prometheus has taken its names apart,
as OSM's own configuration has it do, else by Envoy's clusters, which stand on the proxies' own pages too.
"""

from daemon.meshes.envoy.telemetry import STATISTICS, bin_names, cluster_views
from daemon.telemetry.schema import ArmLabels, Begins, Ended, EnvoyStats, Is, Rule, Schema, View

SCHEMA = Schema(
    name="osm",
    outcome=(
        Rule(when=(Begins("response_code", ("5",)),), ended=Ended.FAILED),
        Rule(when=(Begins("envoy_response_code_class", ("5",)),), ended=Ended.FAILED),
        Rule(when=(Is("response_code", ("",)), Is("envoy_response_code_class", ("",))), ended=Ended.UNCLASSIFIED),
    ),
    split=False,
    views=(
        View(
            requests="osm_request_total",
            latency="osm_request_duration_ms",
            on_page=False,
            arms=ArmLabels(whose=(("workload", ("destination_name",)),), namespace="destination_namespace"),
        ),
        *cluster_views(ArmLabels(whose=(("service", ("envoy_cluster_name",)),), cut_at_dot=True)),
    ),
    scrape=EnvoyStats(filter=rf"^cluster\.({{arms}})\.{STATISTICS}$", bins=bin_names()),
)
