"""How many connections the API may hold, so that a revert always has descriptors left.

Each part of the daemon has a bound on what it opens: so much is set aside for them, and the API gets the rest. That a revert
can open what it needs is thereby sure, whoever connects, without a descriptor held back and handed over in the right moment.
The process's own limit is raised first, as far as it may raise it; what does not fit then is refused at the start.
"""

import resource
from dataclasses import dataclass
from typing import assert_never

from config.errors import ConfigError, Fault
from config.settings import EnvoyTelemetry, PrometheusTelemetry, Settings, SidecarTelemetry, Telemetry
from daemon.kube.transport import QUESTIONS, WATCHES
from daemon.meshes.registry import kind_of, need_kubernetes

MOST = 1000
"""Connections in all where the settings name no number."""
LEAST = 16
ACCEPTED_AT_ONCE = 16
"""In one turn of the event loop, so that a flood of connections does not keep it from anything else."""

# Standard streams, the event loop's own, the broker and its child, and a file for each thread that may be reading one.
_OWN = 64
_API_SERVER = QUESTIONS + WATCHES
_PROMETHEUS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Connections in all, and from one address."""

    connections: int
    per_peer: int


def capacity(settings: Settings, *, connectors: int = 0, all_clusters: bool = False) -> Capacity:
    """What the settings and the process's limit allow. Raises the limit when that is needed and permitted.

    Args:
        settings: the daemon's.
        connectors: connections that sources of events and sinks of verdicts hold open at a time.
        all_clusters: whether one of them asks the API servers.

    Raises:
        ConfigError: the limit is too low for what the settings ask for; says how many descriptors are needed.
    """
    wanted = settings.http.max_connections
    elsewhere = connectors + set_aside(settings, all_clusters=all_clusters)
    allowed = _raised(elsewhere + (MOST if wanted is None else wanted))
    need = elsewhere + (LEAST if wanted is None else wanted)
    if allowed < need:
        problem = Fault(
            path="http.max_connections",
            message=f"this process may open {allowed} files and sockets; {need} are needed, {elsewhere} of them for other things",
            fix=f"allow more (ulimit -n {need}, LimitNOFILE={need}), or configure fewer connections, proxies or meshes",
        )
        raise ConfigError((problem,), source="settings")
    connections = min(MOST, allowed - elsewhere) if wanted is None else wanted
    per_peer = settings.http.max_connections_per_peer
    return Capacity(connections=connections, per_peer=max(1, connections // 2) if per_peer is None else per_peer)


def set_aside(settings: Settings, *, all_clusters: bool = False) -> int:
    """Descriptors that everything but the API's connections and the connectors may need at the same time."""
    total = _OWN + 2 * ACCEPTED_AT_ONCE
    for telemetry in settings.telemetry.values():
        total += _connections(telemetry)
    total += sum(kind_of(mesh).connections for mesh in settings.meshes.values())
    asked = [settings.clusters_of(mesh) for mesh in settings.meshes.values() if need_kubernetes([mesh])]
    clusters = settings.clusters if all_clusters else {name for names in asked for name in names}
    return total + _API_SERVER * len(clusters)


def _connections(telemetry: Telemetry) -> int:
    """That a source may hold at the same time. Those to proxies are kept from tick to tick, also beyond those in use at a time."""
    match telemetry:
        case PrometheusTelemetry():
            return _PROMETHEUS
        case EnvoyTelemetry():
            return len(telemetry.endpoints)
        case SidecarTelemetry():
            return telemetry.max_pods + (_PROMETHEUS if telemetry.fallback is not None else 0)
        case _:
            assert_never(telemetry)


def _raised(wanted: int) -> int:
    """The process's limit, raised towards what is wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)
