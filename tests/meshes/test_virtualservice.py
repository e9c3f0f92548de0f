"""The planner for VirtualServices on every shape that names a canary; plans are applied by an RFC 6902 applier."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.istio import virtualservice
from daemon.meshes.istio.hosts import Arms, Destination, normal, service_of, spelled
from daemon.meshes.references import Plan, largest_percent, with_traffic
from daemon.placement import RouteChange
from tests.meshes import jsonpatch

Json = dict[str, Any]

WEB = "web.shop.svc"
FQDN = "web.shop.svc.cluster.local"
SUBSETS = Arms(baseline=Destination(host=WEB, subset="stable"), canary=Destination(host=WEB, subset="canary"))
HOSTS = Arms(baseline=Destination(host="web-stable.shop.svc"), canary=Destination(host="web-canary.shop.svc"))


def vs(namespace: str = "shop", **spec: Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": namespace, "resourceVersion": "41", "annotations": {"team": "shop"}},
        "spec": {"hosts": [FQDN], "gateways": ["mesh"], **spec},
    }


def to(subset: str | None = None, weight: int | None = None, *, host: str = FQDN, port: int | None = None, **more: Any) -> Json:
    destination: Json = {"host": host}
    destination.update({"subset": subset} if subset else {})
    destination.update({"port": {"number": port}} if port else {})
    return {"destination": destination, **({} if weight is None else {"weight": weight}), **more}


def taken_back(document: Json, arms: Arms = SUBSETS) -> Json:
    plan = virtualservice.revert(document, arms=arms)
    after = jsonpatch.apply(document, plan.operations)
    assert with_traffic(virtualservice.references(after, arms=arms)) is None
    return after


def route_weights(route: Json) -> list[int | None]:
    return [target.get("weight") for target in route["route"]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("stable", 90), ("canary", 10)], [100, 0]),
        ([("stable", None), ("canary", 10)], [10, 0]),
        ([("canary", 100), ("stable", 0)], [0, 100]),
        ([("stable", 1), ("canary", 2), ("other", 4)], [3, 0, 4]),
        ([("stable", 50), ("canary", 20), ("canary", 30)], [100, 0, 0]),
        ([("stable", 100), ("canary", 0)], [100, 0]),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "tcp", "tls"])
def test_a_split_gives_the_canarys_weight_to_the_baseline_and_writes_every_weight(
    protocol: str, before: list[tuple[str, int | None]], after: list[int]
) -> None:
    spec: Json = {protocol: [{"route": [to(subset, weight) for subset, weight in before]}]}
    assert route_weights(taken_back(vs(**spec))["spec"][protocol][0]) == after


def test_the_patch_locks_the_version_first_tests_identities_and_then_writes() -> None:
    plan = virtualservice.revert(vs(http=[{"route": [to("stable", 90), to("canary", 10)]}]), arms=SUBSETS)
    assert plan.operations == (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "test", "path": "/spec/http/0/route/0/destination", "value": {"host": FQDN, "subset": "stable"}},
        {"op": "test", "path": "/spec/http/0/route/1/destination", "value": {"host": FQDN, "subset": "canary"}},
        {"op": "add", "path": "/spec/http/0/route/0/weight", "value": 100},
        {"op": "add", "path": "/spec/http/0/route/1/weight", "value": 0},
    )
    assert plan.changes == (
        RouteChange(place="http #0", detail="weight 10 of web.shop.svc subset canary -> web.shop.svc subset stable"),
    )


def test_an_object_that_gives_the_canary_nothing_is_not_patched() -> None:
    for document in (vs(), vs(http=[{"route": [to("stable")]}]), vs(http=[{"route": [to("stable", 100), to("canary", 0)]}])):
        assert virtualservice.revert(document, arms=SUBSETS).operations == ()


def test_taking_back_twice_changes_nothing() -> None:
    once = taken_back(vs(http=[{"route": [to("stable", 90), to("canary", 10)], "mirror": to("canary")["destination"]}]))
    assert virtualservice.revert(once, arms=SUBSETS) == Plan(operations=(), changes=())


def test_a_header_match_pinned_to_the_canary_goes_to_the_baseline_and_other_routes_stay() -> None:
    pinned = {
        "name": "testers",
        "match": [{"headers": {"x-canary": {"exact": "always"}}}],
        "route": [to("canary", headers={"response": {"set": {"x": "1"}}})],
    }
    other = {"match": [{"uri": {"prefix": "/old"}}], "route": [to("legacy")], "timeout": "9s", "retries": {"attempts": 2}}
    primary = {"name": "primary", "route": [to("stable", 90), to("canary", 10)], "corsPolicy": {"allowOrigins": []}}
    document = vs(http=[pinned, other, primary])
    after = taken_back(document)
    expected = copy.deepcopy(document)
    expected["spec"]["http"][0]["route"][0]["destination"]["subset"] = "stable"
    expected["spec"]["http"][2]["route"][0]["weight"] = 100
    expected["spec"]["http"][2]["route"][1]["weight"] = 0
    assert after == expected


@pytest.mark.parametrize("share", [{}, {"mirrorPercentage": {"value": 5.0}}, {"mirrorPercent": 5}, {"mirror_percent": 5}])
def test_a_mirror_to_the_canary_goes_with_its_share(share: Json) -> None:
    document = vs(http=[{"route": [to("stable")], "mirror": to("canary")["destination"], **share, "timeout": "1s"}])
    assert [use.percent for use in virtualservice.references(document, arms=SUBSETS)] == [5.0 if share else 100.0]
    assert taken_back(document)["spec"]["http"][0] == {"route": [to("stable")], "timeout": "1s"}


def test_of_several_mirrors_only_those_to_the_canary_go() -> None:
    audit = {"destination": {"host": "audit"}, "percentage": {"value": 50.0}}
    canary = {"destination": to("canary")["destination"]}
    assert taken_back(vs(http=[{"mirrors": [canary, audit, canary]}]))["spec"]["http"][0] == {"mirrors": [audit]}
    assert taken_back(vs(http=[{"mirrors": [canary, canary]}]))["spec"]["http"][0] == {}
    both = taken_back(vs(http=[{"mirror": canary["destination"], "mirrors": [canary]}]))["spec"]["http"][0]
    assert both == {"mirrors": []}


def test_a_mirror_to_somebody_else_stays_with_its_share() -> None:
    route = {"route": [to("stable", 90), to("canary", 10)], "mirror": {"host": "audit"}, "mirrorPercentage": {"value": 5.0}}
    after = taken_back(vs(http=[route]))["spec"]["http"][0]
    assert (after["mirror"], after["mirrorPercentage"]) == ({"host": "audit"}, {"value": 5.0})


@pytest.mark.parametrize(
    "host", ["web", "web.shop.svc.cluster.local", "web.shop.svc.corp.example", "WEB.shop.svc", "web.shop.svc."]
)
def test_a_host_is_the_same_however_it_is_written(host: str) -> None:
    document = vs(http=[{"route": [to("stable", 90, host=host), to("canary", 10, host=host)]}])
    assert route_weights(taken_back(document)["spec"]["http"][0]) == [100, 0]


def test_a_short_name_belongs_to_the_namespace_of_its_object() -> None:
    document = vs("elsewhere", http=[{"route": [to("stable", 90, host="web"), to("canary", 10, host="web")]}])
    assert virtualservice.references(document, arms=SUBSETS) == ()
    assert virtualservice.revert(document, arms=SUBSETS).operations == ()


def test_arms_with_hosts_of_their_own_are_told_apart_in_any_subset() -> None:
    document = vs(http=[{"route": [to(host="web-stable", weight=95), to("any", 5, host="web-canary")]}])
    assert route_weights(taken_back(document, HOSTS)["spec"]["http"][0]) == [100, 0]


def test_a_baseline_that_is_the_whole_host_is_not_the_canarys_subset() -> None:
    arms = Arms(baseline=Destination(host=WEB), canary=Destination(host=WEB, subset="canary"))
    document = vs(http=[{"route": [to(weight=90), to("canary", 10)]}, {"route": [to("canary")]}])
    after = taken_back(document, arms)["spec"]["http"]
    assert route_weights(after[0]) == [100, 0]
    assert after[1]["route"][0]["destination"] == {"host": FQDN}


@pytest.mark.parametrize(
    ("namespace", "host", "written"),
    [
        ("shop", "web-canary", "web-stable"),
        ("edge", "web-canary.shop.svc.cluster.local", "web-stable.shop.svc.cluster.local"),
        ("edge", "web-canary.shop.svc.corp.example", "web-stable.shop.svc.corp.example"),
    ],
)
def test_a_pinned_host_is_rewritten_in_the_spelling_of_its_object(namespace: str, host: str, written: str) -> None:
    document = vs(namespace, http=[{"route": [to(host=host, port=80)]}])
    after = taken_back(document, HOSTS)["spec"]["http"][0]["route"][0]["destination"]
    assert after == {"host": written, "port": {"number": 80}}


def test_a_pinned_host_takes_the_baselines_port_where_the_object_names_it() -> None:
    pinned = {"match": [{"headers": {}}], "route": [to(host="web-canary", port=8080)]}
    split = {"route": [to(host="web-stable", port=80, weight=90), to(host="web-canary", port=8080, weight=10)]}
    after = taken_back(vs(http=[pinned, split]), HOSTS)["spec"]["http"]
    assert after[0]["route"][0]["destination"] == {"host": "web-stable", "port": {"number": 80}}
    split["route"][0]["destination"].pop("port")
    after = taken_back(vs(http=[pinned, split]), HOSTS)["spec"]["http"]
    assert after[0]["route"][0]["destination"] == {"host": "web-stable"}


def test_delegates_are_named_with_their_namespace() -> None:
    document = vs(http=[{"delegate": {"name": "cart", "namespace": "shop"}}, {"delegate": {"name": "own"}}, {"route": []}])
    assert virtualservice.delegates(document) == (("shop", "cart"), ("shop", "own"))
    assert virtualservice.delegates(vs()) == ()


def test_a_delegated_object_without_hosts_is_planned_like_any_other() -> None:
    document = vs(http=[{"route": [to("stable", 95), to("canary", 5)], "mirrors": [{"destination": to("canary")["destination"]}]}])
    del document["spec"]["hosts"]
    assert taken_back(document)["spec"]["http"] == [{"route": [to("stable", 100), to("canary", 0)]}]


def test_weights_that_are_no_weights_are_refused_before_they_are_written() -> None:
    document = vs(http=[{"route": [to("stable", 90), to("canary", 40), to("other", -30)]}])
    with pytest.raises(Refused, match=r"\[130, 0, -30\]"):
        virtualservice.revert(document, arms=SUBSETS)


def test_a_canary_of_negative_weight_gets_none() -> None:
    document = vs(http=[{"route": [to("stable", 130), to("canary", -30)]}])
    assert route_weights(taken_back(document)["spec"]["http"][0]) == [100, 0]


def test_an_object_that_was_not_read_from_a_server_is_refused() -> None:
    document = vs(http=[{"route": [to("canary")]}])
    del document["metadata"]["resourceVersion"]
    with pytest.raises(Refused, match="resourceVersion"):
        virtualservice.revert(document, arms=SUBSETS)


def test_the_share_is_that_of_the_split_not_of_the_pinned_route() -> None:
    document = vs(http=[{"route": [to("canary")]}, {"route": [to("stable", 3), to("canary", 1)]}])
    found = virtualservice.references(document, arms=SUBSETS)
    assert [str(use) for use in found] == ["shop/web http #0: 100 % of the traffic", "shop/web http #1: 25 % of the traffic"]
    assert largest_percent(found) == 25.0
    assert largest_percent(found[:1]) == 100.0
    assert largest_percent(()) == 0.0


def test_hosts_that_are_no_kubernetes_services_are_compared_as_they_are() -> None:
    assert normal("API.example.com", namespace="shop") == "api.example.com"
    assert service_of("api.example.com") is None
    assert spelled("api.example.com", like="web", namespace="shop") == "api.example.com"
    assert spelled("web.shop.svc", like="api.example.com.", namespace="shop") == "web.shop.svc.cluster.local"


_SUBSET = st.sampled_from(["stable", "canary", "other"])
_TARGET = st.builds(to, _SUBSET, st.one_of(st.none(), st.integers(0, 100)), host=st.sampled_from(["web", FQDN, "audit"]))
_MIRROR = st.builds(lambda target: target["destination"], _TARGET)
_ROUTE = st.fixed_dictionaries(
    {"route": st.lists(_TARGET, min_size=1, max_size=4)},
    optional={
        "mirror": _MIRROR,
        "mirrors": st.lists(st.builds(lambda destination: {"destination": destination}, _MIRROR), max_size=3),
        "mirrorPercentage": st.just({"value": 10.0}),
        "timeout": st.just("3s"),
        "x-unknown": st.lists(st.integers(), max_size=2),
        "match": st.just([{"headers": {"x": {"exact": "1"}}}]),
    },
)


@given(http=st.lists(_ROUTE, max_size=3), tcp=st.lists(_ROUTE, max_size=2))
def test_whatever_the_object_the_canary_gets_nothing_and_all_else_stays(http: list[Json], tcp: list[Json]) -> None:
    document = vs(http=http, tcp=tcp)
    before = copy.deepcopy(document)
    after = taken_back(document)
    assert document == before
    assert {**after, "spec": None} == {**before, "spec": None}
    for protocol in ("http", "tcp"):
        for was, now in zip(before["spec"][protocol], after["spec"][protocol], strict=True):
            assert foreign(was) == foreign(now)
            assert len(was["route"]) == len(now["route"])
            if len(was["route"]) > 1:
                assert total(was) == total(now)


def foreign(route: Json) -> Json:
    ours = {"route", "mirror", "mirrors", "mirrorPercentage"}
    return {key: value for key, value in route.items() if key not in ours}


def total(route: Json) -> int:
    return sum(target.get("weight") or 0 for target in route["route"])
