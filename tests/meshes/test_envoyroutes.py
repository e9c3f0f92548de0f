"""What the planner for Envoy's routes finds, changes, and leaves alone."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.meshes.envoy import routes as envoyroutes

Json = dict[str, Any]


def rds(*routes: Json, **host: Any) -> Json:
    return {
        "version_info": "7",
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                "name": "edge",
                "virtual_hosts": [{"name": "web", "domains": ["*"], "routes": list(routes), **host}],
            }
        ],
    }


def split(*targets: tuple[str, int | str | None], **more: Any) -> Json:
    clusters = [{"name": name} if weight is None else {"name": name, "weight": weight} for name, weight in targets]
    return {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}, "timeout": "3s", **more}}


def weights(document: Json, route: int = 0) -> dict[str, int]:
    action = document["resources"][0]["virtual_hosts"][0]["routes"][route]["route"]
    return {target["name"]: target.get("weight", 0) for target in action["weighted_clusters"]["clusters"]}


def revert(document: Json) -> envoyroutes.Rewrite:
    return envoyroutes.revert(document, baseline="v1", canary="v2")


def test_a_split_gives_the_canarys_weight_to_the_baseline_and_keeps_the_sum() -> None:
    assert weights(revert(rds(split(("v1", 90), ("v2", 10)))).document) == {"v1": 100, "v2": 0}


def test_a_third_target_keeps_its_weight() -> None:
    assert weights(revert(rds(split(("v1", 70), ("v2", 10), ("other", 20)))).document) == {"v1": 80, "v2": 0, "other": 20}


def test_a_missing_weight_is_zero_and_a_text_is_a_number() -> None:
    assert weights(revert(rds(split(("v1", None), ("v2", "10")))).document) == {"v1": 10, "v2": 0}


def test_a_split_without_the_baseline_is_pointed_at_it_in_place() -> None:
    document = rds(split(("v2", 10), ("other", 90)))
    document["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]["clusters"][0]["x"] = 1
    after = revert(document).document
    clusters = after["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]["clusters"]
    assert clusters == [{"name": "v1", "weight": 10, "x": 1}, {"name": "other", "weight": 90}]


def test_a_route_pinned_to_the_canary_is_pointed_at_the_baseline_with_its_match_untouched() -> None:
    pinned = {"match": {"prefix": "/", "headers": [{"name": "x-canary", "present_match": True}]}, "route": {"cluster": "v2"}}
    rewrite = revert(rds(pinned, split(("v1", 90), ("v2", 10))))
    route = rewrite.document["resources"][0]["virtual_hosts"][0]["routes"][0]
    assert route == {**pinned, "route": {"cluster": "v1"}}
    assert len(rewrite.changes["edge"]) == 2


@pytest.mark.parametrize("key", ["request_mirror_policies", "requestMirrorPolicies"])
def test_mirrors_to_the_canary_go_and_others_stay(key: str) -> None:
    other = {"cluster": "audit"}
    document = rds(split(("v1", 100), **{key: [{"cluster": "v2"}, other]}), **{key: [{"cluster": "v2"}]})
    document["resources"][0][key] = [{"cluster": "v2"}]
    rewrite = revert(document)
    host = rewrite.document["resources"][0]["virtual_hosts"][0]
    assert host["routes"][0]["route"][key] == [other]
    assert key not in host
    assert key not in rewrite.document["resources"][0]
    assert len(rewrite.changes["edge"]) == 3


def test_the_camel_case_spelling_is_read_and_kept() -> None:
    document: Json = {"resources": [{"virtualHosts": [{"routes": [{"route": {"weightedClusters": {"clusters": []}}}]}]}]}
    clusters = [{"name": "v1", "weight": 1}, {"name": "v2", "weight": 1}]
    document["resources"][0]["virtualHosts"][0]["routes"][0]["route"]["weightedClusters"]["clusters"] = clusters
    after = revert(document).document
    route = after["resources"][0]["virtualHosts"][0]["routes"][0]["route"]
    assert route == {"weightedClusters": {"clusters": [{"name": "v1", "weight": 2}, {"name": "v2", "weight": 0}]}}


def test_a_resource_in_its_wrapper_a_bare_configuration_and_a_config_dump_are_read_alike() -> None:
    inner = rds(split(("v1", 90), ("v2", 10)))["resources"][0]
    wrapped = {"resources": [{"@type": "type.googleapis.com/envoy.service.discovery.v3.Resource", "resource": inner}]}
    dump = {"configs": [{"version_info": "7", "route_config": inner}]}
    for document in (wrapped, inner, dump):
        assert [use.percent for use in envoyroutes.references(document, canary="v2")] == [10.0]


def test_a_proxy_without_dynamic_routes_sends_nothing_to_the_canary() -> None:
    assert envoyroutes.references({"configs": []}, canary="v2") == ()


@pytest.mark.parametrize("document", [{}, {"resources": []}, {"resources": [{"@type": "Cluster"}]}, {"resources": "x"}])
def test_a_document_without_routes_is_refused(document: Json) -> None:
    with pytest.raises(Refused, match="no route configuration"):
        envoyroutes.references(document, canary="v2")


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(Refused, match="'many'"):
        revert(rds(split(("v1", 1), ("v2", "many"))))


def test_uses_say_where_and_how_much() -> None:
    quarter = {"cluster": "v2", "runtime_fraction": {"default_value": {"numerator": 2500, "denominator": "TEN_THOUSAND"}}}
    document = rds(
        {"name": "pinned", "route": {"cluster": "v2"}},
        {"redirect": {"path_redirect": "/"}},
        split(("v1", 95), ("v2", 5), request_mirror_policies=[quarter, {"cluster": "v2"}]),
        split(("v1", 0), ("v2", 0)),
    )
    assert [str(use) for use in envoyroutes.references(document, canary="v2")] == [
        "edge/web/pinned: 100 % of the traffic",
        "edge/web/#2: 5 % of the traffic",
        "edge/web/#3: 0 % of the traffic",
        "edge/web/#2: 25 % mirrored",
        "edge/web/#2: 100 % mirrored",
    ]


def test_clusters_with_traffic_leave_out_those_of_weight_zero() -> None:
    document = rds(split(("v1", 0), ("v2", 100)), {"route": {"cluster": "static"}}, {"route": {"cluster_header": "x"}})
    assert envoyroutes.clusters_with_traffic(document) == {"v2", "static"}


def test_taking_back_twice_changes_nothing() -> None:
    once = revert(rds(split(("v1", 90), ("v2", 10)))).document
    assert revert(once).changes == {}


def test_the_callers_document_is_left_as_it_was() -> None:
    document = rds(split(("v1", 90), ("v2", 10)))
    before = copy.deepcopy(document)
    revert(document)
    assert document == before


_NAMES = st.sampled_from(["v1", "v2", "other"])
_FOREIGN = st.dictionaries(st.sampled_from(["timeout", "metadata", "typed_per_filter_config"]), st.text(max_size=5), max_size=2)
_TARGETS = st.lists(st.tuples(_NAMES, st.one_of(st.none(), st.integers(0, 1000))), min_size=1, max_size=4)
_MIRRORS = st.fixed_dictionaries(
    {}, optional={"request_mirror_policies": st.lists(_NAMES.map(lambda n: {"cluster": n}), max_size=3)}
)
_SPLITS = st.builds(lambda t, f, m: split(*t, **f, **m), _TARGETS, _FOREIGN, _MIRRORS)
_PINS = st.builds(lambda name, f: {"match": {"prefix": "/"}, "route": {"cluster": name, **f}}, _NAMES, _FOREIGN)


@given(routes=st.lists(st.one_of(_SPLITS, _PINS), max_size=4), host=_MIRRORS)
def test_nothing_goes_to_the_canary_afterwards_and_foreign_fields_survive(routes: list[Json], host: Json) -> None:
    document = rds(*copy.deepcopy(routes), **copy.deepcopy(host))
    rewrite = revert(document)
    assert [use for use in envoyroutes.references(rewrite.document, canary="v2") if use.percent > 0] == []
    after = rewrite.document["resources"][0]["virtual_hosts"][0]["routes"]
    for before, now in zip(routes, after, strict=True):
        assert total(before) == total(now)
        assert foreign(before) == foreign(now)


def total(route: Json) -> int:
    return sum(target.get("weight") or 0 for target in route["route"].get("weighted_clusters", {}).get("clusters", []))


def foreign(route: Json) -> Json:
    ours = {"weighted_clusters", "cluster", "request_mirror_policies"}
    return {**route, "route": {key: value for key, value in route["route"].items() if key not in ours}}
