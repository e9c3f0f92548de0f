"""What the edge Envoy is told at its start: ports of its own choice on loopback, routes from a file, one cluster a version.

Histograms are merged ten times a second, so that a tick of 0.25 s sees the latency of that tick. (``stats_flush_on_admin``
would not do: Envoy merges after it has answered, so each scrape sees the histograms as of the one before, and the first
scrape of a watch all that happened since the last one.) Finer buckets than Envoy's own make 30 % visible in them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.demo.routes import ROUTE_CONFIG, cluster

LISTENER = "edge"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def latency_bounds_ms() -> list[float]:
    """Bucket bounds from 1 ms to 2 s, each about 15 % above the one before."""
    bounds = [1.0]
    while bounds[-1] < 2000.0:
        bounds.append(round(max(bounds[-1] + 1.0, bounds[-1] * 1.15)))
    return bounds


def bootstrap(*, backends: Mapping[str, int], routes_file: Path) -> str:
    """The bootstrap document (JSON).

    Args:
        backends: port on loopback by version.
        routes_file: where the routes come from; its folder is watched for files moved in.
    """
    document = {
        "node": {"id": "edge", "cluster": "demo"},
        "admin": {"address": _address(0)},
        "stats_flush_interval": "0.1s",
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": latency_bounds_ms()}],
        },
        "static_resources": {
            "listeners": [_listener(routes_file)],
            "clusters": [_cluster(version, port) for version, port in backends.items()],
        },
    }
    return json.dumps(document, indent=1)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(routes_file: Path) -> dict[str, Any]:
    source = {
        "path_config_source": {"path": str(routes_file), "watched_directory": {"path": str(routes_file.parent)}},
        "resource_api_version": "V3",
    }
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "edge",
        "generate_request_id": False,
        "rds": {"route_config_name": ROUTE_CONFIG, "config_source": source},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    return {
        "name": LISTENER,
        "address": _address(0),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }


def _cluster(version: str, port: int) -> dict[str, Any]:
    name = cluster(version)
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }
