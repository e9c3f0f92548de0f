"""Releases, readings and verdicts that tests begin with; what a test is about, it changes."""

import time
from typing import Any

import msgspec

from analyzers.counts import Arm, Latency
from config.policy import Policy, Promotion
from daemon.interventions import AuditEntry
from daemon.measurements import Reading
from daemon.model import Action, ArmSpec, Outcome, Release, Verdict

ID = "web-1"
BOUNDS = (10.0, 25.0, 50.0, 100.0, 250.0)
RELEASE = Release(
    service="web",
    namespace="shop",
    mesh="edge",
    baseline=ArmSpec(service="web-v1"),
    canary=ArmSpec(service="web-v2"),
    weight=10.0,
)
OTHER = msgspec.structs.replace(RELEASE, service="other")
POLICY = Policy(window_seconds=60.0, warmup_seconds=0.0, promotion=Promotion(min_requests=100, min_seconds=5.0))
DOCUMENT: dict[str, Any] = {
    "service": "web",
    "namespace": "shop",
    "baseline": {"subset": "v1"},
    "canary": {"subset": "v2"},
    "weight": 10.0,
}
"""A release as an event brings it."""


def arm(requests: int, errors: int = 0, *, counts: tuple[int, ...] | None = None) -> Arm:
    """An arm whose latencies lie around 30 ms."""
    spread = counts or _spread(requests)
    return Arm(requests=requests, errors=errors, latency=Latency(counts=spread, sum_ms=30.0 * sum(spread)))


def healthy(seconds: float = 1.0) -> Reading:
    """Both arms alike, 1 error in 1000."""
    return Reading(seconds=seconds, baseline=arm(900, 1), canary=arm(100, 0), bounds_ms=BOUNDS)


def failing(errors: int = 20) -> Reading:
    """The canary fails."""
    return Reading(seconds=1.0, baseline=arm(900, 1), canary=arm(100, errors), bounds_ms=BOUNDS)


def gap(reason: str = "prometheus does not answer") -> Reading:
    """No information."""
    return Reading(seconds=1.0, gap=reason)


def _spread(requests: int) -> tuple[int, ...]:
    parts = [requests // 10, requests * 3 // 10, requests * 4 // 10, requests // 10, requests // 20]
    return (*parts, requests - sum(parts))


def verdict(release_id: str = "web-1", **changes: Any) -> Verdict:
    """A rollback decided just now."""
    fields: dict[str, Any] = {
        "release_id": release_id,
        "service": "web",
        "namespace": "shop",
        "cluster": "prod",
        "outcome": Outcome.ROLLBACK,
        "meaning": "rollback",
        "action": Action.REVERT,
        "reason": "errors went up from 0.1 % to 5 %",
        "leg": "errors",
        "evidence": 312.5,
        "boundary": 100.0,
        "ticks": 7,
        "decided_at": time.time(),
        "policy_hash": "0b31",
    }
    return Verdict(**{**fields, **changes})


def entry(release_id: str = "web-1", *, cluster: str = "prod", namespace: str = "shop", at: float | None = None) -> AuditEntry:
    """A person's word."""
    return AuditEntry(
        id=f"{release_id}.word",
        what="cancel",
        result="accepted",
        by="ana",
        at=time.time() if at is None else at,
        cluster=cluster,
        namespace=namespace,
        service="web" if namespace else "",
        release_id=release_id,
    )
