"""Releases from outside: the path to each fault and how to mend it."""

from typing import Any

import pytest

from daemon.errors import InvalidInput
from daemon.model import ArmSpec
from daemon.releasecheck import decode_release

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
        ({"canary": {"vresion": "v2"}}, "$.canary.vresion"),
        ({"unknown": 1}, "$.unknown"),
    ],
)
def test_a_fault_is_named_with_its_path_and_a_fix(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | change)
    assert caught.value.path == path
    assert caught.value.fix


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


def test_all_faults_are_told_whether_the_model_or_the_names_refuse_them() -> None:
    wrong = {
        "service": "we b",
        "namespace": 5,
        "mesh": "a.b",
        "strategy": "shadow",
        "baseline": {"version": "v 1", "subset": 1, "labels": {"a~1b": "x", "app": "x" * 64}},
        "canary": {"labels": {f"l{number}": "x" for number in range(65)}},
        "weight": 101,
    }
    with pytest.raises(InvalidInput) as caught:
        decode_release(wrong)
    assert [fault.path for fault in caught.value.faults] == [
        "$.namespace",
        "$.strategy",
        "$.baseline.subset",
        "$.weight",
        "$.service",
        "$.mesh",
        "$.baseline.version",
        "$.baseline.labels",
        "$.baseline.labels.app",
        "$.canary.labels",
    ]
    assert all(fault.fix for fault in caught.value.faults)


def test_arms_that_name_nothing_are_told_each_and_are_not_the_same_as_well() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | {"baseline": {}, "canary": {"labels": {}, "version": None}})
    assert [str(fault).split(";")[0] for fault in caught.value.faults] == ["$.baseline: names nothing", "$.canary: names nothing"]


def test_paths_without_a_root_begin_with_the_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | {"weight": -1, "service": "a b"}, path="")
    assert [fault.path for fault in caught.value.faults] == ["weight", "service"]


def test_faults_without_number_are_counted_and_keep_their_sum() -> None:
    unknown = {f"k{number}": 1 for number in range(100)}
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | unknown | {"service": "a b", "mesh": "*"})
    assert len(caught.value.faults) == 31
    assert (caught.value.faults[-1].message, caught.value.faults[-1].stands_for) == ("and 72 more", 72)
    said = str(caught.value)
    assert int(said.rpartition("and ")[2].removesuffix(" more")) + said.count(" | ") == 102


def test_what_is_said_of_many_long_faults_stays_a_line_that_can_be_read() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_release(GOOD | {"k" * 80 + str(number): 1 for number in range(30)})
    said = str(caught.value)
    assert len(said) < 4_200
    assert int(said.rpartition("and ")[2].removesuffix(" more")) + said.count(" | ") == 30
