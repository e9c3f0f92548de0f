"""The edge's route file: written whole and moved into place, because Envoy reads it when a file is moved in.

A share of 100 % leaves the other version out of the file altogether, as a pipeline does at the end of a rollout.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROUTE_CONFIG = "web"
TYPE_URL = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def cluster(version: str) -> str:
    """The Envoy cluster of a version."""
    return f"web-{version}"


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
    document: dict[str, Any] = {
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
