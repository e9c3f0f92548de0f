"""What a patch changed is put back value by value, and only where nobody has changed anything since."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.undoing import applied, differences, undo_of, undo_operations
from daemon.placement import ObjectName, ValueChange
from tests.meshes import jsonpatch

Json = dict[str, Any]

WEB = ObjectName(kind="Split", name="web", namespace="shop")


def rule(name: str, *weights: int, **more: object) -> Json:
    return {"name": name, "route": [{"to": f"v{number}", "weight": one} for number, one in enumerate(weights, 1)], **more}


def document(*rules: Json) -> Json:
    return {"metadata": {"name": "web", "resourceVersion": "7"}, "spec": {"http": list(rules)}}


BEFORE = document(rule("beta", 0, 100), rule("all", 90, 10, mirrors=[{"to": "v2"}, {"to": "v3"}], timeout="1s"))
REVERT: list[Json] = [
    {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
    {"op": "test", "path": "/spec/http/1/route/0/to", "value": "v1"},
    {"op": "add", "path": "/spec/http/1/route/0/weight", "value": 100},
    {"op": "add", "path": "/spec/http/1/route/1/weight", "value": 0},
    {"op": "remove", "path": "/spec/http/1/mirrors/0"},
    {"op": "add", "path": "/spec/http/0/retries", "value": {"attempts": 0}},
]
AFTER = applied(BEFORE, REVERT)
UNDO = undo_of(BEFORE, AFTER, of=WEB)


def without_digests(values: tuple[ValueChange, ...]) -> tuple[ValueChange, ...]:
    return tuple(msgspec.structs.replace(one, around="") for one in values)


def test_each_value_that_differs_is_told_with_where_it_is_and_what_it_was() -> None:
    assert without_digests(differences(BEFORE, AFTER)) == (
        ValueChange(path="/spec/http/0/retries", before=None, after='{"attempts":0}'),
        ValueChange(path="/spec/http/1/route/0/weight", before="90", after="100"),
        ValueChange(path="/spec/http/1/route/1/weight", before="10", after="0"),
        ValueChange(path="/spec/http/1/mirrors", before='[{"to":"v2"},{"to":"v3"}]', after='[{"to":"v3"}]'),
    )


def test_what_the_api_server_keeps_beside_the_content_is_no_difference() -> None:
    after = copy.deepcopy(BEFORE) | {"status": {"observedGeneration": 3}}
    after["metadata"]["resourceVersion"] = "8"
    assert differences(BEFORE, after) == ()


@pytest.mark.parametrize(("before", "after"), [(True, 1), (False, 0), ("1", 1), (None, 0), ([], {})])
def test_values_of_different_types_differ(before: object, after: object) -> None:
    assert len(differences({"spec": {"x": before}}, {"spec": {"x": after}})) == 1


def test_a_null_is_not_nothing() -> None:
    assert differences({"spec": {"x": None}}, {"spec": {}}) == (ValueChange(path="/spec/x", before="null", after=None),)


def test_a_key_with_a_slash_or_a_tilde_is_written_as_a_pointer_has_it() -> None:
    [one] = differences({"spec": {"a/b~c": 1}}, {"spec": {"a/b~c": 2}})
    assert one.path == "/spec/a~1b~0c"
    assert applied({"spec": {"a/b~c": 1}}, [{"op": "replace", "path": one.path, "value": 2}]) == {"spec": {"a/b~c": 2}}


def test_all_of_it_is_put_back_as_it_was() -> None:
    operations = undo_operations(AFTER, UNDO)
    assert jsonpatch.apply(AFTER, operations) == BEFORE == applied(AFTER, operations)
    assert [one for one in operations if one["op"] == "test"][1] == {
        "op": "test",
        "path": "/spec/http/1/route/0/weight",
        "value": 100,
    }


def test_what_was_removed_comes_back_and_is_not_written_over_what_came_in_its_place() -> None:
    before, after = document(rule("all", mirror="v2")), document(rule("all"))
    undo = undo_of(before, after, of=WEB)
    assert applied(after, undo_operations(after, undo)) == before
    taken = document(rule("all", mirror="v9"))
    with pytest.raises(Refused, match=r'/spec/http/0/mirror is "v9", and was left at not there'):
        undo_operations(taken, undo)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "add", "path": "/spec/http/1/route/1/weight", "value": 5},
            "shop/web was changed by somebody since: /spec/http/1/route/1/weight is 5, and was left at 0",
        ),
        ({"op": "remove", "path": "/spec/http/1"}, "/spec/http/1/route/0/weight is not there, and was left at 100"),
        ({"op": "replace", "path": "/spec/http/1/route/1/to", "value": "v7"}, "beside the values themselves, in .*/spec/http/1"),
        ({"op": "replace", "path": "/spec/http/1/timeout", "value": "9s"}, "beside the values themselves"),
        ({"op": "add", "path": "/spec/http/1/match", "value": [{"uri": "/x"}]}, "beside the values themselves"),
    ],
)
def test_what_somebody_has_changed_since_is_refused_with_what_is_there_now(operation: Json, message: str) -> None:
    with pytest.raises(Refused, match=message):
        undo_operations(applied(AFTER, [operation]), UNDO)


def test_another_rule_that_has_come_to_stand_in_its_place_is_not_taken_for_it() -> None:
    """It looks the same where it was written: only what is around it tells."""
    undo = undo_of(document(rule("all", 90, 10)), document(rule("all", 100, 0)), of=WEB)
    with pytest.raises(Refused, match="beside the values themselves, in /spec/http/0"):
        undo_operations(document(rule("new", 100, 0), rule("all", 100, 0)), undo)


def test_what_was_put_back_already_is_not_written_again() -> None:
    assert undo_operations(applied(AFTER, undo_operations(AFTER, UNDO)), UNDO) == ()


def test_a_rule_that_only_looks_like_the_one_that_was_put_back_is_not_taken_for_it() -> None:
    undo = undo_of(document(rule("all", 90, 10)), document(rule("all", 100, 0)), of=WEB)
    with pytest.raises(Refused, match="was changed by somebody since"):
        undo_operations(document(rule("new", 90, 10), rule("all", 100, 0)), undo)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "/", "~1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", "a/b", "~"]), inner, max_size=3),
    max_leaves=8,
)


@given(before=JSON, after=JSON)
def test_whatever_changed_is_put_back_as_it_was_and_then_known_to_be(before: object, after: object) -> None:
    was, left = {"spec": {"x": before}}, {"spec": {"x": after}}
    undo = undo_of(was, left, of=WEB)
    operations = undo_operations(left, undo)
    assert msgspec.json.encode(applied(left, operations), order="sorted") == msgspec.json.encode(was, order="sorted")
    assert undo_operations(was, undo) == ()


@pytest.mark.parametrize(
    "operation",
    [{"op": "add", "path": "/spec/http/2", "value": rule("more", 1)}, {"op": "add", "path": "/spec/hosts", "value": []}],
)
def test_what_somebody_has_changed_elsewhere_in_the_object_stands(operation: Json) -> None:
    changed = applied(AFTER, [operation])
    assert applied(changed, undo_operations(changed, UNDO)) == applied(BEFORE, [operation])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/http/1/route/0/weight", "value": 1},
        {"op": "replace", "path": "/spec/nothing", "value": 1},
        {"op": "remove", "path": "/spec/http/9"},
        {"op": "add", "path": "/spec/http/x/route", "value": 1},
    ],
)
def test_a_patch_that_an_api_server_would_refuse_does_not_apply(operation: Json) -> None:
    with pytest.raises(jsonpatch.PatchFailed):
        jsonpatch.apply(BEFORE, [operation])
    with pytest.raises(Refused, match="does not apply at"):
        applied(BEFORE, [operation])


@pytest.mark.parametrize(
    "change",
    [
        ValueChange(path="/metadata/name", before='"other"', after='"web"'),
        ValueChange(path="/status", before="{}"),
        ValueChange(path="", before="{}", after="{}"),
        ValueChange(path="spec", before="{}", after="{}"),
        ValueChange(path="/spec/http", before="{", after="[]"),
        ValueChange(path="/spec/http", before="[" * 100_000 + "]" * 100_000, after="[]"),
        ValueChange(path="/spec/http"),
    ],
)
def test_an_undo_that_no_revert_can_have_made_is_refused(change: ValueChange) -> None:
    with pytest.raises(Refused, match="no revert changes"):
        undo_operations(AFTER, msgspec.structs.replace(UNDO, values=(change,)))
