"""Releases from outside: the path to the fault and how to mend it."""

from typing import Any

import pytest

from daemon.errors import InvalidInput
from daemon.model import ArmSpec, decode_release

GOOD: dict[str, Any] = {"service": "web", "baseline": {"version": "v1"}, "canary": {"version": "v2"}}


def test_a_release_needs_a_service_and_two_arms_and_the_rest_has_defaults() -> None:
    release = decode_release(GOOD)
    assert (release.service, release.namespace, release.strategy, release.policy) == ("web", "default", "canary", "default")
    assert release.canary == ArmSpec(version="v2")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"service": None}, "$.service"),
        ({"service": "we b"}, "$.service"),
        ({"namespace": "shop.>"}, "$.namespace"),
        ({"cluster": "a.b"}, "$.cluster"),
        ({"mesh": "*"}, "$.mesh"),
        ({"policy": "../x"}, "$.policy"),
        ({"route": "a/b"}, "$.route"),
        ({"weight": 101}, "$.weight"),
        ({"weight": "10%"}, "$.weight"),
        ({"deadline": 0}, "$.deadline"),
        ({"strategy": "yolo"}, "$.strategy"),
        ({"canary": {"version": "v2\n"}}, "$.canary.version"),
        ({"canary": {"labels": {"a~1b": "x"}}}, "$.canary.labels"),
        ({"canary": {"labels": {"app": 'x"}'}}}, "$.canary.labels.app"),
        ({"canary": {"labels": {"app": "x" * 64}}}, "$.canary.labels.app"),
        ({"canary": {"labels": {f"l{number}": "x" for number in range(65)}}}, "$.canary.labels"),
        ({"canary": {}}, "$.canary"),
        ({"canary": {"version": "v1"}}, "$.canary"),
        ({"canary": {"vresion": "v2"}}, "$.canary"),
        ({"unknown": 1}, "$"),
    ],
)
def test_a_fault_is_named_with_its_path_and_a_fix(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | change)
    assert caught.value.path == path
    assert caught.value.fix


@pytest.mark.parametrize("strategy", ["blue-green", "header", "mirror"])
def test_a_strategy_that_is_not_built_is_refused_with_the_reason_and_read_where_it_was_accepted_once(strategy: str) -> None:
    with pytest.raises(InvalidInput, match="is not built yet") as caught:
        decode_release(GOOD | {"strategy": strategy}, path="$.data")
    assert (caught.value.path, caught.value.fix) == ("$.data.strategy", "use canary, or leave it out")
    assert decode_release(GOOD | {"strategy": strategy}, stored=True).strategy == strategy
    assert decode_release(GOOD | {"strategy": "canary"}).strategy == "canary"


@pytest.mark.parametrize("document", [None, [], "web", 7])
def test_anything_but_an_object_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        decode_release(document, path="$.data")


def test_the_path_begins_where_the_caller_says() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | {"weight": -1}, path="$.data")
    assert caught.value.path == "$.data.weight"


def test_an_empty_label_value_is_a_label_value() -> None:
    assert decode_release(GOOD | {"canary": {"labels": {"app": ""}}}).canary.labels == {"app": ""}
