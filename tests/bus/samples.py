"""Events and verdicts for the tests of the bus."""

import time
from typing import Any

from daemon.model import Action, Outcome, Verdict

RELEASE: dict[str, Any] = {
    "service": "web",
    "namespace": "shop",
    "baseline": {"subset": "v1"},
    "canary": {"subset": "v2"},
    "weight": 10.0,
}


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
