"""What stands between the arms and those who ask them in Istio: by its clients' proxies, and by its sidecars' containers.

Of its proxies' figures of clusters Istio shows none by itself: ``proxyStatsMatcher`` has them shown.
"""

from daemon.meshes.envoy.signs import cluster_signs, sidecar_signs
from daemon.model import ArmSpec, Release
from daemon.telemetry.signs import ArmSigns
from daemon.telemetry.wire import literal


def _clusters(release: Release, arm: ArmSpec) -> str | None:
    """As ``outbound|8080|v2|web.shop.svc.cluster.local``: of a subset, or of a service of its own."""
    if arm.subset is None and arm.service is None:
        return None
    host, _, _ = (arm.service or release.service).partition(".")
    return rf"outbound\|[0-9]+\|{literal(arm.subset or '')}\|{literal(host)}\.{literal(release.namespace)}\..*"


ARM_SIGNS = ArmSigns(
    signs=(*cluster_signs(response_class="response_code_class", failed="5xx"), *sidecar_signs("istio-proxy")),
    cluster_label="cluster_name",
    clusters=_clusters,
    install={
        "cluster": (
            "annotate the pods of the clients: proxy.istio.io/config: {proxyStatsMatcher: {inclusionRegexps: "
            '[".*outlier_detection.*", ".*upstream_rq_(retry|xx|.xx|pending_overflow).*", ".*upstream_cx_overflow.*", '
            '".*ssl.connection_error.*"]}}'
        ),
        "pod": "have the kubelets' cAdvisor scraped (/metrics/cadvisor), with the labels container, namespace and pod",
    },
)
