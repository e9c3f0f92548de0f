"""What Flagger and Argo Rollouts say of their arms."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.delivery import flaggerarms, rolloutarms
from daemon.discovery.owned import OwnedArm
from daemon.errors import Refused
from daemon.placement import ObjectName
from tests.discovery.hand import at

ROUTE = ObjectName(kind="VirtualService", namespace="shop", name="web")
META = {"name": "web", "namespace": "shop"}


def canary(phase: str = "Progressing", **spec: Any) -> dict[str, Any]:
    return {"metadata": META, "spec": {"targetRef": {"name": "web"}, **spec}, "status": {"phase": phase, "lastAppliedSpec": "1a"}}


def rollout(strategy: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": META, "spec": {"strategy": strategy}, "status": {"stableRS": "old", "currentPodHash": "new", **status}}


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("", "idle"),
        ("Initialized", "idle"),
        ("Progressing", "stepping"),
        ("Waiting", "stepping"),
        ("WaitingPromotion", "stepping"),
        ("Promoting", "promoting"),
        ("Finalising", "promoting"),
        ("Succeeded", "promoted"),
        ("Failed", "taken back"),
        ("Terminated", "idle"),
        ("OfALaterVersion", "idle"),
    ],
)
def test_phases_of_flagger_say_how_far_it_is(phase: str, state: str) -> None:
    assert flaggerarms.owned(canary(phase)).state == state


def test_flagger_makes_two_services_of_its_own() -> None:
    found = flaggerarms.owned(canary(service={"name": "till"}))
    assert (found.baseline, found.canary) == (OwnedArm(service="till-primary"), OwnedArm(service="till-canary"))
    assert found.attempt == "1a"
    assert flaggerarms.owned({**canary(), "status": None}).state == "idle"


def test_a_canary_without_a_target_has_no_arms() -> None:
    found = flaggerarms.owned(canary(targetRef={}))
    assert found.arm_at(at(service=""), route=ROUTE) is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, "stepping"),
        ({"abort": True}, "taken back"),
        ({"currentPodHash": "old"}, "promoted"),
        ({"stableRS": ""}, "idle"),
        ({"abort": True, "currentPodHash": "old"}, "promoted"),
    ],
)
def test_hashes_of_a_rollout_say_how_far_it_is(status: dict[str, Any], state: str) -> None:
    assert rolloutarms.owned(rollout({"canary": {}}, **status)).state == state


def test_a_rollout_tells_its_arms_by_services_and_by_the_hash_of_their_pods() -> None:
    found = rolloutarms.owned(rollout({"canary": {"stableService": "web", "canaryService": "web-new"}}))
    assert found.baseline == OwnedArm(service="web", labels={"rollouts-pod-template-hash": "old"})
    assert found.canary == OwnedArm(service="web-new", labels={"rollouts-pod-template-hash": "new"})
    assert found.attempt == "new"


def test_a_rollout_tells_its_arms_by_subsets_in_the_routes_that_it_names() -> None:
    istio = {
        "destinationRule": {"name": "web", "canarySubsetName": "next", "stableSubsetName": "now"},
        "virtualService": {"name": "web.shop"},
        "virtualServices": [{"name": "other"}],
    }
    found = rolloutarms.owned(rollout({"canary": {"trafficRouting": {"istio": istio}}}))
    assert found.arm_at(at("next"), route=ROUTE) == found.canary
    assert found.arm_at(at("now"), route=ROUTE) == found.baseline
    assert found.arm_at(at("next"), route=ObjectName(kind="VirtualService", namespace="shop", name="foreign")) is None
    assert found.arm_at(at("next", namespace="b"), route=ROUTE) is None


def test_blue_and_green_are_active_and_preview() -> None:
    found = rolloutarms.owned(rollout({"blueGreen": {"activeService": "web", "previewService": "web-preview"}}))
    assert (found.baseline.service, found.canary.service) == ("web", "web-preview")


@pytest.mark.parametrize(("stable", "arms"), [("ping", ("a", "b")), ("pong", ("b", "a")), ("", ("", ""))])
def test_of_ping_and_pong_the_status_says_which_is_stable(stable: str, arms: tuple[str, str]) -> None:
    strategy = {"canary": {"pingPong": {"pingService": "a", "pongService": "b"}}}
    found = rolloutarms.owned(rollout(strategy, canary={"stablePingPong": stable}))
    assert (found.baseline.service, found.canary.service) == arms


def test_a_rollout_without_a_status_has_not_begun() -> None:
    assert rolloutarms.owned({"metadata": META, "spec": {}}).state == "idle"


@pytest.mark.parametrize("read", [flaggerarms.owned, rolloutarms.owned])
def test_an_owner_of_another_form_is_refused(read: Any) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read({"metadata": META, "spec": []})
