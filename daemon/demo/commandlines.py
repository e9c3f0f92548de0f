"""How the servers are called that the demo runs: everything on loopback, their state in a folder or in memory. Pure.

The tests' servers are called so too, each beside other readiness, ports and files of their own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.demo.freeports import LOOPBACK

ISTIO_NAMESPACE = "istio-system"
"""Which must be there before istiod starts."""

ISTIOD_ENVIRONMENT: Mapping[str, str] = {
    "POD_NAME": "istiod",
    "POD_NAMESPACE": ISTIO_NAMESPACE,
    "REVISION": "default",
    # Neither certificates nor webhooks: nothing on one machine could reach them.
    "ENABLE_CA_SERVER": "false",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
}


def envoy(program: str | Path, *, bootstrap: Path, address_file: Path | None = None) -> list[str]:
    """Envoy with this bootstrap; ``address_file`` takes where its admin interface listens.

    Hot restart is off because its abstract sockets are shared by all Envoys of a machine; one worker, as each costs memory and
    the traffic here needs no more.
    """
    said = ("--admin-address-path", str(address_file)) if address_file is not None else ()
    fixed = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
    return [str(program), "--config-path", str(bootstrap), *said, *fixed]


def etcd(program: str | Path, *, data: Path, ports: Sequence[int]) -> list[str]:
    """One member, which does not wait for the disk, as nothing here outlives the machine. ``ports``: for clients and for peers."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in ports)
    return [
        str(program),
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def kube_apiserver(program: str | Path, *, etcd_url: str, port: int, certificates: Path, tokens: Path) -> list[str]:
    """An API server without nodes and controllers. ``certificates``: where it signs itself one; ``tokens``: who may in."""
    key = certificates / "apiserver.key"
    return [
        str(program),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        # Services must not point to loopback, so the server's own Service is left without an endpoint.
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        # The same key serves for the tokens of service accounts.
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        # No controller manager makes service accounts here, without which this plug-in refuses every pod.
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
    ]


def istiod(program: str | Path, *, kubeconfig: Path, mesh_config: Path, grpc: str, http: str, monitoring: str) -> list[str]:
    """istiod on an API server; what it listens on is ``host:port``. It needs ``ISTIOD_ENVIRONMENT``."""
    return [
        *(str(program), "discovery"),
        *("--kubeconfig", str(kubeconfig)),
        *("--meshConfig", str(mesh_config)),
        *("--httpAddr", http),
        *("--grpcAddr", grpc),
        *("--monitoringAddr", monitoring),
        *("--httpsAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", "0"),
        *("--registries", "Kubernetes"),
    ]


def consul(program: str | Path, *, config: Path) -> list[str]:
    """An agent that is its own server, its state in memory."""
    return [str(program), "agent", "-dev", "-config-file", str(config)]


def consul_config(more: Mapping[str, Any], *, http: int, grpc: int, server: int, serf: int) -> dict[str, Any]:
    """What the agent is told: these ports and no others, on loopback; and ``more``."""
    unused = dict.fromkeys(("https", "grpc_tls", "dns", "serf_wan"), -1)
    ports = {"http": http, "grpc": grpc, "server": server, "serf_lan": serf}
    fixed = {"bind_addr": LOOPBACK, "client_addr": LOOPBACK, "disable_update_check": True}
    return {"ports": {**ports, **unused}, **fixed, **more}


def consul_bootstrap(program: str | Path, service: str, *, admin_port: int) -> list[str]:
    """What prints the bootstrap with which an Envoy becomes this service's sidecar. It needs ``consul_environment``."""
    admin = f"{LOOPBACK}:{admin_port}"
    return [str(program), "connect", "envoy", "-sidecar-for", service, "-admin-bind", admin, "-bootstrap"]


def consul_environment(*, url: str, grpc_port: int) -> dict[str, str]:
    """Where the agent is, for its own commands."""
    return {"CONSUL_HTTP_ADDR": url, "CONSUL_GRPC_ADDR": f"{LOOPBACK}:{grpc_port}", "PATH": "/usr/bin:/bin"}
