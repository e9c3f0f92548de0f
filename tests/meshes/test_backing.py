"""Who stands behind an arm, by the objects as they were listed."""

import pytest

from daemon.errors import Forbidden, NotFound, Unavailable
from daemon.meshes import backing
from daemon.meshes.backing import Backing, PodSelector
from daemon.meshes.istio.destinationrule import SubsetLabels, Subsets, subset_labels
from daemon.meshes.istio.hosts import Destination
from daemon.meshes.istio.pods import Observed, backing_of
from tests.meshes.objects import Json, behind, pod, service, service_entry

WEB = Destination(host="web.shop.svc")
V1 = Destination(host="web.shop.svc", subset="v1")
V2 = Destination(host="web.shop.svc", subset="v2")
WHOLE = SubsetLabels(labels={})
ONE = SubsetLabels(labels={"version": "v1"})
TWO = SubsetLabels(labels={"version": "v2"})
SERVICE = service("web", app="web")[1]
GONE = NotFound("no such Service")


def look(arm: Destination, seen: Observed) -> Backing:
    return backing_of(arm, seen, multi_cluster=False)


def pods(**versions: str) -> list[Json]:
    return [pod(name, version=version)[1] for name, version in versions.items()]


def test_the_ready_endpoints_of_a_service_are_counted_each_pod_once() -> None:
    twice = behind("web", "a", "b", unready=("c",))[1]
    dual = {**twice, "endpoints": [{**one, "addresses": [f"fd00::{at}"]} for at, one in enumerate(twice["endpoints"])]}
    found = look(WEB, Observed(subset=WHOLE, service=SERVICE, slices=[twice, dual]))
    assert (found.ready, found.endpoints) == (2, frozenset({"a", "b", "c"}))


def test_an_address_is_ready_if_one_of_its_slices_says_so_or_none_says_anything() -> None:
    silent: Json = {"endpoints": [{"addresses": ["10.0.0.1"]}]}
    unready: Json = {"endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": {"ready": False}}]}
    assert look(WEB, Observed(subset=WHOLE, service=SERVICE, slices=[silent, unready])).ready == 1


def test_of_a_subset_only_the_pods_with_its_labels_count() -> None:
    found = look(V1, Observed(subset=ONE, service=SERVICE, slices=[behind("web", "a", "b")[1]], pods=pods(a="v1", b="v2", x="v1")))
    assert (found.ready, found.endpoints) == (1, frozenset({"a"}))


@pytest.mark.parametrize(
    ("arm", "seen", "why"),
    [
        (WEB, Observed(subset=WHOLE, service=SERVICE, slices=Unavailable("500")), "EndpointSlices could not be read: 500"),
        (V1, Observed(subset=ONE, service=SERVICE, slices=[behind("web", "a")[1]], pods=Forbidden("no")), "pods could not be read"),
        (V1, Observed(subset=SubsetLabels(unknown="who knows"), service=SERVICE, slices=[behind("web", "a")[1]]), "who knows"),
        (
            V1,
            Observed(subset=ONE, service=SERVICE, slices=[{"endpoints": [{"addresses": ["10.9.9.9"]}]}]),
            "are no pods, and have no labels",
        ),
        (
            V1,
            Observed(
                subset=SubsetLabels(labels={"topology.istio.io/cluster": "east", "version": "v1"}),
                service=SERVICE,
                slices=[behind("web", "a")[1]],
                pods=pods(a="v1"),
            ),
            "labels that Istio adds by itself and pods do not carry (topology.istio.io/cluster)",
        ),
        (WEB, Observed(subset=WHOLE, service=Forbidden("no")), "its Service could not be read"),
        (WEB, Observed(subset=WHOLE, service={"spec": {}}), "selects no pods"),
        (WEB, Observed(subset=WHOLE, service={"spec": {"type": "ExternalName", "selector": {"a": "b"}}}), "selects no pods"),
        (
            WEB,
            Observed(subset=WHOLE, service=GONE, entries=[service_entry("*.shop.svc.cluster.local")[1]]),
            "ServiceEntry shop/outside",
        ),
        (WEB, Observed(subset=WHOLE, service=GONE, entries=Forbidden("no")), "ServiceEntries could not be read"),
        (Destination(host="api.example.com"), Observed(subset=WHOLE, service=GONE), "is no Kubernetes service"),
        (
            Destination(host="api.example.com"),
            Observed(subset=WHOLE, service=GONE, entries=[service_entry("b.example.com", "*.example.com")[1]]),
            "api.example.com is of ServiceEntry shop/outside",
        ),
        (Destination(host="example.com"), Observed(subset=WHOLE, service=GONE), "is no Kubernetes service"),
    ],
)
def test_what_is_not_sure_is_not_known_and_says_why(arm: Destination, seen: Observed, why: str) -> None:
    found = look(arm, seen)
    assert (found.ready, found.missing) == (None, "")
    assert why in found.unknown
    assert backing.harm(found, look(V2, Observed(subset=TWO, service=SERVICE))) is None
    assert why in backing.account(found, found)


def test_a_service_that_is_not_there_says_what_is_as_far_as_that_could_be_read() -> None:
    known = look(WEB, Observed(subset=WHOLE, service=GONE, services=[service("wep")[1], service("other")[1]]))
    assert known.missing == "there is no Service web in namespace shop (there are other, wep; did you mean wep?)"
    unread = look(WEB, Observed(subset=WHOLE, service=GONE, services=Forbidden("no")))
    assert unread.missing == "there is no Service web in namespace shop"
    assert look(WEB, Observed(subset=WHOLE, service=GONE)).missing.endswith("(there is none)")


def test_a_deleted_service_whose_endpoints_are_still_there_is_still_served() -> None:
    assert look(WEB, Observed(subset=WHOLE, service=GONE, slices=[behind("web", "a")[1]])).ready == 1


def test_of_very_many_names_only_some_are_told() -> None:
    many = [service(f"svc-{number:02}")[1] for number in range(30)]
    assert look(WEB, Observed(subset=WHOLE, service=GONE, services=many)).missing.endswith("svc-09 and 20 more)")


def view(**labels: str) -> Subsets:
    return Subsets(labels={name: {"version": version} for name, version in labels.items()}, rules=("shop/web",))


def test_a_subset_means_what_all_clients_that_have_it_agree_on() -> None:
    assert subset_labels(WEB, {"shop": view()}) == WHOLE
    assert subset_labels(V1, {"shop": view(v1="v1"), "edge": view(v1="v1")}) == ONE
    apart = subset_labels(V1, {"shop": view(v1="v1"), "edge": view(v1="v2")})
    assert apart.unknown == "subset v1 means other pods to clients of edge and shop"
    some = subset_labels(V1, {"shop": view(v1="v1"), "edge": view(v2="v2")})
    assert (some.labels, some.note) == ({"version": "v1"}, "clients of edge have no subset v1 of web.shop.svc")
    unread = subset_labels(V1, {"shop": view(v1="v1"), "edge": Subsets(labels={}, unread="no")})
    assert unread == ONE


def test_a_subset_that_nobody_has_is_missing_only_where_everything_was_read() -> None:
    assert "does not define subset v1 (there is v2)" in subset_labels(V1, {"shop": view(v2="v2")}).missing
    unread = subset_labels(V1, {"shop": view(v2="v2"), "edge": Subsets(labels={}, unread="no")})
    assert (unread.missing, unread.unknown) == ("", "no")
    partly = subset_labels(V1, {"shop": Subsets(labels={}, partly=frozenset({"v1"}))})
    assert (partly.missing, partly.unknown) == ("", "subset v1 is only in a rule for some workloads (workloadSelector)")


def test_pods_are_the_same_by_what_chooses_them_even_where_there_are_none() -> None:
    one = look(V1, Observed(subset=ONE, service=SERVICE))
    other = look(V2, Observed(subset=ONE, service=SERVICE))
    assert backing.same_pods(one, other) is not None
    assert backing.same_pods(one, look(V2, Observed(subset=TWO, service=SERVICE))) is None


def test_arms_that_were_not_read_are_not_taken_for_the_same() -> None:
    assert backing.same_pods(Backing(arm=V1), Backing(arm=V2)) is None
    assert backing.same_pods(Backing(arm=V1, endpoints=frozenset()), Backing(arm=V2, endpoints=frozenset())) is None


def test_in_a_mesh_of_several_clusters_endpoints_seen_here_prove_nothing() -> None:
    slices = [behind("web", "a")[1]]
    one = backing_of(WEB, Observed(subset=WHOLE, service=service("web", app="web")[1], slices=slices), multi_cluster=True)
    other = Destination(host="alias.shop.svc")
    alias = backing_of(other, Observed(subset=WHOLE, service=service("alias", tier="new")[1], slices=slices), multi_cluster=True)
    assert (one.ready, one.endpoints) == (1, None)
    assert backing.same_pods(one, alias) is None


@pytest.mark.parametrize(
    ("both", "convicted", "blocked"),
    [
        ({"version": "v1"}, {"version": "v2"}, False),
        ({"version": "v2"}, {"version": "v2"}, True),
        ({}, {"version": "v2"}, True),
        ({"version": "v1"}, {"tier": "new"}, True),
        ({"version": "v1"}, None, True),
    ],
)
def test_two_arms_that_became_the_same_pods_are_no_harm_only_where_none_of_them_can_be_a_convicted_one(
    both: dict[str, str], convicted: dict[str, str] | None, *, blocked: bool
) -> None:
    slices = [behind("web", "a")[1]]
    seen = Observed(subset=SubsetLabels(labels=both), service=SERVICE, slices=slices, pods=[pod("a", **both)[1]])
    was = None if convicted is None else PodSelector(host="web.shop.svc", labels=frozenset(convicted.items()))
    assert (backing.harm(look(V1, seen), look(V2, seen), convicted=was) is not None) is blocked


def test_pods_of_two_services_are_apart_only_where_both_selectors_are_known_and_of_one_namespace() -> None:
    def meaning(host: str, namespace: str = "shop", **selector: str) -> PodSelector:
        return PodSelector(host=host, labels=frozenset(), selector=(namespace, frozenset(selector.items())) if selector else None)

    assert meaning("a", v="1").is_apart(meaning("b", v="2"))
    assert not meaning("a", v="1").is_apart(meaning("b", tier="new"))
    assert not meaning("a", v="1").is_apart(meaning("b"))
    assert not meaning("a", v="1").is_apart(meaning("b", "other", v="2"))
