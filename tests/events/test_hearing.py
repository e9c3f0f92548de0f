"""What is announced without arms, and what a sender's words mean by the mapping of the settings."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from config.policy import Policy
from config.settings import MappingRow, Settings
from daemon.errors import InvalidEvent, InvalidInput, NoRelease
from daemon.events.announcing import read_release
from daemon.events.hearing import SWITCH_ON, Hearing
from daemon.model import ArmSpec, Outline, Release

ARMS: dict[str, Any] = {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}
DIGEST = "sha256:" + "5c" * 32
FINDING = Hearing(cluster="prod-eu", finds_arms=True)


def cdevent(kind: str, *, version: str = "0.3.0", artifact: str | None = f"pkg:oci/web@{DIGEST.replace(':', '%3A')}") -> bytes:
    """As the conformance events of the specification have it: nothing of ours in it."""
    content: dict[str, Any] = {"environment": {"id": "test123"}}
    if artifact is not None:
        content["artifactId"] = artifact
    said = "specversion" if version == "0.3.0" else "version"
    context = {
        said: "0.5.1" if version == "0.3.0" else "0.4.1",
        "id": "83a1a4d6-cf43-4f0e-8e06-bb18ad3a57be",
        "chainId": "1cdd2f05-51bb-49ad-b0f6-3d8fbd7a91f9",
        "source": "/ci/pipelines/7",
        "type": f"dev.cdevents.service.{kind}.{version}",
        "timestamp": "2026-08-22T14:27:05.315384Z",
        "schemaUri": "https://example.org/schema/custom",
        "links": [{"linkType": "RELATION", "linkKind": "TRIGGER", "target": {"contextId": "5328c37f"}, "tags": {"one": "two"}}],
    }
    subject = {"id": "web", "source": "/ci/pipelines/7", "content": content}
    if version == "0.2.0":
        subject["type"] = "service"
    return json.dumps({"context": context, "subject": subject}).encode()


@pytest.mark.parametrize("version", ["0.2.0", "0.3.0"])
@pytest.mark.parametrize("kind", ["deployed", "upgraded"])
def test_a_cdevent_of_a_service_with_nothing_of_ours_announces_its_artifact_where_arms_are_found(kind: str, version: str) -> None:
    hearing = Hearing(cluster="prod-eu", finds_arms=True, mapping=(MappingRow(environment="test123", namespace="shop"),))
    found = read_release({}, cdevent(kind, version=version), hearing)
    artifact = f"pkg:oci/web@sha256%3A{'5c' * 32}"
    assert found.release == Outline(service="web", namespace="shop", cluster="prod-eu", artifact=artifact)
    assert found.source == "/ci/pipelines/7"


@pytest.mark.parametrize("version", ["0.2.0", "0.3.0"])
@pytest.mark.parametrize("kind", ["published", "removed", "rolledback"])
def test_a_cdevent_that_names_no_new_version_announces_none_even_where_arms_are_found(kind: str, version: str) -> None:
    body = cdevent(kind, version=version, artifact=None if kind != "rolledback" else "pkg:oci/web")
    with pytest.raises(NoRelease):
        read_release({}, body, FINDING)


@pytest.mark.parametrize("version", ["0.2.0", "0.3.0"])
@pytest.mark.parametrize("kind", ["deployed", "upgraded", "published", "removed", "rolledback"])
def test_where_nobody_finds_arms_such_a_cdevent_announces_none(kind: str, version: str) -> None:
    with pytest.raises(NoRelease):
        read_release({}, cdevent(kind, version=version), Hearing(cluster="test123"))


def test_an_environment_is_the_cluster_s_name_where_no_row_says_more() -> None:
    assert read_release({}, cdevent("deployed"), FINDING).release.cluster == "test123"


def test_a_cdevent_whose_service_is_named_nothing_is_told_so_at_its_place() -> None:
    with pytest.raises(InvalidEvent) as caught:
        read_release({}, cdevent("deployed").replace(b'"id": "web"', b'"id": "w eb"').replace(b"test123", b"a b"), FINDING)
    assert sorted(one.path for one in caught.value.faults) == ["$.subject.content.environment.id", "$.subject.id"]


@pytest.mark.parametrize(
    "said",
    [
        {"artifact": "reg/web:2"},
        {"version": "2"},
        {"revision": "0a1b2c3d"},
        {"canary": {"subset": "v2"}},
        {"baseline": {"version": "1"}},
    ],
)
def test_a_service_and_one_word_for_what_is_new_are_an_announcement_where_arms_are_found(said: dict[str, Any]) -> None:
    found, document = FINDING.announced({"service": "web", **said})
    assert isinstance(found, Outline)
    assert document == {"service": "web", **said}
    with pytest.raises(InvalidInput) as caught:
        Hearing().announced({"service": "web", **said})
    assert {SWITCH_ON} == {one.fix for one in caught.value.faults}
    assert {one.path for one in caught.value.faults} == {f"$.{arm}" for arm in ("baseline", "canary") if arm not in said}


def test_a_service_alone_announces_nothing() -> None:
    with pytest.raises(InvalidInput, match="says neither what is new nor which versions to compare"):
        FINDING.announced({"service": "web", "artifact": ""})


def test_faults_of_an_announcement_without_arms_are_all_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        FINDING.announced({"service": "w b", "artifact": 5, "canary": {"subset": "/"}, "weight": 200, "colour": 1, "route": "a b"})
    paths = {one.path for one in caught.value.faults}
    assert paths == {"$.service", "$.artifact", "$.canary.subset", "$.weight", "$.colour", "$.route"}


@pytest.mark.parametrize("environment", [5, ["prod"], "x" * 2_000])
def test_an_environment_that_is_no_name_is_refused_at_its_place(environment: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        FINDING.announced({"service": "web", "artifact": "a:1", "environment": environment})
    assert [one.path for one in caught.value.faults] == ["$.environment"]


def test_with_both_arms_what_is_new_is_the_artifact() -> None:
    for word in ("version", "revision"):
        found, _ = FINDING.announced({"service": "web", word: "1a2b3c4d", **ARMS})
        revision = "1a2b3c4d" if word == "revision" else None
        baseline, canary = ArmSpec(subset="v1"), ArmSpec(subset="v2")
        assert found == Release(service="web", artifact="1a2b3c4d", revision=revision, baseline=baseline, canary=canary)


ROWS = (
    MappingRow(service="front", environment="production", name="web", namespace="shop", cluster="prod-eu", policy="strict"),
    MappingRow(environment="production", namespace="rest"),
    MappingRow(service="cart", policy="lenient"),
)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"service": "front", "environment": "production"}, ("web", "shop", "prod-eu", "strict")),
        ({"service": "till", "environment": "production"}, ("till", "rest", "prod-us", None)),
        ({"service": "cart", "environment": "production"}, ("cart", "rest", "prod-us", None)),
        ({"service": "cart"}, ("cart", "default", None, "lenient")),
        ({"service": "cart", "environment": "staging"}, ("cart", "default", "staging", "lenient")),
        ({"service": "till", "environment": "staging"}, ("till", "default", "staging", None)),
        ({"service": "till"}, ("till", "default", None, None)),
        (
            {"service": "front", "environment": "production", "namespace": "n", "cluster": "c", "policy": "p"},
            ("web", "n", "c", "p"),
        ),
    ],
)
def test_the_first_row_that_fits_says_what_the_sender_has_not(said: dict[str, Any], means: tuple[str | None, ...]) -> None:
    hearing = Hearing(cluster="prod-us", mapping=ROWS, finds_arms=True)
    found, _ = hearing.announced({"artifact": "a:1", **said})
    assert (found.service, found.namespace, found.cluster, found.policy) == means


def test_an_environment_that_no_row_knows_says_nothing_of_both_arms_where_the_sender_always_has_one() -> None:
    hearing, said = Hearing(cluster="prod-us", mapping=ROWS), {"service": "till", "environment": "review/7", **ARMS}
    assert hearing.announced(said, is_loose=True)[0].cluster is None
    with pytest.raises(InvalidInput) as caught:
        hearing.announced(said)
    assert [one.path for one in caught.value.faults] == ["$.environment"]


def test_an_outline_says_of_a_release_all_but_what_its_arms_tell() -> None:
    of_release, of_outline = ({one.name for one in fields(model)} for model in (Release, Outline))
    assert of_release - of_outline == {"strategy"}
    assert of_outline - of_release == {"version", "images"}


_NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3)
_MAYBE = st.none() | _NAMES


@st.composite
def _rows(draw: st.DrawFn) -> list[MappingRow]:
    """Those that the settings take."""
    said = dict.fromkeys(("environment", "namespace", "cluster", "policy"), _MAYBE)
    made = draw(st.lists(st.builds(MappingRow, service=_MAYBE, name=_MAYBE, **said), max_size=4))
    try:
        return Settings(mapping=made, policies={row.policy: Policy() for row in made if row.policy}).mapping
    except ValueError:
        return []


@given(
    _rows(),
    st.fixed_dictionaries({"service": _NAMES}, optional=dict.fromkeys(("environment", "namespace", "cluster", "policy"), _NAMES)),
)
def test_what_is_said_goes_before_every_row_and_what_was_mapped_means_the_same_when_it_is_read_again(
    rows: list[MappingRow], said: dict[str, Any]
) -> None:
    hearing = Hearing(cluster="home", mapping=tuple(rows), finds_arms=True)
    found, document = hearing.announced({"artifact": "a:1", **said})
    for name in said.keys() & {"namespace", "cluster", "policy"}:
        assert getattr(found, name) == said[name]
    again, _ = hearing.announced(document)
    assert (again.service, again.cluster or "home") == (found.service, found.cluster or again.cluster or "home")
