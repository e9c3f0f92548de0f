"""Consul's planner: wherever a config entry names the canary, and what is written so that nothing leads to it any more."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daemon.errors import InvalidInput, Refused
from daemon.meshes.consul import arms as naming
from daemon.meshes.consul import routes, weights
from daemon.meshes.consul.elsewhere import elsewhere
from daemon.meshes.consul.entries import Entry, Target, edited, of_api, of_object, patch
from daemon.meshes.consul.routes import Arms, Rewrite
from daemon.meshes.references import Json
from daemon.model import ArmSpec, Release
from daemon.placement import ObjectName, RouteReference
from tests.meshes import jsonpatch
from tests.meshes.consul_entries import (
    ARMS,
    SERVICES,
    CircularError,
    in_each_spelling,
    pascal,
    resolver,
    resource,
    reverted,
    router,
    snake,
    split,
    splitter,
    ways,
)

WEB = ObjectName(kind="service-splitter", name="web")
CANARY, BASELINE = split(10, subset="v2"), split(90, subset="v1")


def found(entry: Json, *, arms: Arms = ARMS) -> tuple[RouteReference, ...]:
    return routes.references(of_api(entry), arms=arms, object_name=WEB)


def told(entry: Json, *, arms: Arms = ARMS) -> list[str]:
    return [str(one) for one in found(entry, arms=arms)]


def after(entry: Json, *, arms: Arms = ARMS) -> Json:
    [changed] = reverted([entry], arms=arms)
    return changed


@pytest.mark.parametrize("which", [0, 1, 2], ids=["a file's", "HTTP's", "Kubernetes'"])
@pytest.mark.parametrize(
    ("entry", "arms", "expected"),
    [
        (splitter(BASELINE, CANARY), ARMS, {"splits": [split(100, subset="v1"), split(0, subset="v2")]}),
        (
            splitter(split(100, service="web-v2"), name="edge"),
            SERVICES,
            {"splits": [split(0, service="web-v2"), split(100, service="web-v1")]},
        ),
        (router({"service": "web", "service_subset": "v2"}), ARMS, "v1"),
        (resolver(default_subset="v2"), ARMS, {"default_subset": "v1", "subsets": resolver()["subsets"]}),
        (
            resolver("api", subsets=(), redirect={"service": "web-v2"}),
            SERVICES,
            {"redirect": {"service": "web-v1"}},
        ),
    ],
)
def test_an_entry_is_taken_back_in_the_spelling_that_it_has(entry: Json, arms: Arms, expected: Any, which: int) -> None:
    one = in_each_spelling(entry)[which]
    rewrite = routes.revert(one, arms=arms)
    written = snake(edited(one, rewrite.edits))
    if isinstance(expected, str):
        expected = {"routes": [{**entry["routes"][0], "destination": {"service": "web", "service_subset": expected}}]}
    assert written == expected
    assert rewrite.changes


def test_what_is_written_as_a_json_patch_is_the_same_as_what_is_written_whole() -> None:
    for entry in (
        splitter(CANARY, split(90, service="other")),
        router(None, {"service_subset": "v2"}),
        resolver(default_subset="v2"),
    ):
        raw = resource(entry)
        one = of_object(raw, kind=entry["kind"], mirrored=False, partition="default")
        edits = routes.revert(one, arms=ARMS).edits
        assert edits
        assert jsonpatch.apply(raw, list(patch(edits, under="/spec")))["spec"] == edited(one, edits)


def test_every_place_that_names_the_canary_is_told_with_its_share() -> None:
    assert told(splitter(BASELINE, CANARY)) == ["web split #1 of 2: 10 % of the traffic"]
    assert told(splitter(split(100, subset="v1"), split(0, subset="v2"))) == ["web split #1 of 2: 0 % of the traffic"]
    assert told(router({"service_subset": "v2"}, {"service": "web"})) == ["web route #0: 100 % of the traffic"]
    assert told(resolver(default_subset="v2")) == ["web default subset: 100 % of the traffic"]
    assert told(resolver("old", redirect={"service": "web", "service_subset": "v2"})) == ["web redirect: 100 % of the traffic"]
    assert told(splitter(split(100, subset="v1"))) == []
    assert [one.kind for one in found(splitter(split(100, subset="v2")))] == ["pin"]
    assert [one.kind for one in found(splitter(BASELINE, CANARY))] == ["weight"]


def test_the_canarys_split_stays_with_weight_nothing_beside_the_baseline_that_is_added_where_it_was_not() -> None:
    changed = after(splitter(split(30, subset="v2", request_headers={"set": {"x-version": "2"}}), split(70, service="other")))
    assert changed["splits"] == [
        split(0, subset="v2", request_headers={"set": {"x-version": "2"}}),
        split(70, service="other"),
        split(30, subset="v1"),
    ]


def test_weights_that_no_proxy_takes_are_mended_and_not_made_worse() -> None:
    """Consul takes -1 and 101; its proxies refuse them and go on with what was before."""
    assert after(splitter(split(101, subset="v1"), split(-1, subset="v2")))["splits"] == [
        split(100, subset="v1"),
        split(0, subset="v2"),
    ]
    with pytest.raises(Refused, match="the baseline would get 150 of 100"):
        after(splitter(split(140, subset="v1"), split(10, subset="v2"), split(-50, service="other")))


def test_a_redirect_of_the_baselines_own_service_is_removed_since_it_would_lead_to_itself() -> None:
    arms = Arms(baseline=Target(service="web"), canary=Target(service="web-v2"))
    changed = after(resolver(subsets=(), redirect={"service": "web-v2"}), arms=arms)
    assert changed == {"kind": "service-resolver", "name": "web"}


def test_a_destination_that_names_nothing_is_its_own_service() -> None:
    arms = Arms(baseline=Target(service="web-v1"), canary=Target(service="web"))
    assert [one["destination"] for one in after(router(None, {"prefix_rewrite": "/"}), arms=arms)["routes"]] == [
        {"service": "web-v1"},
        {"prefix_rewrite": "/", "service": "web-v1"},
    ]
    assert after(router({"service": "web", "service_subset": "beta"}), arms=arms)["routes"][0]["destination"] == {
        "service": "web-v1"
    }


def test_a_default_subset_that_cannot_be_the_baseline_is_told_and_refused() -> None:
    arms = replace(ARMS, baseline=Target(service="web-v1"))
    why = "a default subset can only be one of web's own, and the baseline is web-v1"
    assert told(resolver(default_subset="v2"), arms=arms) == [f"web default subset (it stays: {why}): 100 % of the traffic"]
    with pytest.raises(Refused, match="default subset: a default subset can only be one of web's own"):
        routes.revert(of_api(resolver(default_subset="v2")), arms=arms)
    with pytest.raises(Refused, match="web has no subset v1"):
        routes.revert(of_api(resolver(subsets=["v2"], default_subset="v2")), arms=ARMS)


def test_services_of_other_namespaces_and_datacenters_are_others() -> None:
    assert told(splitter(BASELINE, split(10, subset="v2", namespace="other"))) == []
    assert told(splitter(BASELINE, split(10, subset="v2", partition="other"))) == []
    away = {"service": "web", "service_subset": "v2", "datacenter": "dc2"}
    assert told(resolver("old", subsets=(), redirect=away)) == []
    one = of_object(resource(splitter(BASELINE, CANARY)), kind="service-splitter", mirrored=True, partition="default")
    assert routes.references(one, arms=ARMS, object_name=WEB) == ()
    shop = Arms(baseline=replace(ARMS.baseline, namespace="shop"), canary=replace(ARMS.canary, namespace="shop"))
    assert len(routes.references(one, arms=shop, object_name=WEB)) == 1


def test_what_is_not_touched_is_named() -> None:
    away = {"service": "web", "service_subset": "v2", "datacenter": "dc2"}
    listed = [{"service": "other"}, {"service": "web", "service_subset": "v2"}]
    entries = [
        resolver(failover={"v1": {"service_subset": "v2"}, "v2": {"service_subset": "v1"}, "*": {"datacenters": ["dc2"]}}),
        resolver("api", subsets=(), failover={"*": {"targets": listed}}),
        resolver("far", subsets=(), redirect=away),
        resolver("all", subsets=(), redirect={"service": "web"}),
    ]
    assert elsewhere([of_api(one) for one in entries], arms=ARMS) == (
        "service-resolver web: failover of subset v1 to web/v2",
        "service-resolver api: failover of every subset to web/v2",
        "service-resolver far: redirect to web/v2 in datacenter dc2",
        "whoever asks for web itself: web has no default subset, so that all its instances serve",
        "service-resolver all: web has no default subset, so that all its instances serve",
    )
    assert elsewhere([of_api(resolver(default_subset="v1")), of_api(splitter(BASELINE, CANARY))], arms=ARMS) == ()
    assert elsewhere([of_api(splitter(BASELINE, CANARY))], arms=ARMS) == ()
    assert elsewhere([of_api(splitter(split(50), split(50, subset="v1")))], arms=ARMS) == (
        "service-splitter web: web has no default subset, so that all its instances serve",
    )
    assert elsewhere([], arms=SERVICES) == ()


def test_an_entry_that_sends_nothing_anywhere_is_none_of_ours() -> None:
    with pytest.raises(Refused, match="of the kind 'service-defaults'"):
        of_api({"kind": "service-defaults", "name": "web"})


def release(baseline: ArmSpec, canary: ArmSpec) -> Release:
    return Release(service="web", baseline=baseline, canary=canary)


def test_arms_are_subsets_or_services_and_the_baseline_may_be_the_default_subset() -> None:
    named = naming.named(release(ArmSpec(subset="v1"), ArmSpec(subset="v2")))
    assert named == ARMS
    assert naming.named(release(ArmSpec(service="web-v1"), ArmSpec(service="web-v2"))) == SERVICES
    whole = naming.named(release(ArmSpec(), ArmSpec(subset="v2")))
    assert naming.resolved(whole, [of_api(resolver(default_subset="v1"))]) == ARMS
    own = naming.named(release(ArmSpec(), ArmSpec(service="web-v2")))
    assert naming.resolved(own, []) == own
    for default, why in (
        ({"default_subset": "v2"}, "the default subset of web is the canary's"),
        ({}, "web has no default subset"),
    ):
        with pytest.raises(InvalidInput, match=why) as caught:
            naming.resolved(whole, [of_api(resolver(**default))])
        assert caught.value.path == "$.baseline.subset"


def test_another_subset_with_the_canarys_filter_is_the_canary_too() -> None:
    there = resolver(subsets={"v1": "v1", "v2": "v2", "beta": "v2", "other": "v3"}, default_subset="beta")
    arms = naming.resolved(ARMS, [of_api(there)])
    assert arms == replace(ARMS, aliases=("beta",))
    assert after(splitter(split(80, subset="v1"), split(10, subset="beta"), split(10, subset="other")), arms=arms)["splits"] == [
        split(90, subset="v1"),
        split(0, subset="beta"),
        split(10, subset="other"),
    ]
    assert after(there, arms=arms)["default_subset"] == "v1"
    same = resolver(subsets={"v1": "v2", "v2": "v2"})
    assert naming.resolved(ARMS, [of_api(same)]).aliases == (), "the baseline is not taken for the canary"
    with pytest.raises(InvalidInput, match="the default subset of web is the canary's"):
        naming.resolved(replace(ARMS, baseline=Target(service="web")), [of_api(there)])


@pytest.mark.parametrize(
    ("baseline", "canary", "path"),
    [
        (ArmSpec(subset="v1"), ArmSpec(version="v2"), "$.canary"),
        (ArmSpec(subset="v1"), ArmSpec(subset="v1"), "$.canary"),
        (ArmSpec(subset="v1"), ArmSpec(service="web"), "$.canary.subset"),
    ],
)
def test_arms_that_are_none_or_one_are_refused(baseline: ArmSpec, canary: ArmSpec, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        naming.named(release(baseline, canary))
    assert caught.value.path == path


# What holds for any entries.

GIVEN = [[2.16, 74.72, 22.35, 0.77], [7.37, 54.53, 37.23, 0.87], [16.81, 66.27, 8.55, 8.37]]

SPLIT_TARGETS = [("", "v1"), ("", "v2"), ("web-v1", ""), ("web-v2", ""), ("other", ""), ("third", "blue")]


@st.composite
def splitters(draw: st.DrawFn, name: str = "web", targets: list[tuple[str, str]] = SPLIT_TARGETS) -> Json:
    """Of one to five splits, in whole hundredths that sum to 100."""
    chosen = draw(st.lists(st.sampled_from(targets), min_size=1, max_size=5, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=len(chosen) - 1, max_size=len(chosen) - 1)))
    parts = [end - begin for begin, end in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    return splitter(*(split(part / 100, *target) for part, target in zip(parts, chosen, strict=True)), name=name)


@settings(max_examples=50)
@given(entry=splitters(), arms=st.sampled_from([ARMS, SERVICES]))
def test_any_splitter_keeps_its_sum_its_splits_and_what_others_get(entry: Json, arms: Arms) -> None:
    for one in in_each_spelling(entry):
        rewrite = routes.revert(one, arms=arms)
        changed = snake(edited(one, rewrite.edits))["splits"]
        assert sum(weights.hundredths(split["weight"]) for split in changed) == 10_000
        before, now = _parts(entry["splits"], arms), _parts(changed, arms)
        canaries = sum(part for target, part in before.items() if arms.is_canary(target))
        assert set(now) - set(before) <= {arms.baseline}
        for target in set(before) | set(now):
            moved = canaries if target == arms.baseline else -before[target] if arms.is_canary(target) else 0
            assert now[target] == before.get(target, 0) + moved
        again = of_api({**entry, "splits": changed})
        assert routes.revert(again, arms=arms) == Rewrite()
        assert bool(rewrite.changes) is (canaries > 0)


def _parts(splits: list[Json], arms: Arms) -> dict[Target, int]:
    one = of_api(splitter(*splits))
    parts: dict[Target, int] = {}
    for raw in splits:
        parts[one.target(raw)] = parts.get(one.target(raw), 0) + weights.hundredths(raw["weight"])
    return parts


@pytest.mark.parametrize("given", GIVEN)
def test_where_the_webhook_of_consul_k8s_added_up_to_a_hundred_it_does_so_afterwards(given: list[float]) -> None:
    names = ["v2", "v1", "a", "b"]
    entry = splitter(*(split(weight, subset=name) for weight, name in zip(given, names, strict=True)))
    plain = [0, round(given[0] + given[1], 2), *given[2:]]
    assert _webhook(entry["splits"]) == 100.0 != _webhook([split(one) for one in plain]), "else it shows nothing"
    one = of_object(resource(entry), kind="service-splitter", mirrored=False, partition="default")
    changed = edited(one, routes.revert(one, arms=ARMS).edits)["splits"]
    assert _webhook(changed) == 100.0
    assert [one["weight"] for one in after(entry)["splits"]] == plain, "Consul itself is given what is meant"
    assert [weights.hundredths(one["weight"]) for one in changed] == [weights.hundredths(one) for one in plain]


def _webhook(splits: list[Json]) -> float:
    total = 0.0
    for one in splits:
        [single] = struct.unpack("f", struct.pack("f", one["weight"]))
        [total] = struct.unpack("f", struct.pack("f", total + single))
    return total


def _resolvers(name: str, others: list[str]) -> st.SearchStrategy[Json]:
    there = st.sampled_from(others)
    plain = st.sampled_from([resolver(name, default_subset="v1"), resolver(name, default_subset="v2"), resolver(name)])
    redirected = there.map(lambda to: resolver(name, subsets=(), redirect={"service": to}))
    subset = st.sampled_from(["v1", "v2"]).map(lambda one: {"service": "web", "service_subset": one})
    return st.one_of(plain, redirected, subset.map(lambda to: resolver(name, redirect=to)))


OWN = Arms(baseline=Target(service="web"), canary=Target(service="web-v2"))
NAMES = ["web", "web-v1", "web-v2", "other"]


@st.composite
def meshes(draw: st.DrawFn) -> list[Json]:
    """Any of the three kinds for each of four services, naming one another."""
    targets = [*((name, "") for name in NAMES), ("web", "v1"), ("web", "v2")]
    found: list[Json] = []
    for name in NAMES:
        if draw(st.booleans()):
            found.append(draw(splitters(name=name, targets=targets)))
        if draw(st.booleans()):
            destination = {"service": (to := draw(st.sampled_from(targets)))[0], "service_subset": to[1]}
            found.append(router(draw(st.sampled_from([None, {}, {"service": "web-v1"}])), destination, name=name))
        if draw(st.booleans()):
            found.append(draw(_resolvers(name, NAMES)))
    return found


@settings(max_examples=100, deadline=None)
@given(
    entries=meshes(), arms=st.sampled_from([ARMS, SERVICES, Arms(baseline=Target(service="web"), canary=Target(service="web-v2"))])
)
def test_in_any_mesh_no_way_leads_to_the_canary_afterwards_but_those_that_are_named(entries: list[Json], arms: Arms) -> None:
    """By Consul's own rules of how a request goes: through routers, splitters behind splitters, redirects and default subsets."""
    try:
        changed = reverted(entries, arms=arms)
        leaves = {name: [leaf for way in ways(changed, name) for leaf, part in way.items() if part > 1e-9] for name in NAMES}
    except (CircularError, Refused):
        assume(False)
    left = elsewhere([of_api(one) for one in changed], arms=arms)
    for asked, reached in leaves.items():
        canary = [leaf for leaf in reached if arms.is_canary(Target(service=leaf[0], subset=leaf[1] or None))]
        # Nobody routes who asks for the canary's service itself, and all its instances are what is asked for.
        outright = arms.canary.subset is None and asked == arms.canary.service
        assert not canary or outright, (asked, reached)
        if arms.canary.subset is not None and (arms.canary.service, "") in reached:
            assert left
    assert reverted(changed, arms=arms) == changed
    assert not [one for entry in changed for one in found(entry, arms=arms) if one.percent]


def test_an_entry_of_http_and_one_of_kubernetes_say_whose_they_are() -> None:
    owned: Entry = of_api(pascal({**splitter(BASELINE, CANARY), "meta": {"external-source": "kubernetes"}}))
    assert owned.owner == "consul-k8s"
    assert [one.owner for one in routes.references(owned, arms=ARMS, object_name=WEB)] == ["consul-k8s"]
    assert of_api(splitter(BASELINE, CANARY)).owner == ""
