"""Pods as an API server has them."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

STARTED = "2026-01-01T00:00:00Z"


def container(*, name: str = "web", started: str = STARTED, restarts: int = 0) -> Json:
    return {"name": name, "restartCount": restarts, "state": {"running": {"startedAt": started}}}


def pod(
    name: str,
    *,
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    address: str = "10.1.0.1",
    ready: bool = True,
    phase: str = "Running",
) -> Json:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": dict(labels or {})},
        "status": {
            "phase": phase,
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [container()],
        },
    }
