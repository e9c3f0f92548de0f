"""Names of artifacts, as those who deploy the same thing write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.artifacts import same

DIGEST, OTHER = "sha256:" + "a1" * 32, "sha256:" + "b2" * 32
COMMIT = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("example.com/web:v2", "example.com/web:v2", True),
        ("example.com/web:v2", "mirror.local:5000/cache/web:v2", True),
        ("example.com/web:v2", "example.com/web:v3", False),
        ("example.com/web:2.1", "pkg:docker/example/web@2.1", True),
        ("example.com/web:2.1", "pkg:docker/example/web@2.2", False),
        (f"example.com/web@{DIGEST}", f"pkg:oci/web@{DIGEST.replace(':', '%3A')}?tag=v2", True),
        (f"example.com/web:v2@{DIGEST}", f"example.com/web:v2@{OTHER}", False),
        ("example.com/web:v2", f"pkg:oci/web@{DIGEST}?tag=v2", True),
        (DIGEST, f"example.com/web@{DIGEST}", True),
        (DIGEST, OTHER, False),
        (COMMIT, COMMIT[:8], True),
        (COMMIT, "0" + COMMIT[1:], False),
        (COMMIT, f"example.com/web:main-{COMMIT[:7]}", True),
        (COMMIT, "example.com/web:v2", None),
        (DIGEST, "example.com/web:v2", None),
        ("example.com/web:v2", "example.com/sidecar:v9", None),
        ("example.com/web:v2", "build 7", None),
        ("build 7", "build 8", False),
        ("build 7", "build 7", True),
        (None, "example.com/web:v2", None),
        (None, None, None),
    ],
)
def test_like_is_compared_with_like_and_what_is_unlike_says_nothing(
    one: str | None, other: str | None, answer: bool | None
) -> None:
    assert same(one, other) is answer
    assert same(other, one) is answer


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_written_can_be_compared_either_way_round_and_is_the_same_as_itself(one: str, other: str) -> None:
    assert same(one, one) is True
    assert same(one, other) is same(other, one)
