"""The planner for routes of the Gateway API on every shape that names a canary; plans are applied by an RFC 6902 applier."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.gatewayapi import routes
from daemon.meshes.gatewayapi.mesh import GRPC_ROUTES, HTTP_ROUTES, ROUTES
from daemon.meshes.gatewayapi.services import Grant, ServiceName, ServicePair
from daemon.meshes.ports import Port
from daemon.meshes.references import Plan, largest_percent, with_traffic
from daemon.placement import RouteChange
from tests.meshes import jsonpatch

Json = dict[str, Any]

STABLE = ServiceName(namespace="shop", name="stable")
CANARY = ServiceName(namespace="shop", name="canary")
ARMS = ServicePair(baseline=STABLE, canary=CANARY)
ON_SERVICE: Json = {"group": "", "kind": "Service", "name": "web"}
ON_GATEWAY: Json = {"name": "edge", "namespace": "infra"}


def route(*rules: Json, namespace: str = "shop", parents: tuple[Json, ...] = (ON_SERVICE,)) -> Json:
    return {
        "metadata": {"name": "web", "namespace": namespace, "resourceVersion": "41", "annotations": {"team": "shop"}},
        "spec": {"parentRefs": list(parents), "rules": list(rules)},
    }


def to(name: str, weight: int | None = None, **more: Any) -> Json:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def rule(*backends: Json, **more: Any) -> Json:
    return {"backendRefs": list(backends), **more}


def mirror(name: str, **share: Any) -> Json:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}, **share}}


def sets(value: str) -> Json:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-version", "value": value}]}}


def taken_back(document: Json, arms: ServicePair = ARMS) -> list[Json]:
    """The rules afterwards."""
    plan = routes.revert(HTTP_ROUTES, document, arms=arms)
    after = jsonpatch.apply(document, plan.operations)
    assert with_traffic(routes.references(HTTP_ROUTES, after, arms=arms)) is None
    assert routes.revert(HTTP_ROUTES, after, arms=arms) == Plan(operations=(), changes=())
    rules: list[Json] = after["spec"]["rules"]
    return rules


def weights(one: Json) -> list[tuple[str, int | None]]:
    return [(backend["name"], backend.get("weight")) for backend in one["backendRefs"]]


def percents(document: Json, arms: ServicePair = ARMS) -> list[tuple[str, float]]:
    return [(one.kind, one.percent) for one in routes.references(HTTP_ROUTES, document, arms=arms)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("stable", 90), ("canary", 10)], [100, 0]),
        ([("canary", 1), ("stable", 0)], [0, 1]),
        ([("stable", 1), ("canary", 2), ("other", 4)], [3, 0, 4]),
        ([("stable", 50), ("canary", 20), ("canary", 30)], [100, 0, 0]),
        ([("stable", 0), ("stable", 60), ("canary", 40)], [0, 100, 0]),
        ([("other", 0), ("stable", 0), ("canary", 7)], [0, 7, 0]),
    ],
)
def test_a_split_gives_the_canarys_weight_to_the_baseline_and_the_sum_stays(
    before: list[tuple[str, int]], after: list[int]
) -> None:
    [done] = taken_back(route(rule(*(to(name, weight) for name, weight in before))))
    assert [weight for _, weight in weights(done)] == after


def test_an_absent_weight_is_one() -> None:
    document = route(rule(to("stable"), to("canary"), to("other", 2)))
    assert percents(document) == [("weight", 25.0)]
    [done] = taken_back(document)
    assert weights(done) == [("stable", 2), ("canary", 0), ("other", 2)]


def test_the_patch_locks_the_version_first_tests_names_and_writes_only_what_changes() -> None:
    plan = routes.revert(HTTP_ROUTES, route(rule(to("other", 5), to("stable", 85), to("canary", 10))), arms=ARMS)
    assert plan.operations == (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "test", "path": "/spec/rules/0/backendRefs/1/name", "value": "stable"},
        {"op": "test", "path": "/spec/rules/0/backendRefs/2/name", "value": "canary"},
        {"op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 95},
        {"op": "add", "path": "/spec/rules/0/backendRefs/2/weight", "value": 0},
    )
    assert plan.changes == (RouteChange(place="rule #0", detail="weight 10 of canary.shop -> stable.shop"),)


@pytest.mark.parametrize("weight", [None, 1, 100])
def test_a_rule_whose_only_backend_is_the_canary_is_pointed_at_the_baseline_and_never_given_a_weight_of_zero(
    weight: int | None,
) -> None:
    document = route(rule(to("canary", weight)))
    assert percents(document) == [("pin", 100.0)]
    assert weights(taken_back(document)[0]) == [("stable", weight)]


def test_a_rule_that_fails_everything_already_sends_the_canary_nothing_and_is_left_alone() -> None:
    for document in (route(rule(to("canary", 0))), route(rule(to("canary", 0), to("stable", 0)))):
        assert [percent for _, percent in percents(document)] == [0.0]
        assert routes.revert(HTTP_ROUTES, document, arms=ARMS).operations == ()


def test_rules_for_matched_users_go_to_the_baseline_and_rules_of_others_stay_as_they_are() -> None:
    by_header = rule(to("canary"), matches=[{"headers": [{"name": "x-canary", "value": "always"}]}], timeouts={"request": "3s"})
    by_query = rule(to("canary", 1), matches=[{"queryParams": [{"name": "preview", "value": "1"}]}])
    other = rule(to("legacy"), matches=[{"path": {"type": "PathPrefix", "value": "/old"}}])
    redirect: Json = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "example.com"}}]}
    document = route(by_header, by_query, other, redirect, rule(to("stable", 90), to("canary", 10)))
    expected = copy.deepcopy(document["spec"]["rules"])
    expected[0]["backendRefs"][0]["name"] = "stable"
    expected[1]["backendRefs"][0]["name"] = "stable"
    expected[4]["backendRefs"] = [to("stable", 100), to("canary", 0)]
    assert taken_back(document) == expected
    assert largest_percent(routes.references(HTTP_ROUTES, document, arms=ARMS)) == 10.0


def test_a_split_without_the_baseline_is_pointed_and_the_others_keep_their_proportion() -> None:
    [done] = taken_back(route(rule(to("other", 3), to("canary", 1), to("another", 4))))
    assert weights(done) == [("other", 3), ("stable", 1), ("another", 4)]


def test_weights_that_would_become_too_large_are_left_and_the_canary_is_pointed() -> None:
    [done] = taken_back(route(rule(to("stable", 900_000), to("canary", 200_000), to("other", 1))))
    assert weights(done) == [("stable", 900_000), ("stable", 200_000), ("other", 1)]


@pytest.mark.parametrize(
    ("share", "percent"),
    [
        ({}, 100.0),
        ({"percent": 5}, 5.0),
        ({"fraction": {"numerator": 1}}, 1.0),
        ({"fraction": {"numerator": 1, "denominator": 8}}, 12.5),
    ],
)
def test_a_mirror_to_the_canary_is_removed_with_the_revert(share: Json, percent: float) -> None:
    document = route(rule(to("stable"), filters=[sets("v1"), mirror("canary", **share)]))
    assert percents(document) == [("mirror", percent)]
    assert taken_back(document)[0]["filters"] == [sets("v1")]


def test_a_mirror_of_nothing_is_left_where_it_is() -> None:
    document = route(rule(to("stable"), filters=[mirror("canary", percent=0)]))
    assert percents(document) == [("mirror", 0.0)]
    assert routes.revert(HTTP_ROUTES, document, arms=ARMS).operations == ()


def test_of_several_mirrors_only_those_to_the_canary_go_in_rules_and_in_backends() -> None:
    audit = mirror("audit", percent=50)
    stable = to("stable", 9, filters=[mirror("canary"), sets("v1"), mirror("canary"), audit])
    document = route(rule(stable, to("canary", 1, filters=[sets("v2")]), filters=[mirror("canary"), audit, mirror("canary")]))
    [done] = taken_back(document)
    assert done["filters"] == [audit]
    assert done["backendRefs"] == [to("stable", 10, filters=[sets("v1"), audit]), to("canary", 0, filters=[sets("v2")])]


def test_a_backend_that_is_pointed_keeps_its_filters_and_that_is_said() -> None:
    document = route(rule(to("canary", filters=[sets("v2"), mirror("canary"), mirror("audit")])))
    plan = routes.revert(HTTP_ROUTES, document, arms=ARMS)
    assert taken_back(document)[0]["backendRefs"] == [to("stable", filters=[sets("v2"), mirror("audit")])]
    assert [change.detail for change in plan.changes] == [
        "backend canary.shop -> stable.shop, with its filters as they are (RequestHeaderModifier)",
        "mirror to canary.shop removed",
    ]


def test_a_canarys_rule_that_mirrors_to_the_baseline_says_that_it_gets_requests_twice() -> None:
    plan = routes.revert(HTTP_ROUTES, route(rule(to("canary"), filters=[mirror("stable")])), arms=ARMS)
    [change] = plan.changes
    assert change.detail.endswith("; stable.shop is mirrored to by this rule as well, and gets these requests twice")


@pytest.mark.parametrize("group", [None, "", "core"])
def test_a_service_is_one_however_its_group_is_written(group: str | None) -> None:
    written: Json = {"kind": "Service", **({} if group is None else {"group": group})}
    [done] = taken_back(route(rule(to("stable", 1, **written), to("canary", 1, **written))))
    assert weights(done) == [("stable", 2), ("canary", 0)]


def test_what_has_the_canarys_name_and_is_no_service_or_of_another_namespace_is_not_touched() -> None:
    imported = to("canary", group="multicluster.x-k8s.io", kind="ServiceImport")
    document = route(rule(imported, to("stable")), rule(to("canary", namespace="elsewhere")))
    assert percents(document) == []
    assert routes.revert(HTTP_ROUTES, document, arms=ARMS).operations == ()


def test_other_names_of_the_canarys_pods_are_the_canary() -> None:
    preview = ServiceName(namespace="shop", name="preview")
    arms = ServicePair(baseline=STABLE, canary=CANARY, aliases=(preview,))
    document = route(rule(to("stable", 8), to("canary", 1), to("preview", 1)), rule(to("preview")))
    assert percents(document, arms) == [("weight", 20.0), ("pin", 100.0)]
    done = taken_back(document, arms)
    assert weights(done[0]) == [("stable", 10), ("canary", 0), ("preview", 0)]
    assert weights(done[1]) == [("stable", None)]


def test_a_parents_own_service_may_be_the_baseline() -> None:
    arms = ServicePair(baseline=ServiceName(namespace="shop", name="web"), canary=CANARY)
    [split, pinned] = taken_back(route(rule(to("web", 9), to("canary", 1)), rule(to("canary"))), arms)
    assert weights(split) == [("web", 10), ("canary", 0)]
    assert weights(pinned) == [("web", None)]


def ports(**named: list[tuple[int, str]]) -> ServicePair:
    listed = {f"{name}.shop": tuple(Port(number=number, name=port) for number, port in found) for name, found in named.items()}
    return ServicePair(baseline=STABLE, canary=CANARY, ports=listed)


@pytest.mark.parametrize(
    ("arms", "port"),
    [
        (ports(canary=[(80, "http")], stable=[(80, "grpc"), (8080, "http")]), 8080),
        (ports(canary=[(80, "http")], stable=[(80, "web"), (9090, "metrics")]), 80),
        (ports(canary=[(80, "")], stable=[(8080, "")]), 8080),
        (ports(canary=[(80, "http"), (81, "admin")], stable=[(8000, "http"), (8001, "admin")]), 8000),
        (ports(), 80),
        (ports(stable=[(8080, "http")]), 8080),
    ],
)
def test_what_is_pointed_at_the_baseline_gets_the_port_that_serves_the_same_there(arms: ServicePair, port: int) -> None:
    [done] = taken_back(route(rule(to("canary"))), arms)
    assert done["backendRefs"] == [{"name": "stable", "port": port}]


def test_a_port_that_is_not_clear_is_not_guessed() -> None:
    arms = ports(canary=[(80, "http")], stable=[(9090, "grpc"), (9091, "metrics")])
    document = route(rule(to("canary")))
    said = "which port of stable.shop serves what 80 of canary.shop does is not clear (9090, 9091)"
    with pytest.raises(Refused, match=r"rule #0: which port of stable\.shop"):
        routes.revert(HTTP_ROUTES, document, arms=arms)
    [found] = routes.references(HTTP_ROUTES, document, arms=arms)
    assert str(found) == f"shop/web rule #0 (it stays: {said}): 100 % of the traffic"
    [split] = taken_back(route(rule(to("canary", 1), to("stable", 1))), arms)
    assert weights(split) == [("canary", 0), ("stable", 2)], "nothing must be pointed there"


def far(*rules: Json, parents: tuple[Json, ...] = (ON_GATEWAY,)) -> Json:
    return route(*rules, namespace="edge", parents=parents)


def granted(*grants: Grant) -> ServicePair:
    return ServicePair(baseline=STABLE, canary=CANARY, grants=grants)


def test_a_route_of_another_namespace_names_the_baseline_with_its_own() -> None:
    arms = ServicePair(baseline=ServiceName(namespace="stables", name="stable"), canary=CANARY)
    assert taken_back(route(rule(to("canary"))), arms)[0]["backendRefs"] == [to("stable", namespace="stables")]
    document = far(rule(to("canary", namespace="shop")), rule(to("canary")))
    assert [one["backendRefs"] for one in taken_back(document, granted(Grant(kind="HTTPRoute", namespace="edge")))] == [
        [to("stable", namespace="shop")],
        [to("canary")],
    ]


@pytest.mark.parametrize(
    "grants", [(), (Grant(kind="GRPCRoute", namespace="edge"),), (Grant(kind="HTTPRoute", namespace="other"),)]
)
def test_a_route_on_a_gateway_that_may_not_name_the_baseline_is_left_and_named(grants: tuple[Grant, ...]) -> None:
    document, arms = far(rule(to("canary", namespace="shop"))), granted(*grants)
    with pytest.raises(Refused, match=r"no ReferenceGrant in shop lets a HTTPRoute of edge name stable\.shop"):
        routes.revert(HTTP_ROUTES, document, arms=arms)
    [found] = routes.references(HTTP_ROUTES, document, arms=arms)
    assert (found.percent, "it stays: no ReferenceGrant in shop" in found.place) == (100.0, True)


def test_what_can_be_taken_back_in_an_object_is_and_what_cannot_is_named() -> None:
    split = rule(to("stable", 9, namespace="shop"), to("canary", 1, namespace="shop"))
    document = far(split, rule(to("canary", namespace="shop"), filters=[mirror("canary")]))
    after = jsonpatch.apply(document, routes.revert(HTTP_ROUTES, document, arms=granted()).operations)
    assert weights(after["spec"]["rules"][0]) == [("stable", 10), ("canary", 0)]
    assert after["spec"]["rules"][1] == document["spec"]["rules"][1]
    assert (with_traffic(routes.references(HTTP_ROUTES, after, arms=granted())) or "").startswith("edge/web rule #1 (it stays: ")


def test_a_route_on_a_service_needs_no_grant_and_neither_does_one_whose_grants_are_not_known() -> None:
    pinned = rule(to("canary", namespace="shop"))
    assert weights(taken_back(far(pinned, parents=({**ON_SERVICE, "namespace": "shop"},)), granted())[0]) == [("stable", None)]
    assert weights(taken_back(far(pinned), ARMS)[0]) == [("stable", None)]


def test_a_rule_is_known_by_its_name_and_a_route_by_its_kind() -> None:
    document = route({"name": "testers", **rule(to("canary"))})
    [found] = routes.references(GRPC_ROUTES, document, arms=ARMS)
    assert (found.object.kind, found.place) == ("GRPCRoute", "rule testers")


def test_what_is_not_as_the_api_has_it_is_no_route_to_the_canary() -> None:
    odd: list[Json] = [
        {},
        {"spec": None},
        {"spec": {"rules": [None, {}, {"backendRefs": [None]}, {"filters": [{"type": "RequestMirror"}]}]}},
    ]
    for document in odd:
        assert routes.references(HTTP_ROUTES, document, arms=ARMS) == ()
        assert routes.revert(HTTP_ROUTES, document, arms=ARMS).operations == ()


def test_an_object_that_was_not_read_from_an_api_server_is_not_written_back() -> None:
    document = route(rule(to("canary")))
    del document["metadata"]["resourceVersion"]
    with pytest.raises(Refused, match="resourceVersion"):
        routes.revert(HTTP_ROUTES, document, arms=ARMS)


NAMES = st.sampled_from(["stable", "canary", "other", "another"])
BACKENDS = st.lists(st.tuples(NAMES, st.none() | st.integers(0, 1_000_000)), max_size=6)


@given(rules=st.lists(BACKENDS, min_size=1, max_size=4), kind=st.sampled_from(ROUTES))
def test_whatever_the_weights_the_canary_gets_nothing_others_keep_their_share_and_no_rule_loses_its_sum(
    rules: list[list[tuple[str, int | None]]], kind: Any
) -> None:
    document = route(*(rule(*(to(name, weight) for name, weight in backends)) for backends in rules))
    after = jsonpatch.apply(document, routes.revert(kind, document, arms=ARMS).operations)
    assert with_traffic(routes.references(kind, after, arms=ARMS)) is None
    for before, done in zip(document["spec"]["rules"], after["spec"]["rules"], strict=True):
        one, other = shares(before), shares(done)
        assert sum(other.values()) == sum(one.values())
        assert {name: weight for name, weight in other.items() if name not in ("stable", "canary")} == {
            name: weight for name, weight in one.items() if name not in ("stable", "canary")
        }
        assert all(0 <= backend.get("weight", 1) <= 1_000_000 for backend in done["backendRefs"])


def shares(one: Json) -> dict[str, int]:
    found: dict[str, int] = {}
    for backend in one["backendRefs"]:
        weight = backend.get("weight")
        found[backend["name"]] = found.get(backend["name"], 0) + (1 if weight is None else weight)
    return {name: weight for name, weight in found.items() if weight}
