"""The planner for VirtualServices on every shape that names a canary; plans are applied by an RFC 6902 applier."""

import copy
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.istio import redirecting, routes, virtualservice
from daemon.meshes.istio.hosts import Arms, Destination, Shared, normal, service_of, spelled
from daemon.meshes.ports import Port
from daemon.meshes.references import Plan, largest_percent, with_traffic
from daemon.placement import RouteChange, split_percent
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
    assert routes.delegates(document) == (("shop", "cart"), ("shop", "own"))
    assert routes.delegates(vs()) == ()


def test_a_delegated_object_without_hosts_is_planned_like_any_other() -> None:
    document = vs(http=[{"route": [to("stable", 95), to("canary", 5)], "mirrors": [{"destination": to("canary")["destination"]}]}])
    del document["spec"]["hosts"]
    route = taken_back(document)["spec"]["http"][0]
    assert route["route"] == [to("stable", 100), to("canary", 0)]


def test_a_delegates_mirror_is_silenced_in_its_place_for_without_one_it_would_take_its_roots() -> None:
    one = {"route": [to("stable")], "mirror": to("canary")["destination"], "mirrorPercent": 5}
    mirrors = [{"destination": to("canary")["destination"]}, {"destination": {"host": "audit"}}]
    several = {"route": [to("stable")], "mirrors": mirrors}
    document = vs(http=[one, several])
    del document["spec"]["hosts"]
    after = taken_back(document)["spec"]["http"]
    assert after[0] == {**one, "mirrorPercentage": {"value": 0}}
    assert after[1]["mirrors"] == [{**mirrors[0], "percentage": {"value": 0}}, mirrors[1]]


def test_weights_that_are_no_weights_are_refused_before_they_are_written() -> None:
    document = vs(http=[{"route": [to("stable", 90), to("canary", 40), to("other", -30)]}])
    with pytest.raises(Refused, match=r"\[130, 0, -30\]"):
        virtualservice.revert(document, arms=SUBSETS)


def test_weights_that_are_no_weights_hold_up_no_other_route_and_are_told_where_they_are() -> None:
    odd = {"route": [to("stable", 90), to("canary", 40), to("other", -30)]}
    document = vs(http=[odd, {"route": [to("stable", 90), to("canary", 10)]}])
    places = [one.place for one in virtualservice.references(document, arms=SUBSETS)]
    assert places == ["http #0 (it stays: the weights would become [130, 0, -30]: mend the VirtualService)", "http #1"]
    after = jsonpatch.apply(document, virtualservice.revert(document, arms=SUBSETS).operations)["spec"]["http"]
    assert (after[0], route_weights(after[1])) == (odd, [100, 0])


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


def test_an_alias_is_the_canary_and_what_both_arms_share_goes_to_the_baseline_alone() -> None:
    arms = Arms(
        baseline=Destination(host=WEB, subset="stable"),
        canary=Destination(host=WEB, subset="canary"),
        aliases=(Destination(host=WEB, subset="mobile"), Destination(host="web-v2.shop.svc")),
        shared=(Shared(named=Destination(host=WEB), percent=25.0),),
    )
    document = vs(
        http=[
            {"route": [to("mobile")]},
            {"route": [to("any", host="web-v2")], "mirror": {"host": "web", "subset": "mobile"}},
            {"route": [to(weight=80), to("canary", 20)]},
            {"route": [to("stable", 90), to("mobile", 10)]},
            {"route": [to("legacy")]},
        ]
    )
    found = virtualservice.references(document, arms=arms)
    assert [(one.kind, one.percent) for one in found] == [
        ("pin", 100.0), ("pin", 100.0), ("mirror", 100.0), ("weight", 20.0), ("shared", 20.0), ("weight", 10.0)
    ]  # fmt: skip
    assert split_percent(found) is None
    after = taken_back(document, arms)["spec"]["http"]
    assert after == [
        {"route": [to("stable")]},
        {"route": [to("stable", host="web")]},
        {"route": [to("stable", 80), to("stable", 20)]},
        {"route": [to("stable", 100), to("mobile", 0)]},
        {"route": [to("legacy")]},
    ]


def test_a_mirror_of_nothing_stays() -> None:
    document = vs(http=[{"route": [to("stable")], "mirror": to("canary")["destination"], "mirrorPercentage": {"value": 0}}])
    assert virtualservice.revert(document, arms=SUBSETS).operations == ()
    assert [one.percent for one in virtualservice.references(document, arms=SUBSETS)] == [0.0]


@pytest.mark.parametrize("weights", [(None, None), (0, 0), (None, 0)])
def test_where_nothing_says_who_gets_what_the_baseline_gets_it_and_that_is_said(weights: tuple[int | None, int | None]) -> None:
    """istiod refuses such an object, where its webhook is asked: what a proxy makes of it is not known."""
    document = vs(http=[{"route": [to("stable", weights[0]), to("canary", weights[1])]}])
    [found] = virtualservice.references(document, arms=SUBSETS)
    assert str(found) == "shop/web http #0 (no weights): 50 % of the traffic"
    assert route_weights(taken_back(document)["spec"]["http"][0]) == [2, 0]


def test_of_several_entries_of_the_baseline_the_one_that_serves_gets_the_traffic() -> None:
    route = {"route": [to("blue", 0, host="web-stable"), to("green", 90, host="web-stable"), to(weight=10, host="web-canary")]}
    assert route_weights(taken_back(vs(http=[route]), HOSTS)["spec"]["http"][0]) == [0, 100, 0]


def test_copies_to_the_baseline_end_where_it_gets_the_copied_requests_themselves_and_only_there() -> None:
    mirror = {"mirror": to("stable")["destination"], "mirrorPercentage": {"value": 100}}
    pinned, switched = {"route": [to("canary")], **mirror}, {"route": [to("stable", 0), to("canary", 100)], **mirror}
    split = {"route": [to("stable", 90), to("canary", 10)], **mirror}
    document = vs(http=[pinned, switched, split])
    after = taken_back(document)["spec"]["http"]
    assert after[0] == {"route": [to("stable")]}
    assert after[1] == {"route": [to("stable", 100), to("canary", 0)]}
    assert after[2] == {"route": [to("stable", 100), to("canary", 0)], **mirror}
    said = str(virtualservice.revert(document, arms=SUBSETS).changes[1].detail)
    assert said == "mirror to web.shop.svc subset stable, which would get these requests twice from now on, removed"


def test_the_authority_of_the_canary_is_not_sent_to_the_baseline() -> None:
    arms = Arms(baseline=Destination(host="api-v1.example.com"), canary=Destination(host="api-v2.example.com"))
    pinned = {"rewrite": {"authority": "api-v2.example.com"}, "route": [to(host="api-v2.example.com", port=443)]}
    other = {"rewrite": {"authority": "else.example.com"}, "route": [to(host="api-v2.example.com", port=443)]}
    after = taken_back(vs(http=[pinned, other]), arms)["spec"]["http"]
    assert after[0] == {"rewrite": {"authority": "api-v1.example.com"}, "route": [to(host="api-v1.example.com", port=443)]}
    assert after[1]["rewrite"] == {"authority": "else.example.com"}
    short = {"rewrite": {"authority": "web-canary:80"}, "route": [to(host="web-canary")]}
    assert taken_back(vs(http=[short]), HOSTS)["spec"]["http"][0]["rewrite"] == {"authority": "web-stable:80"}


def test_request_headers_that_tell_the_version_go_with_it_where_the_object_says_the_baselines() -> None:
    """As Knative routes a tag: whoever gets the request asks its header for the revision."""

    def revision(number: int, host: str) -> Json:
        return to(host=host, headers={"request": {"set": {"Knative-Serving-Revision": str(number)}}, "response": {}})

    document = vs(http=[{"match": [{}], "route": [revision(2, "web-canary")]}, {"route": [revision(1, "web-stable")]}])
    assert taken_back(document, HOSTS)["spec"]["http"][0]["route"] == [revision(1, "web-stable")]
    bare = vs(http=[{"match": [{}], "route": [to(host="web-canary")]}, {"route": [revision(1, "web-stable")]}])
    got = taken_back(bare, HOSTS)["spec"]["http"][0]["route"][0]["headers"]
    assert got == {"request": {"set": {"Knative-Serving-Revision": "1"}}}
    plain = vs(http=[{"match": [{}], "route": [revision(2, "web-canary")]}, {"route": [to(host="web-stable")]}])
    assert taken_back(plain, HOSTS)["spec"]["http"][0]["route"][0]["headers"] == {"response": {}}


def test_request_headers_that_stay_are_listed() -> None:
    rule = {
        "headers": {"request": {"set": {"x-canary": "1"}}},
        "route": [to(host="web-canary", headers={"request": {"add": {"a": "b"}}})],
    }
    document = vs(http=[rule])
    [change] = virtualservice.revert(document, arms=HOSTS).changes
    assert change.detail.endswith("-> web-stable.shop.svc, with request headers kept as they are (a, x-canary)")
    assert taken_back(document, HOSTS)["spec"]["http"][0]["headers"] == rule["headers"]


def with_ports(baseline: list[Port], canary: list[Port]) -> Arms:
    ports = {HOSTS.baseline.host: tuple(baseline), HOSTS.canary.host: tuple(canary)}
    return replace(HOSTS, ports=ports)


@pytest.mark.parametrize(
    ("baseline", "canary", "before", "after"),
    [
        ([Port(number=8080)], [Port(number=8081)], 8081, 8080),
        ([Port(number=80, name="http"), Port(number=90)], [Port(number=8081, name="http")], 8081, 80),
        ([Port(number=80, name="http"), Port(number=90)], [Port(number=8081, name="http")], None, 80),
        ([Port(number=8080)], [Port(number=8081)], None, None),
        ([Port(number=80), Port(number=90)], [Port(number=80), Port(number=91)], 80, 80),
    ],
)
def test_a_pinned_entry_names_the_port_of_the_baseline_that_serves_the_same(
    baseline: list[Port], canary: list[Port], before: int | None, after: int | None
) -> None:
    document = vs(http=[{"route": [to(host="web-canary", port=before)]}])
    got = taken_back(document, with_ports(baseline, canary))["spec"]["http"][0]["route"][0]
    assert got == to(host="web-stable", port=after)


def test_a_port_that_is_not_clear_is_not_guessed() -> None:
    arms = with_ports([Port(number=80), Port(number=90)], [Port(number=8081)])
    document = vs(http=[{"route": [to(host="web-canary", port=8081)]}])
    said = "which port of web-stable.shop.svc serves what 8081 of web-canary.shop.svc does is not clear (80, 90)"
    with pytest.raises(Refused, match=re.escape(said)):
        virtualservice.revert(document, arms=arms)
    assert f"(it stays: {said})" in virtualservice.references(document, arms=arms)[0].place


def test_a_port_that_the_object_names_by_another_protocol_is_not_taken() -> None:
    document = vs(http=[{"route": [to(host="web-stable", port=8080)]}], tcp=[{"route": [to(host="web-canary", port=5432)]}])
    assert taken_back(document, HOSTS)["spec"]["tcp"][0]["route"] == [to(host="web-stable", port=5432)]


def test_a_host_is_written_with_the_domain_that_the_object_or_the_release_has() -> None:
    arms = Arms(baseline=Destination(host="web-old.legacy.svc"), canary=Destination(host="web-canary.shop.svc"))
    pinned, other = {"match": [{}], "route": [to(host="web-canary")]}, {"route": [to(host="web-old.legacy.svc.corp.example")]}
    known = taken_back(vs(http=[pinned, other], hosts=["web"]), arms)["spec"]["http"][0]["route"]
    assert known == [to(host="web-old.legacy.svc.corp.example")]
    said = taken_back(vs(http=[pinned], hosts=["web"]), replace(arms, domain="corp.example"))["spec"]["http"][0]["route"]
    assert said == [to(host="web-old.legacy.svc.corp.example")]


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
            if len(was["route"]) > 1 and total(was):
                assert total(was) == total(now)


def foreign(route: Json) -> Json:
    ours = {"route", "mirror", "mirrors", "mirrorPercentage"}
    return {key: value for key, value in route.items() if key not in ours}


def total(route: Json) -> int:
    return sum(target.get("weight") or 0 for target in route["route"])


def test_an_object_of_a_thousand_routes_is_read_once_and_not_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    http = [{"route": [to(host="web-canary", port=80)]} for _ in range(1000)]
    read = 0

    def counted(virtual_service: Json) -> Any:
        nonlocal read
        read += 1
        return routes.routes(virtual_service)

    for module in (redirecting, virtualservice):
        monkeypatch.setattr(module, "routes", counted)
    after = taken_back(vs(http=http), HOSTS)["spec"]["http"]
    assert {one["route"][0]["destination"]["host"] for one in after} == {"web-stable"}
    assert read < 10
