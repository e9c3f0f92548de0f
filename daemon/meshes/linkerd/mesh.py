"""Linkerd: its row. Its telemetry is read; its routes are not steered."""

from config.settings import Mesh
from daemon.meshes.kind import MeshKind
from daemon.meshes.linkerd.controlplane import CONTROL_PLANE
from daemon.meshes.linkerd.telemetry import SCHEMA


class LinkerdMesh(Mesh, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="linkerd", tag_field="kind"):
    """Linkerd, observed only."""


LINKERD = MeshKind(
    settings=LinkerdMesh,
    telemetry=SCHEMA,
    control_plane=CONTROL_PLANE,
    arms="`workload`, `version` or `labels` where Prometheus copies pods' labels; else `service` or `workload` at those who ask",
    proven="nothing that runs",
    from_records="requests, latencies, denials, ages and connections, inbound and outbound: pages as its proxy wrote them in 2025",
    notes=(
        (
            "At the pods that serve, the labels by which arms are known are those that Prometheus copies from pods, as "
            "Linkerd's own configuration has it do."
        ),
        "The page of a proxy is `http://POD:4191/metrics`; a policy of default-deny must allow whoever scrapes it.",
        "That page does not say whose it is: `kind: sidecars` knows, and counts pod by pod; a Prometheus adds the pods' labels.",
        "Requests to the proxy's own port, and probes, are left out; requests that policy denies are known at the pods.",
        "A series that was idle for 10 minutes is dropped by the proxy and begins anew.",
    ),
)
