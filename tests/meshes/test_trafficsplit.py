"""SMI's TrafficSplit: where it names the canary, and what is written to take its traffic back."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.kube.resources import Json
from daemon.meshes.backing import PodSelector
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.ports import Port
from daemon.meshes.references import with_traffic
from daemon.meshes.smi import trafficsplit
from daemon.meshes.smi.elsewhere import elsewhere
from daemon.meshes.smi.quantities import billionths
from daemon.meshes.smi.trafficsplit import WITH_QUANTITIES
from tests.meshes import jsonpatch
from tests.meshes.objects import service

STABLE = ServiceName(namespace="shop", name="stable")
CANARY = ServiceName(namespace="shop", name="canary")
ARMS = ServicePair(baseline=STABLE, canary=CANARY)


def split(*backends: tuple[str, Any], root: str = "web", **spec: Any) -> Json:
    listed = [{"service": name, **({} if weight is None else {"weight": weight})} for name, weight in backends]
    metadata = {"name": "web", "namespace": "shop", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"service": root, "backends": listed, **spec}}


def taken_back(document: Json, arms: ServicePair = ARMS) -> list[tuple[str, Any]]:
    after = jsonpatch.apply(document, trafficsplit.revert(document, arms=arms).operations)
    assert with_traffic(trafficsplit.references(after, arms=arms)) is None
    return backends(after)


def backends(document: Json) -> list[tuple[str, Any]]:
    return [(one["service"], one.get("weight")) for one in document["spec"]["backends"]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("stable", 90), ("canary", 10)], [("stable", 100), ("canary", 0)]),
        ([("canary", 10), ("stable", 90)], [("canary", 0), ("stable", 100)]),
        ([("canary", 1), ("other", 3), ("stable", 1)], [("canary", 0), ("other", 3), ("stable", 2)]),
        ([("stable", 0), ("canary", 5)], [("stable", 5), ("canary", 0)]),
        ([("canary", "100m"), ("stable", "900m")], [("canary", "0"), ("stable", "1")]),
        ([("stable", "500m"), ("canary", "0m")], [("stable", "500m"), ("canary", "0m")]),
        ([("stable", "1"), ("canary", "500m")], [("stable", "1500m"), ("canary", "0")]),
        ([("stable", 1), ("canary", "500m")], [("stable", "1500m"), ("canary", "0")]),
        ([("stable", "500m"), ("canary", 1)], [("stable", "1500m"), ("canary", 0)]),
        ([("stable", 99.5), ("canary", 0.5)], [("stable", 100), ("canary", 0)]),
        ([("stable", 2), ("stable", 7), ("canary", 1)], [("stable", 2), ("stable", 8), ("canary", 0)]),
        ([("canary", 2), ("canary", 3), ("stable", 5)], [("canary", 0), ("canary", 0), ("stable", 10)]),
    ],
)
def test_the_canarys_weight_goes_to_the_baseline_as_the_weights_are_written(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]]
) -> None:
    assert taken_back(split(*before)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("canary", 100)], [("stable", 100)]),
        ([("canary", "1"), ("other", "500m")], [("stable", "1"), ("other", "500m")]),
        ([("canary", 3), ("canary", 1)], [("stable", 4), ("canary", 0)]),
        ([("canary.shop", 1)], [("stable.shop", 1)]),
        ([("canary.shop.svc.cluster.local", 1)], [("stable.shop.svc.cluster.local", 1)]),
    ],
)
def test_where_the_baseline_is_no_backend_the_canarys_own_entry_names_it(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]]
) -> None:
    assert taken_back(split(*before)) == after


def test_a_service_is_known_with_its_namespace_too() -> None:
    assert taken_back(split(("stable.shop", 1), ("CANARY.shop.", 1))) == [("stable.shop", 2), ("CANARY.shop.", 0)]
    assert trafficsplit.references(split(("canary.other", 1)), arms=ARMS) == ()
    assert trafficsplit.references(split(("canary.example.com", 1)), arms=ARMS) == ()


def test_another_name_of_the_canarys_pods_is_the_canary() -> None:
    arms = ServicePair(baseline=STABLE, canary=CANARY, aliases=(ServiceName(namespace="shop", name="preview"),))
    assert taken_back(split(("preview", 4), ("stable", 5), ("canary", 1)), arms) == [("preview", 0), ("stable", 10), ("canary", 0)]


def test_the_share_is_of_the_sum_and_a_split_for_some_requests_says_none() -> None:
    [found] = trafficsplit.references(split(("stable", "900m"), ("canary", "300m")), arms=ARMS)
    assert (str(found), found.kind, found.object.kind) == ("shop/web: 25 % of the traffic", "weight", "TrafficSplit")
    [nothing] = trafficsplit.references(split(("stable", 1), ("canary", 0)), arms=ARMS)
    assert (nothing.percent, nothing.kind) == (0.0, "weight")
    [matched] = trafficsplit.references(split(("stable", 0), ("canary", 100), matches=[{"name": "testers"}]), arms=ARMS)
    assert (matched.percent, matched.kind) == (100.0, "pin")
    [alone] = trafficsplit.references(split(("canary", 1)), arms=ARMS)
    assert alone.kind == "pin"
    [empty] = trafficsplit.references(split(("canary", 0), ("stable", 0)), arms=ARMS)
    assert empty.percent == 0.0


def test_what_the_split_matches_stays() -> None:
    matches = [{"kind": "HTTPRouteGroup", "name": "testers"}]
    document = split(("stable", 0), ("canary", 100), matches=matches)
    plan = trafficsplit.revert(document, arms=ARMS)
    assert jsonpatch.apply(document, plan.operations)["spec"]["matches"] == matches
    assert all("matches" not in one["path"] for one in plan.operations)
    assert plan.through is None


def test_it_is_written_where_it_was_read_and_as_v1alpha1_only_where_a_weight_is_text() -> None:
    assert trafficsplit.revert(split(("stable", 1), ("canary", 1)), arms=ARMS).through is None
    assert trafficsplit.revert(split(("stable", 1), ("canary", 1), ("other", "1")), arms=ARMS).through == WITH_QUANTITIES
    matched = split(("stable", "1"), ("canary", "1"), matches=[{"name": "testers"}])
    assert trafficsplit.revert(matched, arms=ARMS).through is None, "v1alpha1 would drop what it matches"


def test_the_patch_is_for_the_object_that_was_read_and_tests_the_names_it_relies_on() -> None:
    plan = trafficsplit.revert(split(("stable", 9), ("other", 1), ("canary", 1)), arms=ARMS)
    assert plan.operations == (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": "/spec/backends/0/service", "value": "stable"},
        {"op": "test", "path": "/spec/backends/2/service", "value": "canary"},
        {"op": "add", "path": "/spec/backends/0/weight", "value": 10},
        {"op": "add", "path": "/spec/backends/2/weight", "value": 0},
    )
    assert [one.detail for one in plan.changes] == ["weight 1 of canary.shop -> stable.shop"]
    pointed = trafficsplit.revert(split(("canary", 1)), arms=ARMS)
    assert [one.detail for one in pointed.changes] == ["backend canary.shop -> stable.shop"]


PORTS = {"stable.shop": (Port(number=80),), "canary.shop": (Port(number=80), Port(number=81))}
FAR = ServicePair(baseline=ServiceName(namespace="stables", name="stable"), canary=CANARY)


@pytest.mark.parametrize(
    ("document", "arms", "said"),
    [
        (split(("stable", 99.5), ("canary", 1)), ARMS, "a weight of 100500m cannot be written here"),
        (split(("stable", 2**63 - 1), ("canary", 1)), ARMS, "a weight of 9223372036854775808 cannot be written here"),
        (split(("stable", 101), ("canary", -1)), ARMS, "the weight of canary is -1, which is none"),
        (split(("stable", "many"), ("canary", "1")), ARMS, "the weight of stable is 'many', which is none"),
        (split(("canary", 1)), FAR, "it names Services of its own namespace, and stable.stables is none"),
        (split(("canary", 1)), ServicePair(baseline=STABLE, canary=CANARY, ports=PORTS), "stable.shop has no port 81"),
    ],
)
def test_what_cannot_be_written_stays_and_is_named_with_the_reason(document: Json, arms: ServicePair, said: str) -> None:
    with pytest.raises(Refused) as caught:
        trafficsplit.revert(document, arms=arms)
    assert said in str(caught.value)
    [found] = trafficsplit.references(document, arms=arms)
    assert f"(it stays: {said}" in found.place
    assert found.percent > 0


def test_a_weight_that_is_none_but_not_an_arms_holds_nothing_up() -> None:
    assert taken_back(split(("other", "many"), ("canary", 1), ("stable", 1))) == [("other", "many"), ("canary", 0), ("stable", 2)]
    [found] = trafficsplit.references(split(("other", "many"), ("canary", 1), ("stable", 1)), arms=ARMS)
    assert found.percent == 100.0, "as much as it may be"


def test_a_baseline_of_another_namespace_is_named_where_the_entry_has_one() -> None:
    assert taken_back(split(("canary.shop", 1)), FAR) == [("stable.stables", 1)]
    assert taken_back(split(("canary", 1), ("stable.stables", 1)), FAR) == [("canary", 0), ("stable.stables", 2)]


def test_what_is_no_split_is_none_to_the_canary() -> None:
    odd: list[Json] = [{}, {"spec": None}, {"spec": {"backends": [None, {}, {"service": 5}]}}, split(("canary", None))]
    for document in odd:
        assert with_traffic(trafficsplit.references(document, arms=ARMS)) is None
        assert trafficsplit.revert(document, arms=ARMS).operations == ()


NAMES = st.sampled_from(["stable", "canary", "other", "canary.shop", "web"])
NUMBERS = st.integers(0, 1_000_000)
TEXTS = st.builds("{}{}".format, NUMBERS, st.sampled_from(["", "m", "u", "n", "k", "Ki", "e2"])) | st.integers(0, 100)


@given(listed=st.lists(st.tuples(NAMES, NUMBERS), max_size=6) | st.lists(st.tuples(NAMES, TEXTS), max_size=6))
def test_no_weight_is_ever_lost_and_nothing_is_left_to_do(listed: list[tuple[str, Any]]) -> None:
    document = split(*listed)
    after = jsonpatch.apply(document, trafficsplit.revert(document, arms=ARMS).operations)
    before, done = shares(document), shares(after)
    assert sum(done.values()) == sum(before.values())
    assert "canary" not in done
    assert (done.get("other"), done.get("web")) == (before.get("other"), before.get("web"))
    assert with_traffic(trafficsplit.references(after, arms=ARMS)) is None
    assert trafficsplit.revert(after, arms=ARMS).operations == ()
    assert {**after, "spec": {**after["spec"], "backends": []}} == {**document, "spec": {**document["spec"], "backends": []}}


@given(listed=st.lists(st.tuples(NAMES, NUMBERS | st.floats(0, 1000)), max_size=5))
def test_numbers_stay_whole_or_it_is_refused(listed: list[tuple[str, Any]]) -> None:
    document = split(*listed)
    try:
        plan = trafficsplit.revert(document, arms=ARMS)
    except Refused:
        assume(False)
        return
    assert all(isinstance(one["value"], int) for one in plan.operations if one["path"].endswith("/weight"))


def shares(document: Json) -> dict[str, int]:
    """By Service, in billionths; none that gets nothing."""
    found: dict[str, int] = {}
    for name, weight in backends(document):
        short = name.removesuffix(".shop")
        found[short] = found.get(short, 0) + (billionths(weight) or 0)
    return {name: weight for name, weight in found.items() if weight}


def there(**selectors: dict[str, str]) -> Services:
    return Services({"shop": [service(name, **selector)[1] for name, selector in selectors.items()]})


ALL = {"app": "web"}
V1, V2 = {**ALL, "version": "v1"}, {**ALL, "version": "v2"}
SERVICES = there(web=ALL, stable=V1, canary=V2)
WEB = ServiceName(namespace="shop", name="web")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (split(("web", 1), ("canary", 1)), ("shop/web (Service web.shop, which chooses pods of the canary's among others)",)),
        (split(("web", 0), ("stable", 1)), ()),
        (
            split(("stable", 1), ("canary", 1), matches=[{"name": "testers"}]),
            ("shop/web (what it does not match goes to Service web.shop, which chooses pods of the canary's among others)",),
        ),
        (split(("stable", 1), ("canary.example.com", 1)), ("shop/web (canary.example.com, which is no Service of the cluster)",)),
        (split(("a.example.com", 1), root="books"), ()),
        (split(("stable", 1), ("canary", 1)), ()),
    ],
)
def test_what_may_still_reach_the_canarys_pods_is_named(document: Json, said: tuple[str, ...]) -> None:
    assert SERVICES.choosing(CANARY) == PodSelector(
        host="canary.shop", labels=frozenset(), selector=("shop", frozenset(V2.items()))
    )
    assert elsewhere([trafficsplit.read(document)], arms=ARMS, released=WEB, services=SERVICES) == said
