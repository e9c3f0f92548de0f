"""What the meshes' readers make of their routes."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.discovery.picture import Condition, Picture, Pin, Use, uses
from daemon.errors import Refused, Unavailable
from daemon.meshes.consulkubernetes import picturing as consul
from daemon.meshes.consulkubernetes.mesh import ConsulKubernetesMesh
from daemon.meshes.gatewayapi import picturing as gateway_api
from daemon.meshes.gatewayapi.mesh import ROUTES
from daemon.meshes.istio import picturing as istio
from daemon.meshes.linkerd import picturing as linkerd
from daemon.meshes.linkerd.kinds import SPLITS
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from tests.hand.split_objects import split
from tests.meshes.objects import Json, meta, rule, to, versions, virtual_service

HTTP_ROUTES, GRPC_ROUTES = (next(kind for kind in ROUTES if kind.kind == name) for name in ("HTTPRoute", "GRPCRoute"))


def of_istio(item: tuple[Any, Json], *rules: tuple[Any, Json]) -> Picture:
    return istio.picture(item[1], rules=[one for _, one in rules], root="istio-system")


def http_route(*rules: Json, kind: Any = HTTP_ROUTES, **spec: Any) -> Picture:
    return gateway_api.picture(kind, {"metadata": meta("web", "shop"), "spec": {"rules": list(rules), **spec}})


def backend(name: str, weight: int | None = None, **more: Any) -> Json:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def shares(picture: Picture) -> dict[str, float]:
    return {str(to_): use.percent for to_, use in uses(picture).items()}


class TestVirtualServices:
    def test_shares_are_parts_of_the_sum_whatever_it_is(self) -> None:
        found = of_istio(virtual_service(to("web", "v1", 3), to("web", "v2", 1)), versions("v1", "v2"))
        assert shares(found) == {"web subset v1": 75.0, "web subset v2": 25.0}
        assert str(found.route) == "shop/web"
        assert found.hosts == ("web",)

    def test_subsets_mean_what_the_rules_say_and_not_what_they_are_called(self) -> None:
        found = of_istio(
            virtual_service(to("web", "left", 1), to("web", "right", 1)), rule({"left": {"version": "1.4.0"}, "right": {}})
        )
        left, right = sorted(uses(found))
        assert left.labels == {"version": "1.4.0"}
        assert right.labels == {}

    def test_the_labels_of_a_subset_that_no_rule_has_are_not_known(self) -> None:
        assert next(iter(uses(of_istio(virtual_service(to("web", "v1")))))).labels is None

    def test_rules_that_could_not_be_read_leave_the_labels_unknown(self) -> None:
        item = virtual_service(to("web", "v1"))[1]
        found = istio.picture(item, rules=Unavailable("away"), root="istio-system")
        assert next(iter(uses(found))).labels is None

    def test_a_rule_of_another_form_leaves_the_labels_unknown(self) -> None:
        _, wrong = rule({})
        wrong["spec"]["subsets"] = [{"name": "v1", "labels": ["version=v1"]}]
        assert next(iter(uses(of_istio(virtual_service(to("web", "v1")), (None, wrong))))).labels is None

    def test_hosts_are_the_same_however_they_are_written(self) -> None:
        found = of_istio(virtual_service(to("web", "v1", 1), to("web.shop.svc.cluster.local", "v1", 1)))
        assert len(uses(found)) == 1

    def test_what_is_outside_is_no_service(self) -> None:
        (one,) = uses(of_istio(virtual_service(to("api.example.net"))))
        assert (one.service, one.namespace) == ("", "")

    def test_users_are_told_from_conditions(self) -> None:
        match = {
            "uri": {"prefix": "/shop"},
            "port": 80,
            "gateways": ["mesh"],
            "method": {"exact": "GET"},
            "name": "mine",
            "headers": {"X-Tester": {"exact": "yes"}, "cookie": {"regex": "a"}, ":authority": {"exact": "web"}},
            "queryParams": {"try": {"exact": "1"}},
            "sourceLabels": {"app": "front"},
        }
        (entry,) = of_istio(virtual_service(http=[{"match": [match], "route": [to("web")]}])).entries
        assert {pin.by for pin in entry.pins} == {"header", "cookie", "query", "source"}
        assert Pin(by="source", name="app", value="front") in entry.pins
        assert sorted(one.of for one in entry.conditions) == ["gateway", "other", "other", "path", "port"]

    def test_a_prefix_of_every_path_is_no_condition(self) -> None:
        (entry,) = of_istio(virtual_service(http=[{"match": [{"uri": {"prefix": "/"}}], "route": [to("web")]}])).entries
        assert entry.conditions == frozenset()

    def test_alternatives_are_ways_in_of_their_own(self) -> None:
        alternatives = [{"headers": {"x-tester": {"exact": "yes"}}}, {"uri": {"prefix": "/try"}}]
        pinned, open_ = of_istio(virtual_service(http=[{"match": alternatives, "route": [to("web", "v2")]}])).entries
        assert pinned.pins
        assert not open_.pins
        assert open_.conditions == {Condition(of="path", value='uri {"prefix":"/try"}')}

    def test_what_stands_behind_an_entry_for_all_requests_is_reached_by_none(self) -> None:
        entries = [{"route": [to("web", "v1")]}, {"match": [{"uri": {"prefix": "/a"}}], "route": [to("web", "v2")]}]
        assert shares(of_istio(virtual_service(http=entries))) == {"web subset v1": 100.0}

    def test_an_entry_that_redirects_all_hides_what_follows(self) -> None:
        assert of_istio(virtual_service(http=[{"redirect": {"uri": "/"}}, {"route": [to("web")]}])).entries == ()

    def test_mirrors_are_read_in_both_ways_of_writing(self) -> None:
        entries = [
            {"route": [to("web", "v1")], "mirror": {"host": "web", "subset": "v2"}, "mirrorPercentage": {"value": 5}},
            {"match": [{"port": 1}], "route": [to("web", "v1")], "mirrors": [{"destination": {"host": "copy"}}]},
        ]
        found = uses(of_istio(virtual_service(http=entries[::-1])))
        assert {str(to_): use.mirrored_percent for to_, use in found.items()} == {
            "web subset v1": 0.0,
            "copy": 100.0,
            "web subset v2": 5.0,
        }

    def test_several_destinations_without_a_weight_are_unclear(self) -> None:
        (entry,) = of_istio(virtual_service(to("web", "v1"), to("web", "v2"))).entries
        assert "no weight" in entry.unclear

    def test_negative_weights_are_unclear(self) -> None:
        (entry,) = of_istio(virtual_service(to("web", "v1", -10), to("web", "v2", 110))).entries
        assert "negative" in entry.unclear

    def test_tcp_and_tls_are_read_too(self) -> None:
        found = of_istio(
            virtual_service(http=[], tcp=[{"route": [to("web")]}], tls=[{"match": [{"sniHosts": ["a"]}], "route": [to("web")]}])
        )
        assert [entry.protocol for entry in found.entries] == ["tcp", "tls"]

    @pytest.mark.parametrize("weight", ["90", 9.5, True, [1]])
    def test_a_weight_that_is_no_whole_number_is_refused_with_its_path(self, weight: object) -> None:
        item = virtual_service(to("web", "v1", 1))
        item[1]["spec"]["http"][0]["route"][0]["weight"] = weight
        with pytest.raises(Refused, match=r"http\[0\].*route\[0\].*weight|weight.*http"):
            of_istio(item)


class TestRoutesOfTheGatewayApi:
    def test_absent_weights_are_one_each(self) -> None:
        found = http_route({"backendRefs": [backend("web"), backend("web-v2")]})
        assert shares(found) == {"web": 50.0, "web-v2": 50.0}

    def test_weights_of_nobody_give_nobody_anything(self) -> None:
        assert shares(http_route({"backendRefs": [backend("web", 0)]})) == {"web": 0.0}

    def test_negative_weights_are_unclear(self) -> None:
        (entry,) = http_route({"backendRefs": [backend("web", -1), backend("web-v2", 2)]}).entries
        assert "negative" in entry.unclear

    def test_a_backend_of_another_namespace_or_kind_is_told_as_such(self) -> None:
        found = http_route({"backendRefs": [backend("web", namespace="b"), backend("web", group="x.io", kind="ServiceImport")]})
        assert sorted((one.namespace, one.service) for one in uses(found)) == [("", ""), ("b", "web")]

    def test_users_are_told_from_conditions(self) -> None:
        match = {
            "path": {"type": "PathPrefix", "value": "/shop"},
            "method": "GET",
            "headers": [{"name": "X-Tester", "value": "yes"}, {"name": "Cookie", "value": "a"}],
            "queryParams": [{"name": "try", "value": "1"}],
        }
        (entry,) = http_route({"matches": [match], "backendRefs": [backend("web")]}).entries
        assert {pin.by for pin in entry.pins} == {"header", "cookie", "query"}
        assert sorted(one.of for one in entry.conditions) == ["other", "path"]

    def test_a_prefix_of_every_path_is_no_condition(self) -> None:
        (entry,) = http_route(
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend("web")]}
        ).entries
        assert entry.conditions == frozenset()

    def test_a_method_of_grpc_is_a_path(self) -> None:
        match = {"method": {"service": "shop.Web", "method": "Buy"}}
        (entry,) = http_route({"matches": [match], "backendRefs": [backend("web")]}, kind=GRPC_ROUTES).entries
        assert [one.of for one in entry.conditions] == ["path"]

    def test_the_order_decides_between_like_rules_only(self) -> None:
        first = {"backendRefs": [backend("web")]}
        second = {"matches": [{"path": {"value": "/a"}}], "backendRefs": [backend("web-v2")]}
        assert len(http_route(first, second).entries) == 2
        assert shares(http_route(first, {"backendRefs": [backend("web-v2")]})) == {"web": 100.0}

    def test_mirrors_are_read_in_rules_and_in_backends(self) -> None:
        filters = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web-v2"}, "percent": 10}}]
        fraction = [
            {
                "type": "RequestMirror",
                "requestMirror": {"backendRef": {"name": "web-v3"}, "fraction": {"numerator": 1, "denominator": 4}},
            }
        ]
        found = uses(http_route({"filters": filters, "backendRefs": [backend("web", filters=fraction)]}))
        assert {one.service: use.mirrored_percent for one, use in found.items()} == {"web": 0.0, "web-v2": 10.0, "web-v3": 25.0}

    def test_an_object_of_another_form_is_refused_with_the_path(self) -> None:
        with pytest.raises(Refused, match="weight"):
            http_route({"backendRefs": [{"name": "web", "weight": "1"}]})


def test_what_a_destination_gets_is_its_largest_share_by_any_way_in() -> None:
    entries = [
        {"match": [{"uri": {"prefix": "/a"}}], "route": [to("web", "v1", 95), to("web", "v2", 5)]},
        {"match": [{"headers": {"x-a": {"exact": "1"}}}], "route": [to("web", "v2")]},
        {"route": [to("web", "v1", 80), to("web", "v2", 20)]},
    ]
    found = {one.subset: use for one, use in uses(of_istio(virtual_service(http=entries))).items()}
    assert found == {"v1": Use(percent=95.0), "v2": Use(percent=20.0, is_pinned=True)}


def splitter(*splits: Json, settings: ConsulKubernetesMesh | None = None, status: Json | None = None) -> Picture:
    item = {"metadata": meta("web", "shop"), "spec": {"splits": list(splits)}, **({} if status is None else {"status": status})}
    return consul.picture(settings or ConsulKubernetesMesh(telemetry=""), item)


class TestSplits:
    def test_shares_are_parts_of_the_sum_of_numbers_and_of_quantities(self) -> None:
        for weights, shown in (((900, 100), (90.0, 10.0)), (("900m", "100m"), (90.0, 10.0)), ((0, 0), (0.0, 0.0))):
            found = linkerd.picture(SPLITS, split("v1alpha2", ("web-v1", weights[0]), ("web-v2", weights[1])))
            assert shares(found) == dict(zip(("web-v1", "web-v2"), shown, strict=True))
            assert (str(found.route), found.hosts) == ("shop/web", ("web.shop",))

    def test_what_gets_no_weight_that_is_one_is_not_clear(self) -> None:
        found = linkerd.picture(SPLITS, split("v1alpha2", ("web-v1", 1), ("web-v2", "much")))
        assert found.entries[0].unclear == "the weight of web-v2 is 'much', which is none"

    def test_a_split_of_some_requests_only_has_a_condition(self) -> None:
        (entry,) = linkerd.picture(
            SPLITS, split("v1alpha4", ("web-v1", 1), matches=[{"kind": "HTTPRouteGroup", "name": "a"}])
        ).entries
        assert entry.conditions == {Condition(of="other", value="matches")}

    def test_a_split_without_backends_sends_nothing_anywhere(self) -> None:
        assert linkerd.picture(SPLITS, split("v1alpha2")).entries == ()

    def test_overrides_of_a_profile_are_shares_of_services_by_their_full_names(self) -> None:
        overrides = [
            {"authority": f"web-{name}.shop.svc.cluster.local:80", "weight": weight} for name, weight in (("v1", "9"), ("v2", 1))
        ]
        item = {
            "metadata": meta("web.shop.svc.cluster.local", "shop"),
            "spec": {"dstOverrides": [*overrides, {"authority": "far"}]},
        }
        found = linkerd.picture(SERVICE_PROFILES, item)
        assert shares(found) == {"web-v1": 90.0, "web-v2": 10.0, "far": 0.0}
        assert [one.namespace for one in uses(found)] == ["shop", "shop", ""]

    def test_a_route_of_a_server_sends_nobody_anywhere_and_any_other_is_the_gateway_apis(self) -> None:
        spec = {"rules": [{"backendRefs": [backend("web-v1")]}]}
        for kind, sends in (("Server", False), ("Service", True)):
            item = {"metadata": meta("web", "shop"), "spec": {"parentRefs": [{"kind": kind, "name": "web"}], **spec}}
            assert bool(linkerd.picture(HTTP_ROUTES, item).entries) is sends

    def test_a_split_of_another_form_is_refused(self) -> None:
        with pytest.raises(Refused, match="TrafficSplit"):
            linkerd.picture(SPLITS, split("v1alpha2", ("web-v1", 1)) | {"spec": {"backends": "all"}})


class TestServiceSplitters:
    def test_subsets_are_shares_of_which_no_labels_are_known(self) -> None:
        found = splitter({"weight": 99.5, "serviceSubset": "v1"}, {"weight": 0.5, "serviceSubset": "v2"})
        assert shares(found) == {"web subset v1": 99.5, "web subset v2": 0.5}
        assert {one.labels is None for one in uses(found)} == {True}
        assert [(one.namespace, one.host) for one in uses(found)] == [("shop", "web.shop")] * 2
        assert found.hosts == ("web",)

    def test_a_service_of_another_place_is_outside_and_of_a_mirrored_namespace_it_is_there(self) -> None:
        away: Json = {"weight": 50, "service": "cart", "namespace": "till"}
        assert [one.service for one in uses(splitter(away))] == [""]
        (there,) = uses(splitter(away, settings=ConsulKubernetesMesh(telemetry="", mirrored_namespaces=True)))
        assert (there.namespace, there.service, there.labels) == ("till", "cart", {})
        assert [one.service for one in uses(splitter({"weight": 50, "service": "cart", "partition": "far"}))] == [""]

    def test_what_consul_has_refused_is_not_clear(self) -> None:
        status = {"conditions": [{"type": "Synced", "status": "False", "message": "no such subset"}]}
        (entry,) = splitter({"weight": 100, "serviceSubset": "v1"}, status=status).entries
        assert entry.unclear == "Consul has refused what is written there: no such subset"

    def test_one_without_splits_sends_nothing_and_one_of_another_form_is_refused(self) -> None:
        assert splitter().entries == ()
        with pytest.raises(Refused, match="ServiceSplitter"):
            consul.picture(ConsulKubernetesMesh(telemetry=""), {"metadata": meta("web", "shop"), "spec": {"splits": "all"}})
