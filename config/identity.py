"""Which policy it was: a policy is known by the hash of its content, which goes into every verdict.

The hash is over every field, defaults filled in, so that a changed default of a later version is a changed policy, and the
order or spelling of numbers in somebody's file is not.
"""

import hashlib
import json

import msgspec

from config.policy import Policy


def policy_hash(policy: Policy) -> str:
    """``sha256:`` and 64 hexadecimal digits over the canonical JSON of the policy."""
    # Converted once more, so that 300 and 300.0 given from Python are the same number.
    normal = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(policy), Policy))
    canonical = json.dumps(normal, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
