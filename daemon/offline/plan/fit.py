"""What a service's latency buckets can tell of a policy's tolerances: by its latency alone, before anything is simulated."""

from collections.abc import Sequence

import numpy as np

from analyzers.fitness import Resolution, resolutions
from config.policy import Policy
from daemon.offline.plan.service import Service
from daemon.offline.simulation import shapes


def resolved(service: Service, policy: Policy) -> tuple[Resolution, ...]:
    """For typical latency and for p99, in this order."""
    allowed = policy.tolerances.latency
    return resolutions(service.bounds_ms, _counts(service), typical=allowed.typical, slow_end=allowed.slow_end)


def _counts(service: Service) -> Sequence[float]:
    """What the buckets hold: as observed where these buckets were, else the shares that the latency's distribution gives them."""
    seen = service.histogram
    if seen is not None and seen.bounds_ms == service.bounds_ms:
        return seen.counts
    shape = shapes.lognormal(median_ms=service.median_ms, p99_ms=service.p99_ms) if seen is None else seen.shape
    share, _, _ = shape.buckets(np.log(np.array(service.bounds_ms)), np.array(0.0))
    return tuple(share.tolist())
