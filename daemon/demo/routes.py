"""What the edge reads: its bootstrap at the start, and its route file.

The route file is written whole and moved into place, because Envoy reads it when a file is moved in. A share of 100 % leaves the
other version out of the file altogether, as a pipeline does at the end of a rollout.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

SERVICE = "web"
NAMESPACE = "default"
ROUTE_CONFIG = SERVICE
Json = dict[str, Any]
TYPE_URL = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def cluster(version: str) -> str:
    """The Envoy cluster of a version."""
    return f"{SERVICE}-{version}"


def render(weights: Mapping[str, int], *, version_info: str) -> str:
    """The text of a route file.

    Args:
        weights: share in percent by version; zero leaves the version out.
        version_info: what Envoy shows as the version of the routes in force.

    Raises:
        ValueError: the shares do not add up to 100.
    """
    if sum(weights.values()) != 100 or min(weights.values()) < 0:
        raise ValueError(f"shares must be positive and add up to 100, these are {dict(weights)}")
    shares = [{"name": cluster(version), "weight": weight} for version, weight in weights.items() if weight]
    document: Json = {
        "version_info": version_info,
        "resources": [
            {
                "@type": TYPE_URL,
                "name": ROUTE_CONFIG,
                "virtual_hosts": [
                    {
                        "name": "web",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": shares}}}],
                    }
                ],
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def shares(text: str) -> dict[str, float]:
    """The share in percent by cluster that a route file gives, whoever wrote it."""
    document = yaml.safe_load(text)
    action = document["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]
    if "cluster" in action:
        return {action["cluster"]: 100.0}
    entries = action["weighted_clusters"]["clusters"]
    total = sum(entry["weight"] for entry in entries)
    return {entry["name"]: 100.0 * entry["weight"] / total for entry in entries}


def install(path: Path, text: str) -> None:
    """Move a new file to ``path`` in one step: a reader sees the old text or the new one, nothing between."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


LISTENER = "edge"
FLUSH_INTERVAL = "0.1s"
"""How often an Envoy has new counts of how long its answers took."""
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def latency_bounds_ms() -> list[float]:
    """Bucket bounds from 1 ms to 2 s, each about 15 % above the one before."""
    bounds = [1.0]
    while bounds[-1] < 2000.0:
        bounds.append(round(max(bounds[-1] + 1.0, bounds[-1] * 1.15)))
    return bounds


def bootstrap(*, backends: Mapping[str, int], routes_file: Path) -> str:
    """The bootstrap document (JSON) of an edge that has its routes from a file.

    Args:
        backends: port on loopback by version.
        routes_file: where the routes come from; its folder is watched for files moved in.
    """
    source = {"path_config_source": {"path": str(routes_file), "watched_directory": {"path": str(routes_file.parent)}}}
    clusters = [static_cluster(cluster(version), port) for version, port in backends.items()]
    return json.dumps(edge_document(clusters, route_config=ROUTE_CONFIG, source=source), indent=1)


def edge_document(clusters: Sequence[Json], *, route_config: str, source: Json) -> Json:
    """An edge with these clusters and one listener. ``source``: where the routes of this name come from."""
    return {
        "node": {"id": "edge", "cluster": "demo"},
        "admin": {"address": _address(0)},
        "stats_flush_interval": FLUSH_INTERVAL,
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": latency_bounds_ms()}],
        },
        "static_resources": {"listeners": [_listener(route_config, source)], "clusters": list(clusters)},
    }


def static_cluster(name: str, port: int) -> Json:
    """An Envoy cluster with one endpoint on loopback."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(route_config: str, source: Json) -> Json:
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "edge",
        "generate_request_id": False,
        "rds": {"route_config_name": route_config, "config_source": {**source, "resource_api_version": "V3"}},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    return {
        "name": LISTENER,
        "address": _address(0),
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }
