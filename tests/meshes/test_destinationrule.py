"""Which DestinationRules count for a client, in istiod's order."""

import pytest

from daemon.errors import Forbidden
from daemon.meshes.istio.destinationrule import Rules, Subsets, subsets_for
from tests.meshes.objects import Item, Json, versions

HOST = "web.shop.svc"


def by_namespace(*items: Item) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for _, item in items:
        found.setdefault(item["metadata"]["namespace"], []).append(item)
    return found


def seen(client: str, rules: Rules, *, root: str = "istio-system") -> Subsets:
    return subsets_for(client, rules, host=HOST, root=root)


def names(client: str, *items: Item, root: str = "istio-system") -> set[str]:
    return set(seen(client, by_namespace(*items), root=root).labels)


OWN = versions("own", namespace="client")
SERVICES = versions("services", namespace="shop")
ROOTS = versions("roots", namespace="istio-system")


def test_the_clients_namespace_comes_before_the_services_before_the_roots() -> None:
    assert names("client", OWN, SERVICES, ROOTS) == {"own"}
    assert names("client", SERVICES, ROOTS) == {"services"}
    assert names("client", ROOTS) == {"roots"}
    assert names("client", versions("others", namespace="elsewhere")) == set()


def test_for_a_client_in_the_root_namespace_its_shared_rules_come_last_and_its_private_ones_first() -> None:
    assert names("istio-system", SERVICES, ROOTS) == {"services"}
    assert names("istio-system", SERVICES, versions("private", namespace="istio-system", exportTo=["."])) == {"private"}


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ([], True),
        (["*"], True),
        (["client"], True),
        (["other", "client"], True),
        (["."], False),
        (["shop"], False),
        (["other"], False),
    ],
)
def test_what_a_namespace_does_not_export_is_for_its_own_clients(to: list[str], shown: bool) -> None:
    rule = versions("v1", namespace="shop", exportTo=to)
    assert names("client", rule) == ({"v1"} if shown else set())
    assert names("shop", rule) == {"v1"}


def test_what_is_not_exported_gives_way_to_what_comes_after_it() -> None:
    assert names("client", versions("v1", exportTo=["."]), ROOTS) == {"roots"}


def test_a_short_host_belongs_to_the_namespace_of_its_rule() -> None:
    assert names("client", versions("v1", host="web", namespace="shop")) == {"v1"}
    assert names("client", versions("v1", host="web", namespace="client")) == set()


@pytest.mark.parametrize("host", ["*.shop.svc.cluster.local", "*.cluster.local", "*.local", "*"])
def test_a_wildcard_fits(host: str) -> None:
    assert names("client", versions("v1", host=host)) == {"v1"}


@pytest.mark.parametrize("host", ["*.other.svc.cluster.local", "*.example.com", "web.other", "b.shop.svc.cluster.local"])
def test_another_host_does_not_fit(host: str) -> None:
    assert names("client", versions("v1", host=host)) == set()


def test_the_most_specific_host_counts_alone() -> None:
    wide = versions("wide", host="*.local", name="a")
    narrow = versions("narrow", host="*.shop.svc.cluster.local", name="b")
    exact = versions("exact", name="c")
    assert names("client", wide, narrow, exact) == {"exact"}
    assert names("client", wide, narrow) == {"narrow"}


def test_a_wildcard_of_a_cluster_with_a_domain_of_its_own_fits() -> None:
    elsewhere = versions("v9", host="api.shop.svc.corp.example", name="api")
    assert names("client", elsewhere, versions("v1", host="*.corp.example")) == {"v1"}


def test_rules_for_one_host_are_taken_together_and_the_oldest_has_its_way() -> None:
    newer, older = versions("v1", name="a"), versions("v1", "v2", name="b")
    newer[1]["metadata"]["creationTimestamp"] = "2026-02-02T00:00:00Z"
    older[1]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    newer[1]["spec"]["subsets"].append({"name": "v2", "labels": {"version": "other"}})
    newer[1]["spec"]["subsets"].append({"name": "v3"})
    found = seen("client", by_namespace(newer, older))
    assert found.labels == {"v1": {"version": "v1"}, "v2": {"version": "v2"}, "v3": {}}
    assert found.rules == ("shop/b", "shop/a")


def test_a_rule_for_some_workloads_hides_nothing_and_is_told_apart() -> None:
    some = versions("v1", "v2", namespace="client", name="some", workloadSelector={"matchLabels": {"app": "x"}})
    found = seen("client", by_namespace(some, versions("v1", namespace="shop")))
    assert (set(found.labels), found.partly) == ({"v1"}, frozenset({"v2"}))
    alone = seen("client", by_namespace(some))
    assert (alone.labels, alone.partly) == ({}, frozenset({"v1", "v2"}))


def test_rules_that_could_not_be_read_are_missing_only_where_they_would_have_been_asked() -> None:
    rules: Rules = {**by_namespace(SERVICES), "istio-system": Forbidden("no"), "client": ()}
    assert set(seen("client", rules).labels) == {"services"}
    unread = seen("client", {"shop": (), "istio-system": Forbidden("no")})
    assert unread.unread == "the DestinationRules of namespace istio-system could not be read: no"


def test_a_rule_without_a_spec_or_with_odd_subsets_is_no_rule() -> None:
    bare = {"metadata": {"name": "x", "namespace": "shop"}}
    odd = {**bare, "spec": {"host": "web", "subsets": ["v1", {"labels": {}}]}}
    assert seen("client", {"shop": [bare, odd]}).labels == {}
