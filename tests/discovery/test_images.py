from __future__ import annotations

import pytest

from daemon.discovery.images import Image, artifact, image

DIGEST = "sha256:" + "5c" * 32


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("till", Image(repository="till")),
        ("till:1.5", Image(repository="till", tag="1.5")),
        ("reg.example:5000/shop/till:1.5", Image(repository="reg.example:5000/shop/till", tag="1.5")),
        ("reg.example:5000/till", Image(repository="reg.example:5000/till")),
        (f"reg.example/till@{DIGEST}", Image(repository="reg.example/till", digest=DIGEST)),
        (f"till:1.5@{DIGEST}", Image(repository="till", tag="1.5", digest=DIGEST)),
        ("till@sha256:short", Image(repository="till")),
    ],
)
def test_an_image_is_taken_apart(reference: str, expected: Image) -> None:
    assert image(reference) == expected
    assert artifact(reference) == expected


@pytest.mark.parametrize(
    ("url", "tail", "tag", "digest"),
    [
        (f"pkg:oci/till@{DIGEST.replace(':', '%3A')}?repository_url=reg.example/till&tag=1.5", "till", "1.5", DIGEST),
        (f"pkg:oci/till@{DIGEST}", "till", "", DIGEST),
        ("pkg:docker/shop/till@1.5", "till", "1.5", ""),
        ("pkg:github/shop/till@v1.5#sub/path", "till", "v1.5", ""),
        ("pkg:npm/%40shop/till@1.5", "till", "1.5", ""),
        ("pkg:till", "till", "", ""),
    ],
)
def test_a_package_url_is_taken_apart(url: str, tail: str, tag: str, digest: str) -> None:
    found = artifact(url)
    assert (found.tail, found.tag, found.digest) == (tail, tag, digest)


def test_latest_tells_no_image_apart() -> None:
    assert not image("till").is_told_apart
    assert not image("till:latest").is_told_apart
    assert image("till:1.5").is_told_apart
    assert image(f"till:latest@{DIGEST}").is_told_apart


def test_an_image_is_written_as_containers_name_it() -> None:
    assert str(image(f"reg/till:1.5@{DIGEST}")) == f"reg/till:1.5@{DIGEST}"
