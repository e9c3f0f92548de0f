"""What a route's controllers say of it is told with its places, and nothing is written otherwise for it."""

from typing import Any

import pytest

from daemon.meshes.gatewayapi import routes
from daemon.meshes.gatewayapi.arms import named
from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.gatewayapi.status import hindrance
from tests.hand.gateway_objects import RELEASE, http_route

CONTROLLER = "istio.io/gateway-controller"
ARMS = named(RELEASE)


def said(*parents: Any, generation: int = 2) -> dict[str, Any]:
    """The route with these parents in its status, written so many times."""
    route = http_route()
    route["metadata"] |= {"generation": generation, "resourceVersion": "7"}
    return {**route, "status": {"parents": list(parents)}}


def parent(*, accepted: str = "True", resolved: str = "True", seen: int = 2, controller: str = CONTROLLER) -> dict[str, Any]:
    conditions = [
        {"type": "Accepted", "status": accepted, "reason": "NoMatchingParent", "observedGeneration": seen},
        {"type": "ResolvedRefs", "status": resolved, "reason": "BackendNotFound", "observedGeneration": seen},
    ]
    return {"parentRef": {"name": "web"}, "controllerName": controller, "conditions": conditions}


@pytest.mark.parametrize(
    ("parents", "why"),
    [
        ([], ""),
        ([parent()], ""),
        ([parent(accepted="False")], f"{CONTROLLER} has not accepted it: NoMatchingParent"),
        ([parent(resolved="False")], f"{CONTROLLER} cannot resolve what it names: BackendNotFound"),
        ([parent(seen=1)], f"{CONTROLLER} has not taken its generation 2 yet, it has 1"),
        ([parent(accepted="Unknown")], ""),
        ([parent(), parent(accepted="False", controller="other")], "other has not accepted it: NoMatchingParent"),
        ([parent(accepted="False"), parent(accepted="False")], f"{CONTROLLER} has not accepted it: NoMatchingParent"),
    ],
)
def test_each_controllers_word_is_told_once(parents: list[Any], why: str) -> None:
    assert hindrance(said(*parents)) == why


@pytest.mark.parametrize(
    "status", [None, 7, {"parents": 7}, {"parents": [7, {"conditions": [7, {"type": 7, "observedGeneration": "x"}]}]}]
)
def test_a_status_of_another_form_says_nothing_and_hides_no_route(status: Any) -> None:
    route = {**said(), "status": status}
    assert hindrance(route) == ""
    assert routes.references(HTTP_ROUTES, route, arms=ARMS)


def test_a_condition_without_a_reason_is_told_all_the_same() -> None:
    refused = {"conditions": [{"type": "Accepted", "status": "False"}]}
    assert hindrance(said(refused)) == "a controller has not accepted it: no reason is given"


def test_it_is_told_with_each_place_and_each_change_and_what_is_written_is_the_same() -> None:
    good, refused = said(parent()), said(parent(accepted="False"))
    why = f" (may not be in force: {CONTROLLER} has not accepted it: NoMatchingParent)"
    before, after = (routes.references(HTTP_ROUTES, one, arms=ARMS) for one in (good, refused))
    assert [one.place for one in after] == [one.place + why for one in before] != []
    assert [one.percent for one in after] == [one.percent for one in before]
    plan, told = (routes.revert(HTTP_ROUTES, one, arms=ARMS) for one in (good, refused))
    assert told.operations == plan.operations
    assert [one.detail for one in told.changes] == [one.detail + why for one in plan.changes] != []
