"""The absolute limit, one arm: evidence that the canary fails more than the policy's share, whatever the baseline does.

Not part of the comparison: a limit broken by both arms is a bad baseline, which must not revert. It is the whole judge where the
baseline serves no request (after a blue-green switch), and a finding otherwise.
"""

from typing import Final

import numpy as np

from analyzers.layout import Array

RATIOS: Final[Array] = np.geomspace(1.15, 100.0, 20)
_CAP: Final = 575.0


def evidence(errors: Array, requests: Array, limit: Array) -> Array:
    """E-values (releases,) that the failed share is above ``limit``: a mixture of likelihood ratios; 1 at limits 0 and 1."""
    usable = (limit > 0.0) & (limit < 1.0)
    safe = np.where(usable, limit, 0.5)[:, None]
    alternative = np.minimum(safe * RATIOS, 1.0 - 1e-9)
    log_e = errors[:, None] * np.log(alternative / safe)
    log_e += (requests - errors)[:, None] * (np.log1p(-alternative) - np.log1p(-safe))
    value: Array = np.exp(np.minimum(log_e, _CAP)).mean(1)
    return np.where(usable, value, 1.0)
