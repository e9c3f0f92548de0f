"""The telemetry of Consul's service mesh: its Envoys', which name the service and the subset that is asked for, at who asks."""

from daemon.meshes.envoy.telemetry import STATISTICS, TOLD, bin_names, cluster_views
from daemon.telemetry.schema import ArmLabels, EnvoyStats, Schema

_TARGET = "consul_destination_"
_CLUSTER = (
    rf"cluster\.(?:(?P<custom_hash>[^.~]+)~)?(?:(?P<{_TARGET}service_subset>[^.~]+)\.)?(?P<{_TARGET}service>[^.~]+)"
    rf"\.(?P<{_TARGET}namespace>[^.~]+)\.(?:(?P<{_TARGET}partition>[^.~]+)\.)?(?P<{_TARGET}datacenter>[^.~]+)"
    r"\.(?P<routing>(?:internal|external)[^.]*)\.(?P<trust_domain>[^.]+)\.consul"
)
"""Its own names, which Prometheus' format has taken apart: ``v2.web.default.dc1.internal.TRUST-DOMAIN.consul``."""

SCHEMA = Schema(
    name="consul",
    outcome=(),
    told=TOLD,
    split=False,
    views=cluster_views(
        ArmLabels(
            whose=(("service", (f"{_TARGET}service",)),),
            also={"subset": f"{_TARGET}service_subset"},
            # By custom a subset has the name of its version.
            instead={"version": f"{_TARGET}service_subset"},
            service=f"{_TARGET}service",
        )
    ),
    scrape=EnvoyStats(filter=rf"^cluster\.(.*[.~])?({{arms}})\..*consul\.{STATISTICS}$", bins=bin_names(_CLUSTER)),
)
