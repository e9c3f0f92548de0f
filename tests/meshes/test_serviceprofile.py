"""Linkerd's ServiceProfile: where its destinations name the canary, and what is written to take its traffic back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Refused
from daemon.kube.resources import Json
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair
from daemon.meshes.linkerd import serviceprofile
from daemon.meshes.ports import Port
from daemon.meshes.references import with_traffic
from daemon.meshes.smi.quantities import billionths
from tests.meshes import jsonpatch

STABLE = ServiceName(namespace="shop", name="stable")
CANARY = ServiceName(namespace="shop", name="canary")
ARMS = ServicePair(baseline=STABLE, canary=CANARY)
SUFFIX = "shop.svc.cluster.local"


def profile(*destinations: tuple[str, Any], name: str = f"web.{SUFFIX}") -> Json:
    listed = [{"authority": authority, "weight": weight} for authority, weight in destinations]
    metadata = {"name": name, "namespace": "shop", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"routes": [{"name": "all"}], "dstOverrides": listed}}


def taken_back(document: Json, arms: ServicePair = ARMS) -> list[tuple[str, Any]]:
    after = jsonpatch.apply(document, serviceprofile.revert(document, arms=arms).operations)
    assert with_traffic(serviceprofile.references(after, arms=arms)) is None
    assert after["spec"]["routes"] == document["spec"]["routes"]
    return [(one["authority"], one["weight"]) for one in after["spec"]["dstOverrides"]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("stable", "900m"), ("canary", "100m")], [("stable", "1"), ("canary", "0")]),
        ([("canary", 10), ("stable", 90)], [("canary", 0), ("stable", 100)]),
        ([("stable", 1), ("canary", "500m")], [("stable", "1500m"), ("canary", "0")]),
        ([("canary", "1")], [("stable", "1")]),
        ([("stable", "1"), ("canary", "0m")], [("stable", "1"), ("canary", "0m")]),
    ],
)
def test_the_canarys_weight_goes_to_the_baseline(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> None:
    listed = [(f"{name}.{SUFFIX}", weight) for name, weight in before]
    assert taken_back(profile(*listed)) == [(f"{name}.{SUFFIX}", weight) for name, weight in after]


def test_a_destination_with_a_port_goes_to_the_port_that_serves_the_same() -> None:
    ports = {"stable.shop": (Port(number=8080, name="http"),), "canary.shop": (Port(number=80, name="http"),)}
    known = ServicePair(baseline=STABLE, canary=CANARY, ports=ports)
    document = profile((f"canary.{SUFFIX}:80", 1))
    assert taken_back(document) == [(f"stable.{SUFFIX}:80", 1)]
    assert taken_back(document, known) == [(f"stable.{SUFFIX}:8080", 1)]
    both = {**ports, "stable.shop": (Port(number=1), Port(number=2))}
    with pytest.raises(Refused, match=r"which port of stable\.shop serves what canary\.shop.*:80 does is not clear"):
        serviceprofile.revert(document, arms=ServicePair(baseline=STABLE, canary=CANARY, ports=both))


def test_a_baseline_of_another_namespace_is_named_in_full() -> None:
    arms = ServicePair(baseline=ServiceName(namespace="stables", name="stable"), canary=CANARY)
    assert taken_back(profile((f"canary.{SUFFIX}", 1)), arms) == [("stable.stables.svc.cluster.local", 1)]


@pytest.mark.parametrize("authority", ["canary", "canary.shop", "canary.example.com", "", f"canary.other.{SUFFIX}"])
def test_what_is_not_the_name_of_the_canary_in_full_is_not_it(authority: str) -> None:
    assert serviceprofile.references(profile((authority, 1)), arms=ARMS) == ()


def test_the_place_says_its_share_and_the_profile_is_for_the_service_that_it_is_called_by() -> None:
    document = profile((f"stable.{SUFFIX}", "900m"), (f"canary.{SUFFIX}", "100m"))
    [found] = serviceprofile.references(document, arms=ARMS)
    assert (found.object.kind, found.kind, found.percent) == ("ServiceProfile", "weight", 10.0)
    assert serviceprofile.read(document).root == ServiceName(namespace="shop", name="web")
    assert serviceprofile.read(profile(name="example.com")).root is None


def test_what_is_no_profile_is_none_to_the_canary() -> None:
    odd: list[Json] = [{}, {"spec": None}, {"spec": {"dstOverrides": [None, {}]}}, {"spec": {"routes": []}}]
    for document in odd:
        assert serviceprofile.references(document, arms=ARMS) == ()
        assert serviceprofile.revert(document, arms=ARMS).operations == ()


WEIGHTS = st.integers(0, 10_000) | st.builds("{}{}".format, st.integers(0, 10_000), st.sampled_from(["", "m", "u"]))


@given(st.lists(st.tuples(st.sampled_from(["stable", "canary", "other"]), WEIGHTS), max_size=6))
def test_no_weight_is_ever_lost(listed: list[tuple[str, Any]]) -> None:
    document = profile(*((f"{name}.{SUFFIX}", weight) for name, weight in listed))
    after = taken_back(document)
    assert sum(billionths(weight) or 0 for _, weight in after) == sum(billionths(weight) or 0 for _, weight in listed)
    assert [one for one in after if one[0].startswith("other")] == [
        (f"{name}.{SUFFIX}", weight) for name, weight in listed if name == "other"
    ]
