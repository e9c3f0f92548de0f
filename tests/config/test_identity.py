"""A policy's hash is its content's, however it was written."""

import hashlib
import json

import msgspec
import pytest

from config.identity import policy_hash
from config.policy import ErrorTolerance, Policy, Tolerances

# Changes when a field or default of the policy changes, and only then: verdicts of before are then of another policy.
DEFAULT_HASH = policy_hash(msgspec.json.decode(b'{"alpha": 0.01}', type=Policy))


def test_defaults_written_out_are_the_same_policy() -> None:
    assert policy_hash(Policy()) == DEFAULT_HASH
    assert DEFAULT_HASH.startswith("sha256:")
    assert len(DEFAULT_HASH) == len("sha256:") + 64


def test_the_order_of_fields_and_the_spelling_of_numbers_do_not_matter() -> None:
    one = msgspec.json.decode(b'{"alpha": 0.05, "window_seconds": 600}', type=Policy)
    other = msgspec.json.decode(b'{"window_seconds": 6e2, "alpha": 5e-2}', type=Policy)
    assert policy_hash(one) == policy_hash(other) == policy_hash(Policy(alpha=0.05, window_seconds=600))


@pytest.mark.parametrize(
    "policy",
    [Policy(alpha=0.02), Policy(mode="observe"), Policy(tolerances=Tolerances(errors=ErrorTolerance(max_rate=0.01)))],
)
def test_another_content_is_another_policy(policy: Policy) -> None:
    assert policy_hash(policy) != DEFAULT_HASH


def test_the_hash_is_over_canonical_json_with_sorted_keys() -> None:
    """Pinned, so that a refactoring cannot change the identity of everybody's policies unseen."""
    text = json.dumps(msgspec.to_builtins(Policy()), sort_keys=True, separators=(",", ":"))
    assert "sha256:" + hashlib.sha256(text.encode()).hexdigest() == DEFAULT_HASH
