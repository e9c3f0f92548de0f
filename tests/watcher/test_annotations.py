"""What people write beside routes: what counts, and what is told to mean nothing."""

from __future__ import annotations

import pytest

from daemon.watcher.annotations import Annotated, Wishes, wishes
from tests.discovery.hand import at

V1, V2 = at("v1"), at("v2")
STABLE, CANARY = at(service="web-stable"), at(service="web-canary")


def on_route(**said: str) -> Wishes:
    return wishes(_annotated("VirtualService shop/web", **said), [], destinations=[V1, V2, STABLE, CANARY])


def _annotated(said: str, **annotations: str) -> Annotated:
    return Annotated(said=said, annotations={f"verdictd.io/{name}": value for name, value in annotations.items()})


@pytest.mark.parametrize(
    ("word", "meant"),
    [("v2", V2), ("web/v2", V2), ("web-canary", CANARY), ("web-canary.shop.svc", CANARY)],
)
def test_an_arm_is_named_by_subset_by_service_or_by_both(word: str, meant: object) -> None:
    assert on_route(canary=word).canary == meant
    assert on_route(baseline=word).baseline == meant


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"watch": "on"}, "VirtualService shop/web verdictd.io/watch: is 'on'; write off, observe or enforce"),
        (
            {"canary": "v3"},
            (
                "VirtualService shop/web verdictd.io/canary: 'v3' is none of the route's destinations; "
                "write web-canary, web-stable, v1 or v2"
            ),
        ),
        (
            {"policy": "a b"},
            (
                "VirtualService shop/web verdictd.io/policy: 'a b' is not a usable name; "
                "use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit"
            ),
        ),
    ],
)
def test_what_means_nothing_is_a_fault_with_its_place_and_the_fix(said: dict[str, str], fault: str) -> None:
    assert [str(one) for one in on_route(**said).faults] == [fault]


def test_a_name_of_several_destinations_is_none_of_them() -> None:
    both = [at("v1"), at("v1", service="cart")]
    found = wishes(_annotated("VirtualService shop/web", canary="v1"), [], destinations=both)
    assert [one.message for one in found.faults] == ["'v1' is several of the route's destinations"]


def test_the_route_goes_before_services_which_must_agree_and_may_speak_of_another_route() -> None:
    services = [_annotated("Service shop/a", policy="lax", canary="v9"), _annotated("Service shop/b", policy="strict")]
    disagreeing = wishes(_annotated("VirtualService shop/web"), services, destinations=[V1, V2])
    assert [str(one) for one in disagreeing.faults] == [
        (
            "Service shop/b verdictd.io/policy: is 'strict', and 'lax' at Service shop/a verdictd.io/policy; "
            "write it on the route, or the same on all its Services"
        )
    ]
    assert disagreeing.canary is None
    decided = wishes(_annotated("VirtualService shop/web", policy="own"), services, destinations=[V1, V2])
    assert (decided.policy, decided.faults) == ("own", ())
