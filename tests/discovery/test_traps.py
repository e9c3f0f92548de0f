"""What only looks like a release, or like the other arm: each was seen in objects that people wrote."""

from __future__ import annotations

import pytest

from daemon.delivery import flaggerarms, rolloutarms
from daemon.discovery import siblings
from daemon.discovery.announced import Notice
from daemon.discovery.contests import contests
from daemon.discovery.openings import Asks, Opens, Quiet, outcomes
from daemon.discovery.picture import uses
from daemon.discovery.surroundings import Surroundings, selectors, workload
from daemon.errors import Refused
from tests.discovery import hand
from tests.discovery.hand import around, at, entry, path, route, split, versions
from tests.discovery.test_picture import backend, http_route, of_istio
from tests.meshes.objects import Json, rule, to, virtual_service

V1, V2 = at("v1"), at("v2")
THERE = versions("v1", "v2")


def test_a_canary_past_half_is_not_taken_for_the_baseline() -> None:
    (found,) = outcomes(split((V1, 100)), split((V1, 40), (V2, 60)), around=THERE)
    assert isinstance(found, Opens)
    assert found.found.canary.name == "v2"
    (unseen,) = outcomes(None, split((V1, 40), (V2, 60)), around=THERE)
    assert isinstance(unseen, Asks)


def test_at_the_end_of_a_migration_the_smaller_share_is_no_canary() -> None:
    for before in (None, split((V1, 1), (V2, 99))):
        (found,) = outcomes(before, split((V1, 0), (V2, 100)), around=THERE)
        assert isinstance(found, Quiet)


def test_arms_are_known_by_their_labels_and_not_by_what_their_subsets_are_called() -> None:
    rules = rule({"version-v1": {"version": "v1"}, "v0-5-3": {"version": "v0.5.3"}, "left": {"version": "v2"}})
    now = of_istio(virtual_service(to("web", "version-v1", 90), to("web", "left", 10)), rules)
    (opens,) = outcomes(of_istio(virtual_service(to("web", "version-v1")), rules), now, around=THERE)
    assert isinstance(opens, Opens)
    assert (opens.found.baseline.labels, opens.found.canary.labels) == (
        {"app": "web", "version": "v1"},
        {"app": "web", "version": "v2"},
    )
    assert (opens.found.baseline.version, opens.found.canary.version) == ("v1", "v2")


def test_halves_without_weights_are_not_begun_where_the_owner_has_nothing_new() -> None:
    item = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"strategy": {"canary": {"stableService": "web", "canaryService": "web-v2"}}},
        "status": {"stableRS": "a", "currentPodHash": "a"},
    }
    standing = http_route({"backendRefs": [backend("web"), backend("web-v2")]})
    there = around(owned=[rolloutarms.owned(item)], web_v2={"app": "web"})
    (found,) = outcomes(http_route(), standing, around=there)
    assert isinstance(found, Quiet)
    assert "nothing new" in found.why
    (unowned,) = outcomes(http_route(), standing, around=around(web_v2={"app": "web"}))
    assert isinstance(unowned, Asks)


def test_services_of_a_rollout_that_select_the_same_until_it_adds_the_hash_are_told_apart_by_it() -> None:
    item = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"strategy": {"canary": {"stableService": "web", "canaryService": "web-new"}}},
        "status": {"stableRS": "old", "currentPodHash": "new"},
    }
    there = around(owned=[rolloutarms.owned(item)], web_new={"app": "web"})
    (found,) = outcomes(None, split((at(), 90), (at(service="web-new"), 10)), around=there)
    assert isinstance(found, Opens)
    assert found.found.canary.labels == {"app": "web", "rollouts-pod-template-hash": "new"}


def test_the_canary_of_flagger_is_the_workload_with_the_plain_name() -> None:
    item = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetRef": {"name": "web"}},
        "status": {"phase": "Progressing"},
    }
    workloads = [hand.workload("web"), hand.workload("web-primary", app="web-primary")]
    there = around(*workloads, owned=[flaggerarms.owned(item)], web_canary={"app": "web"}, web_primary={"app": "web-primary"})
    (found,) = outcomes(None, split((at(service="web-primary"), 90), (at(service="web-canary"), 10)), around=there)
    assert isinstance(found, Opens)
    assert (found.found.canary.workloads, found.found.baseline.workloads) == (("web",), ("web-primary",))


def test_an_arm_may_be_several_workloads() -> None:
    there = around(
        *(hand.workload(name, version="v1") for name in ("v1", "v1-delay", "v1-error")), hand.workload("v2", version="v2")
    )
    (found,) = outcomes(split((V1, 100)), split((V1, 90), (V2, 10)), around=there)
    assert isinstance(found, Opens)
    assert found.found.baseline.workloads == ("v1", "v1-delay", "v1-error")
    assert found.found.confidence == "strong"


@pytest.mark.parametrize("names", [("zone1", "zone2"), ("backend-2", "web-1"), ("rack-1", "rack-2")])
def test_numbers_of_places_and_of_other_stems_order_nothing(names: tuple[str, str]) -> None:
    one, other = (at(service=name) for name in names)
    there = Surroundings(services={("shop", name): {"app": name} for name in names})
    (found,) = outcomes(None, split((one, 50), (other, 50)), around=there)
    assert isinstance(found, Asks)
    assert "newer" not in found.ask.why


def test_a_label_called_track_is_no_rack() -> None:
    one, other = at("a", labels={"track": "stable"}), at("b", labels={"track": "canary"})
    there = around(hand.workload("a", track="stable"), hand.workload("b", track="canary"))
    (found,) = outcomes(split((one, 100)), split((one, 90), (other, 10)), around=there)
    assert isinstance(found, Opens)
    assert "words" in found.found.by


def test_a_whole_host_beside_its_subset_is_asked_about() -> None:
    (found,) = outcomes(split((at(), 100)), split((at(), 90), (V2, 10)), around=THERE)
    assert isinstance(found, Asks)
    assert found.ask.missing == ("baseline.subset",)


def test_an_egress_gateway_and_the_world_are_no_arms() -> None:
    inside, outside = to("egress.istio-system.svc.cluster.local", "news"), to("news.example.org")
    entries = [{"match": [{"gateways": ["mesh"]}], "route": [inside]}, {"match": [{"gateways": ["out"]}], "route": [outside]}]
    assert contests(of_istio(virtual_service(http=entries)), around=around()) == ()


def test_the_second_of_two_entries_for_all_requests_is_dead() -> None:
    entries = [{"route": [to("web", "v1")]}, {"route": [to("web", "v2")]}]
    (found,) = outcomes(route(), of_istio(virtual_service(http=entries)), around=THERE)
    assert found == Quiet(why="all goes to one destination")


def test_one_host_in_two_clusters_is_no_release() -> None:
    twice = of_istio(virtual_service(to("web.shop.svc.cluster.local", None, 50), to("web.shop.svc.clusterset.local", None, 50)))
    assert [use.percent for use in uses(twice).values()] == [100.0]
    assert contests(twice, around=around()) == ()
    abroad = of_istio(virtual_service(to("web.east.example", None, 50), to("web.west.example", None, 50)))
    assert contests(abroad, around=around()) == ()
    by_cluster = [at(name, labels={"topology.istio.io/cluster": name}) for name in ("one", "two")]
    (found,) = outcomes(split((by_cluster[0], 100)), split((by_cluster[0], 50), (by_cluster[1], 50)), around=around())
    assert isinstance(found, Quiet)


def test_a_canary_of_the_control_plane_is_none_of_the_service() -> None:
    stable = hand.workload("gateway", runs="auto", more={"istio.io/rev": "prod-stable"})
    canary = hand.workload("gateway-canary", runs="auto", more={"istio.io/rev": "prod-canary"})
    found = siblings.outcome(around(stable), around(stable, canary), namespace="shop", service="web")
    assert isinstance(found, Quiet)


def test_two_applications_under_one_label_are_no_release() -> None:
    one, other = hand.workload("portal", runs="reg/portal:1"), hand.workload("travels", runs="reg/travels:2")
    found = siblings.outcome(around(one), around(one, other), namespace="shop", service="web")
    assert isinstance(found, Quiet)


def test_an_announcement_that_is_repeated_or_late_is_asked_about() -> None:
    said = Notice(service="web", namespace="shop", version="v2")
    for before in (None, split((V1, 5), (V2, 95))):
        (found,) = outcomes(before, split((V1, 5), (V2, 95)), around=THERE, announcement=said)
        assert isinstance(found, Asks)


def test_weights_as_text_are_refused_and_sums_are_what_they_are() -> None:
    with pytest.raises(Refused, match="weight"):
        of_istio((None, _with_text_weights()))
    found = uses(of_istio(virtual_service(to("web", "v1", 2), to("web", "v2", 1))))
    assert [round(use.percent, 1) for _, use in sorted(found.items())] == [66.7, 33.3]


def _with_text_weights() -> Json:
    item = virtual_service(to("web", "v1", 90), to("web", "v2", 10))[1]
    for target in item["spec"]["http"][0]["route"]:
        target["weight"] = str(target["weight"])
    return item


def test_two_subsets_by_gateway_are_no_release() -> None:
    entries = [{"match": [{"gateways": ["in"]}], "route": [to("web", "v2")]}, {"route": [to("web", "v1")]}]
    assert contests(of_istio(virtual_service(http=entries)), around=THERE) == ()


def test_who_is_pinned_on_one_path_is_no_canary_of_another_path() -> None:
    now = route(entry((V2, 100), pins=[hand.COOKIE], on=[path("/a")]), entry((V1, 100), on=[path("/b")]))
    assert contests(now, around=THERE) == ()


def test_two_applications_by_path_are_no_release() -> None:
    now = route(entry((at(service="till"), 100), on=[path("/till")]), entry((at(), 100)))
    assert contests(now, around=around(till={"app": "till"})) == ()


def test_an_external_name_chooses_no_pods() -> None:
    item = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "ExternalName", "selector": {"app": "web"}}}
    assert Surroundings(services=selectors([item])).behind(at()).chosen is None


def test_a_workload_of_another_form_is_refused() -> None:
    with pytest.raises(Refused, match="Deployment cannot be read"):
        workload({"metadata": {"name": "web"}, "spec": {"replicas": "3"}}, kind="Deployment")
